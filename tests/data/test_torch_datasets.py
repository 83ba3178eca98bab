"""Data sets of torch: whose names a number means in a joined set, and labels that are vectors."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset, Subset

from frostline.data.sources import read
from frostline.errors import DataError
from tests.data.pictures import encoded, scene

vision = pytest.importorskip("torchvision.datasets")


class Own(Dataset[Any]):
    def __init__(self, labels: list[Any], classes: list[str] | None = None, seed: int = 0) -> None:
        self.labels, self.seed = labels, seed
        if classes is not None:
            self.classes = classes

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[bytes, Any]:
        return encoded(scene(9, 9, 100 * self.seed + index)), self.labels[index]


def folder(top: Path, *classes: str) -> Path:
    for k, name in enumerate(classes):
        (top / name).mkdir(parents=True)
        for n in range(3):
            (top / name / f"{n}.png").write_bytes(encoded(scene(9, 9, 1000 * len(str(top)) + 10 * k + n)))
    return top


def test_a_joined_set_keeps_the_names_of_each_part(tmp_path: Path) -> None:
    parts = [vision.ImageFolder(str(folder(tmp_path / n, *classes))) for n, classes in NAMES.items()]
    joined = ConcatDataset(parts)
    assert [(Path(row.name).parent.name, *row.labels) for row in read(joined).rows] == [
        (name, name) for name in ["ants"] * 3 + ["bees"] * 6 + ["wasps"] * 3
    ]
    half = Subset(joined, [11, 4, 6, 0])
    assert [row.labels for row in read(half).rows] == [("wasps",), ("bees",), ("bees",), ("ants",)]
    nested = ConcatDataset([Subset(joined, [11, 0]), parts[1]])
    assert [row.labels[0] for row in read(nested).rows] == ["wasps", "ants", *["bees"] * 3, *["wasps"] * 3]


NAMES = {"first": ("ants", "bees"), "second one": ("bees", "wasps")}


def test_parts_that_load_their_pictures_keep_their_names_too() -> None:
    joined = ConcatDataset([Own([0, 1], ["a", "b"]), Own([0, 1], ["b", "c"], seed=1)])
    assert [row.labels for row in read(joined).rows] == [("a",), ("b",), ("b",), ("c",)]
    with pytest.raises(DataError, match="another has none"):
        read(ConcatDataset([Own([0, 1], ["a", "b"]), Own([0, 1], seed=1)]))


def test_vectors_of_0_and_1_are_several_labels_by_name() -> None:
    rows = torch.tensor([[1, 0, 1], [0, 0, 0], [0, 1, 0]])
    for labels in (list(rows), list(rows.numpy()), rows.tolist(), list(rows.float())):
        found = read(Own(labels, ["a", "b", "c"]))
        assert found.multilabel
        assert [row.labels for row in found.rows] == [("a", "c"), (), ("b",)]
    assert [row.labels for row in read(Own([["a", "c"], ["b"]])).rows] == [("a", "c"), ("b",)]


@pytest.mark.parametrize(
    ("labels", "classes", "said"),
    [
        (list(torch.eye(2)), ["a", "b"], "one-hot: in each of the 2 items"),
        (list(torch.tensor([[1, 1], [0, 1]])), None, "vector of 2 numbers 0 and 1, for 0 names"),
        ([0, 2], ["a", "b"], "the label of item 1 is 2, but there are 2 classes"),
        ([0, -1], ["a", "b"], "the label of item 1 is -1"),
        (["a", None], None, "item 1 has no label"),
        ([0.0, float("nan")], ["a", "b"], "item 1 has no label"),
    ],
)
def test_doubtful_labels_are_refused_with_a_hint(labels: list[Any], classes: list[str] | None, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        read(Own(labels, classes))
    assert caught.value.hint
    assert caught.value.where == "Own"

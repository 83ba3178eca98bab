"""Data sets of Hugging Face: by name, offline first; columns that cannot be told; labels that are not known."""

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from frostline.data.sources import read
from frostline.errors import DataError, MissingExtra
from tests.data.pictures import encoded, scene

datasets = pytest.importorskip("datasets")


def made(labels: list[Any], feature: Any, **more: list[Any]) -> Any:
    features = {"photo": datasets.Image(), "kind": feature}
    features |= {name: datasets.Value("string") for name in more}
    pictures = [{"bytes": encoded(scene(9, 9, n)), "path": None} for n in range(len(labels))]
    return datasets.Dataset.from_dict({"photo": pictures, "kind": labels, **more}, features=datasets.Features(features))


def test_a_name_is_looked_for_on_this_machine_first_and_then_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None, bool]] = []
    found = made([0, 1], datasets.ClassLabel(names=["a", "b"]))

    def load_dataset(name: str, config: str | None) -> Any:
        asked.append((name, config, datasets.config.HF_HUB_OFFLINE))
        if name == "cached/set" or not datasets.config.HF_HUB_OFFLINE:
            return datasets.DatasetDict({"train": found})
        raise ConnectionError("not cached")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(huggingface_hub, "dataset_info", lambda name, timeout: None)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    assert read("hf:cached/set:small").classes == ("a", "b")
    assert read("hf:far").splits == ("train",)
    assert asked == [("cached/set", "small", True), ("far", None, True), ("far", None, False)]
    assert datasets.config.HF_HUB_OFFLINE is False


def test_without_a_network_the_error_says_what_to_do() -> None:
    with pytest.raises(DataError, match="not in this machine's cache, and cannot be fetched") as caught:
        read("hf:nobody/nothing-at-all")
    assert "save_to_disk" in str(caught.value)
    assert caught.value.where == "hf:nobody/nothing-at-all"


def test_names_that_are_none_or_may_be_a_folder_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="names no data set"):
        read("hf:../../etc")
    (tmp_path / "beans").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="may be the folder here"):
        read("hf:beans")


def test_several_labels_unknown_labels_and_groups() -> None:
    names = datasets.ClassLabel(names=["a", "b", "c"])
    found = read(made([[0, 2], [], [1]], datasets.Sequence(names), day=["x", "y", "x"]), group="day")
    assert found.multilabel
    assert [(row.labels, row.group) for row in found.rows] == [(("a", "c"), "x"), ((), "y"), (("b",), "x")]
    with pytest.raises(DataError, match="1 row is wrong: row 2: no label"):
        read(made([0, -1, 1], names))
    with pytest.raises(DataError, match="no column 'patient' to group by"):
        read(made([0, 1], names), group="patient")


@pytest.mark.parametrize("column", ["label", "class", "kind"])
def test_the_label_column_may_have_any_of_its_names(column: str) -> None:
    found = made([0, 1, 0], datasets.ClassLabel(names=["a", "b"]))
    found = found if column == "kind" else found.rename_column("kind", column)
    rows = read(found).rows
    assert [row.labels for row in rows] == [("a",), ("b",), ("a",)]
    assert all(row.group is None for row in rows)


def test_columns_that_cannot_be_told_are_listed() -> None:
    with pytest.raises(DataError, match="no label column") as caught:
        read(made(["a", "b"], datasets.Value("string")))
    assert "photo, kind" in str(caught.value)
    with pytest.raises(DataError, match="no column of images"):
        read(datasets.Dataset.from_dict({"label": ["a", "b"]}))
    with pytest.raises(DataError, match="streamed"):
        read(made([0, 1], datasets.ClassLabel(names=["a", "b"])).to_iterable_dataset())


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"frostline\[datasets\]"):
        read("hf:beans")

"""What a run learns from: --split, --group, --few, several labels a picture, and data that lives in Python."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frostline import ImageClassifier
from frostline.data.decode import decode
from frostline.errors import DataError, FrostlineWarning, PlanError
from frostline.events import Note
from tests.run.test_fit import SMALL, TRAINING

PROBE = {**SMALL, "strategy": "probe"}


@pytest.fixture
def table(leaves: Path, tmp_path: Path) -> Path:
    paths = sorted(leaves.rglob("*.png"))
    lines = ["path,label,tree", *(f"{path},{path.parent.name},{number // 8}" for number, path in enumerate(paths))]
    (tmp_path / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path / "t.csv"


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """Pictures that are red, green, both (half and half) or neither, in a table with ``a|b``."""
    rng = np.random.default_rng(3)
    lines = ["path,label,split"]
    for number in range(96):
        labels = [name for name, on in (("green", number % 2), ("red", number // 2 % 2)) if on]
        pixels = rng.normal(60, 25, (32, 32, 3))
        for label in labels:
            half = slice(0, 16) if label == "green" else slice(16, 32)
            pixels[half, :, 1 if label == "green" else 0] += 120
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(tmp_path / f"{number}.png")
        # All of val that has labels has one: that the task has several must come from the whole.
        split = "val" if number >= 64 and len(labels) < 2 else "train" if number < 64 else "test"
        lines.append(f"{number}.png,{'|'.join(labels)},{split}")
    text = "\n".join(line for line in lines if not line.endswith("test"))
    (tmp_path / "shapes.csv").write_text(text, encoding="utf-8")
    return tmp_path / "shapes.csv"


def test_split_deals_all_pictures_anew_and_says_so(leaves: Path) -> None:
    notes: list[str] = []
    listen = lambda event: notes.append(event.text) if isinstance(event, Note) else None  # noqa: E731
    found = ImageClassifier(**PROBE, split="50/25/25").fit(leaves, listen=listen)
    assert found.result_.counts == {"train": 48, "val": 24, "test": 24}
    assert any("split again" in note for note in notes)


def test_few_learns_from_so_many_and_is_judged_on_all(leaves: Path, tmp_path: Path) -> None:
    found = ImageClassifier(**PROBE, few=5, out=tmp_path / "run").fit(leaves)
    assert found.result_.counts == {"train": 10, "val": 24, "test": 24}


def test_group_names_a_column_that_no_split_parts(table: Path, leaves: Path, tmp_path: Path) -> None:
    found = ImageClassifier(**PROBE, group="tree", split="80/20").fit(table)
    assert all(count % 8 == 0 for count in found.result_.counts.values())
    with pytest.raises(DataError, match="no column 'day' to group by"):
        ImageClassifier(**PROBE, group="day").fit(table)
    with pytest.raises(DataError, match="no columns to group by"):
        ImageClassifier(**PROBE, group="tree").fit(leaves)
    with pytest.raises(PlanError, match="sequence of pictures"):
        ImageClassifier(**PROBE, group="tree").fit(["a.png"], ["a"])


def test_a_data_frame_is_fitted_predicted_and_scored(leaves: Path) -> None:
    pd = pytest.importorskip("pandas")
    paths = sorted((leaves / "train").rglob("*.png"))
    frame = pd.DataFrame({"image": [decode(path).rgb for path in paths], "label": [path.parent.name for path in paths]})
    found = ImageClassifier(**PROBE).fit(frame)
    assert found.predict_proba(frame).shape == (48, 2)
    assert found.predict(frame[["image"]]).shape == (48,)
    with pytest.warns(FrostlineWarning, match="no test of it|were left out"):
        assert found.score(frame) > 0.8
    pairs = ImageClassifier(**PROBE).fit(list(frame["image"]), list(frame["label"]))
    np.testing.assert_array_equal(found.predict_proba(frame), pairs.predict_proba(frame))


def test_groups_beside_pictures(leaves: Path) -> None:
    paths = sorted((leaves / "train").rglob("*.png"))
    groups = [number // 6 for number in range(len(paths))]
    found = ImageClassifier(**PROBE, split="75/25").fit(paths, [path.parent.name for path in paths], groups)
    assert found.result_.counts == {"train": 36, "val": 12}


@pytest.mark.parametrize("strategy", ["probe", "freeze", "auto", "lp-ft"])
def test_several_labels_a_picture_are_learnt_by_every_kind_of_strategy(
    shapes: Path, strategy: str, tmp_path: Path
) -> None:
    found = ImageClassifier(**(SMALL if strategy == "probe" else TRAINING), strategy=strategy, out=tmp_path / "run")
    found.fit(shapes)
    assert found.about_.multilabel
    assert list(found.classes_) == ["green", "red"]
    assert {"accuracy", "hamming", "micro_f1"} <= set(found.result_.metrics["val"].figures)
    both, neither = found.predict_proba([shapes.parent / "3.png", shapes.parent / "4.png"])
    if strategy == "probe":  # what trains for two epochs from random weights has not learnt it yet
        assert found.result_.metrics["val"].figures["accuracy"].value > 0.8
        assert both.min() > 0.5 > neither.max()
    assert found.predict([shapes.parent / "3.png"]).shape == (1, 2)
    again = ImageClassifier.load(tmp_path / "run" / "model")
    np.testing.assert_allclose(again.predict_proba([shapes.parent / "3.png"])[0], both, atol=1e-5)


def test_what_needs_one_label_a_picture_says_so(shapes: Path) -> None:
    for options in (
        {**PROBE, "balance": "weights"},
        {**TRAINING, "strategy": "freeze", "balance": "sampling"},
        {**TRAINING, "strategy": "freeze", "mixup": 0.2},
    ):
        with pytest.raises(PlanError, match="one label"):
            ImageClassifier(**options).fit(shapes)

"""Without a val split a solved head learns from every picture, and is judged by cross-validation where it can be."""

from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from frostline import ImageClassifier
from frostline.events import Warn

SMALL: dict[str, Any] = {
    "model": "test_resnet",
    "weights": "none",
    "image_size": 64,
    "precision": "fp32",
    "engine": "torch",
    "strategy": "probe",
}


def some(leaves: Path, top: Path, counts: dict[str, int]) -> Path:
    """A folder without splits: so many training leaves of each class, those after the second in other colours."""
    for place, (name, count) in enumerate(counts.items()):
        (top / name).mkdir(parents=True)
        source = leaves / "train" / ("green leaf", "red leaf")[place % 2]
        for number in range(count):
            with Image.open(source / f"{number}.png") as picture:
                (picture if place < 2 else ImageOps.solarize(picture, 40 * place)).save(top / name / f"{number}.png")
    return top


def test_every_picture_is_learned_from_and_the_class_that_cannot_be_judged_is_named(
    leaves: Path, tmp_path: Path
) -> None:
    place = some(leaves, tmp_path / "data", {"a": 15, "b": 15, "c": 8, "d": 6, "e": 1})
    warnings: list[str] = []
    fitted = ImageClassifier(**SMALL, out=tmp_path / "run")
    fitted.fit(place, listen=lambda event: warnings.append(event.text) if isinstance(event, Warn) else None)
    assert fitted.result_.counts == {"train": 45}
    assert set(fitted.result_.metrics) == {"cross-validation"}
    assert fitted.result_.metrics["cross-validation"].n == 44  # all but the only picture of "e"
    assert any("cannot be judged: 'e'" in line for line in warnings)
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_share_that_is_asked_for_is_held_out(leaves: Path, tmp_path: Path) -> None:
    fitted = ImageClassifier(**SMALL, val=0.25).fit(some(leaves, tmp_path / "data", {"a": 12, "b": 12}))
    assert fitted.result_.counts == {"train": 18, "val": 6}
    assert set(fitted.result_.metrics) == {"val"}


def test_two_classes_of_one_picture_each_are_fitted_and_nothing_is_judged(leaves: Path, tmp_path: Path) -> None:
    place = some(leaves, tmp_path / "data", {"a": 1, "b": 1})
    fitted = ImageClassifier(**SMALL, out=tmp_path / "run").fit(place)
    assert not fitted.result_.metrics
    assert list(fitted.predict([place / "a" / "0.png", place / "b" / "0.png"])) == ["a", "b"]

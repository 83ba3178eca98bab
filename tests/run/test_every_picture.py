"""Without a val split a solved head learns from every picture, and is judged by cross-validation where it can be."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from frostline import ImageClassifier
from frostline.errors import PlanError
from frostline.events import Note, Warn
from frostline.run import solve_phase

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


def test_a_class_of_one_group_is_named_for_it_cannot_be_judged(leaves: Path) -> None:
    paths = sorted((leaves / "train").glob("*/*.png"))
    labels = ["a" if "green" in path.parent.name else "bc"[number % 2] for number, path in enumerate(paths)]
    groups = ["one patient" if label == "c" else None for label in labels]
    warnings: list[str] = []
    fitted = ImageClassifier(**SMALL).fit(
        paths, labels, groups, listen=lambda event: warnings.append(event.text) if isinstance(event, Warn) else None
    )
    assert fitted.result_.metrics["cross-validation"].n == len(paths) - labels.count("c")
    assert "1 class has pictures of one group or copies only, and cannot be judged: 'c'" in warnings


def test_a_share_that_is_asked_for_is_held_out(leaves: Path, tmp_path: Path) -> None:
    fitted = ImageClassifier(**SMALL, val=0.25).fit(some(leaves, tmp_path / "data", {"a": 12, "b": 12}))
    assert fitted.result_.counts == {"train": 18, "val": 6}
    assert set(fitted.result_.metrics) == {"val"}


def test_two_classes_of_one_picture_each_are_fitted_and_nothing_is_judged(leaves: Path, tmp_path: Path) -> None:
    place = some(leaves, tmp_path / "data", {"a": 1, "b": 1})
    fitted = ImageClassifier(**SMALL, out=tmp_path / "run").fit(place)
    assert not fitted.result_.metrics
    assert list(fitted.predict([place / "a" / "0.png", place / "b" / "0.png"])) == ["a", "b"]


def test_auto_that_keeps_the_probe_ends_as_the_probe_does(leaves: Path, tmp_path: Path) -> None:
    place = some(leaves, tmp_path / "data", {"a": 15, "b": 15})
    probe = ImageClassifier(**SMALL).fit(place)
    # At such a rate nothing is learned, so no deeper phase can be kept.
    auto = ImageClassifier(**{**SMALL, "strategy": "auto"}, epochs=1, lr=1e-12, out=tmp_path / "run").fit(place)
    assert [row.name for row in auto.result_.phases if row.kept] == ["probe", "refit"]
    assert auto.result_.counts == {"train": 30}
    figures = [fitted.result_.metrics["cross-validation"].to_dict() for fitted in (auto, probe)]
    assert figures[0] == figures[1]
    pictures = sorted(place.rglob("*.png"))
    assert np.array_equal(auto.predict_proba(pictures), probe.predict_proba(pictures))
    # What evaluate leaves out as learned from is all of them.
    assert len((tmp_path / "run" / "training.csv").read_text(encoding="utf-8").splitlines()) == 31


def test_val_pictures_that_somebody_gave_are_never_learned_from(leaves: Path, tmp_path: Path) -> None:
    asked = {**SMALL, "strategy": "auto"}
    given = ImageClassifier(**asked, epochs=1, lr=1e-12).fit(leaves)
    assert set(given.result_.metrics) == {"val", "test"}
    place = some(leaves, tmp_path / "data", {"a": 15, "b": 15})
    held = ImageClassifier(**asked, epochs=1, lr=1e-12, val=0.3).fit(place)
    assert set(held.result_.metrics) == {"val"}
    assert "refit" not in [row.name for row in held.result_.phases]
    few = ImageClassifier(**asked, epochs=1, lr=1e-12, few=3).fit(place)  # so many are learned from, and no more
    assert few.result_.counts["train"] == 6


def test_mirror_images_are_learned_from_where_that_is_asked_for_and_pays(leaves: Path, tmp_path: Path) -> None:
    place = some(leaves, tmp_path / "data", {"a": 12, "b": 12})
    notes: list[str] = []
    asked = ImageClassifier(**SMALL, flips=True)
    asked.fit(place, listen=lambda event: notes.append(event.text) if isinstance(event, Note) else None)
    (said,) = [text for text in notes if text.startswith("mirror images are ")]
    figures = re.fullmatch(
        r"mirror images are (not )?learned from: ([\d.]+) nats out of fold with them, ([\d.]+) .*", said
    )
    assert figures
    assert (figures[1] is None) == (float(figures[2]) < float(figures[3]))
    # Judged are the pictures as they are, once each.
    assert asked.result_.metrics["cross-validation"].n == 24


def test_few_pictures_are_learned_from_in_random_crops_too(leaves: Path, tmp_path: Path) -> None:
    place = some(leaves, tmp_path / "data", {"a": 12, "b": 12})
    notes: list[str] = []

    def fitted(**asked: object) -> ImageClassifier:
        notes.clear()
        return ImageClassifier(**SMALL, **asked).fit(
            place, listen=lambda event: notes.append(event.text) if isinstance(event, Note) else None
        )

    usual = fitted()
    (said,) = [text for text in notes if text.startswith("random crops are ")]
    assert usual.result_.counts == {"train": 24}  # a crop is no picture more
    asked = fitted(head_crops=4)
    assert said in notes  # four is what nobody had to ask for
    plain = fitted(head_crops=0)
    assert not [text for text in notes if "crops" in text]
    pictures = sorted(place.rglob("*.png"))
    assert np.array_equal(usual.predict_proba(pictures), asked.predict_proba(pictures))
    learned = "not learned" not in said
    assert np.array_equal(usual.predict_proba(pictures), plain.predict_proba(pictures)) != learned


def test_crops_that_nobody_asked_for_are_little_work(
    leaves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solve_phase, "_MOST_WORK", 1)
    for asked, crops in ({}, 0), ({"head_crops": 2}, 2):
        run = tmp_path / f"run{crops}"
        ImageClassifier(**SMALL, out=run, **asked).fit(leaves)
        assert (
            json.loads((run / "plan.json").read_text(encoding="utf-8"))["resolved"]["plan"]["phases"][0]["crops"]
            == crops
        )


def test_a_head_that_is_trained_has_no_use_for_flips(leaves: Path) -> None:
    with pytest.raises(PlanError, match="no use for --flips"):
        ImageClassifier(**{**SMALL, "strategy": "freeze"}, flips=True).fit(leaves)

"""Cross-validation of whole plans: no picture is judged by a network that saw it, and the model learns from all."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from frostline import ImageClassifier
from frostline.data.sources import read
from frostline.data.split import bound, fold_numbers, folds
from frostline.errors import DataError, PlanError
from frostline.events import Event, Note
from frostline.run import cross_validation as crossing
from tests.run.test_fit import SMALL, TRAINING, same, state


def test_a_probe_is_judged_on_every_picture_and_learns_from_all(leaves: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    options: dict[str, Any] = {**SMALL, "strategy": "probe", "head_crops": 0, "folds": 6, "out": tmp_path / "run"}
    found = ImageClassifier(**options).fit(leaves, listen=events.append)
    result = found.result_
    assert set(result.metrics) == {"cross-validation", "test"}
    assert result.metrics["cross-validation"].n == 72
    assert result.counts == {"train": 72, "test": 24}
    assert 0.7 < result.metrics["cross-validation"].figures["accuracy"].value <= 1
    assert result.headline is not None
    assert result.headline[0] == "test"
    rows = list(csv.DictReader((tmp_path / "run" / "pictures.csv").read_text().splitlines()))
    assert Counter(row["split"] for row in rows) == {"cross-validation": 72, "test": 24}
    notes = [event.text for event in events if isinstance(event, Note)]
    assert any("6 folds" in text for text in notes)
    assert not any("judged by 5-fold" in text for text in notes)
    assert found.about_.sets is not None
    assert found.about_.sets.source == "cross-validation"
    assert found.about_.novelty is not None


@pytest.mark.parametrize("strategy", ["probe", "full"])
def test_labels_of_a_fold_have_no_part_in_its_answers(
    leaves: Path, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fold whose labels are all swapped is answered as before: whoever had seen it would answer otherwise."""
    manifest = read(leaves).part("train")
    options: dict[str, Any] = {**(SMALL if strategy == "probe" else TRAINING), "strategy": strategy, "folds": 3}
    pictures, labels = [str(row.picture) for row in manifest.rows], [row.labels[0] for row in manifest.rows]
    found: list[np.ndarray] = []
    real = crossing.cross_validate

    def watched(*args: Any, **more: Any) -> crossing.CrossValidated:
        found.append(real(*args, **more).logits)
        return real(*args, **more)

    monkeypatch.setattr(crossing, "cross_validate", watched)
    monkeypatch.setattr(crossing, "folds", lambda part, k, seed: dealt)
    dealt = [(np.flatnonzero(np.arange(48) % 3 != n), np.flatnonzero(np.arange(48) % 3 == n)) for n in range(3)]
    ImageClassifier(**options).fit(pictures, labels)
    first = dealt[0][1]
    other = {"green leaf": "red leaf", "red leaf": "green leaf"}
    swapped = [other[label] if n in first else label for n, label in enumerate(labels)]
    ImageClassifier(**options).fit(pictures, swapped)
    np.testing.assert_allclose(found[0][first], found[1][first], atol=1e-5)
    assert np.abs(found[0][dealt[1][1]] - found[1][dealt[1][1]]).max() > 1e-3


def test_the_kept_network_is_that_of_a_fit_without_folds_on_all(leaves: Path) -> None:
    manifest = read(leaves).part("train")
    pictures, labels = [str(row.picture) for row in manifest.rows], [row.labels[0] for row in manifest.rows]
    plain = ImageClassifier(**SMALL, strategy="probe").fit(pictures, labels)
    crossed = ImageClassifier(**SMALL, strategy="probe", folds=4).fit(pictures, labels)
    assert same(state(plain), state(crossed))


SLOWER = [pytest.param(name, marks=pytest.mark.slow) for name in ("gradual", "lora")]


@pytest.mark.parametrize("strategy", ["freeze", "auto", *SLOWER])
def test_training_strategies_are_cross_validated_whole(leaves: Path, strategy: str) -> None:
    found = ImageClassifier(**TRAINING, strategy=strategy, folds=2).fit(leaves)
    assert found.result_.metrics["cross-validation"].n == 72
    assert found.result_.phases[0].kept
    assert found.about_.novelty is not None
    again = ImageClassifier(**TRAINING, strategy=strategy, folds=2).fit(leaves)
    assert same(state(found), state(again))
    assert torch.isfinite(torch.cat([t.flatten().float() for t in state(found).values()])).all()


def test_duplicates_stay_on_one_side_of_the_folds_that_choose_the_strength(leaves: Path) -> None:
    manifest = read(leaves).part("train")
    assert not bound(manifest)
    doubled = type(manifest)((*manifest.rows, *manifest.rows[:5]), manifest.classes)
    assert bound(doubled)
    numbers = fold_numbers(doubled, 5)
    assert (numbers[48:] == numbers[:5]).all()
    assert all((numbers[out] == n).all() for n, (_, out) in enumerate(folds(doubled, 5)))


def test_what_cannot_be_folded_is_refused(leaves: Path) -> None:
    with pytest.raises(PlanError, match="at least 2"):
        ImageClassifier(**SMALL, strategy="probe", folds=1).fit(leaves)
    with pytest.raises(DataError, match="cannot be spread over 500 folds"):
        ImageClassifier(**SMALL, strategy="probe", folds=500).fit(leaves)

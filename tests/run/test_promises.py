"""What a model promises holds on real pictures, ants and bees and solar cells, with the default backbone."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import betabinom

from frostline import ImageClassifier
from frostline.data.demos import solar_cells
from frostline.data.pairs import pairs
from frostline.data.sources import read
from frostline.errors import MissingExtra
from frostline.judge.conformal import calibrated
from frostline.judge.predictions import Outcome, read_outcomes
from frostline.judge.result import RunResult


@pytest.fixture(scope="module")
def ants_run(ants_bees: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageClassifier, list[Outcome]]:
    out = tmp_path_factory.mktemp("ants") / "run"
    return ImageClassifier(strategy="probe", folds=4, out=out).fit(ants_bees), read_outcomes(out / "pictures.csv")


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[str]]:
    """240 solar cells and their labels."""
    try:
        rows = read(solar_cells(tmp_path_factory.mktemp("cells"))).rows
    except MissingExtra:
        pytest.skip("the package elpv-dataset is not installed")
    chosen = np.random.default_rng(0).permutation(len(rows))[:240]
    return [str(rows[n].picture) for n in chosen], [rows[n].labels[0] for n in chosen]


def two_classes(rows: Sequence[Outcome], classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, 2) and classes (N,)."""
    p = np.array([row.probability if row.predicted == classes[1] else 1 - row.probability for row in rows])
    return np.stack([1 - p, p], axis=1), np.array([classes.index(row.label) for row in rows])


def test_over_100_random_halves_sets_cover_what_they_promise(
    ants_run: tuple[ImageClassifier, list[Outcome]],
) -> None:
    """Their count is beta-binomial, whatever the model: a binomial of a coverage that has the error of its own half.

    Above it may be where the promise is less than the accuracy: a set has one class at least.
    """
    classifier, rows = ants_run
    p, y = two_classes(rows, list(classifier.classes_))
    half = len(y) // 2
    accuracy = (p.argmax(1) == y).mean()
    for level in (0.9, 0.95, 0.97, 0.99):
        counts = []
        for seed in range(100):
            drawn = np.random.default_rng(seed).permutation(len(y))
            one, two = drawn[:half], drawn[half : 2 * half]
            counts.append(calibrated(p[one], y[one]).members(p[two], level)[np.arange(half), y[two]].sum())
        rank = np.ceil((half + 1) * level)
        expected = betabinom(half, rank, half + 1 - rank)
        low, high = expected.ppf([0.025, 0.975])
        few = 0.025 + 3 * np.sqrt(0.025 * 0.975 / 100)
        assert np.mean(np.array(counts) < low) <= few
        assert np.mean(counts) / half > level - 3 * expected.std() / half / 10
        if level > accuracy:
            assert np.mean(np.array(counts) > high) <= few


def fair(result: RunResult) -> bool:
    """Whether the temperature helped on held-out pictures, or was left at 1 and said so."""
    found = result.calibration
    assert found is not None
    if found.helped:
        return found.loss_after < found.loss_before
    return result.temperature == 1 and "it stays 1" in found.why


def test_temperature_helps_or_says_that_it_did_not(
    ants_run: tuple[ImageClassifier, list[Outcome]], cells: tuple[list[str], list[str]]
) -> None:
    assert fair(ants_run[0].result_)
    assert fair(ImageClassifier(strategy="probe").fit(*cells).result_)


def test_solar_cells_and_noise_are_none_of_ants_and_bees(
    ants_run: tuple[ImageClassifier, list[Outcome]], cells: tuple[list[str], list[str]]
) -> None:
    classifier, rows = ants_run
    strange = read_answers(classifier, cells[0][:60])
    noise = read_answers(classifier, list(np.random.default_rng(0).integers(0, 256, (20, 200, 200, 3), dtype=np.uint8)))
    own = read_answers(classifier, [row.path for row in rows[:100]])
    assert np.mean(strange) > 0.98
    assert np.mean(noise) > 0.98
    assert np.mean(own) < 0.05


def read_answers(classifier: ImageClassifier, pictures: Sequence[object]) -> list[bool | None]:
    return [answer.novel for answer in classifier.answers(pairs(iter(pictures)))]  # type: ignore[union-attr, arg-type]

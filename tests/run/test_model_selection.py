"""A phase is kept if it is measurably better in one figure and no worse in the other."""

import numpy as np
import pytest
from bench.trust.__main__ import of_folded_keeping
from scipy.stats import binom

from frostline.data.manifest import Manifest, Row
from frostline.run.model_selection import (
    KEEP_LEVEL,
    harmed,
    hopeless,
    judged,
    losses,
    probabilities_of,
    share_right,
    verdict,
)

N = 200
VAL = Manifest(tuple(Row(f"{i}.png", ("yes",), "val", digest=f"{i}") for i in range(N)), ("no", "yes"))


def logits(right: int, sure: float, wrongly: float | None = None) -> np.ndarray:
    """(N, 2): the first `right` pictures are right, with margins of about `sure`; the others' are `wrongly` or so."""
    margin = np.where(np.arange(N) < right, sure, -(sure if wrongly is None else wrongly))
    margin = margin * (1 + 0.01 * np.arange(N) / N)
    return np.stack([-margin / 2, margin / 2], axis=1).astype(np.float32)


def test_losses_are_minus_the_logarithm_of_the_probability() -> None:
    assert losses(logits(N, 2.0), VAL) == pytest.approx(
        np.log1p(np.exp(-2.0 * (1 + 0.01 * np.arange(N) / N))), rel=1e-5
    )


@pytest.mark.parametrize(
    ("right", "sure", "wrongly", "kept"),
    [
        (150, 3.0, 3.0, False),  # the same
        (160, 3.0, 3.0, True),  # more are right
        (150, 1.1, 1.1, False),  # the same are right, and a temperature gives the same probabilities
        (150, 3.0, 0.5, True),  # the same are right, with better probabilities
        (149, 3.0, 0.5, False),  # better probabilities and one right answer less
        (160, 9.0, 9.0, True),  # more are right, with worse probabilities that a temperature mends
        (160, 3.0, 30.0, False),  # more are right, with worse probabilities that it cannot mend
    ],
)
def test_what_is_kept(right: int, sure: float, wrongly: float, kept: bool) -> None:
    better, why = verdict("if-better", logits(150, 3.0), logits(right, sure, wrongly), VAL)
    assert better == kept
    assert why.startswith("measurably better" if kept else "not measurably better")
    assert "log loss" in why


def test_accuracy_of_several_labels_is_that_of_whole_pictures_and_decisions_are_called_so() -> None:
    rows = tuple(Row(f"{n}.png", ("a",), "val", digest=f"{n}") for n in range(40))
    part = Manifest(rows, ("a", "b"), multilabel=True)
    before, after = (np.tile(np.float32([[1.0, b], [1.0, -1.0]]), (20, 1)) for b in (1.0, -1.0))
    assert (
        share_right(before, part).value == judged(probabilities_of(before, part, 1.0), part).figures["accuracy"].value
    )
    assert share_right(before, part).value == 0.5
    assert "single decisions right 75.0% to 100.0%" in verdict("if-better", before, after, part)[1]


def test_what_is_planned_is_kept_whatever_it_does() -> None:
    assert verdict("always", logits(150, 1.0), logits(10, 1.0), VAL) == (True, "as planned")


def test_how_often_a_run_keeps_a_phase_that_is_no_better() -> None:
    """Two phases, each as good as what stands, on 150 pictures: at one standard error 21 to 26 % of runs kept one."""
    rng, kept, runs = np.random.default_rng(0), 0, 200
    val = Manifest(VAL.rows[:150], VAL.classes)
    for _ in range(runs):
        ease = rng.normal(1.5, 1, 150)
        tries = [(ease + rng.normal(0, 0.7, 150)).astype(np.float32) for _ in range(3)]
        best, *after = (np.stack([-z / 2, z / 2], axis=1) for z in tries)
        kept += any(verdict("if-better", best, z, val, phases=2)[0] for z in after)
    assert kept / runs < KEEP_LEVEL + 2 * (KEEP_LEVEL * (1 - KEEP_LEVEL) / runs) ** 0.5


def test_how_often_a_phase_is_kept_by_folds_that_has_no_more_right_on_fresh_pictures() -> None:
    for _, _, seen in of_folded_keeping(20):
        assert float(seen.split("%")[0]) <= 10


def test_what_is_truly_better_is_kept() -> None:
    rng, kept = np.random.default_rng(1), 0
    for _ in range(40):
        ease = rng.normal(1.0, 1, N)
        best, after = ((ease + more + rng.normal(0, 0.3, N)).astype(np.float32) for more in (0.0, 0.6))
        pair = [np.stack([-z / 2, z / 2], axis=1) for z in (best, after)]
        kept += verdict("if-better", *pair, VAL, phases=2)[0]
    assert kept > 36


@pytest.mark.parametrize("phases", [1, 2])
def test_a_phase_is_begun_only_where_half_of_the_errors_less_could_be_measured(phases: int) -> None:
    needed = KEEP_LEVEL / (2 * phases)
    for wrong in (*range(18), N):
        new = wrong // 8 if wrong < N else 0
        fixed = wrong // 2 + new
        moved = fixed + new
        # McNemar's: so many of those that move get better, or more.
        mid_p = binom.sf(fixed, moved, 0.5) + 0.5 * binom.pmf(fixed, moved, 0.5) if moved else 1.0
        why = hopeless(logits(N - wrong, 3.0), VAL, phases=phases)
        assert (why == "") == (mid_p < needed), wrong
        assert not why or why.startswith(f"{wrong} of {N} held-out pictures are wrong")


@pytest.mark.parametrize(
    ("right", "sure", "ended"),
    [
        (14, 3.0, False),  # one of 20 is lost, which is chance
        (12, 3.5, True),  # three are lost and none is won
        (12, 0.3, False),  # three are lost, but the loss is lower
        (16, 9.0, False),  # one is won, with worse probabilities
    ],
)
def test_the_first_fold_ends_a_phase_where_it_lost_more_than_chance_would(right: int, sure: float, ended: bool) -> None:
    part = Manifest(VAL.rows[:20], VAL.classes)
    assert (harmed(logits(15, 3.0)[:20], logits(right, sure)[:20], part) != "") == ended

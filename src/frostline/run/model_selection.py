"""Judge a phase, a model and a finished run: logits and labels in, figures and reasons out."""

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from frostline.data.manifest import Manifest
from frostline.data.split import units
from frostline.inference.probabilities import probabilities
from frostline.judge import intervals, metrics
from frostline.judge.calibrate import Calibration, calibrate, calibrate_multilabel
from frostline.judge.compare import gain
from frostline.judge.figures import Report, in_words
from frostline.judge.intervals import Interval

Logits = NDArray[np.float32]

KEEP_LEVEL = 0.1
"""The chance that a run of `auto` keeps any phase that is no better, over both figures and all phases together."""


_ONE_ERROR = 0.16  # one-sided p of a difference of one standard error


def verdict(
    keep: Literal["always", "if-better"],
    best: Logits | None,
    after: Logits | None,
    val: Manifest | None,
    *,
    phases: int = 1,
) -> tuple[bool, str]:
    """Whether a phase that came after another is kept, and why, in words.

    Paired by picture (by group, where pictures belong together), a test asks whether more is right and another whether
    log loss is lower; one must say so at `level` and the other figure be no worse. Log loss is that of the
    probabilities that each would be saved with, temperature and all: a trained network is surer than a fitted head.

    best, after: logits (N, K) of the val split before and after the phase. phases: that ask to be kept in this run.
    """
    if keep == "always":
        return True, "as planned"
    if best is None or after is None or val is None:
        return False, "there is no val split to judge it by"
    together = units(val)
    share = np.stack([_each_right(logits, val) for logits in (best, after)])
    nats = [losses(logits / np.float32(calibration_of(logits, val).temperature), val) for logits in (best, after)]
    answers, loss = gain(share[0], share[1], together), gain(-nats[0], -nats[1], together)
    needed = level(phases)
    better = (answers.p < needed and loss.mean >= 0) or (loss.p < needed and answers.mean >= 0)
    said = (
        f"{_in_words(val)} {share[0].mean():.1%} to {share[1].mean():.1%} (p = {answers.p:.2g}), log loss "
        f"{nats[0].mean():.3f} to {nats[1].mean():.3f} (p = {loss.p:.2g}), needed p < {needed:.3g}"
    )
    return better, f"{'measurably better' if better else 'not measurably better'}: {said}"


def level(phases: int) -> float:
    """Of each test, so that in all tests of a run the chance to keep anything that is no better is `KEEP_LEVEL`.

    Bonferroni over two figures and all phases: a phase that is dropped leaves the others their share.
    """
    return KEEP_LEVEL / (2 * phases)


def hopeless(best: Logits, val: Manifest, *, phases: int = 1) -> str:
    """Why a further phase, which takes minutes, is not worth them, or "": if even half of the errors less would not be
    measurable. To hope for all of them to go would start one on every data set that is nearly right already, and so
    would the hope for no new ones: one new error is reckoned for every eight.
    """
    correct = _each_right(best, val)
    wrong, good = np.flatnonzero(correct < 1), np.flatnonzero(correct == 1)
    new = min(len(wrong) // 8, len(good))
    halved = correct.copy()
    halved[wrong[1::2]] = halved[wrong[::2][:new]] = 1.0
    halved[good[np.linspace(0, len(good) - 1, new).astype(int)]] = 0.0
    if gain(correct, halved, units(val)).p < level(phases):
        return ""
    return f"{len(wrong)} of {len(val)} held-out pictures are wrong: half as many would not be measurably fewer"


def harmed(before: Logits, after: Logits, part: Manifest) -> str:
    """How a phase made a fold's logits (N, K) worse, more than others would outweigh; or "".

    Both figures fell, one of them by about a standard error (p < 0.16 of the paired test): a fold of 20 pictures loses
    one of them by chance. Rows with a NaN judge nothing.
    """
    there = np.flatnonzero(np.isfinite(before).all(axis=1) & np.isfinite(after).all(axis=1))
    if not len(there):
        return ""
    part = replace(part, rows=tuple(part.rows[number] for number in there))
    share = [_each_right(logits[there], part) for logits in (before, after)]
    nats = [losses(logits[there], part) for logits in (before, after)]
    if share[1].mean() >= share[0].mean() or nats[1].mean() <= nats[0].mean():
        return ""
    together = units(part)
    fell = gain(share[1], share[0], together).p, gain(-nats[1], -nats[0], together).p
    if min(fell) >= _ONE_ERROR:
        return ""
    return (
        f"{_in_words(part)} {share[0].mean():.1%} to {share[1].mean():.1%}, "
        f"log loss {nats[0].mean():.3f} to {nats[1].mean():.3f}"
    )


def _right(logits: Logits, part: Manifest) -> NDArray[np.bool_]:
    """Whether each picture is right, (N, 1); with several labels a picture whether each label is, (N, K)."""
    targets = part.targets()
    if targets.ndim == 2:
        return np.asarray((logits > 0) == (targets > 0.5))
    return np.asarray(logits.argmax(1) == targets)[:, None]


def _each_right(logits: Logits, part: Manifest) -> NDArray[np.float64]:
    """How much of each picture is right, (N,): 0 or 1; with several labels the share of them."""
    return np.asarray(_right(logits, part).mean(1))


def _in_words(part: Manifest) -> str:
    """What the mean of `_each_right` is called."""
    return in_words("hamming" if part.multilabel else "accuracy")


def losses(logits: Logits, part: Manifest) -> NDArray[np.float64]:
    """The log loss of each picture in nats, (N,); with several labels a picture the mean over its labels."""
    values, targets = logits.astype(np.float64), part.targets()
    if targets.ndim == 2:
        return np.asarray(np.logaddexp(0, np.where(targets > 0.5, -values, values)).mean(1))
    return np.asarray(logsumexp(values, axis=1) - values[np.arange(len(values)), targets.astype(np.int64)])


def all_right(logits: Logits, part: Manifest) -> NDArray[np.bool_]:
    """Whether each picture is right, (N,): with several labels whether each of them is, as accuracy has it."""
    return np.asarray(_right(logits, part).all(1))


def share_right(logits: Logits, part: Manifest) -> Interval:
    """Accuracy with its interval."""
    return intervals.share(all_right(logits, part), units(part))


def calibration_of(logits: Logits, part: Manifest) -> Calibration:
    """What logits are to be divided by so that probabilities mean what they say, and whether it helps."""
    targets = part.targets()
    if targets.ndim == 2:
        return calibrate_multilabel(logits, targets, units=units(part))
    return calibrate(logits, targets.astype(np.int64), units=units(part))


def probabilities_of(logits: Logits, part: Manifest, temperature: float) -> NDArray[np.float64]:
    """(N, K) of logits (N, K) / temperature: softmax, or a sigmoid each where the labels are several."""
    return probabilities(logits, temperature=temperature, multilabel=part.targets().ndim == 2)


def judged(probabilities: NDArray[np.float64], part: Manifest) -> Report:
    """All figures of probabilities (N, K) against a manifest's labels."""
    targets = part.targets()
    figures = metrics.report_multilabel if targets.ndim == 2 else metrics.report
    return figures(probabilities, targets.astype(np.int64), part.classes, units=units(part))

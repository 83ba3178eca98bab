"""How good a classifier is: arrays in, figures out, each with its count and a 95 % interval.

Values are scikit-learn's wherever it has them; what it leaves to a warning is settled here: a class that neither
occurs nor is predicted takes no part in a mean, and a figure that the pictures do not define (ROC-AUC of one class) is
left out. Shares have Wilson's interval; everything else the wider of a formula's (``intervals``) and the bootstrap's
(``bootstrap``). Pictures of one unit (duplicates, a group) count as one draw for both.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from frostline.errors import JudgementError
from frostline.judge import bootstrap, intervals
from frostline.judge.by_class import (
    Bootstrap,
    Judged,
    Units,
    mean_of,
    over_classes,
    per_class_figures,
    shared,
    two_columns,
)
from frostline.judge.figures import Baseline, Report
from frostline.judge.intervals import Bounds, Interval


def accuracy(scores: NDArray[np.floating], y: NDArray[np.integer], units: Units | None = None) -> Interval:
    """Share of pictures whose highest score is that of their class; of equal scores the first counts.

    scores: (N, K) logits or probabilities, any scale. y: (N,) in [0, K). units: see `Units`.

    Raises: JudgementError: no pictures, shapes that do not agree, a class outside [0, K), or a NaN.
    """
    _check(scores, y)
    return intervals.share(scores.argmax(axis=1) == y, units)


def top_k(scores: NDArray[np.floating], y: NDArray[np.integer], k: int, units: Units | None = None) -> Interval:
    """Share of pictures whose class is among the k highest scores; of equal scores the first count, as in ``accuracy``.

    Raises: JudgementError: as ``accuracy``, or k is not in [1, K].
    """
    _check(scores, y)
    if not 1 <= k <= scores.shape[1]:
        raise JudgementError(f"there is no top {k} of {scores.shape[1]} classes", hint="k runs from 1 to that number")
    highest = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return intervals.share((highest == np.asarray(y)[:, None]).any(axis=1), units)


def report(
    probabilities: NDArray[np.floating],
    y: NDArray[np.integer],
    classes: Sequence[str],
    *,
    units: Units | None = None,
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
) -> Report:
    """All figures where each picture has one class.

    probabilities: (N, K), rows that sum to 1. y: (N,) in [0, K). classes: K names. units: see `Units`. resamples, seed:
        of the bootstrap.
    Figures: accuracy, top_5 (of more than 5 classes), balanced_accuracy, macro_f1, weighted_f1, roc_auc and
    average_precision (one class against the rest, mean over classes), log_loss (nats), brier (Brier 1950: summed over
    classes, in [0, 2]).

    Raises: JudgementError: as ``accuracy``, or rows that do not sum to 1.
    """
    _check(probabilities, y)
    _check_names(classes, probabilities.shape[1])
    p = probabilities.astype(np.float64)
    if p.min() < 0 or np.abs(p.sum(axis=1) - 1).max() > 1e-3:
        raise JudgementError("probabilities must not be negative, and each row must sum to 1", hint="are they logits?")
    rows, first = np.arange(len(y)), p.argmax(axis=1)
    judged = Judged(_one_hot(y, p.shape[1]), _one_hot(first, p.shape[1]), p, units)
    per_class = per_class_figures(judged, classes)
    sure = Bootstrap(len(y), resamples, seed, units)
    figures = {"accuracy": accuracy(p, y, units)}
    if p.shape[1] > 5:
        figures["top_5"] = top_k(p, y, 5, units)
    figures["balanced_accuracy"] = sure.of(
        mean_of(row.recall for row in per_class),
        bootstrap.from_counts(judged.truth, judged.predicted, bootstrap.mean_recall),
        over_classes(per_class, "recall", correlation=0.0),
    )
    figures |= shared(judged, per_class, sure)
    clipped = np.clip(p, np.finfo(np.float64).eps, 1) / p.sum(axis=1, keepdims=True)
    of_class = {"log_loss": -np.log(clipped), "brier": (p**2).sum(axis=1, keepdims=True) - 2 * p + 1}
    right, draws = first == y, intervals.effective(1.0 * (first == y), np.ones(len(y)), units)
    for name, costs in of_class.items():
        own = costs[rows, y]
        bounds = intervals.loss_bounds(own, right, _cost_when_wrong(costs, p, first), draws)
        figures[name] = sure.of(float(own.mean()), bootstrap.mean(own), bounds, most=np.inf)
    from sklearn.metrics import confusion_matrix

    confusion = confusion_matrix(y, first, labels=np.arange(p.shape[1]))
    counts = judged.truth.sum(axis=0)
    base = Baseline(classes[int(counts.argmax())], float(counts.max() / len(y)), 1 / p.shape[1], len(y))
    return Report(len(y), _defined(figures), per_class, confusion.astype(np.int64), base, sure.units_count)


def _cost_when_wrong(costs: NDArray[np.float64], p: NDArray[np.float64], first: NDArray[np.integer]) -> float:
    """What an error costs if probabilities mean what they say: costs (N, K) of the classes that were not answered."""
    others = p.copy()
    others[np.arange(len(p)), first] = 0
    total = others.sum()
    return float((others * costs).sum() / total) if total > 0 else float(costs.max())


def report_multilabel(
    probabilities: NDArray[np.floating],
    y: NDArray[np.generic],
    classes: Sequence[str],
    *,
    threshold: float = 0.5,
    units: Units | None = None,
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
) -> Report:
    """All figures where each picture has any number of classes.

    probabilities: (N, K) in [0, 1]. y: (N, K) of 0 and 1. classes: K names. A class holds from ``threshold`` on.
    units: see `Units`; without, each picture is one draw and its K decisions are not K.
    Figures: accuracy (all K of a picture right), hamming (share of single decisions that are right), micro_f1,
    macro_f1, weighted_f1, roc_auc, average_precision (mean over classes: mAP), log_loss and brier (means over single
    decisions).

    Raises: JudgementError: no pictures, shapes that do not agree, values outside [0, 1], or y of more than 0 and 1.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or p.shape != np.shape(y) or not p.size:
        raise JudgementError(
            f"probabilities {p.shape} and labels {np.shape(y)} must both be (N, K), N and K above 0",
            hint="for one class a picture there is report()",
        )
    _check_names(classes, p.shape[1])
    if not (np.isfinite(p).all() and p.min() >= 0 and p.max() <= 1 and np.isin(y, (0, 1)).all()):
        raise JudgementError("probabilities must lie in [0, 1], labels must be 0 or 1", hint="are they logits?")
    truth = np.asarray(y, dtype=bool)
    judged = Judged(truth, p >= threshold, p, units)
    right = truth == judged.predicted
    per_class = per_class_figures(judged, classes)
    sure = Bootstrap(len(p), resamples, seed, units)
    micro = bootstrap.from_counts(truth, judged.predicted, bootstrap.micro_f1)
    hits, either = 1.0 * (truth & judged.predicted).sum(axis=1), 1.0 * (truth | judged.predicted).sum(axis=1)
    figures = {
        "accuracy": intervals.share(right.all(axis=1), units),
        "hamming": sure.of(
            float(right.mean()), bootstrap.mean(right.mean(axis=1)), _bounds_of(intervals.share(right, units))
        ),
        "micro_f1": sure.of(
            float(micro(np.ones((1, len(p)), dtype=np.float32))[0]),
            micro,
            intervals.f1_bounds(intervals.ratio_bounds(hits, either, units)),
        ),
        **shared(judged, per_class, sure),
    }
    clipped = np.clip(p, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    q = np.where(judged.predicted, 1 - clipped, clipped)  # of the answer that was not given
    lost = {
        "log_loss": (-np.where(truth, np.log(clipped), np.log1p(-clipped)), -np.log(q)),
        "brier": ((p - truth) ** 2, (1 - q) ** 2),
    }
    whole = right.all(axis=1)
    draws = intervals.effective(1.0 * whole, np.ones(len(p)), units)
    for name, (costs, if_wrong) in lost.items():
        # a picture that is wrong has one wrong decision at least: its K costs are taken together
        expected = float((q * (if_wrong - costs * right)).sum() / q.sum()) / p.shape[1] + float(costs[right].mean())
        bounds = intervals.loss_bounds(costs.mean(axis=1), whole, expected, draws)
        figures[name] = sure.of(float(costs.mean()), bootstrap.mean(costs.mean(axis=1)), bounds, most=np.inf)
    from sklearn.metrics import multilabel_confusion_matrix

    confusion = multilabel_confusion_matrix(*two_columns(truth, judged.predicted)).astype(np.int64)[: p.shape[1]]
    return Report(len(p), _defined(figures), per_class, confusion, _commonest_labels(truth, classes), sure.units_count)


def _commonest_labels(truth: NDArray[np.bool_], classes: Sequence[str]) -> Baseline:
    kinds, counts = np.unique(truth, axis=0, return_counts=True)
    held = kinds[int(counts.argmax())]
    named = "|".join(name for name, on in zip(classes, held, strict=True) if on) or "no class"
    return Baseline(named, float(counts.max() / len(truth)), 0.5 ** truth.shape[1], len(truth))


def _bounds_of(figure: Interval) -> Bounds:
    return figure.low, figure.high


def _check(scores: NDArray[np.floating], y: NDArray[np.integer]) -> None:
    if scores.ndim != 2 or np.shape(y) != (len(scores),) or not scores.size:
        raise JudgementError(
            f"scores {scores.shape} must be (N, K), classes {np.shape(y)} must be (N,), N and K above 0",
            hint="judge at least one picture",
        )
    if not np.issubdtype(np.asarray(y).dtype, np.integer) or np.min(y) < 0 or np.max(y) >= scores.shape[1]:
        raise JudgementError(
            f"classes must be whole numbers from 0 to {scores.shape[1] - 1}", hint="see Manifest.targets"
        )
    if not np.isfinite(scores).all():
        raise JudgementError("a score is not a finite number", hint="the network has diverged, or a picture is damaged")


def _check_names(classes: Sequence[str], k: int) -> None:
    if len(classes) != k:
        raise JudgementError(
            f"{len(classes)} names for {k} classes", hint="give the manifest's classes, in their order"
        )


def _defined(figures: Mapping[str, Interval]) -> dict[str, Interval]:
    return {
        name: figure for name, figure in figures.items() if np.isfinite([figure.value, figure.low, figure.high]).all()
    }


def _one_hot(y: NDArray[np.integer], k: int) -> NDArray[np.bool_]:
    return np.asarray(np.asarray(y)[:, None] == np.arange(k))

"""How good a classifier is: arrays in, figures out, each with its count and a 95 % interval.

Values are scikit-learn's wherever it has them; what it leaves to a warning is settled here: a class that neither
occurs nor is predicted takes no part in a mean, and a figure that the pictures do not define (ROC-AUC of one class) is
left out. Shares have Wilson's interval; everything else the wider of a formula's (``intervals``) and the bootstrap's
(``bootstrap``). Pictures of one unit (duplicates, a group) count as one draw for both.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from frostline.data.label_text import joined
from frostline.errors import JudgementError
from frostline.judge import bootstrap, intervals
from frostline.judge.by_class import Drawn, Judged, ladders_of, mean_of, over_classes, per_class_figures, shared
from frostline.judge.figures import NO_CLASS, Baseline, Report
from frostline.judge.intervals import Interval
from frostline.judge.one_draw import Units


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
    own, place = scores[np.arange(len(y)), y][:, None], np.arange(scores.shape[1])
    before = (scores > own) | ((scores == own) & (place < np.asarray(y)[:, None]))
    return intervals.share(before.sum(axis=1) < k, units)


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
    per_class, ladders = per_class_figures(judged, classes), ladders_of(judged)
    clipped = np.clip(p, np.finfo(np.float64).eps, 1) / p.sum(axis=1, keepdims=True)
    of_class = {"log_loss": -np.log(clipped), "brier": (p**2).sum(axis=1, keepdims=True) - 2 * p + 1}
    own = {name: costs[rows, y] for name, costs in of_class.items()}
    formulas = {"balanced_accuracy": bootstrap.mean_recall, **_OF_COUNTS}
    statistics = (
        bootstrap.from_counts(judged.truth, judged.predicted, formulas),
        bootstrap.ranked(tuple(ladders.values()), cost=p.shape[1]),
        bootstrap.means(**own),
    )
    sure = Drawn(len(y), bootstrap.intervals(statistics, len(y), resamples=resamples, seed=seed, units=units))
    figures = {"accuracy": accuracy(p, y, units)}
    if p.shape[1] > 5:
        figures["top_5"] = top_k(p, y, 5, units)
    figures["balanced_accuracy"] = sure.of(
        "balanced_accuracy",
        mean_of(row.recall for row in per_class),
        over_classes(per_class, "recall", correlation=0.0),
    )
    figures |= shared(judged, per_class, ladders, sure)
    right, draws = first == y, intervals.effective(1.0 * (first == y), np.ones(len(y)), units)
    for name, costs in of_class.items():
        bounds = intervals.loss_bounds(own[name], right, _cost_when_wrong(costs, p, first), draws)
        figures[name] = sure.of(name, float(own[name].mean()), bounds, most=np.inf)
    pairs = np.asarray(y, np.int64) * p.shape[1] + first
    confusion = np.bincount(pairs, minlength=p.shape[1] ** 2).reshape(p.shape[1], p.shape[1])
    counts = judged.truth.sum(axis=0)
    base = Baseline(classes[int(counts.argmax())], float(counts.max() / len(y)), 1 / p.shape[1], len(y))
    return Report(len(y), _defined(figures), per_class, confusion.astype(np.int64), base, _draws(len(y), units))


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
    per_class, ladders = per_class_figures(judged, classes), ladders_of(judged)
    clipped = np.clip(p, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    q = np.where(judged.predicted, 1 - clipped, clipped)  # of the answer that was not given
    lost = {
        "log_loss": (-np.where(truth, np.log(clipped), np.log1p(-clipped)), -np.log(q)),
        "brier": ((p - truth) ** 2, (1 - q) ** 2),
    }
    own = {"hamming": right.mean(axis=1), **{name: costs.mean(axis=1) for name, (costs, _) in lost.items()}}
    statistics = (
        bootstrap.from_counts(truth, judged.predicted, {"micro_f1": bootstrap.micro_f1, **_OF_COUNTS}),
        bootstrap.ranked(tuple(ladders.values()), cost=p.shape[1]),
        bootstrap.means(**own),
    )
    sure = Drawn(len(p), bootstrap.intervals(statistics, len(p), resamples=resamples, seed=seed, units=units))
    hits, either = 1.0 * (truth & judged.predicted).sum(axis=1), 1.0 * (truth | judged.predicted).sum(axis=1)
    named, single = hits.sum() + either.sum(), intervals.share(right, units)
    figures = {
        "accuracy": intervals.share(right.all(axis=1), units),
        "hamming": sure.of("hamming", float(right.mean()), (single.low, single.high)),
        "micro_f1": sure.of(
            "micro_f1",
            float(2 * hits.sum() / named) if named else float("nan"),
            intervals.f1_bounds(intervals.ratio_bounds(hits, either, units)),
        ),
        **shared(judged, per_class, ladders, sure),
    }
    whole = right.all(axis=1)
    draws = intervals.effective(1.0 * whole, np.ones(len(p)), units)
    for name, (costs, if_wrong) in lost.items():
        # a picture that is wrong has one wrong decision at least: its K costs are taken together
        expected = float((q * (if_wrong - costs * right)).sum() / q.sum()) / p.shape[1] + float(costs[right].mean())
        bounds = intervals.loss_bounds(own[name], whole, expected, draws)
        figures[name] = sure.of(name, float(costs.mean()), bounds, most=np.inf)
    found, said, both = truth.sum(axis=0), judged.predicted.sum(axis=0), (truth & judged.predicted).sum(axis=0)
    neither = len(p) - found - said + both
    confusion = np.array([[neither, said - both], [found - both, both]], np.int64).transpose(2, 0, 1)
    base = _commonest_labels(truth, classes)
    return Report(len(p), _defined(figures), per_class, confusion, base, _draws(len(p), units))


_OF_COUNTS = {"macro_f1": bootstrap.macro_f1, "weighted_f1": bootstrap.weighted_f1}


def _draws(n: int, units: Units | None) -> int:
    """How many draws n pictures are."""
    return n if units is None else len(np.unique(units))


def _commonest_labels(truth: NDArray[np.bool_], classes: Sequence[str]) -> Baseline:
    _, first, counts = np.unique(np.packbits(truth, axis=1), axis=0, return_index=True, return_counts=True)
    held = truth[first[int(counts.argmax())]]
    named = joined(name for name, on in zip(classes, held, strict=True) if on) or NO_CLASS
    return Baseline(named, float(counts.max() / len(truth)), 0.5 ** truth.shape[1], len(truth))


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

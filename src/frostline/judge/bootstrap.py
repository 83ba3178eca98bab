"""How sure a figure is: the same pictures drawn again and again with replacement (Efron 1979), percentile intervals.

A draw is a weight for each picture, how often it was drawn; a statistic gives the values of its figures for each of
many draws at once. All statistics see the same draws, which are made once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from frostline.judge.intervals import Z95, Bounds, t_quantile

Weights: TypeAlias = NDArray[np.float32]
"""(B, N): how often draw b holds picture n."""

Values: TypeAlias = NDArray[np.float64]

RESAMPLES = 1000
LEVEL = 0.95

_FEW = 200
_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Statistic:
    """Figures that are computed together.

    of: (B, N) weights -> by name of the figure (B,) values; NaN where a draw leaves it undefined.
    cost: what a draw costs, in units of N operations. Above 500 million in all fewer draws are made, at least 20.
    """

    of: Callable[[Weights], Mapping[str, Values]]
    cost: int = 1

    def draws(self, n: int, resamples: int) -> int:
        """How many of so many draws of n pictures it is worth."""
        return min(resamples, max(20, int(5e8 / (n * self.cost))))


def intervals(
    statistics: Sequence[Statistic],
    n: int,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    units: NDArray[np.integer] | None = None,
) -> dict[str, Bounds]:
    """The 95 % interval (low, high) of each figure of n pictures, by name; (nan, nan) where no draw defines it.

    units: (N,) which unit each picture belongs to: units are drawn whole (Davison & Hinkley 1997, 3.8), and for their
        number the interval is stretched as Student's t is.
    With fewer than 200 draws (see `Statistic`) the interval is 1.96 standard deviations to either side of their mean:
    percentiles need more.
    """
    rng = np.random.default_rng(seed)
    own = None if units is None else np.unique(units, return_inverse=True)[1]
    wanted = [statistic.draws(n, resamples) for statistic in statistics]
    chunk = max(1, _AT_ONCE // n)
    found: dict[str, list[Values]] = {}
    for at in range(0, max(wanted), chunk):
        weights = _drawn(rng, min(chunk, max(wanted) - at), n, own)
        for statistic, draws in zip(statistics, wanted, strict=True):
            if at < draws:
                for name, values in statistic.of(weights[: draws - at]).items():
                    found.setdefault(name, []).append(values)
    count = None if own is None else int(own.max()) + 1
    return {name: _interval(np.concatenate(values), resamples, count) for name, values in found.items()}


def _interval(values: Values, resamples: int, units: int | None) -> Bounds:
    few = len(values) < min(_FEW, resamples)
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    if few:
        low, high = float(values.mean() - 1.96 * values.std()), float(values.mean() + 1.96 * values.std())
    else:
        low, high = map(float, np.quantile(values, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)))
    if units is None or units < 2:
        return low, high
    stretch = t_quantile(units - 1) / Z95 * (units / (units - 1)) ** 0.5
    middle = float(np.median(values))
    return middle - stretch * (middle - low), middle + stretch * (high - middle)


def means(**per_picture: NDArray[np.floating]) -> Statistic:
    """The means of values (N,) that each picture has by itself, by name of the figure."""
    terms = np.stack(list(per_picture.values()), axis=1).astype(np.float64)

    def of(weights: Weights) -> dict[str, Values]:
        drawn = weights @ terms / weights.sum(axis=1, keepdims=True)
        return dict(zip(per_picture, drawn.T, strict=True))

    return Statistic(of)


def from_counts(
    truth: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
    formulas: Mapping[str, Callable[[Values, Values, Values], Values]],
) -> Statistic:
    """Formulas of counts by class: hits, truths and predictions, each (B, K), of truth and predicted (N, K)."""
    from scipy.sparse import csr_array

    matrices = [csr_array(m.astype(np.float32)) for m in (truth & predicted, truth, predicted)]

    def of(weights: Weights) -> dict[str, Values]:
        counts = [np.asarray(weights @ m, dtype=np.float64) for m in matrices]
        with np.errstate(invalid="ignore", divide="ignore"):
            return {name: formula(*counts) for name, formula in formulas.items()}

    return Statistic(of)


def mean_recall(hits: Values, truths: Values, _predictions: Values) -> Values:
    """Balanced accuracy: the mean recall of the classes that occur."""
    return _mean_of_defined(hits / truths)


def macro_f1(hits: Values, truths: Values, predictions: Values) -> Values:
    """The mean F1 of the classes that occur: one that is only predicted has no pictures to be judged by."""
    return _mean_of_defined(np.where(truths > 0, 2 * hits / (truths + predictions), np.nan))


def weighted_f1(hits: Values, truths: Values, predictions: Values) -> Values:
    """The mean F1 of the classes that occur, by how often they do."""
    return np.asarray(np.nansum(2 * hits / (truths + predictions) * truths, axis=1) / truths.sum(axis=1))


def micro_f1(hits: Values, truths: Values, predictions: Values) -> Values:
    """F1 of all (picture, class) decisions together."""
    return np.asarray(2 * hits.sum(axis=1) / (truths.sum(axis=1) + predictions.sum(axis=1)))


@dataclass(frozen=True)
class Ladder:
    """The thresholds of one class, highest first, as steps down: those at which pictures of it come in, and between two
    of these all others together, which change neither of the areas.

    everyone, positives: (S, N) of 0 and 1, sparse: who comes in at each step, and who of them is of the class.
    """

    everyone: Any
    positives: Any

    @classmethod
    def of(cls, there: NDArray[np.bool_], scores: NDArray[np.floating]) -> Self:
        """there, scores: (N,), whether a picture is of the class, and how sure the model is that it is."""
        from scipy.sparse import csr_array

        order = np.argsort(-scores).astype(np.int32)
        ranked, positive = scores[order], there[order]
        first = np.concatenate([[True], ranked[1:] != ranked[:-1]])  # of pictures with equal scores
        holds = np.logical_or.reduceat(positive, np.flatnonzero(first))
        starts = np.flatnonzero(first)[holds | np.concatenate([[True], holds[:-1]])]
        ends = np.concatenate([starts, [len(order)]])
        counts = np.concatenate([[0], np.cumsum(np.add.reduceat(positive, starts, dtype=np.int64))])
        shape, ones = (len(starts), len(order)), np.ones(len(order), np.float32)
        return cls(
            csr_array((ones, order, ends), shape=shape),
            csr_array((ones[: counts[-1]], order[positive], counts), shape=shape),
        )

    def down(self, weights: NDArray[np.float32]) -> tuple[Values, Values]:
        """Cumulated weights (B, S) of positives and of negatives down to each step, of weights (N, B)."""
        seen, found = (np.cumsum(m @ weights, axis=0, dtype=np.float64).T for m in (self.everyone, self.positives))
        return found, seen - found

    def areas(self, weights: NDArray[np.float32]) -> tuple[Values, Values]:
        """(B,) areas under the ROC curve and average precisions, NaN where one is undefined, of weights (N, B)."""
        positives, negatives = self.down(weights)
        with np.errstate(invalid="ignore", divide="ignore"):
            return roc_area(positives, negatives), precision_area(positives, negatives)


def ranked(ladders: Sequence[Ladder], *, cost: int) -> Statistic:
    """The means over classes of both areas; a class without both kinds of pictures in a draw is left out of it."""

    def of(weights: Weights) -> dict[str, Values]:
        of_pictures = np.ascontiguousarray(weights.T)
        total, count = np.zeros((2, len(weights))), np.zeros((2, len(weights)))
        for ladder in ladders:
            found = np.stack(ladder.areas(of_pictures))
            defined = np.isfinite(found)
            total[defined] += found[defined]
            count += defined
        with np.errstate(invalid="ignore"):
            return dict(zip(("roc_auc", "average_precision"), total / count, strict=True))

    return Statistic(of, cost)


def roc_area(positives: Values, negatives: Values) -> Values:
    """ROC-AUC by trapezoids, so that ties count half."""
    before = np.pad(positives, ((0, 0), (1, 0)))[:, :-1]
    steps = np.diff(negatives, axis=1, prepend=0.0)
    return np.asarray((steps * (positives + before) / 2).sum(axis=1) / (positives[:, -1] * negatives[:, -1]))


def precision_area(positives: Values, negatives: Values) -> Values:
    """Average precision: precision at each threshold, by the recall that it adds."""
    seen = positives + negatives
    precision = np.divide(positives, seen, out=np.zeros_like(seen), where=seen > 0)
    return np.asarray((np.diff(positives, axis=1, prepend=0.0) * precision).sum(axis=1) / positives[:, -1])


def _drawn(rng: np.random.Generator, draws: int, n: int, units: NDArray[np.integer] | None) -> Weights:
    count = n if units is None else int(units.max()) + 1
    picked = rng.integers(0, count, (draws, count)) + np.arange(draws)[:, None] * count
    weights = np.bincount(picked.ravel(), minlength=draws * count).reshape(draws, count).astype(np.float32)
    return weights if units is None else weights[:, units]


def _mean_of_defined(values: Values) -> Values:
    defined = np.isfinite(values)
    return np.asarray(np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1))

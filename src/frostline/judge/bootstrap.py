"""How sure a figure is: the same pictures drawn again and again with replacement (Efron 1979), percentile intervals.

A draw is a weight for each picture, how often it was drawn; a statistic gives a value for each of many draws at once.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from frostline.judge.intervals import Z95, t_quantile

Weights: TypeAlias = NDArray[np.float32]
"""(B, N): how often draw b holds picture n."""

Values: TypeAlias = NDArray[np.float64]
Statistic: TypeAlias = Callable[[Weights], Values]
"""(B, N) weights -> (B,) values; NaN where a draw leaves the statistic undefined."""

RESAMPLES = 1000
LEVEL = 0.95

_FEW = 200
_AT_ONCE = 4_000_000


def interval(
    statistic: Statistic,
    n: int,
    *,
    cost: int = 1,
    resamples: int = RESAMPLES,
    seed: int = 0,
    units: NDArray[np.integer] | None = None,
) -> tuple[float, float]:
    """The 95 % interval (low, high) of a statistic of n pictures. A seed draws the same pictures for every statistic.

    units: (N,) which unit each picture belongs to: units are drawn whole (Davison & Hinkley 1997, 3.8), and for their
        number the interval is stretched as Student's t is.
    cost: what a draw costs, in units of n operations. Above 500 million in all fewer draws are made, at least 20; with
        fewer than 200 the interval is 1.96 standard deviations to either side of their mean: percentiles need more.
    Returns (nan, nan) where no draw defines the statistic.
    """
    draws = min(resamples, max(20, int(5e8 / (n * cost))))
    rng = np.random.default_rng(seed)
    chunk = max(1, min(draws, _AT_ONCE // n))
    own = None if units is None else np.unique(units, return_inverse=True)[1]
    values = np.concatenate([statistic(_drawn(rng, min(chunk, draws - at), n, own)) for at in range(0, draws, chunk)])
    values = values[np.isfinite(values)]
    if not len(values):
        return float("nan"), float("nan")
    if draws < min(_FEW, resamples):
        low, high = float(values.mean() - 1.96 * values.std()), float(values.mean() + 1.96 * values.std())
    else:
        low, high = map(float, np.quantile(values, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)))
    if own is None or own.max() < 1:
        return low, high
    count = int(own.max()) + 1
    stretch = t_quantile(count - 1) / Z95 * (count / (count - 1)) ** 0.5
    middle = float(np.median(values))
    return middle - stretch * (middle - low), middle + stretch * (high - middle)


def mean(per_picture: NDArray[np.floating]) -> Statistic:
    """The mean of a value that each picture has by itself (N,)."""
    terms = per_picture.astype(np.float64)
    return lambda weights: weights @ terms / weights.sum(axis=1)


def from_counts(
    truth: NDArray[np.bool_], predicted: NDArray[np.bool_], formula: Callable[[Values, Values, Values], Values]
) -> Statistic:
    """A formula of counts by class: hits, truths and predictions, each (B, K), of truth and predicted (N, K)."""
    from scipy.sparse import csr_array

    hits, truths, predictions = (csr_array(m.astype(np.float32)) for m in (truth & predicted, truth, predicted))

    def statistic(weights: Weights) -> Values:
        with np.errstate(invalid="ignore", divide="ignore"):
            return formula(*(np.asarray(weights @ m, dtype=np.float64) for m in (hits, truths, predictions)))

    return statistic


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


def ranked(
    truth: NDArray[np.bool_], scores: NDArray[np.floating], area: Callable[[Values, Values], Values]
) -> Statistic:
    """The mean over classes of an area under a curve; a class without both kinds of pictures in a draw is left out of
    it.

    truth, scores: (N, K). area: takes cumulated weights (B, T) of positives and negatives down to each threshold.
    """
    ladders = []
    for k in range(truth.shape[1]):
        order = np.argsort(-scores[:, k], kind="stable")
        ends = np.append(np.flatnonzero(np.diff(scores[order, k])), len(order) - 1)
        ladders.append((order, ends, truth[order, k].astype(np.float32)))

    def statistic(weights: Weights) -> Values:
        total, count = np.zeros(len(weights)), np.zeros(len(weights))
        for order, ends, positive in ladders:
            ordered = weights[:, order]
            with np.errstate(invalid="ignore", divide="ignore"):
                value = area(
                    np.cumsum(ordered * positive, axis=1, dtype=np.float64)[:, ends],
                    np.cumsum(ordered * (1 - positive), axis=1, dtype=np.float64)[:, ends],
                )
            defined = np.isfinite(value)
            total[defined] += value[defined]
            count += defined
        with np.errstate(invalid="ignore"):
            return np.asarray(total / count)

    return statistic


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

"""95 % intervals that hold where pictures are few or nearly all right: formulas of the score kind.

A share has Wilson's interval, which of one to four errors is let out as Brown, Cai & DasGupta (2001, Statistical
Science 16, 101) do with up to three: by itself it holds some shares near 1 in 84 % of draws only, so in 92 % at least.
A mean of shares over classes combines those of its classes (MOVER: Zou & Donner 2008, Statistics in Medicine 27, 1693).
An area under the ROC curve has Newcombe's (2006, Statistics in Medicine 25, 559). A mean loss is that of right and
wrong answers apart, weighed by how often each may come. None has a width of zero, so `wider` of these and the bootstrap
is what `metrics` reports: `make trust` shows what they cover.

Pictures of one unit (duplicates, a group) are one draw and not several: the number of pictures is then divided by the
design effect (Kish 1965; Korn & Graubard 1998 for the degrees of freedom), and where nothing tells it, by units.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frostline.errors import JudgementError

Z95 = 1.959963984540054

Bounds = tuple[float, float]
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and how sure it is.

    low, high: the 95 % interval. n: how many pictures it rests on.
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}], n = {self.n:,}"


def wilson(correct: int, n: int) -> Interval:
    """The share correct / n with its 95 % score interval (Wilson 1927).

    Raises: JudgementError: n is 0, or ``correct`` does not lie within [0, n].
    """
    if not 0 <= correct <= n or n == 0:
        raise JudgementError(f"{correct} of {n} pictures is no share", hint="at least one picture must be judged")
    return Interval(correct / n, *_wilson(correct / n, n), n)


def score_bounds(share: float, n: float) -> Bounds:
    """Wilson's interval (low, high) of a share of n draws, let out near 0 and 1; n need not be whole."""
    low, high = _wilson(share, n)
    return min(low, _of_few(share * n, n)), max(high, 1 - _of_few((1 - share) * n, n))


def _wilson(share: float, n: float) -> Bounds:
    spread = Z95**2 / n
    middle = (share + spread / 2) / (1 + spread)
    half = Z95 * np.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    return 0.0 if share <= 0 else float(middle - half), 1.0 if share >= 1 else float(middle + half)


def _of_few(count: float, n: float) -> float:
    """The least share of n draws that gives so few: one-sided, by Poisson's distribution; 1 of none, or of more."""
    from scipy.special import gammaincinv

    return float(gammaincinv(count, 0.05) / n) if 0 < count <= 4 + 1e-9 else 1.0


def share(hits: NDArray[np.generic], units: NDArray[np.integer] | None = None) -> Interval:
    """The share of hits (N,) of 0 and 1, or of (N, T) with T trials a picture, which are one draw together.

    units: (N,) which unit each picture belongs to, or None where each is one by itself.

    Raises: JudgementError: no pictures.
    """
    of = np.asarray(hits, dtype=np.float64).reshape(len(hits), -1)
    if not of.size:
        raise JudgementError("0 of 0 pictures is no share", hint="at least one picture must be judged")
    low, high = ratio_bounds(of.sum(axis=1), np.full(len(of), float(of.shape[1])), units)
    return Interval(float(of.mean()), low, high, len(of))


def ratio_bounds(hits: Array, trials: Array, units: NDArray[np.integer] | None = None) -> Bounds:
    """The interval of sum(hits) / sum(trials), of pictures (N,) with any number of trials each; (0, 1) of no trials."""
    total = float(trials.sum())
    if not total:
        return 0.0, 1.0
    value = float(hits.sum()) / total
    return score_bounds(value, effective(hits, trials, units))


def effective(hits: Array, trials: Array, units: NDArray[np.integer] | None = None) -> float:
    """How many independent draws the trials of pictures (N,) are worth, at most their number."""
    total = float(trials.sum())
    if units is None and trials.max() <= 1:
        return total
    own = np.arange(len(hits)) if units is None else np.unique(units, return_inverse=True)[1]
    h, t = np.bincount(own, weights=hits), np.bincount(own, weights=trials)
    h, t = h[t > 0], t[t > 0]
    count = len(t)
    if count == total:
        return total
    value = float(h.sum()) / total
    if value in (0.0, 1.0) or count < 2:
        return float(max(1, count))  # all alike: nothing tells how alike the pictures of a unit are
    variance = count / (count - 1) * float(((h - value * t) ** 2).sum()) / total**2
    deff = max(1.0, variance / (value * (1 - value) / total))
    return max(1.0, total / deff * (Z95 / t_quantile(count - 1)) ** 2)


def t_quantile(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, what a normal one's 1.96 becomes where the spread itself was estimated."""
    from scipy.stats import t

    return float(t.ppf(0.975, freedom))


def mover(values: Sequence[float], bounds: Sequence[Bounds], *, weights: Sequence[float], correlation: float) -> Bounds:
    """The interval of a weighted mean of figures that have intervals each, any two of them equally correlated."""
    w, v = np.asarray(weights, np.float64), np.asarray(values, np.float64)
    low, high = (np.asarray(side, np.float64) for side in zip(*bounds, strict=True))
    mean = float(w @ v)

    def reach(distances: Array) -> float:
        d = w * np.maximum(distances, 0)
        return float(np.sqrt((1 - correlation) * (d**2).sum() + correlation * d.sum() ** 2))

    return mean - reach(v - low), mean + reach(high - v)


def f1_bounds(bounds: Bounds) -> Bounds:
    """Of F1, from those of the Jaccard index J = hits / (hits + missed + wrongly named): F1 = 2 J / (1 + J)."""
    low, high = (2 * j / (1 + j) for j in bounds)
    return low, high


def roc_bounds(area: float, positives: float, negatives: float) -> Bounds:
    """Newcombe's (2006, method 5) of an area under the ROC curve: all areas within 1.96 of their own errors."""
    from scipy.optimize import brentq

    middle = (positives + negatives) / 2 - 1

    def beyond(theta: float) -> float:
        inner = 1 + max(0.0, middle) * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return (theta - area) ** 2 - Z95**2 * theta * (1 - theta) * inner / (positives * negatives)

    # an area of 0 or 1 is a root itself, and the other one is the bound
    low = 0.0 if area <= 0 else float(brentq(beyond, 0.0, min(area, 1 - 1e-9)))
    high = 1.0 if area >= 1 else float(brentq(beyond, max(area, 1e-9), 1.0))
    return low, high


def loss_bounds(losses: Array, right: NDArray[np.bool_], when_wrong: float, n: float) -> Bounds:
    """Of the mean of losses (N,), of answers that are right (N,) or not; all of them 0 or more.

    when_wrong: what an error costs by the model's own probabilities: it stands in where there are hardly any.
    n: independent draws that the N are worth.
    """
    wrong = ~right
    errors = wrong.sum() / len(losses)
    low_share, high_share = score_bounds(float(errors), n)
    sure = float(losses[right].mean()) if right.any() else 0.0
    # one error more than there are, of the size that the model expects
    known = np.append(losses[wrong], max(when_wrong, sure))
    cost = float(known.mean())
    count = max(1.0, wrong.sum() * n / len(losses))
    spread = float(known.std(ddof=1)) if len(known) > 2 else cost / 2
    of_cost = t_quantile(max(2, round(count))) * spread / np.sqrt(count)
    of_sure = 0.0
    if right.any():
        of_sure = Z95 * float(losses[right].std()) / np.sqrt(max(1.0, right.sum() * n / len(losses)))
    mean, rise = float(losses.mean()), max(0.0, cost - sure)
    up = np.sqrt(((high_share - errors) * rise) ** 2 + (high_share * of_cost) ** 2 + of_sure**2)
    down = np.sqrt(((errors - low_share) * rise) ** 2 + (errors * min(of_cost, rise)) ** 2 + of_sure**2)
    return max(0.0, mean - float(down)), mean + float(up)


def wider(value: float, *bounds: Bounds, within: Bounds = (0.0, 1.0)) -> Bounds:
    """From the lowest to the highest of some intervals, the value itself among them; NaN ones are passed over."""
    low = min(value, *(b[0] for b in bounds if np.isfinite(b[0])), np.inf)
    high = max(value, *(b[1] for b in bounds if np.isfinite(b[1])), -np.inf)
    return max(within[0], low), min(within[1], high)


def of_new(figure: Interval, *, new: int = 100) -> tuple[int, int]:
    """How many of so many new pictures of the same kind will be right, in 95 % of such draws: (from, to).

    Both the share and the luck of the new ones are unsure (beta-binomial, Jeffreys' prior 1946), so this is wider than
    the interval of the share, in which the count of a new hundred would lie only some 80 % of the time.
    """
    from scipy.stats import betabinom

    n = _draws_of(figure)
    a, b = figure.value * n + 0.5, (1 - figure.value) * n + 0.5
    return int(betabinom.ppf(0.025, new, a, b)), int(betabinom.ppf(0.975, new, a, b))


def _draws_of(figure: Interval) -> float:
    """How many draws the interval of a share rests on: fewer than its pictures where those are not independent."""
    from scipy.optimize import brentq

    def excess(n: float) -> float:
        low, high = score_bounds(figure.value, n)
        return (high - low) - (figure.high - figure.low)

    return figure.n if excess(figure.n) >= -1e-9 else float(brentq(excess, 1e-3, figure.n))

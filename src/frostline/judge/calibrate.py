"""Whether 90 % means 90 %: temperature scaling (Guo et al. 2017, arXiv:1706.04599), and how far off it was.

The temperature is fitted on logits of pictures that the head has not learnt from: a val split, or out-of-fold logits.
It is kept only if it helps on pictures that it was not fitted to either, which cross-fitting tells, and if what comes
out is better than guessing by the shares of the classes.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from frostline.errors import JudgementError
from frostline.inference.probabilities import sigmoid, softmax
from frostline.judge.one_draw import Units

BINS = 15
_DRAWS = 400
_FOLDS = 5
_FEWEST = 10
_LOWEST, _HIGHEST = 0.05, 20.0
_UNKNOWN = 1e9
_AT_ONCE = 1 << 15  # logits, so that they stay in the processor's cache

_Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bin:
    """One bar of a reliability diagram: answers whose confidence lies in (low, high].

    confidence: their mean confidence. accuracy: the share of them that is right. Both are 0 where count is 0.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """A temperature and what it does to log loss (nats) and expected calibration error.

    helped: whether log loss fell on held-out folds (``loss_before``, ``loss_after``: their means). If not, temperature
        is 1.
    ece_before, ece_after, bins_before, bins_after: on the same held-out folds. ece_perfect, ece_perfect_high: what a
        perfectly calibrated model would show on so few pictures, on average and in 95 % of draws.
    loss_of_guessing: the log loss of answering with the shares of the classes; a model that is not below it is told to
        be no better than that, and no temperature is praised.
    why: in words.
    """

    temperature: float
    helped: bool
    why: str
    n: int
    loss_before: float
    loss_after: float
    ece_before: float
    ece_after: float
    bins_before: tuple[Bin, ...]
    bins_after: tuple[Bin, ...]
    ece_perfect: float = 0.0
    ece_perfect_high: float = 0.0
    loss_of_guessing: float = _UNKNOWN

    @property
    def useless(self) -> bool:
        """Whether the probabilities are no better than guessing by the classes' shares, at any temperature."""
        return self.loss_after >= self.loss_of_guessing

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_dict`` gave, read back from JSON."""
        bins = {name: tuple(Bin(**found) for found in values[name]) for name in ("bins_before", "bins_after")}
        return cls(**{**values, **bins})


def calibrate(
    logits: NDArray[np.floating], y: NDArray[np.integer], *, units: Units | None = None, seed: int = 0
) -> Calibration:
    """The temperature that the logits (N, K) of N pictures of the classes y (N,) should be divided by.

    The log loss is convex in 1 / temperature, so there is one minimum; it is sought within [0.05, 20]. Targets are
    softened by 1 / (N + 2) (Platt 1999), so that few pictures, all right, do not make certainty.
    units: (N,) which unit each picture belongs to (duplicates, a group): none is parted by folds, and what a perfect
        model would show is that of so many draws. seed: of the folds that decide whether it helps.

    Raises: JudgementError: no pictures, shapes that do not agree, a class outside [0, K), or a NaN.
    """
    z = np.asarray(logits, dtype=np.float64)
    if z.ndim != 2 or not z.size or np.shape(y) != (len(z),) or not np.isfinite(z).all():
        raise JudgementError(
            f"logits {z.shape} must be finite (N, K), classes {np.shape(y)} must be (N,), N and K above 0",
            hint="calibrate on at least one picture",
        )
    if not np.issubdtype(np.asarray(y).dtype, np.integer) or np.min(y) < 0 or np.max(y) >= z.shape[1]:
        raise JudgementError(f"classes must be whole numbers from 0 to {z.shape[1] - 1}", hint="see Manifest.targets")
    truth = np.asarray(y)[:, None] == np.arange(z.shape[1])
    return _calibrated(z, truth, softmax, top=True, units=units, seed=seed)


def calibrate_multilabel(
    logits: NDArray[np.floating], y: NDArray[np.generic], *, units: Units | None = None, seed: int = 0
) -> Calibration:
    """The same where each picture has any number of classes: y (N, K) of 0 and 1, and one temperature for all sigmoids.

    Confidence is then that of each single decision, max(p, 1 - p), N * K of them.

    Raises: JudgementError: no pictures, shapes that do not agree, y of more than 0 and 1, or a NaN.
    """
    z = np.asarray(logits, dtype=np.float64)
    if z.ndim != 2 or not z.size or np.shape(y) != z.shape or not np.isfinite(z).all() or not np.isin(y, (0, 1)).all():
        raise JudgementError(
            f"logits {z.shape} must be finite (N, K), labels {np.shape(y)} (N, K) of 0 and 1, N and K above 0",
            hint="for one class a picture there is calibrate()",
        )
    return _calibrated(z, np.asarray(y, dtype=bool), sigmoid, top=False, units=units, seed=seed)


def reliability(confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = BINS) -> tuple[Bin, ...]:
    """A reliability diagram as data: bins of equal width over (0, 1], of confidences (N,) and what was right (N,)."""
    edges, place = np.linspace(0, 1, bins + 1), _bin_of(confidence, bins)
    counts = np.bincount(place, minlength=bins)
    held = np.maximum(counts, 1)
    confidences = np.bincount(place, weights=confidence, minlength=bins) / held
    accuracies = np.bincount(place, weights=right, minlength=bins) / held
    return tuple(
        Bin(float(edges[b]), float(edges[b + 1]), int(counts[b]), float(confidences[b]), float(accuracies[b]))
        for b in range(bins)
    )


def _bin_of(confidence: NDArray[np.floating], bins: int) -> NDArray[np.int64]:
    edges = np.linspace(0, 1, bins + 1)
    return np.asarray(np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1))


def expected_calibration_error(bins: tuple[Bin, ...]) -> float:
    """The mean distance between confidence and accuracy over bins, by their counts (Naeini et al. 2015), in [0, 1].

    Raises: JudgementError: all bins are empty.
    """
    n = sum(bar.count for bar in bins)
    if not n:
        raise JudgementError("no answers, so no calibration error", hint="judge at least one picture")
    return sum(bar.count * abs(bar.confidence - bar.accuracy) for bar in bins) / n


def error_if_perfect(confidence: NDArray[np.floating], *, units: Units | None = None) -> tuple[float, float]:
    """The expected calibration error that answers as sure as these (N,) would show if they were right just as often.

    It is not 0, for N answers are never right exactly as often as they should be: of few pictures it is several points.
    units: (N,) which of them come together: those of a unit are right or wrong by one draw.
    Returns its mean and its 95 % quantile over draws; an error below that says nothing against the model.

    Raises: JudgementError: no answers.
    """
    sure = np.clip(np.asarray(confidence, np.float64), 0, 1)
    if not len(sure):
        raise JudgementError("no answers, so no calibration error", hint="judge at least one picture")
    place = _bin_of(sure, BINS)
    rng = np.random.default_rng(0)
    count = max(50, min(_DRAWS, 40_000_000 // len(sure)))
    own = np.arange(len(sure)) if units is None else np.unique(units, return_inverse=True)[1]
    n = int(own.max()) + 1
    excess = ((rng.random(n)[own] < sure) - sure for _ in range(count))
    found = [float(np.abs(np.bincount(place, weights=one)).sum() / len(sure)) for one in excess]
    return float(np.mean(found)), float(np.quantile(found, 0.95))


def _calibrated(
    z: _Matrix,
    truth: NDArray[np.bool_],
    link: Callable[[_Matrix], _Matrix],
    *,
    top: bool,
    units: Units | None,
    seed: int,
) -> Calibration:
    """top: judge the class of the highest probability; else every single decision."""

    def judged(p: _Matrix) -> tuple[float, NDArray[np.float64], tuple[Bin, ...]]:
        if top:
            first = p.argmax(axis=1)
            rows = np.arange(len(p))
            loss, sure, right = -np.log(np.clip(p[truth], 1e-15, 1)), p[rows, first], truth[rows, first]
        else:
            loss = -np.log(np.clip(np.where(truth, p, 1 - p), 1e-15, 1))
            sure, right = np.maximum(p, 1 - p).ravel(), ((p >= 0.5) == truth).ravel()
        return float(loss.mean()), sure, reliability(sure, right)

    before, sure, bins_before = judged(link(z))
    own = np.arange(len(z)) if units is None else np.unique(units, return_inverse=True)[1]
    fold = (np.random.default_rng(seed).permutation(own.max() + 1) % _FOLDS)[own]
    after, sure_after, bins_after = judged(link(z / _crossed(z, truth, link, fold)[:, None]))
    guessing = _loss_of_guessing(truth, top=top)
    temperature = _temperature(z, truth, link)
    helped = after < before and after < guessing and temperature < _HIGHEST
    if helped:
        why = f"log loss on held-out pictures fell from {before:.4f} to {after:.4f}"
    elif len(z) < _FEWEST:
        why = f"{len(z)} pictures are too few to fit a temperature: it stays 1"
    elif min(before, after) >= guessing or temperature >= _HIGHEST:
        why = (
            f"no temperature makes these probabilities better than guessing by the classes' shares (log loss on "
            f"held-out pictures {min(before, after):.4f} at best, guessing {guessing:.4f}): it stays 1, and the "
            "probabilities mean little"
        )
    else:
        why = f"it did not help (log loss on held-out pictures {before:.4f}, with it {after:.4f}): it stays 1"
    each = units if top or units is None else (units[:, None] * z.shape[1] + np.arange(z.shape[1])).ravel()
    perfect, perfect_high = error_if_perfect(sure_after if helped else sure, units=each)
    return Calibration(
        temperature=temperature if helped else 1.0,
        helped=helped,
        why=why,
        n=len(z),
        loss_before=before,
        loss_after=after if helped else before,
        ece_before=expected_calibration_error(bins_before),
        ece_after=expected_calibration_error(bins_after if helped else bins_before),
        bins_before=bins_before,
        bins_after=bins_after if helped else bins_before,
        ece_perfect=perfect,
        ece_perfect_high=perfect_high,
        loss_of_guessing=guessing,
    )


def _crossed(
    z: _Matrix, truth: NDArray[np.bool_], link: Callable[[_Matrix], _Matrix], fold: NDArray[np.integer]
) -> NDArray[np.float64]:
    """The temperature (N,) of each picture by those of other folds; 1 where there are too few."""
    crossed = np.ones(len(z))
    if len(z) >= _FEWEST and fold.max():
        for number in np.unique(fold):
            crossed[fold == number] = _temperature(z[fold != number], truth[fold != number], link)
    return crossed


def _loss_of_guessing(truth: NDArray[np.bool_], *, top: bool) -> float:
    """The log loss of answering every picture with how often each class occurs: what a model must at least be below."""
    shares = truth.mean(axis=0)
    if top and shares.max() == 1:
        return _UNKNOWN  # pictures of one class do not tell how well it would be guessed
    if top:
        return float(-(shares[shares > 0] * np.log(shares[shares > 0])).sum())
    p = np.clip(shares, 1e-15, 1 - 1e-15)
    return float(-(p * np.log(p) + (1 - p) * np.log1p(-p)).mean())


def _temperature(z: _Matrix, truth: NDArray[np.bool_], link: Callable[[_Matrix], _Matrix]) -> float:
    """Where the slope of the convex log loss by 1 / temperature is 0: sum of z * (p - target)."""
    from scipy.optimize import brentq

    softness = 1 / (len(z) + 2)
    rest = 1 / z.shape[1] if link is softmax else 0.5
    target = (1 - softness) * float(z[truth].sum()) + softness * rest * float(z.sum())
    rows = max(1, _AT_ONCE // z.shape[1])
    parts = [z[start : start + rows] for start in range(0, len(z), rows)]

    def slope(inverse: float) -> float:
        return sum(float(np.vdot(part, link(inverse * part))) for part in parts) - target

    low, high = 1 / _HIGHEST, 1 / _LOWEST
    if slope(low) >= 0:
        return _HIGHEST
    return _LOWEST if slope(high) <= 0 else float(1 / brentq(slope, low, high, xtol=1e-10))

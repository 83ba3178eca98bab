"""Whether 90 % means 90 %: temperature scaling (Guo et al. 2017, arXiv:1706.04599), and how far off it was.

The temperature is fitted on logits of pictures that the head has not learnt from: a val split, or out-of-fold logits.
It is kept only if it helps on pictures that it was not fitted to either, which cross-fitting tells.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.errors import JudgementError

BINS = 15
_FOLDS = 5
_FEWEST = 10
_LOWEST, _HIGHEST = 0.05, 20.0

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
    ece_before, ece_after, bins_before, bins_after: on the same held-out folds.
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def calibrate(logits: NDArray[np.floating], y: NDArray[np.integer], *, seed: int = 0) -> Calibration:
    """The temperature that the logits (N, K) of N pictures of the classes y (N,) should be divided by.

    The log loss is convex in 1 / temperature, so there is one minimum; it is sought within [0.05, 20]. Targets are
    softened by 1 / (N + 2) (Platt 1999), so that few pictures, all right, do not make certainty.
    seed: of the folds that decide whether it helps.

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
    return _calibrated(z, truth, _softmax, top=True, seed=seed)


def calibrate_multilabel(logits: NDArray[np.floating], y: NDArray[np.generic], *, seed: int = 0) -> Calibration:
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
    return _calibrated(z, np.asarray(y, dtype=bool), _sigmoid, top=False, seed=seed)


def reliability(confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: int = BINS) -> tuple[Bin, ...]:
    """A reliability diagram as data: bins of equal width over (0, 1], of confidences (N,) and what was right (N,)."""
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    held = np.maximum(counts, 1)
    confidences = np.bincount(place, weights=confidence, minlength=bins) / held
    accuracies = np.bincount(place, weights=right, minlength=bins) / held
    return tuple(
        Bin(float(edges[b]), float(edges[b + 1]), int(counts[b]), float(confidences[b]), float(accuracies[b]))
        for b in range(bins)
    )


def expected_calibration_error(bins: tuple[Bin, ...]) -> float:
    """The mean distance between confidence and accuracy over bins, by their counts (Naeini et al. 2015), in [0, 1].

    Raises: JudgementError: all bins are empty.
    """
    n = sum(bar.count for bar in bins)
    if not n:
        raise JudgementError("no answers, so no calibration error", hint="judge at least one picture")
    return sum(bar.count * abs(bar.confidence - bar.accuracy) for bar in bins) / n


def _calibrated(
    z: _Matrix, truth: NDArray[np.bool_], link: Callable[[_Matrix], _Matrix], *, top: bool, seed: int
) -> Calibration:
    """top: judge the class of the highest probability; else every single decision."""

    def judged(p: _Matrix) -> tuple[float, tuple[Bin, ...]]:
        if top:
            first = p.argmax(axis=1)
            rows = np.arange(len(p))
            return float(-np.log(np.clip(p[truth], 1e-15, 1)).mean()), reliability(p[rows, first], truth[rows, first])
        loss = -np.log(np.clip(np.where(truth, p, 1 - p), 1e-15, 1)).mean()
        return float(loss), reliability(np.maximum(p, 1 - p).ravel(), ((p >= 0.5) == truth).ravel())

    before, bins_before = judged(link(z))
    crossed = np.ones(len(z))
    if len(z) >= _FEWEST:
        fold = np.random.default_rng(seed).permutation(len(z)) % _FOLDS
        for held_out in range(_FOLDS):
            crossed[fold == held_out] = _temperature(z[fold != held_out], truth[fold != held_out], link)
    after, bins_after = judged(link(z / crossed[:, None]))
    helped = after < before
    if helped:
        why = f"log loss on held-out pictures fell from {before:.4f} to {after:.4f}"
    elif len(z) < _FEWEST:
        why = f"{len(z)} pictures are too few to fit a temperature: it stays 1"
    else:
        why = f"it did not help (log loss on held-out pictures {before:.4f}, with it {after:.4f}): it stays 1"
    return Calibration(
        temperature=_temperature(z, truth, link) if helped else 1.0,
        helped=helped,
        why=why,
        n=len(z),
        loss_before=before,
        loss_after=after if helped else before,
        ece_before=expected_calibration_error(bins_before),
        ece_after=expected_calibration_error(bins_after if helped else bins_before),
        bins_before=bins_before,
        bins_after=bins_after if helped else bins_before,
    )


def _temperature(z: _Matrix, truth: NDArray[np.bool_], link: Callable[[_Matrix], _Matrix]) -> float:
    """Where the slope of the convex log loss by 1 / temperature is 0: sum of z * (p - target)."""
    from scipy.optimize import brentq

    softness = 1 / (len(z) + 2)
    rest = 1 / z.shape[1] if link is _softmax else 0.5
    target = truth * (1 - softness) + softness * rest

    def slope(inverse: float) -> float:
        return float((z * (link(inverse * z) - target)).sum())

    low, high = 1 / _HIGHEST, 1 / _LOWEST
    if slope(low) >= 0:
        return _HIGHEST
    return _LOWEST if slope(high) <= 0 else float(1 / brentq(slope, low, high, xtol=1e-10))


def _softmax(z: _Matrix) -> _Matrix:
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _sigmoid(z: _Matrix) -> _Matrix:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * z)))

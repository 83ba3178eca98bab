"""What is told of a cell: accuracy with its interval, log loss, the worst picture's, and calibration error."""

from typing import Any

import numpy as np

_Z = 1.959963984540054
_BINS = 15
_LEAST = 1e-45  # about the smallest float32: a probability of 0 costs 103 nats, not infinitely many


def scores(probabilities: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """probabilities: (N, K). y: (N,) in [0, K).

    accuracy, low, high: with Wilson's 95 % interval. loss: mean log loss in nats; worst: of one picture. ece: of the
    surest class, over 15 bins of equal width (Guo et al. 2017, arXiv:1706.04599).
    """
    everyone, n = np.arange(len(y)), len(y)
    right = probabilities.argmax(1) == y
    losses = -np.log(np.maximum(probabilities[everyone, y].astype(np.float64), _LEAST))
    share = float(right.mean())
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * np.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return {
        "n": n,
        "right": int(right.sum()),
        "accuracy": share,
        "low": float(middle - half),
        "high": float(middle + half),
        "loss": float(losses.mean()),
        "worst": float(losses.max()),
        "ece": _calibration_error(probabilities.max(1), right),
    }


def _calibration_error(sure: np.ndarray, right: np.ndarray) -> float:
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, weights=right - sure.astype(np.float64), minlength=_BINS)
    return float(np.abs(gaps).sum() / len(sure))

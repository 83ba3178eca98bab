"""The nearest of many features by cosine, in blocks so that memory stays flat."""

import numpy as np
from numpy.typing import NDArray

from frostline import blas

_AT_ONCE = 512


def unit(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows (N, D) scaled to length 1, as float32; what is all 0 stays so."""
    x = features.astype(np.float32)
    scaled: NDArray[np.float32] = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return scaled


def nearest(
    features: NDArray[np.floating], known: NDArray[np.floating], k: int, *, itself: NDArray[np.integer] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k nearest of known ones for each row (N, D), nearest first: which, and one less the cosine, in [0, 2].

    known: (M, D), rows of length 1. itself: (M,) the row of `features` that each known one is, which is no neighbour of
    its own. Both are (N, min(k, M)). A distance that is not finite is NaN or infinite.
    """
    others = known.astype(np.float32, copy=False).T
    first = max(0, others.shape[1] - k)
    which = [np.zeros((0, others.shape[1] - first), np.int64)]
    apart = [np.zeros((0, others.shape[1] - first), np.float32)]
    with np.errstate(invalid="ignore", over="ignore"), blas.one_thread():
        for start in range(0, len(features), _AT_ONCE):
            near = unit(features[start : start + _AT_ONCE]) @ others
            if itself is not None:
                near[np.arange(start, start + len(near))[:, None] == itself] = -np.inf
            chosen = np.sort(np.argpartition(near, first, axis=1)[:, first:], axis=1)
            away = 1 - np.take_along_axis(near, chosen, axis=1)
            order = np.argsort(away, axis=1, kind="stable")
            which.append(np.take_along_axis(chosen, order, axis=1))
            apart.append(np.take_along_axis(away, order, axis=1))
    return np.concatenate(which), np.concatenate(apart)

"""Features standardised for a linear head, with a floor under the deviations.

What hardly varied in training is worth thousands of deviations in a new picture, and one such feature then decides
alone. So a feature is divided by sqrt((variance + (floor * median deviation)^2) / (1 + floor^2)): with a floor of 0 by
its own deviation, with an infinite one by the same number as all others. The means and deviations are always those of
the pictures that are learned from, and of no others.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import eye_array

from frostline.train.likelihood import AnyFloats, Floats, Indices

SMALL = 64 << 20
"""Bytes of float64 up to which features are copied and turned into their principal axes."""

_CHUNK = 4096  # rows at a time where statistics are taken
_MOST_AXES = 2048  # features up to which principal axes are worth their price, and about the rows to find them by


@dataclass(frozen=True)
class Moments:
    """Of some pictures' features. count: of pictures. mean: (D,). spread: (D,), sum of squared distances to it.

    ends: where groups of features end, D left out, each of which has a typical deviation of its own.
    """

    count: int
    mean: Floats
    spread: Floats
    ends: tuple[int, ...] = ()

    def scale(self, floor: float) -> Floats:
        """(D,), above 0: what each feature is divided by."""
        deviation = np.sqrt(self.spread / max(self.count, 1))
        deviation[deviation <= 1e-6 * np.abs(self.mean)] = 0.0  # a constant: rounding is all that varies
        return np.concatenate([_scale(group, floor) for group in np.split(deviation, self.ends)])


def _scale(deviation: Floats, floor: float) -> Floats:
    if not deviation.any():
        return np.ones_like(deviation)
    if math.isinf(floor):
        return np.full_like(deviation, np.sqrt((deviation**2).mean()))
    typical = float(np.median(deviation)) or float(np.median(deviation[deviation > 0]))
    scale: Floats = np.sqrt((deviation**2 + (floor * typical) ** 2) / (1 + floor**2))
    scale[scale == 0] = 1.0
    return scale


def moments_by_fold(x: AnyFloats, fold: Indices, ends: tuple[int, ...] = ()) -> dict[int, Moments]:
    """The moments of the pictures of each fold, x (N, D), fold (N,), in one pass. ends: see `Moments`."""
    found: dict[int, Moments] = {}
    for start in range(0, len(x), _CHUNK):
        part, number = x[start : start + _CHUNK].astype(np.float64), fold[start : start + _CHUNK]
        for one in np.unique(number).tolist():
            own = part[number == one]
            mean = own.mean(0)
            new = Moments(len(own), mean, ((own - mean) ** 2).sum(0), ends)
            found[one] = together([found[one], new]) if one in found else new
    return found


def together(parts: Iterable[Moments]) -> Moments:
    """The moments of all pictures of the parts (Chan, Golub & LeVeque 1983)."""
    first, *rest = parts
    count, mean, spread = first.count, first.mean, first.spread
    for part in rest:
        whole, apart = count + part.count, part.mean - mean
        spread = spread + part.spread + apart**2 * (count * part.count / whole)
        mean = mean + apart * (part.count / whole)
        count = whole
    return Moments(count, mean, spread, first.ends)


@dataclass(frozen=True)
class Head:
    """weight: (K, M) and bias: (K,), along a design's axes. converged: False if the steps ended before the minimum."""

    weight: Floats
    bias: Floats
    converged: bool = True


@dataclass(frozen=True)
class Design:
    """Features x (N, D) with the axes along which a head is sought: its inputs are ((x - mean) / scale) @ axes.T.

    rows: these inputs (N, M) if they were turned, and x itself if not. axes: (M, D), orthonormal.
    variances: (M,), of the inputs, as nearly as steps along them need to know.
    """

    rows: AnyFloats
    turned: bool
    mean: Floats
    scale: Floats
    axes: Any
    variances: Floats

    def logits(self, head: Head) -> AnyFloats:
        """(N, K), in the precision of the rows."""
        weight, bias = (head.weight, head.bias) if self.turned else self.folded_in(head)
        found: AnyFloats = self.rows @ weight.T.astype(self.rows.dtype)
        found += bias.astype(self.rows.dtype)
        return found

    def gradient(self, slopes: AnyFloats) -> tuple[Floats, Floats]:
        """Of weight (K, M) and bias (K,), from slopes (N, K) of the logits."""
        by_weight, by_bias = (slopes.T @ self.rows).astype(np.float64), slopes.sum(0, dtype=np.float64)
        if not self.turned:
            by_weight = (by_weight - np.outer(by_bias, self.mean)) / self.scale @ self.axes.T
        return by_weight, by_bias

    def folded_in(self, head: Head) -> tuple[Floats, Floats]:
        """Weight (K, D) and bias (K,) over the features as they came."""
        weight = head.weight @ self.axes / self.scale
        return weight, head.bias - weight @ self.mean

    def head_of(self, weight: Floats, bias: Floats) -> Head:
        """The nearest head along the axes to a weight (K, D) and bias (K,) over the features as they came."""
        return Head((weight * self.scale) @ self.axes.T, bias + weight @ self.mean)

    def rough(self) -> "Design":
        """The same with rows in float32: half the time, enough for a search."""
        return replace(self, rows=self.rows.astype(np.float32, copy=False))

    def standardised(self, known: Moments, floor: float) -> "Design":
        """The same features with other means and deviations. Only where they were not turned."""
        return replace(self, mean=known.mean, scale=known.scale(floor))


def turned(x: AnyFloats, known: Moments, floor: float) -> Design:
    """A copy of features x (N, D), standardised and turned into their principal axes, of which there are at most N."""
    mean, scale = known.mean, known.scale(floor)
    pictures, features = x.shape
    standard = (x - mean) / scale
    if pictures < features:
        variances, directions = np.linalg.eigh(standard @ standard.T / pictures)
        there = variances > 1e-12 * max(float(variances[-1]), 1e-300)
        length = np.sqrt(variances[there] * pictures)
        inputs = directions[:, there] * length
        return Design(inputs, True, mean, scale, (directions[:, there] / length).T @ standard, variances[there])
    variances, directions = np.linalg.eigh(standard.T @ standard / pictures)
    return Design(standard @ directions, True, mean, scale, directions.T, np.maximum(variances, 0))


def unturned(x: AnyFloats, known: Moments, floor: float) -> Design:
    """Features x (N, D) as they came, not copied; the principal axes are those of some of the pictures."""
    mean, scale = known.mean, known.scale(floor)
    pictures, features = x.shape
    if features > _MOST_AXES:
        return Design(x, False, mean, scale, eye_array(features), np.ones(features))
    some = x[:: max(1, pictures // (4 * _MOST_AXES))]
    products = sum(
        (standard.T @ standard for part in chunks(some) for standard in [(part - mean) / scale]),
        np.zeros((features, features)),
    )
    variances, directions = np.linalg.eigh(products / len(some))
    return Design(x, False, mean, scale, np.ascontiguousarray(directions.T), np.maximum(variances, 0))


def chunks(x: AnyFloats) -> list[AnyFloats]:
    """Views of so many rows (N, D) that a copy of one costs little."""
    return [x[start : start + _CHUNK] for start in range(0, len(x), _CHUNK)]

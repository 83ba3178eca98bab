"""Is one model better than another on the same pictures, or was it luck?"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from frostline.errors import JudgementError

LEVEL = 0.05  # of calling a difference real


@dataclass(frozen=True, slots=True)
class Paired:
    """Two models judged on the same n pictures.

    gained: pictures that only the second has right; lost: that only the first has.
    p: the chance of at least such a gain if both were equally good.
    """

    gained: int
    lost: int
    n: int
    p: float

    @property
    def difference(self) -> float:
        """Accuracy of the second less that of the first."""
        return (self.gained - self.lost) / self.n

    def __str__(self) -> str:
        return f"{self.gained} gained, {self.lost} lost of {self.n:,}, p = {self.p:.2g}"


def paired(before: NDArray[np.bool_], after: NDArray[np.bool_], units: NDArray[np.integer] | None = None) -> Paired:
    """The exact one-sided test of McNemar (1947) with the mid-p correction (Fagerland et al. 2013).

    before, after: (N,) whether each picture, in the same order, is right. units: (N,) which unit each belongs to
        (duplicates, a group): the test is then that of `gain`, which turns whole units.

    Raises: JudgementError: no pictures, or different numbers of them.
    """
    p = gain(1.0 * before, 1.0 * after, units).p
    return Paired(int((after & ~before).sum()), int((before & ~after).sum()), before.size, p)


@dataclass(frozen=True, slots=True)
class Gain:
    """How much better the second of two models is on the same pictures, on average, in whatever they were judged by.

    p: one-sided, the chance of such a gain if a picture's difference were as likely to be its opposite.
    """

    mean: float
    p: float
    n: int


def gain(
    before: NDArray[np.floating],
    after: NDArray[np.floating],
    units: NDArray[np.integer] | None = None,
    *,
    seed: int = 0,
) -> Gain:
    """A figure of each picture (N,), the higher the better, of two models in the same order of pictures.

    The test flips the signs of differences (Fisher 1935), of whole units (N,) where pictures belong together: it holds
    for any distribution of them, many labels a picture and rare large losses among them. Of answers that are only right
    or wrong it is McNemar's, with the mid-p correction (Fagerland et al. 2013).

    Raises: JudgementError: no pictures, or different numbers of them.
    """
    if before.shape != after.shape or not before.size:
        raise JudgementError(
            f"{before.size} judged pictures cannot be paired with {after.size}",
            hint="judge both models on the same pictures",
        )
    moved = after.astype(np.float64) - before
    mean = float(moved.mean())
    if units is not None:
        moved = np.bincount(np.unique(units, return_inverse=True)[1], weights=moved)
    moved = moved[moved != 0]
    if not len(moved):
        return Gain(mean, 1.0, before.size)
    if np.all(np.abs(moved) == 1):
        from scipy.stats import binom

        ups = int((moved > 0).sum())
        p = float(binom.sf(ups, len(moved), 0.5) + 0.5 * binom.pmf(ups, len(moved), 0.5))
        return Gain(mean, p, before.size)
    rng, drawn = np.random.default_rng(seed), np.empty(_FLIPS)
    rows = max(1, _AT_ONCE // len(moved))  # a product makes numbers of 8 bytes of them
    for at in range(0, _FLIPS, 500):
        signs = rng.integers(0, 2, (500, len(moved)), dtype=np.int8)
        signs *= 2
        signs -= 1
        for part in range(0, 500, rows):
            drawn[at + part : at + min(500, part + rows)] = signs[part : part + rows] @ moved
    above, same = (drawn > moved.sum() + 1e-12).sum(), (np.abs(drawn - moved.sum()) <= 1e-12).sum()
    return Gain(mean, float((1 + above + 0.5 * same) / (1 + _FLIPS)), before.size)


_FLIPS = 9500
_AT_ONCE = 1 << 22  # signs


@dataclass(frozen=True, slots=True)
class Difference:
    """Two of several models, by their places, on the same pictures.

    p: two-sided, of McNemar's mid-p test, or of `gain` where pictures belong together. adjusted: for the number of
        pairs (Holm 1979): the chance of calling any one difference real, if none is, stays below 5 % where those with
        adjusted < 0.05 are called real.
    """

    first: int
    second: int
    paired: Paired
    p: float
    adjusted: float

    @property
    def real(self) -> bool:
        """Whether the difference is more than luck, at a level of 5 % over all pairs together."""
        return self.adjusted < LEVEL


def differences(right: Sequence[NDArray[np.bool_]], units: NDArray[np.integer] | None = None) -> tuple[Difference, ...]:
    """Every pair of models, judged on the same N pictures.

    right: (N,) for each model, in the same order of pictures. units: see `paired`.

    Raises: JudgementError: fewer than two models, no pictures, or different numbers of them.
    """
    if len(right) < 2:
        raise JudgementError(f"{len(right)} model cannot be compared", hint="name two or more")
    places = list(combinations(range(len(right)), 2))
    tests = [paired(right[first], right[second], units) for first, second in places]
    # both ways round, and not 1 - p: very small ones would be lost
    back = [paired(right[second], right[first], units) for first, second in places]
    ps = [min(1.0, 2 * min(test.p, other.p)) for test, other in zip(tests, back, strict=True)]
    return tuple(
        Difference(first, second, test, p, adjusted)
        for (first, second), test, p, adjusted in zip(places, tests, ps, holm(ps), strict=True)
    )


def holm(ps: Sequence[float]) -> list[float]:
    """p-values of several tests, adjusted so that 5 % is the risk of all together (Holm 1979)."""
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[place]))
        adjusted[place] = largest
    return adjusted

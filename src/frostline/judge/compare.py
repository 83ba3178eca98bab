"""Is one model better than another on the same pictures, or was it luck?"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from frostline.errors import JudgementError

LEVEL = 0.05  # of calling a difference real
ONE_ERROR = 0.16  # the chance of a gain of one standard error or more where there is none


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
    def better(self) -> bool:
        """Whether the second is measurably better: by more than one standard error.

        That is the rule by which Breiman et al. (1984, Classification and Regression Trees, 3.4.3) leave the simpler
        of two models. It chooses; it does not call the difference real, for which `differences` asks more.
        """
        return self.p < ONE_ERROR

    @property
    def difference(self) -> float:
        """Accuracy of the second less that of the first."""
        return (self.gained - self.lost) / self.n

    def __str__(self) -> str:
        return f"{self.gained} gained, {self.lost} lost of {self.n:,}, p = {self.p:.2g}"


def paired(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> Paired:
    """The exact one-sided test of McNemar (1947) with the mid-p correction (Fagerland et al. 2013).

    before, after: (N,) whether each picture, in the same order, is right. Multi-label: whether each (picture, label)
        is.

    Raises: JudgementError: no pictures, or different numbers of them.
    """
    from scipy.stats import binom

    if before.shape != after.shape or before.size == 0:
        raise JudgementError(
            f"{before.size} judged pictures cannot be paired with {after.size}",
            hint="judge both models on the same pictures",
        )
    gained = int((after & ~before).sum())
    lost = int((before & ~after).sum())
    discordant = gained + lost
    p = 1.0
    if discordant:
        p = float(binom.sf(gained, discordant, 0.5) + 0.5 * binom.pmf(gained, discordant, 0.5))
    return Paired(gained, lost, before.size, p)


@dataclass(frozen=True, slots=True)
class LossDrop:
    """How much lower the second of two models' log loss is on the same pictures, in nats a picture.

    error: its standard error.
    """

    before: float
    after: float
    error: float

    @property
    def mean(self) -> float:
        """Above 0 where the second is better."""
        return self.before - self.after

    @property
    def better(self) -> bool:
        """Whether the second is measurably better: by more than one standard error, as `Paired.better`."""
        return self.mean > self.error

    def __str__(self) -> str:
        return f"log loss {self.before:.3f} to {self.after:.3f} (error {self.error:.3f})"


def loss_drop(before: NDArray[np.floating], after: NDArray[np.floating]) -> LossDrop:
    """Two models' log losses (N,) of each picture, in the same order, N of 2 or more.

    Raises: JudgementError: fewer pictures, or different numbers of them.
    """
    if before.shape != after.shape or before.size < 2:
        raise JudgementError(
            f"the losses of {before.size} pictures cannot be paired with {after.size}",
            hint="judge both models on the same pictures, two or more",
        )
    error = float((before - after).std(ddof=1) / np.sqrt(before.size))
    return LossDrop(float(before.mean()), float(after.mean()), error)


def attainable(right: NDArray[np.bool_]) -> bool:
    """Whether any model at all could be measurably better: with too few errors left, even a perfect one could not."""
    return paired(right, np.ones_like(right)).better


@dataclass(frozen=True, slots=True)
class Difference:
    """Two of several models, by their places, on the same pictures.

    p: two-sided, of McNemar's mid-p test. adjusted: for the number of pairs (Holm 1979): the chance of calling any one
        difference real, if none is, stays below 5 % where those with adjusted < 0.05 are called real.
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


def differences(right: Sequence[NDArray[np.bool_]]) -> tuple[Difference, ...]:
    """Every pair of models, judged on the same N pictures.

    right: (N,) for each model, in the same order of pictures.

    Raises: JudgementError: fewer than two models, no pictures, or different numbers of them.
    """
    if len(right) < 2:
        raise JudgementError(f"{len(right)} model cannot be compared", hint="name two or more")
    places = list(combinations(range(len(right)), 2))
    tests = [paired(right[first], right[second]) for first, second in places]
    # both ways round, and not 1 - p: very small ones would be lost
    ps = [min(1.0, 2 * min(test.p, paired(right[b], right[a]).p)) for (a, b), test in zip(places, tests, strict=True)]
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

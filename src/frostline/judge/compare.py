"""Is one model better than another on the same pictures, or was it luck?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frostline.errors import JudgementError

LEVEL = 0.05  # one-sided


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
        """Whether the second is measurably better, at a one-sided level of 5 %."""
        return self.p < LEVEL

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


def attainable(right: NDArray[np.bool_]) -> bool:
    """Whether any model at all could be measurably better: with too few errors left, even a perfect one could not."""
    return paired(right, np.ones_like(right)).better

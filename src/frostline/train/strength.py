"""The strength, the floor and the spread of a head: chosen together by the log loss of pictures that were held out.

A penalty does two things: it turns a head towards the directions in which features vary most, and it makes its logits
small. Only the first is wanted, so every setting is judged at the spread of logits that suits it
best (Berta, Holzmüller, Jordan and Bach 2025, arXiv:2501.19195), and the head is given that spread. The logits of the
mean picture, which say how frequent the classes are, stay as they are: rare classes would be lost with them. So would
a class that no held-out picture has, for the others choose a strong penalty and a wide spread without it: where there
is one, the spread is 1.

Less than one nat of one picture tells no two settings apart. So a floor other than 1 has to be better by more than
that; and where the loss runs to the weak end of the grid, as it does where pictures are nearly separable, the strongest
strength is taken that is not worse by more. Figures: `bench/ACCURACY.md`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from frostline.train.likelihood import Floats, Likelihood

STRENGTHS = tuple(10.0 ** (power / 2) for power in range(3, -11, -1))
"""The strengths that may be chosen, strongest first, 32 to 1e-5."""

FLOORS = (1.0, 3.0)
"""The floors under the deviations that may be chosen, the one that is taken in doubt first."""

SPREADS = (1 / 3, 3.0)
"""The least and the most that may be chosen for logits to be multiplied by: few pictures would choose extremes."""


@dataclass(frozen=True)
class Trial:
    """What one setting came to on held-out pictures.

    number: of the strength in `STRENGTHS`. logits, centre: (n, K), of the pictures that are judged and of the mean
    picture that their head has learned from. heads: of each fold that was asked, (weight, bias) over the features as
    they came.
    """

    floor: float
    number: int
    logits: NDArray[np.float32]
    centre: NDArray[np.float32]
    heads: tuple[tuple[Floats, Floats], ...]

    def spread(self, by: float) -> NDArray[np.float32]:
        """The logits, so many times as far from the mean picture's."""
        return self.centre + np.float32(by) * (self.logits - self.centre)


@dataclass(frozen=True)
class Judged:
    """A trial at its best spread. loss: the log loss there, in nats."""

    trial: Trial
    spread: float
    loss: float


@dataclass(frozen=True)
class Judge:
    """Who compares trials. likelihood: of the n pictures. weight: (n,), what each counts, 1 in all; 0 leaves it out.

    spreads: the least and the most that may be chosen.
    """

    likelihood: Likelihood
    weight: Floats
    spreads: tuple[float, float]

    def __call__(self, trial: Trial) -> Judged:
        """The trial at the spread at which these pictures' log loss is least; it is convex in it.

        Targets are softened by 1 / (n + 2) (Platt 1999), so that few pictures, all right, do not make certainty.
        """
        counts = self.weight > 0
        asked, weight = self.likelihood.of(counts), self.weight[counts]
        centre, apart = trial.centre[counts], (trial.logits - trial.centre)[counts]
        everyone = np.ones(asked.classes, np.bool_)

        def steepness(logits: NDArray[np.float32]) -> float:
            asked.slopes(logits, weight, everyone)
            return float(np.vdot(logits, apart))

        # At equal odds the slopes are those of the targets alone.
        softened = steepness(np.zeros_like(apart)) / (len(apart) + 2)

        def slope(by: float) -> float:
            return steepness(centre + np.float32(by) * apart) - softened

        least, most = self.spreads
        if slope(least) >= 0:
            best = least
        else:
            best = most if slope(most) <= 0 else float(brentq(slope, least, most, xtol=1e-3, rtol=1e-3))
        return Judged(trial, best, float(self.weight @ self.likelihood.losses(trial.spread(best))))

    def without(self, some: NDArray[np.bool_]) -> "Judge":
        """The same by the other pictures alone, if they count anything."""
        others = self.weight * ~some
        return replace(self, weight=others / others.sum()) if others.any() else self


IN_DOUBT = STRENGTHS.index(1.0)
"""The number of the strength where no picture can be held out."""

_WEAK = 3  # strengths at the weak end
_LOSS = attrgetter("loss")

Try = Callable[[float, int, Trial | None], Trial]
"""Of a floor, the number of a strength, and a trial whose heads are near."""


def searched(tried: Try, judge: Judge, *, floors: Sequence[float]) -> list[Judged]:
    """The trials that a choice is made from: floor 1 at every strength that matters, other floors near the best.

    Decade by decade until the loss rises, then the two strengths beside the best.
    """
    found = [judge(tried(floors[0], 0, None))]
    for number in range(2, len(STRENGTHS), 2):
        found.append(judge(tried(floors[0], number, found[-1].trial)))
        if found[-1].loss >= found[-2].loss:
            break
    best = min(found, key=_LOSS).trial
    for number in (best.number - 1, best.number + 1):
        if 0 <= number < len(STRENGTHS):
            found.append(judge(tried(floors[0], number, best)))
    best = min(found, key=_LOSS).trial
    for floor in floors[1:]:
        for number in (best.number - 1, best.number, best.number + 1):
            if 0 <= number < len(STRENGTHS):
                found.append(judge(tried(floor, number, best)))
    return found


def chosen(found: Sequence[Judged], judge: Judge) -> Judged:
    """The trial to go by, of some that this judge has seen."""
    slack = 1 / (np.count_nonzero(judge.weight) + 2)
    best = min((one for one in found if one.trial.floor == FLOORS[0]), key=_LOSS)
    rival = min(found, key=_LOSS)
    if rival.loss < best.loss - slack:
        best = rival
    if best.trial.number < len(STRENGTHS) - _WEAK:
        return best
    near = [one for one in found if one.trial.floor == best.trial.floor and one.loss <= best.loss + slack]
    return min(near, key=lambda one: one.trial.number)

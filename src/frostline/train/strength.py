"""The strength and the floor of a head: chosen together by the log loss of pictures that were held out.

Two rules keep chance out of the choice. A floor other than 1 has to be better by more than one standard error of the
difference, for few pictures choose badly among many settings. And where the loss runs to the weak end of the grid, as
it does where pictures are nearly separable, the strongest strength within one standard error of the best is taken
(Breiman et al. 1984). Figures: `bench/ACCURACY.md`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frostline.train.likelihood import Floats

STRENGTHS = tuple(10.0 ** (power / 2) for power in range(4, -11, -1))
"""The strengths that may be chosen, strongest first, 100 to 1e-5."""

FLOORS = (1.0, 3.0)
"""The floors under the deviations that may be chosen, the one that is taken in doubt first."""


@dataclass(frozen=True)
class Trial:
    """What one setting came to on held-out pictures.

    number: of the strength in `STRENGTHS`. losses: (n,) nats, of the pictures that are judged. logits: (n, K).
    heads: of each fold that was asked, (weight, bias) over the features as they came.
    """

    floor: float
    number: int
    losses: Floats
    logits: NDArray[np.float32]
    heads: tuple[tuple[Floats, Floats], ...]


IN_DOUBT = STRENGTHS.index(1.0)
"""The number of the strength where no picture can be held out."""

_WEAK = 3  # strengths at the weak end

Try = Callable[[float, int, Trial | None], Trial]
"""Of a floor, the number of a strength, and a trial whose heads are near."""


def searched(tried: Try, weight: Floats, *, floors: Sequence[float]) -> list[Trial]:
    """The trials that a choice is made from: floor 1 at every strength that matters, other floors near the best.

    Decade by decade until the loss rises, then the two strengths beside the best.
    weight: (n,), what each judged picture counts.
    """

    def mean(trial: Trial) -> float:
        return float(weight @ trial.losses)

    first = tried(floors[0], 0, None)
    found = [first]
    for number in range(2, len(STRENGTHS), 2):
        found.append(tried(floors[0], number, found[-1]))
        if mean(found[-1]) >= mean(found[-2]):
            break
    best = min(found, key=mean)
    for number in (best.number - 1, best.number + 1):
        if 0 <= number < len(STRENGTHS):
            found.append(tried(floors[0], number, best))
    best = min(found, key=mean)
    for floor in floors[1:]:
        for number in (best.number - 1, best.number, best.number + 1):
            if 0 <= number < len(STRENGTHS):
                found.append(tried(floor, number, best))
    return found


def chosen(trials: Sequence[Trial], weight: Floats) -> Trial:
    """The trial to go by. weight: (n,), what each judged picture counts, 1 in all; 0 leaves it out."""

    def mean(trial: Trial) -> float:
        return float(weight @ trial.losses)

    by_floor: dict[float, list[Trial]] = {}
    for trial in trials:
        by_floor.setdefault(trial.floor, []).append(trial)
    floors = [min(group, key=mean) for group in by_floor.values()]
    best = floors[0]
    for rival in floors[1:]:
        if _clearly_better(rival, best, weight):
            best = rival
    if best.number < len(STRENGTHS) - _WEAK:
        return best
    # Pictures that are all right cannot tell losses apart that are smaller than one more wrong one would cost.
    limit = mean(best) + max(_error(best.losses, weight), 1 / (np.count_nonzero(weight) + 2))
    near = [trial for trial in by_floor[best.floor] if mean(trial) <= limit]
    return min(near, key=lambda trial: trial.number, default=best)


def _clearly_better(one: Trial, other: Trial, weight: Floats) -> bool:
    """By more than one standard error of the mean difference."""
    gain = other.losses - one.losses
    return float(weight @ gain) > _error(gain, weight)


def _error(values: Floats, weight: Floats) -> float:
    """The standard error of their weighted mean."""
    return float(np.sqrt((weight**2) @ (values - weight @ values) ** 2))

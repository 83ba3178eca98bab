"""Learning-rate schedules as pure functions of the step, so that resuming is arithmetic.

The factor multiplies each optimizer group's own peak rate; groups keep their ratios whatever the schedule does.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch.optim import Optimizer

FLOOR = 1e-3  # where cosine and one-cycle end, as a share of the peak
# fastai's div and pct_start (Smith & Topin 2017, arXiv:1708.07120)
ONE_CYCLE_START, ONE_CYCLE_RISE = 1 / 25, 0.25
PLATEAU_PATIENCE = 3  # epochs without a better val loss before the rate falls by gamma
PLATEAU_THRESHOLD = 1e-4  # the share by which a loss must be lower to count as better, torch's own


@dataclass(frozen=True, slots=True)
class Schedule:
    """How the rate moves over a phase.

    kind: "constant", "step" (times gamma every step_size epochs, as torch's StepLR), "cosine", "one-cycle" or "plateau"
        (times gamma whenever the val loss has not fallen for more than three epochs, as torch's ReduceLROnPlateau).
    epochs, steps: length of the phase in epochs, and of an epoch in steps.
    warmup: epochs over which the rate rises linearly from near 0 ("one-cycle" has its own rise).
    """

    kind: str
    epochs: int
    steps: int
    warmup: float = 0.0
    step_size: int = 7
    gamma: float = 0.1

    def factor(self, step: int, losses: Sequence[float] = ()) -> float:
        """The share of the peak rate at a step, in (0, 1].

        step: count since the phase began, from 0. losses: val losses of the epochs so far (only "plateau" reads them).
        """
        total = self.epochs * self.steps
        if self.kind == "one-cycle":
            return _one_cycle(step / max(1, total - 1))
        rise = min(round(self.warmup * self.steps), total - 1)
        if step < rise:
            return (step + 1) / (rise + 1)
        if self.kind == "step":
            return float(self.gamma ** ((step // self.steps) // self.step_size))
        if self.kind == "plateau":
            return float(self.gamma ** _plateaus(losses))
        if self.kind == "cosine":
            return FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise))) / 2
        return 1.0

    def apply(self, optimizer: Optimizer, step: int, losses: Sequence[float] = ()) -> tuple[float, ...]:
        """Set every group's rate for a step and return the rates; a group's peak is its ``initial_lr``."""
        factor = self.factor(step, losses)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        return tuple(group["lr"] for group in optimizer.param_groups)


def _one_cycle(done: float) -> float:
    def glide(start: float, end: float, share: float) -> float:
        return end + (start - end) * (1 + math.cos(math.pi * share)) / 2

    if done < ONE_CYCLE_RISE:
        return glide(ONE_CYCLE_START, 1.0, done / ONE_CYCLE_RISE)
    return glide(1.0, FLOOR, (done - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE))


def _plateaus(losses: Sequence[float]) -> int:
    """How often the val loss went more than `PLATEAU_PATIENCE` epochs without a new minimum."""
    best, waited, count = math.inf, 0, 0
    for loss in losses:
        if loss < best * (1 - PLATEAU_THRESHOLD):
            best, waited = loss, 0
        else:
            waited += 1
        if waited > PLATEAU_PATIENCE:
            waited, count = 0, count + 1
    return count

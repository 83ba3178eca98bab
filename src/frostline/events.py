"""What happens during a run, as values: the loop and the runner yield them, whoever cares listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a light command listens to events too
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a person should read once: which weights were taken, where the frost line went."""

    text: str


@dataclass(frozen=True, slots=True)
class Warn:
    """Something that a person may want to act on."""

    text: str


@dataclass(frozen=True, slots=True)
class Work:
    """Progress of one piece of work: `done` of `total` pictures; `what` tells pieces apart."""

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class PhaseStart:
    """A phase begins."""

    name: str
    line: str
    epochs: int


@dataclass(frozen=True, slots=True)
class Step:
    """A batch was seen.

    step: batches since the phase began. loss: mean over the batch of all processes, a scalar tensor, detached; the
    listener decides when to read it. rates: the learning rate of each optimizer group. pictures: in this batch, over
    all processes. stepped: the optimizer took a step; False while batches accumulate, when gradients are still pending.
    """

    epoch: int
    step: int
    loss: Tensor
    rates: tuple[float, ...]
    pictures: int
    stepped: bool = True


@dataclass(frozen=True, slots=True)
class Epoch:
    """All batches of an epoch have been seen; epochs count from 0."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Judged:
    """The val figures at the end of an epoch: share right in [0, 1], mean log loss, pictures."""

    epoch: int
    epochs: int
    accuracy: float
    loss: float
    train_loss: float
    rate: float
    pictures_per_second: float


Event = Note | Warn | Work | PhaseStart | Step | Epoch | Judged
Listener = Callable[[Event], None]


def quiet(event: Event) -> None:
    """The listener that hears nothing."""

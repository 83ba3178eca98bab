"""What one phase trains, as one value: it goes to the loop and to the learning-rate finder."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from frostline.net.freeze import Group
from frostline.train.cpu.frozen_batchnorm_fusion import Fusion
from frostline.train.device import Device
from frostline.train.loader import Rows
from frostline.train.loss import Objective
from frostline.train.plan import Recipe


@dataclass(frozen=True)
class Task:
    """A suffix, what it minimises, and the batches it sees.

    groups: parameters with their learning rates. prepare: turns a batch of the rows, on the device, into what the
    suffix takes (normalises pictures). fusions: of the suffix, see `train.cpu.frozen_batchnorm_fusion`.
    """

    suffix: nn.Module
    objective: Objective
    groups: tuple[Group, ...]
    recipe: Recipe
    rows: Rows
    device: Device
    prepare: Callable[[Tensor], Tensor]
    fusions: tuple[Fusion, ...] = ()

    def loss(self, network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """The mean loss () of a batch x (N, ...) with targets y, by a network that shares the suffix's weights."""
        device = self.device
        with device.autocast(self.fusions):
            return self.objective(network, self.prepare(device.sent(x)), device.sent(y))

"""An exponential moving average of the weights (Polyak & Juditsky 1992; in training: Tarvainen & Valpola 2017)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """The running average of a network's learning parameters and of its buffers.

    decay: in (0, 1); the average looks back over about 1 / (1 - decay) steps. It warms up as (1 + t) / (10 + t), so
    that short runs are not averaged with their own random start.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.values = {name: tensor.detach().clone() for name, tensor in _tensors(net).items()}

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Take in the network's present weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, tensor in _tensors(net).items():
            if tensor.is_floating_point():
                self.values[name].lerp_(tensor, 1 - decay)
            else:
                self.values[name].copy_(tensor)

    @contextmanager
    def in_place_of(self, net: nn.Module) -> Iterator[None]:
        """Within the block the network holds the average; afterwards its own weights again."""
        own = {name: tensor.detach().clone() for name, tensor in _tensors(net).items()}
        _copy(self.values, net)
        try:
            yield
        finally:
            _copy(own, net)


def _tensors(net: nn.Module) -> dict[str, Tensor]:
    learning = {name: p for name, p in net.named_parameters() if p.requires_grad}
    return {**learning, **dict(net.named_buffers())}


@torch.no_grad()
def _copy(values: Mapping[str, Tensor], net: nn.Module) -> None:
    for name, tensor in _tensors(net).items():
        tensor.copy_(values[name])

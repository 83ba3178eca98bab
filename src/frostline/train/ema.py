"""An exponential moving average of the weights (Polyak & Juditsky 1992; in training: Tarvainen & Valpola 2017)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightEMA:
    """The running average of what changes in a network: its learning parameters and the buffers of its state dict.

    decay: in (0, 1); the average looks back over about 1 / (1 - decay) steps. It warms up as (1 + t) / (10 + t), so
    that short runs are not averaged with their own random start.
    values: the average, by the names of the network's state dict. updates: how many weights went into it.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net = net
        self.decay = decay
        self.updates = 0
        self.values = self._own()

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network's present weights."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, tensor in self._moving().items():
            if tensor.is_floating_point():
                self.values[name].lerp_(tensor, 1 - decay)
            else:
                self.values[name].copy_(tensor)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block the network holds the average; afterwards its own weights again."""
        own = self._own()
        self._put(self.values)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def restore(self, values: Mapping[str, Tensor], updates: int) -> None:
        """Go on from an average that was kept in a checkpoint."""
        for name, tensor in self.values.items():
            tensor.copy_(values[name])
        self.updates = updates

    def _moving(self) -> dict[str, Tensor]:
        """The tensors themselves. Buffers outside the state dict are constants of the architecture."""
        state = self.net.state_dict(keep_vars=True)
        return {name: t for name, t in state.items() if t.requires_grad or not isinstance(t, nn.Parameter)}

    def _own(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self._moving().items()}

    @torch.no_grad()
    def _put(self, values: Mapping[str, Tensor]) -> None:
        for name, tensor in self._moving().items():
            tensor.copy_(values[name])

"""Weights that are numbers as a network learns them, seen before they are loaded."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from frostline.errors import WeightsError, one_line
from frostline.net.tensor_names import State

_STATISTICS = ("running_mean", "running_var")
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # those of 8 bits mean little without a scale


def refuse_not_finite(net: nn.Module, state: State, where: object) -> None:
    """Notice weights that hold NaN or infinity, before anything is computed with them. Buffers may: masks do.

    state: without what `refuse_odd` refuses.

    Raises: WeightsError: a parameter or a running statistic of the network that the state has is not finite.
    """
    for name, given, own in _learnt(net, state):
        tensor = given.to(own.dtype)  # as it will be computed with: 1e300 is no number of float32
        if not tensor.isfinite().all():
            count = int((~tensor.isfinite()).sum())
            raise WeightsError(
                f"{one_line(name)} holds {count:,} of {tensor.numel():,} numbers that are not finite (NaN or infinity)",
                where=where,
                hint="training diverged before they were saved, or the file is damaged: use an earlier checkpoint",
            )


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor's numbers lie one after another in memory: it is not sparse, and not a shape without numbers."""
    return tensor.layout is torch.strided and tensor.device.type == "cpu" and not tensor.is_quantized


def refuse_odd(net: nn.Module, state: State, where: object) -> None:
    """Notice what would fail or be cast to weights that were never learnt.

    Raises: WeightsError: whole numbers, a sparse tensor, a shape without numbers.
    """
    for name, tensor, _ in _learnt(net, state):
        if not is_plain(tensor) or tensor.dtype not in _DTYPES:
            said = tensor.dtype if is_plain(tensor) else f"{tensor.dtype}, {tensor.layout}, device {tensor.device}"
            raise WeightsError(
                f"{one_line(name)} is no floating-point numbers: {said}",
                where=where,
                hint="save net.state_dict() of the network as it was trained, not quantised, sparse or empty",
            )


def _learnt(net: nn.Module, state: State) -> Iterator[tuple[str, Tensor, Tensor]]:
    """What the state has of the network's parameters and running statistics, beside the network's own."""
    learnt = {name for name, _ in net.named_parameters()}
    own = net.state_dict()
    for name, tensor in state.items():
        if name in own and (name in learnt or name.endswith(_STATISTICS)) and own[name].is_floating_point():
            yield name, tensor, own[name]

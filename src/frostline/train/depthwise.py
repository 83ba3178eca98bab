"""Depthwise convolutions learn in float32 while the rest of a network learns in bfloat16, on a CPU.

oneDNN multiplies bfloat16 matrices at twice the rate of float32 ones, but has no fast backward pass of depthwise
convolutions in bfloat16: in an EfficientNet they alone would take most of a step (bench/RESULTS.md, notes).
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn


@contextmanager
def autocast(network: nn.Module) -> Iterator[None]:
    """bfloat16 autocast on the CPU, in which the depthwise convolutions of a network compute in float32.

    What they give is rounded to bfloat16 again, so that normalisation and activation move half the bytes.
    """
    with torch.autocast("cpu", torch.bfloat16), ExitStack() as hooks:
        for module in network.modules():
            if isinstance(module, nn.Conv2d) and 1 < module.in_channels == module.groups:
                hooks.enter_context(_in_float32(module))
        yield


@contextmanager
def _in_float32(module: nn.Module) -> Iterator[None]:
    entered = ExitStack()

    def before(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        entered.enter_context(torch.autocast("cpu", enabled=False))
        return tuple(value.float() if isinstance(value, Tensor) else value for value in inputs)

    def after(_: nn.Module, __: tuple[Any, ...], found: Tensor | None) -> Tensor | None:
        entered.close()
        return None if found is None else found.bfloat16()  # there is none if forward failed

    handles = module.register_forward_pre_hook(before), module.register_forward_hook(after, always_call=True)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

"""Depthwise convolutions that learn in bfloat16 on a CPU.

oneDNN's kernels for them are fast but for two. The gradient of a kernel that is more than three taps wide takes ten to
fifty times as long as the forward pass: here it is put together from strips of three columns, which is the same sum.
And the gradient of a strided convolution's input is slow in bfloat16 only: it is taken in float32, as the transposed
convolution that it is (bench/RESULTS.md, notes).
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_WIDE = 3  # columns of a kernel up to which its gradient is fast

_Pair: TypeAlias = tuple[int, int]


def takes(x: Tensor, weight: Tensor, padding: object, dilation: object, groups: int) -> bool:
    """Whether `conv2d` computes this convolution: depthwise, over maps (N, C, H, W), plainly padded, not dilated."""
    depthwise = x.ndim == 4 and 1 < x.shape[1] == groups == weight.shape[0]
    return depthwise and not isinstance(padding, str) and _pair(dilation) == (1, 1)


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, stride: object, padding: object) -> Tensor:
    """What `torch.conv2d` gives for a convolution that `takes` it, (N, C, H', W') bfloat16, rounded like it."""
    shift = None if bias is None else bias.bfloat16()
    found: Tensor = _Depthwise.apply(x.bfloat16(), weight.bfloat16(), shift, _pair(stride), _pair(padding))
    return found


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: _Pair, padding: _Pair) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, bias, stride, padding, groups=len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        by_x, by_weight, by_bias, *_ = ctx.needs_input_grad
        return (
            _by_input(slope, x, weight, ctx.stride, ctx.padding) if by_x else None,
            _by_weight(slope, x, weight, ctx.stride, ctx.padding) if by_weight else None,
            slope.sum((0, 2, 3), dtype=torch.float32).bfloat16() if by_bias else None,
            None,
            None,
        )


def _by_input(slope: Tensor, x: Tensor, weight: Tensor, stride: _Pair, padding: _Pair) -> Tensor:
    if stride == (1, 1):
        return _backward(slope, x, weight, stride, padding, (True, False, False))[0]
    sides = zip(x.shape[2:], slope.shape[2:], weight.shape[2:], stride, padding, strict=True)
    beyond = [side - ((out - 1) * step + kernel - 2 * pad) for side, out, kernel, step, pad in sides]
    wide = F.conv_transpose2d(slope.float(), weight.float(), None, stride, padding, beyond, groups=len(weight))
    return wide.bfloat16()


def _by_weight(slope: Tensor, x: Tensor, weight: Tensor, stride: _Pair, padding: _Pair) -> Tensor:
    columns = weight.shape[3]
    if columns <= _WIDE:
        return _backward(slope, x, weight, stride, padding, (False, True, False))[1]
    padded = F.pad(x, (padding[1], padding[1], 0, 0))
    reach = (slope.shape[3] - 1) * stride[1]  # from the first to the last place of one column of the kernel
    strips = []
    for first in range(0, columns, _WIDE):
        few = weight[..., first : first + _WIDE]
        under = padded[..., first : first + reach + few.shape[3]].contiguous(memory_format=torch.channels_last)
        strips.append(_backward(slope, under, few, stride, (padding[0], 0), (False, True, False))[1])
    return torch.cat(strips, 3)


def _backward(
    slope: Tensor, x: Tensor, weight: Tensor, stride: _Pair, padding: _Pair, wanted: Sequence[bool]
) -> tuple[Tensor, ...]:
    found: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        slope, x, weight, None, stride, padding, (1, 1), False, (0, 0), len(weight), wanted
    )
    return found


def _pair(value: Any) -> _Pair:
    if isinstance(value, int):
        return value, value
    first, *others = value
    return first, others[0] if others else first

"""bfloat16 autocast for learning on a CPU: kernels of torch that are slow are gone around, to the same numbers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from frostline.train.cpu import depthwise
from frostline.train.cpu.frozen_batchnorm_fusion import Fusion


@contextmanager
def autocast(fusions: Sequence[Fusion]) -> Iterator[None]:
    """Forward passes in here are in bfloat16, with depthwise convolutions as `depthwise` has them and fusions fused."""
    with torch.autocast("cpu", torch.bfloat16), _FastKernels(fusions):
        yield


class _FastKernels(TorchFunctionMode):
    def __init__(self, fusions: Sequence[Fusion]) -> None:
        super().__init__()
        self._fusions = {id(fusion.weight): fusion for fusion in fusions}
        self._normalised: dict[int, Tensor] = {}  # by the normalisation's weight

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.conv2d:
            return self._convolved(*args, **(kwargs or {}))
        if func is F.batch_norm and self._normalised:
            return self._once_normalised(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _convolved(
        self,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        fusion = self._fusions.get(id(weight))
        if fusion is not None:
            weight, bias = fusion.fused(bias)
        if depthwise.takes(input, weight, padding, dilation, groups):
            found = depthwise.conv2d(input, weight, bias, stride, padding)
        else:
            found = torch.conv2d(input, weight, bias, stride, padding, dilation, groups)
        if fusion is not None:
            self._normalised[id(fusion.norm.weight)] = found
        return found

    def _once_normalised(self, input: Tensor, mean: Any, var: Any, weight: Any = None, *rest: Any, **more: Any) -> Any:
        if self._normalised.pop(id(weight), None) is input:
            return input
        return F.batch_norm(input, mean, var, weight, *rest, **more)

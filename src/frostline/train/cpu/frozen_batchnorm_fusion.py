"""Normalisation that is held is a scale and a shift: fuse it with the convolution before it while both learn.

Weights, gradients and results are those of the two layers one after the other, but for rounding; what is saved are two
passes over the activations forward and three backward, a third of a step of a mobile network on a CPU.
(Jacob et al. 2018, arXiv:1712.05877, 3.2, fold for inference and for training with statistics held.)
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from frostline.net.freeze import is_held


@dataclass(frozen=True, slots=True)
class Fusion:
    """A convolution's weight, and the held normalisation that alone reads what the convolution gives."""

    weight: nn.Parameter
    norm: nn.BatchNorm2d

    def fused(self, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Weight and bias of one convolution that does both; gradients reach all that they are made of."""
        mean, variance = self.norm.get_buffer("running_mean"), self.norm.get_buffer("running_var")
        scale = self.norm.weight * torch.rsqrt(variance + self.norm.eps)
        before = mean if bias is None else mean - bias
        return self.weight * scale.reshape(-1, 1, 1, 1), self.norm.bias - before * scale


def find_fusions(network: nn.Module, x: Tensor) -> tuple[Fusion, ...]:
    """Where held normalisation follows a convolution directly, as seen in one forward pass over x in eval mode."""
    held = {
        id(module.weight): module
        for module in network.modules()
        if isinstance(module, nn.BatchNorm2d) and module.affine and module.track_running_stats and is_held(module)
    }
    if not held:
        return ()
    weights = {id(parameter): parameter for parameter in network.parameters()}
    was_training = network.training
    network.eval()
    with torch.no_grad(), _Watch() as seen:
        network(x)
    network.train(was_training)
    return tuple(
        Fusion(weights[weight], held[norm])
        for made, weight in seen.convolved.items()
        if (norm := seen.normalised.get(made)) in held
        and weight in weights
        and seen.uses[made] == seen.uses[weight] == seen.uses[norm] == 1
    )


class _Watch(TorchFunctionMode):
    """Who reads what, by id.

    convolved: what a convolution gave -> its weight. normalised: what a normalisation read -> its weight.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolved: dict[int, int] = {}
        self.normalised: dict[int, int] = {}
        self.uses: Counter[int] = Counter()
        self._alive: list[Any] = []  # an id is nobody else's only as long as its tensor lives

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        found = func(*args, **kwargs)
        if not any(isinstance(value, Tensor) for value in tree_leaves(found)):
            return found  # a shape, a type: nothing was read
        self._alive.append((found, args, kwargs))
        self.uses.update({id(value) for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)})
        if func is torch.conv2d:
            self.convolved[id(found)] = id(args[1] if len(args) > 1 else kwargs["weight"])
        elif func is F.batch_norm:
            self.normalised[id(args[0])] = id(args[3] if len(args) > 3 else kwargs.get("weight"))
        return found

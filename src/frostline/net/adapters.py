"""Low-rank adapters (LoRA, arXiv:2106.09685) through peft: put in for training, merged back into the weights after it.

After `merge` the network is again what it was made as, module for module, so a saved model is an ordinary one.
"""

import re
from collections.abc import Iterator

from torch import nn

from frostline.errors import MissingExtra, PlanError
from frostline.net.head import find_head
from frostline.net.stages import Line, Stages
from frostline.net.trace import Shape, trace
from frostline.net.undisturbed import seeded


def attach(
    net: nn.Module,
    stages: Stages,
    *,
    rank: int = 8,
    alpha: float = 16.0,
    line: Line = "stem",
    seed: int = 0,
    shape: Shape | None = None,
) -> tuple[str, ...]:
    """Put an adapter beside every linear layer and ungrouped convolution above a line, in place; the head stays whole.

    The function does not change by it: an adapter starts at zero. Afterwards the adapters and the head learn, and
    nothing else. Layers whose weights are used without a call of the layer get none, for theirs would do nothing.

    stages: of the network before. rank: of each adapter. alpha: its product is scaled by alpha / rank.
    line: the stage right above the line. seed: draws the adapters' first factors.

    Returns: paths of the layers that have one now.

    Raises: MissingExtra: peft is not installed. StageError: there is no such stage. PlanError: the rank is less than
        1, adapters are there already, or no layer above the line can have one.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise MissingExtra("adapters need peft", hint="pip install 'frostline[lora]'") from None
    if rank < 1:
        raise PlanError(f"an adapter has rank 1 or more, not {rank}")
    if parameters(net):
        raise PlanError("the network has adapters already", hint="merge(net) first")
    heads = set(find_head(net, shape=shape).paths)
    frozen = set(stages.below(line))
    ran = trace(net, shape).calls
    paths = tuple(
        path
        for path, module in net.named_modules()
        if path in ran and path not in heads and _adaptable(module) and stages.of(f"{path}.weight") not in frozen
    )
    if not paths:
        raise PlanError(f"no layer above {line!r} can have an adapter", hint="lower the line, or use another strategy")
    pattern = "|".join(re.escape(path) for path in paths)
    with seeded(seed):
        inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, target_modules=pattern), net)  # type: ignore[arg-type]
    for path in heads:
        net.get_submodule(path).requires_grad_(True)
    return paths


def parameters(net: nn.Module) -> set[str]:
    """Names of the adapters' own parameters; none if there are no adapters."""
    return {name for path, layer in _layers(net) for name, _ in layer.named_parameters(path) if ".lora_" in name}


def merge(net: nn.Module) -> tuple[str, ...]:
    """Add each adapter to the weight it sits beside and take it out, in place. Without adapters nothing happens.

    Returns: paths of the layers that had one. Whether they learn is as it was under the adapter: they do not.
    """
    layers = list(_layers(net))
    for path, layer in layers:
        layer.merge()  # type: ignore[operator]
        base = layer.get_base_layer()  # type: ignore[operator]
        setattr(net.get_submodule(path.rpartition(".")[0]), path.rpartition(".")[2], base.train(layer.training))
    if layers and "peft_config" in vars(net):
        del net.peft_config
    return tuple(path for path, _ in layers)


def _layers(net: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for path, module in net.named_modules():
        if callable(getattr(module, "get_base_layer", None)) and hasattr(module, "lora_A"):
            yield path, module


def _adaptable(module: nn.Module) -> bool:
    # other subclasses do something of their own to their weight (standardise it, say), which an adapter would miss
    if type(module) is nn.Linear:
        return True
    pointwise = isinstance(module, nn.Conv2d) and set(module.kernel_size) == set(module.stride) == {1}
    # timm's convolution with TensorFlow's padding: where there is nothing to pad it is a plain one
    plain = type(module) is nn.Conv2d or (type(module).__name__ == "Conv2dSame" and pointwise)
    return isinstance(module, nn.Conv2d) and plain and module.groups == 1

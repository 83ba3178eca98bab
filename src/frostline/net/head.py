"""The classifier of any architecture: find it, replace it.

Finding and replacing are two functions: whoever loads weights or draws the frost line asks the first alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from frostline.errors import HeadError
from frostline.net.trace import Shape, Trace, trace

SMALL = 0.01
"""Standard deviation of a new head's weights: small against the features, so that training starts near equal odds."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where the logits are made.

    path: of the last linear layer or 1x1 convolution, "fc", "head.fc", "classifier.1": what `get_submodule` takes.
    features: width of what goes into it.
    others: further classifiers that read the same trunk (the distillation head of DeiT and LeViT, the second branch of
        CrossViT); they are replaced together with the first.
    """

    path: str
    features: int
    others: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """All classifiers, the first one first."""
        return (self.path, *self.others)


def find_head(net: nn.Module, *, at: str | None = None, shape: Shape | None = None) -> Head:
    """Where a network's logits are made: what timm says, else the last linear layer that ran in one forward.

    at: the path, if it is known; it is only checked.
    shape: of one picture, (channels, height, width), for a network of the user's own that does not take 224 x 224.

    Raises: HeadError: there is no such layer, or the last one to run does not give what the network gives; the message
        lists the linear layers that there are.
    """
    if at is not None:
        return _checked(net, (at,))
    announced = tuple(_announced(net))
    return _checked(net, announced) if announced else find_in(net, trace(net, shape))


def find_in(net: nn.Module, seen: Trace) -> Head:
    """`find_head` for a forward that has been written down already.

    Raises: HeadError: as `find_head`.
    """
    announced = tuple(_announced(net))
    if announced:
        return _checked(net, announced)
    ran = [path for path in seen.calls if _width(net.get_submodule(path)) is not None]
    if not ran:
        raise HeadError(
            f"no linear layer and no 1x1 convolution runs in {type(net).__name__}, so there is no head to replace",
            hint="end the network in a torch.nn.Linear",
        )
    last = max(ran, key=lambda path: seen.calls[path][-1].end)
    gives = seen.output.shape[1] if isinstance(seen.output, Tensor) and seen.output.ndim > 1 else None
    makes = out_features(net.get_submodule(last))
    if gives != makes:
        told = f"{gives} numbers" if gives is not None else type(seen.output).__name__
        raise HeadError(
            f"the last linear layer to run, {last!r}, gives {makes} numbers, and the network {told}: no classifier",
            hint=f"name the head: at=PATH, one of {', '.join(ran[-8:])}",
        )
    return _checked(net, (last,))


def replace(
    net: nn.Module, classes: int, *, seed: int | None = None, at: str | None = None, shape: Shape | None = None
) -> Head:
    """Give a network a new head, in place: small normal weights, zero bias, everything else as it was.

    The layer stays where it was and of its kind, so names, weights of the trunk and timm's own save form keep their
    meaning; `num_classes` of the network follows. A timm network without a head (`num_classes=0`) is given one by its
    own `reset_classifier`.

    classes: how many logits, 1 or more.
    seed: draws the weights from a generator of their own; without one, from torch's.

    Raises: HeadError: the head is not found, or classes is less than 1.
    """
    if classes < 1:
        raise HeadError(f"a head needs 1 class or more, not {classes}")
    if at is None and getattr(net, "num_classes", None) == 0 and callable(getattr(net, "reset_classifier", None)):
        net.reset_classifier(classes)  # type: ignore[operator]
    head = find_head(net, at=at, shape=shape)
    old = out_features(net.get_submodule(head.path))
    generator = torch.Generator().manual_seed(seed) if seed is not None else None
    for path in head.paths:
        parent = net.get_submodule(path.rpartition(".")[0])
        setattr(parent, path.rpartition(".")[2], _fresh(net.get_submodule(path), classes, generator))
    for module in (net, *_parents(net, head)):
        if getattr(module, "num_classes", None) == old:
            module.num_classes = classes  # type: ignore[assignment]
    return head


def out_features(layer: nn.Module) -> int:
    """How many numbers a linear layer or convolution gives."""
    return int(layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)  # type: ignore[arg-type]


def _announced(net: nn.Module) -> Iterator[str]:
    config = getattr(net, "pretrained_cfg", None)
    named = config.get("classifier") if isinstance(config, Mapping) else None
    paths = {id(module): path for path, module in net.named_modules()}
    tops = [named] if isinstance(named, str) else list(named or ())
    modules = [module for top in tops if (module := _submodule(net, top)) is not None]
    if not modules and callable(getattr(net, "get_classifier", None)):
        got = net.get_classifier()  # type: ignore[operator]
        modules = [m for m in (got if isinstance(got, tuple | list | nn.ModuleList) else [got]) if id(m) in paths]
    for module in modules:
        # a classifier may be a norm and a linear layer, or a small MLP: the logits are made by its last layer
        layers = [paths[id(m)] for m in module.modules() if _width(m) is not None]
        yield from layers if isinstance(module, nn.ModuleList) else layers[-1:]


def _submodule(net: nn.Module, path: str) -> nn.Module | None:
    try:
        return net.get_submodule(path)
    except AttributeError:
        return None


def _width(layer: nn.Module) -> int | None:
    if isinstance(layer, nn.Linear):
        return layer.in_features
    if isinstance(layer, nn.Conv2d) and set(layer.kernel_size) == {1} and layer.groups == 1:
        return layer.in_channels
    return None


def _checked(net: nn.Module, paths: tuple[str, ...]) -> Head:
    widths = [_width(layer) for path in paths if (layer := _submodule(net, path)) is not None]
    if len(widths) < len(paths) or None in widths:
        there = [path for path, module in net.named_modules() if _width(module) is not None]
        raise HeadError(
            f"{' and '.join(map(repr, paths))} is no linear layer and no 1x1 convolution of {type(net).__name__}",
            hint=f"there are: {', '.join(there[-8:])}" if there else "end the network in a torch.nn.Linear",
        )
    return Head(paths[0], int(widths[0] or 0), paths[1:])


def _fresh(old: nn.Module, classes: int, generator: torch.Generator | None) -> nn.Module:
    weight = old.weight
    assert isinstance(weight, Tensor)
    new: nn.Linear | nn.Conv2d
    if isinstance(old, nn.Conv2d):
        new = nn.Conv2d(old.in_channels, classes, 1, bias=True)
        new.stride, new.padding = old.stride, old.padding
    else:
        new = nn.Linear(weight.shape[1], classes, bias=True)
    with torch.no_grad():
        new.weight.copy_(torch.randn(new.weight.shape, generator=generator, device="cpu") * SMALL)
        if new.bias is not None:
            new.bias.zero_()
    return new.to(device=weight.device, dtype=weight.dtype).train(old.training)


def _parents(net: nn.Module, head: Head) -> Iterator[nn.Module]:
    for path in head.paths:
        parts = path.split(".")[:-1]
        for depth in range(1, len(parts) + 1):
            yield net.get_submodule(".".join(parts[:depth]))

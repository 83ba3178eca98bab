"""A network without its bytes, so that its size is seen before any of it is allocated.

Whoever made a model folder wrote what it asks for. It is laid out on torch's "meta" device, which has shapes and no
bytes, and held against the weights that are to fill it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn.modules import module as hooks

from frostline.errors import CheckpointError, WeightsError
from frostline.net.undisturbed import without_bytes

_SPARE = 400
_MOST_MODULES = 40  # for one tensor of the file: timm's and torchvision's have at most 2
_LARGEST_BUFFERS = 256 << 20  # what a network computes for itself and does not save: timm's largest has 64 MB


def laid_out(create: Callable[[], nn.Module], tensors: int) -> nn.Module:
    """What a function makes, on "meta".

    tensors: of its weights file; it may have no more than goes with so many.

    Raises: WeightsError: it has more. Else whatever `create` does.
    """
    with parameters_without_bytes(tensors), without_bytes():
        return create()


@contextmanager
def parameters_without_bytes(tensors: int) -> Iterator[None]:
    """Within it every parameter that this thread registers is without bytes, and there are no more than go with so
    many tensors of a file.

    Raises: WeightsError: there are more.
    """
    here, counted = threading.get_ident(), {"tensors": 0, "modules": 0}

    def enough(what: str, most: int) -> None:
        counted[what] += 1
        if counted[what] > 2 * most + _SPARE:  # twice: a head may be built and replaced, a layer made anew
            raise WeightsError(f"the network has more {what} than its weights file of {tensors} tensors")

    def parameter(module: nn.Module, name: str, found: Any) -> Any:
        if threading.get_ident() != here or found is None:
            return None
        enough("tensors", tensors)
        return nn.Parameter(found.to("meta"), requires_grad=found.requires_grad) if not found.is_meta else None

    def submodule(module: nn.Module, name: str, found: nn.Module | None) -> None:
        if threading.get_ident() == here:
            enough("modules", _MOST_MODULES * tensors)

    handles = (
        hooks.register_module_parameter_registration_hook(parameter),
        hooks.register_module_module_registration_hook(submodule),
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def refuse_large_buffers(net: nn.Module, weights: int) -> None:
    """Notice what a network would compute for itself when it is built.

    weights: bytes of its weights.

    Raises: CheckpointError: it is more than they are, and a quarter of a gigabyte.
    """
    own = sum(tensor.numel() * tensor.element_size() for tensor in net.buffers())
    if own > _LARGEST_BUFFERS + weights:
        raise CheckpointError(f"the network would compute {own:,} bytes for itself")

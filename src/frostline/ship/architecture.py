"""The network that a model folder names: built only if timm or torchvision list it, and its weights are of it.

Whoever made the folder wrote every word of it. So no name of it is imported, fetched or opened, and nothing of the size
that it asks for is allocated before the weights file was seen to be of that size: the network is laid out on torch's
"meta" device, which has shapes and no bytes, and compared with the header of the safetensors file. What neither timm
nor torchvision list is code of the user's own: it is imported only if who opens the folder names it too (`trust`).
"""

import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from safetensors import SafetensorError, safe_open
from timm.models import model_entrypoint
from torch import nn
from torch.nn.modules import module as hooks

from frostline.errors import CheckpointError, FrostlineError, WeightsError, one_line
from frostline.net import zoo
from frostline.net.all_stages import AllStages
from frostline.registry import whence
from frostline.ship.folder_names import ABOUT, CONFIG, WEIGHTS
from frostline.ship.model_info import ModelInfo, parsed

Shapes = Mapping[str, tuple[int, ...]]

_LARGEST_HEADER = 16 << 20
_LARGEST_CONFIG = 256 << 20
_MOST_TENSORS = 20_000
_SPARE = 400
_MOST_MODULES = 40  # for one tensor of the file: timm's and torchvision's have at most 2
_LARGEST_BUFFERS = 256 << 20  # what a network computes for itself and does not save: timm's largest has 64 MB

_WORD = re.compile(r"[\w.+-]{0,64}")
_LARGEST_NUMBER = 16_384
_LARGEST_WINDOW = 64  # attention within windows is laid out pair by pair
_LONGEST_LIST = 64
_PUBLISHED: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("tag", "interpolation", "crop_mode"), str),
    **dict.fromkeys(("first_conv", "classifier"), (str, list)),
    **dict.fromkeys(("input_size", "mean", "std"), list),
    "fixed_input_size": bool,
    "crop_pct": (int, float),
}
"""What is taken of timm's own configuration; never a place that weights come from."""

_OF_TIMM = ("timm", "head2toe")
_BUILDERS = frozenset(("num_classes", "pretrained", "pretrained_cfg", "device", "dtype", "cfg", "self"))
_TWO_MODELS = "the folder was put together from two models, or its package has changed the architecture since"
_SAFE = "use a folder that you trust, or fit the model again"


def build(folder: Path, about: ModelInfo, *, trust: str | None = None) -> nn.Module:
    """The network of a model folder, with weights that mean nothing yet.

    trust: the ``package.module:factory`` that may be imported and run.

    Raises: CheckpointError: it names what is not listed, arguments that the architecture does not take, or a factory
        that is not trusted. WeightsError: the weights file is damaged, or of another network.
    """
    if about.kind == "factory":
        return _own(folder, about, trust)
    stated = shapes(folder / WEIGHTS)
    if not any(len(about.classes) in shape[:1] for shape in stated.values()):
        raise WeightsError(
            f"there are {len(about.classes)} classes, and no tensor is of so many", where=folder / WEIGHTS, hint=_SAFE
        )
    create = _BUILT_BY[about.kind](folder, about)
    try:
        planned = _planned(create, about, len(stated))
    except WeightsError as error:
        raise WeightsError(error.what, where=folder / WEIGHTS, hint=_TWO_MODELS) from None
    except FrostlineError as error:
        raise CheckpointError(error.what, where=error.where or folder / CONFIG, hint=error.hint or _SAFE) from None
    except Exception as error:  # whatever an architecture makes of arguments that a damaged or hostile file gives it
        said = one_line(str(error))[:200] or type(error).__name__
        raise CheckpointError(
            f"the network {one_line(about.name)!r} cannot be built: {said}",
            where=folder / CONFIG,
            hint=f"it was saved with {', '.join(f'{name} {number}' for name, number in about.versions.items())[:200]}",
        ) from None
    compare({name: tuple(tensor.shape) for name, tensor in planned.state_dict().items()}, stated, folder / WEIGHTS)
    own = sum(tensor.numel() * tensor.element_size() for tensor in planned.buffers())
    if own > _LARGEST_BUFFERS + (folder / WEIGHTS).stat().st_size:
        raise CheckpointError(f"the network would compute {own:,} bytes for itself", where=folder / CONFIG, hint=_SAFE)
    return create()


def again(folder: Path, about: ModelInfo, *, trust: str | None = None) -> str:
    """The name to build such a network by once more: the folder's own if it is listed, or trusted; else the bare
    architecture's, so that a name of the hub or of a file is never followed because a folder says it."""
    if zoo.is_listed(about.name) or (trust is not None and trust == about.name):
        return about.name
    return str(_timms_config(folder, about).get("architecture")) if about.kind in _OF_TIMM else about.name


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of each tensor, from the header of a safetensors file; its tensors are not read.

    Raises: WeightsError: it is none, or its header is not what the file holds.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
        if length > _LARGEST_HEADER:
            raise WeightsError(
                f"damaged weights: a header of {length:,} bytes", where=path, hint="copy the folder again"
            )
        with safe_open(path, framework="numpy") as opened:
            found = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        said = one_line(str(error))[:200]
        raise WeightsError(f"damaged weights: {said}", where=path, hint="copy the folder again") from None
    if len(found) > _MOST_TENSORS:
        raise WeightsError(f"{len(found):,} tensors, more than any network has", where=path, hint=_SAFE)
    return found


def compare(wanted: Shapes, given: Shapes, where: Path) -> None:
    """Notice weights that are not the network's.

    Raises: WeightsError: a tensor is missing, too much, or of another shape.
    """
    for name in [*wanted, *(name for name in given if name not in wanted)]:
        if wanted.get(name) != given.get(name):
            raise WeightsError(
                f"{one_line(name)[:200]} is {given.get(name)} in the file and {wanted.get(name)} in the network",
                where=where,
                hint=_TWO_MODELS,
            )


def _own(folder: Path, about: ModelInfo, trust: str | None) -> nn.Module:
    name = about.name
    if not zoo.is_factory(name):
        raise CheckpointError(f"{one_line(name)[:80]!r} names no network", where=folder / ABOUT, hint=_SAFE)
    if trust != name:
        raise CheckpointError(
            f"its network is made by {one_line(name)}, which would be imported and run: {whence(name)}",
            where=folder / ABOUT,
            hint=f"if you trust that code: --trust {one_line(name)}, or trust={one_line(name)!r}",
        )
    side = about.arguments.get("img_size")
    return zoo.build(name, classes=len(about.classes), weights=None, image_size=side).net


def _of_timm(folder: Path, about: ModelInfo) -> Callable[[], nn.Module]:
    config = _timms_config(folder, about)
    name, published = config.get("architecture"), config.get("pretrained_cfg")
    if not isinstance(name, str) or name not in timm.list_models():
        raise CheckpointError(
            f"timm lists no architecture {one_line(str(name))[:80]!r}",
            where=folder / CONFIG,
            hint="only what timm or torchvision list is opened; update timm if it is a newer one",
        )
    if not isinstance(published, dict):
        raise CheckpointError("its 'pretrained_cfg' is missing", where=folder / CONFIG, hint=_SAFE)
    arguments = config.get("model_args") or {}
    _check_arguments(name, arguments, folder / CONFIG)
    kept = {
        key: _plain_value(key, published[key], folder / CONFIG)
        for key, kind in _PUBLISHED.items()
        if isinstance(published.get(key), kind)
    }
    kept |= {"architecture": name, "custom_load": False, "num_classes": len(about.classes)}
    channels = about.preprocessing.channels
    if kept.get("input_size", [channels])[:1] != [channels] or arguments.get("in_chans", channels) != channels:
        raise CheckpointError(f"its pictures are not of {channels} channels", where=folder / CONFIG, hint=_SAFE)
    return lambda: timm.create_model(
        name, pretrained=False, pretrained_cfg=dict(kept), num_classes=len(about.classes), **arguments
    )


def _of_all_stages(folder: Path, about: ModelInfo) -> Callable[[], nn.Module]:
    create = _of_timm(folder, about)
    return lambda: AllStages(create(), len(about.classes))


def _of_torchvision(folder: Path, about: ModelInfo) -> Callable[[], nn.Module]:
    if not (about.name.startswith("torchvision/") and zoo.is_listed(about.name)):
        raise CheckpointError(
            f"torchvision lists no model {one_line(about.name)[:80]!r}",
            where=folder / ABOUT,
            hint="only what timm or torchvision list is opened; update torchvision if it is a newer one",
        )
    side = about.arguments.get("img_size")
    if side is not None:
        _plain_value("img_size", side, folder / ABOUT)
    return lambda: zoo.build(about.name, classes=len(about.classes), weights=None, image_size=side).net


_BUILT_BY = {"timm": _of_timm, "torchvision": _of_torchvision, "head2toe": _of_all_stages}


def _timms_config(folder: Path, about: ModelInfo) -> dict[str, Any]:
    """What timm's network is built from; under a head over all stages it is the backbone's."""
    config = _config(folder)
    if about.kind != "head2toe":
        return config
    inside = config.get("backbone")
    return inside if isinstance(inside, dict) else {}


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        if path.stat().st_size > _LARGEST_CONFIG:
            raise CheckpointError(f"more than {_LARGEST_CONFIG >> 20} MB", where=path, hint=_SAFE)
        found = parsed(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror}", where=path, hint=_SAFE) from None
    except (ValueError, RecursionError) as error:
        said = one_line(str(error))[:200]
        raise CheckpointError(f"not timm's configuration: {said}", where=path, hint=_SAFE) from None
    if not isinstance(found, dict):
        raise CheckpointError("not timm's configuration", where=path, hint=_SAFE)
    return found


def _check_arguments(name: str, arguments: object, where: Path) -> None:
    """Only what the classes in timm's own module of the architecture take, and plain values."""
    if not isinstance(arguments, dict):
        raise CheckpointError("its 'model_args' are not a mapping", where=where, hint=_SAFE)
    module = sys.modules[model_entrypoint(name).__module__]
    classes = [c for c in vars(module).values() if isinstance(c, type) and issubclass(c, nn.Module)]
    taken = {word for c in classes for word in signature(c.__init__).parameters} - _BUILDERS
    for argument, value in arguments.items():
        if argument not in taken:
            raise CheckpointError(f"{name} takes no {one_line(argument)[:80]!r} from a folder", where=where, hint=_SAFE)
        _plain_value(argument, value, where)


def _plain_value(name: str, value: object, where: Path, depth: int = 3) -> Any:
    """A word, a number, yes or no, or a list of such."""
    if isinstance(value, list) and depth and len(value) <= _LONGEST_LIST:
        return [_plain_value(name, item, where, depth - 1) for item in value]
    limit = _LARGEST_WINDOW if "window" in name else _LARGEST_NUMBER
    fits = (
        value is None
        or isinstance(value, bool)
        or (isinstance(value, int | float) and -limit <= value <= limit)
        or (isinstance(value, str) and _WORD.fullmatch(value) is not None)
    )
    if not fits:
        raise CheckpointError(
            f"its {one_line(name)[:80]!r} is {one_line(str(value))[:80]!r}, and no network is built with that",
            where=where,
            hint=_SAFE,
        )
    return value


def _planned(create: Callable[[], nn.Module], about: ModelInfo, tensors: int) -> nn.Module:
    """The network without its bytes."""
    try:
        with _laid_out(tensors), torch.device("meta"):
            return create()
    except NotImplementedError:
        if about.kind != "torchvision":
            raise
    # torchvision's RegNet computes its own widths with tensors; its parameters leave for "meta" one by one
    with _laid_out(tensors):
        found: nn.Module = torchvision.models.get_model(
            about.name.removeprefix("torchvision/"), weights=None, num_classes=len(about.classes)
        )
        return found


@contextmanager
def _laid_out(tensors: int) -> Iterator[None]:
    """Within it every parameter that this thread registers is without bytes, and there are no more than so many."""
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

"""The network that a model folder names: built only if timm or torchvision list it, and its weights are of it.

Whoever made the folder wrote every word of it. So no name of it is imported, fetched or opened, and nothing of the size
that it asks for is allocated before the weights file was seen to be of that size: the network is laid out on torch's
"meta" device, which has shapes and no bytes, and compared with the header of the safetensors file. What neither timm
nor torchvision list is code of the user's own: it is imported only if who opens the folder names it too (`trust`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import timm
import torchvision
from safetensors import SafetensorError, safe_open
from torch import nn

from frostline.errors import CheckpointError, FrostlineError, WeightsError, one_line
from frostline.net import layout, timm_config, zoo
from frostline.net.all_stages import AllStages
from frostline.net.checkpoint_file import MOST_TENSORS
from frostline.registry import whence
from frostline.ship.file_names import ABOUT, CONFIG, WEIGHTS
from frostline.ship.model_info import ModelInfo

Shapes = Mapping[str, tuple[int, ...]]

_LARGEST_HEADER = 16 << 20

_OF_TIMM = ("timm", "head2toe")
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
        layout.refuse_large_buffers(planned, (folder / WEIGHTS).stat().st_size)
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
    if len(found) > MOST_TENSORS:
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
    config, where = _timms_config(folder, about), folder / CONFIG
    name, arguments = timm_config.architecture(config, where), timm_config.arguments(config, where)
    if "pretrained_cfg" not in config:
        raise CheckpointError("its 'pretrained_cfg' is missing", where=where, hint=_SAFE)
    kept = timm_config.published(config, where)
    kept |= {"architecture": name, "custom_load": False, "num_classes": len(about.classes)}
    channels = about.preprocessing.channels
    if kept.get("input_size", [channels])[:1] != [channels] or arguments.get("in_chans", channels) != channels:
        raise CheckpointError(f"its pictures are not of {channels} channels", where=where, hint=_SAFE)
    arguments = {**arguments, "num_classes": len(about.classes)}
    return lambda: timm.create_model(name, pretrained=False, pretrained_cfg=dict(kept), **arguments)


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
        timm_config.plain_value("img_size", side, folder / ABOUT)
    return lambda: zoo.build(about.name, classes=len(about.classes), weights=None, image_size=side).net


_BUILT_BY = {"timm": _of_timm, "torchvision": _of_torchvision, "head2toe": _of_all_stages}


def _timms_config(folder: Path, about: ModelInfo) -> dict[str, Any]:
    """What timm's network is built from; under a head over all stages it is the backbone's."""
    config = timm_config.read(folder / CONFIG)
    if about.kind != "head2toe":
        return config
    inside = config.get("backbone")
    return inside if isinstance(inside, dict) else {}


def _planned(create: Callable[[], nn.Module], about: ModelInfo, tensors: int) -> nn.Module:
    """The network without its bytes."""
    try:
        return layout.laid_out(create, tensors)
    except NotImplementedError:
        if about.kind != "torchvision":
            raise
    # torchvision's RegNet computes its own widths with tensors; its parameters leave for "meta" one by one
    with layout.parameters_without_bytes(tensors):
        found: nn.Module = torchvision.models.get_model(
            about.name.removeprefix("torchvision/"), weights=None, num_classes=len(about.classes)
        )
        return found

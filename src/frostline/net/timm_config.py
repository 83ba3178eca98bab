"""What a `config.json` in timm's form asks for, believed only as far as checked: anybody may have written it.

`zoo` builds by it what others published, `ship` what a fit saved. To both it may say what the architecture's own
classes take, in plain values, and no place that weights or code come from.
"""

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import is_dataclass
from inspect import signature
from pathlib import Path
from typing import Any, NoReturn

import timm
from timm.models import model_entrypoint
from torch import nn

from frostline.errors import CheckpointError, one_line
from frostline.ordinary_file import ordinary

CONFIG = "config.json"

_LARGEST_CONFIG = 256 << 20
_WORD = re.compile(r"[\w.+-]{0,64}")
_LARGEST_NUMBER = 16_384
_LARGEST_SIZE = 4_096
_LARGEST_WINDOW = 64  # attention within windows is laid out pair by pair
_LONGEST_LIST = 64
_PUBLISHED: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("tag", "interpolation", "crop_mode"), str),
    **dict.fromkeys(("first_conv", "classifier"), (str, list)),
    **dict.fromkeys(("input_size", "mean", "std"), list),
    "fixed_input_size": bool,
    "crop_pct": (int, float),
}
_BUILDERS = frozenset(("pretrained", "pretrained_cfg", "device", "dtype", "cfg", "self"))
_BATCH_NORM = frozenset(("bn_eps", "bn_momentum", "bn_tf"))  # timm's EfficientNets take them before their classes do
SAFE = "use a folder that you trust, or fit the model again"
"""The hint of what is refused in a folder."""


def read(path: Path) -> dict[str, Any]:
    """The file's content.

    Raises: CheckpointError: it cannot be read, or is none.
    """
    try:
        if ordinary(path).stat().st_size > _LARGEST_CONFIG:
            raise CheckpointError(f"more than {_LARGEST_CONFIG >> 20} MB", where=path, hint=SAFE)
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror}", where=path, hint=SAFE) from None
    except (ValueError, RecursionError) as error:
        said = one_line(str(error))[:200]
        raise CheckpointError(f"not timm's configuration: {said}", where=path, hint=SAFE) from None
    if not isinstance(found, dict):
        raise CheckpointError("not timm's configuration", where=path, hint=SAFE)
    return found


def architecture(config: Mapping[str, Any], where: Path) -> str:
    """The name of timm's that it is of.

    Raises: CheckpointError: it names none that timm lists.
    """
    name = config.get("architecture")
    if not (isinstance(name, str) and "." not in name and timm.is_model(name)):
        raise CheckpointError(
            f"timm lists no architecture {one_line(str(name))[:80]!r}",
            where=where,
            hint="only what timm or torchvision list is opened; update timm if it is a newer one",
        )
    return name


def arguments(config: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """What the architecture is to be built with.

    Raises: CheckpointError: as `architecture`; something that the classes in timm's own module of it do not take, or
        that is no plain value.
    """
    name, given = architecture(config, where), config.get("model_args") or {}
    if not isinstance(given, dict):
        raise CheckpointError("its 'model_args' are not a mapping", where=where, hint=SAFE)
    module = sys.modules[model_entrypoint(name).__module__]
    classes = [
        c for c in vars(module).values() if isinstance(c, type) and (issubclass(c, nn.Module) or is_dataclass(c))
    ]
    taken = {word for c in classes for word in signature(c.__init__).parameters} - _BUILDERS | _BATCH_NORM
    for argument, value in given.items():
        if argument not in taken:
            raise CheckpointError(f"{name} takes no {one_line(argument)[:80]!r} from a folder", where=where, hint=SAFE)
        plain_value(argument, value, where)
    return given


def published(config: Mapping[str, Any], where: Path) -> dict[str, Any]:
    """What is taken of timm's configuration of the weights; never a place that they come from.

    Raises: CheckpointError: there is none, or a value is of another kind.
    """
    # timm's older form has all of it in one
    given = config.get("pretrained_cfg", config)
    if not isinstance(given, dict):
        raise CheckpointError("its 'pretrained_cfg' is missing", where=where, hint=SAFE)
    found = {key: plain_value(key, given[key], where) for key in _PUBLISHED if given.get(key) is not None}
    for key, value in found.items():
        if not isinstance(value, _PUBLISHED[key]):
            refuse(key, value, where)
    return found


def plain_value(name: str, value: object, where: Path, depth: int = 3) -> Any:
    """A word, a number, yes or no, or lists and mappings of such.

    Raises: CheckpointError: it is none, or of a size that no network is built with.
    """
    if depth and isinstance(value, list | dict) and len(value) <= _LONGEST_LIST:
        if isinstance(value, dict):
            return {key: plain_value(key, item, where, depth - 1) for key, item in value.items()}
        return [plain_value(name, item, where, depth - 1) for item in value]
    limit = _LARGEST_WINDOW if "window" in name else _LARGEST_SIZE if "size" in name else _LARGEST_NUMBER
    fits = (
        value is None
        or isinstance(value, bool)
        or (isinstance(value, int | float) and -limit <= value <= limit)
        or (isinstance(value, str) and _WORD.fullmatch(value) is not None)
    )
    if not fits:
        refuse(name, value, where)
    return value


def refuse(name: str, value: object, where: Path) -> NoReturn:
    """Of a value that means nothing.

    Raises: CheckpointError: always.
    """
    raise CheckpointError(
        f"its {one_line(name)[:80]!r} is {one_line(str(value))[:80]!r}, and no network is built with that",
        where=where,
        hint=SAFE,
    )

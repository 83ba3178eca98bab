"""Read one checkpoint into names and tensors, and never run what is in it.

`weights` makes the names fit a network, `weight_sources` finds the file, `checkpoint_folder` reads what lies in several
files. Pickles are read by torch's restricted unpickler only (``weights_only=True``): there is no fallback that would
trust a file. What trainers keep beside the weights (options, dates, paths) is passed over, and never built.
"""

import argparse
import json
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from frostline.errors import WeightsError, first_line, one_line
from frostline.net.self_description import architecture_in, names_in
from frostline.net.tensor_names import AVERAGED
from frostline.net.true_numbers import is_plain

MOST_TENSORS = 20_000
"""Of one network."""

_WRAPPERS = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "params"),
    *("student", "backbone", "encoder"),
)
_NOT_WEIGHTS = re.compile(r"optim|sched|scaler|rng|loop|callback|criterion|loss")
_CALLBACKS = "callbacks"  # of Lightning, which keeps averaged weights in the state of the callback that made them
_LONGEST_NAME, _DEEPEST_NAME = 500, 40  # letters, dots
_READABLE = "check its permissions, and the disk"
_NEEDED = "needed: torch (.pth, .pt), safetensors or NumPy (.npz)"
_PICKLED = "/data.pkl"  # what every zip of torch's has
_GLOBAL = re.compile(r"(?:Unsupported global: GLOBAL|unsupported GLOBAL)\s+(\S+)", re.IGNORECASE)
_ANOTHER_FORM = {
    b"\x89HDF": "an HDF5 file (Keras)",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
    b"\x1f\x8b": "gzip-compressed",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\x93NUMPY": "a NumPy array",
}


class _PassedOver:
    """Stands for a value that is no weight: it takes whatever the pickle says of it, and keeps and does nothing."""

    def __new__(cls, *args: object, **kwargs: object) -> "_PassedOver":
        return object.__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


class _PassedOverDict:
    """The same for a value that is filled as a dict: what is made is one."""

    def __new__(cls, *args: object) -> OrderedDict[object, object]:  # type: ignore[misc]
        return OrderedDict()


class _PassedOverList:
    """The same for a value that is filled as a list: what is made is one."""

    def __new__(cls, *args: object) -> list[object]:  # type: ignore[misc]
        return []


# What trainers keep beside the weights: figures of NumPy, paths, dates, nested options. None of it is imported.
_BESIDE = (
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
    *("numpy.dtype", "numpy.ndarray"),
    *(f"numpy.dtypes.{kind}DType" for kind in ("Float64", "Float32", "Float16", "Int64", "Int32", "UInt8", "Bool")),
    *(f"pathlib{sub}.{kind}Path" for sub in ("", "._local") for kind in ("", "Posix", "Windows")),
    *(f"pathlib{sub}.Pure{kind}Path" for sub in ("", "._local") for kind in ("", "Posix", "Windows")),
    *(f"datetime.{kind}" for kind in ("datetime", "date", "time", "timedelta", "timezone")),
    *("typing.Any", "uuid.UUID", "decimal.Decimal"),
    *(f"builtins.{kind}" for kind in ("list", "dict", "int", "float", "str", "tuple", "frozenset", "slice", "range")),
    *(f"omegaconf.{kind}" for kind in ("dictconfig.DictConfig", "listconfig.ListConfig")),
    *(f"omegaconf.base.{kind}" for kind in ("ContainerMetadata", "Metadata")),
    *(
        f"omegaconf.nodes.{kind}Node"
        for kind in ("Any", "Boolean", "Integer", "Float", "String", "Enum", "Path", "Bytes")
    ),
)
_DICTS = (
    "collections.defaultdict",
    *(
        f"{package}.utilities.{module}.AttributeDict"
        for package in ("pytorch_lightning", "lightning.pytorch", "lightning_fabric", "lightning.fabric")
        for module in ("parsing", "data")
    ),
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint holds.

    states: each state dict in it (the averaged weights and the others, a teacher and a student), the one to prefer
        first, by the keys that lead to it, joined by dots.
    classes: names of the head's outputs in their order, if the file says them.
    ordered: whether the names come in the order in which the network defined them.
    architecture: what it says that it is of, in whatever words.
    pictures: how its folder says that pictures were prepared, by timm's names.
    """

    states: Mapping[str, Mapping[str, Tensor]]
    classes: tuple[str, ...] | None = None
    ordered: bool = True
    architecture: str | None = None
    pictures: Mapping[str, Any] = field(default_factory=dict)


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a file: torch's zip form, its legacy form, safetensors or .npz, told apart by content.

    A state dict nested under ``state_dict``, ``model``, ``model_state_dict``, ``model_ema``, ``net`` or the like is
    taken out; where averaged (EMA) weights lie beside the others, they are taken. The names are those in the file, and
    their order too (except safetensors, which has none).

    Returns: name -> tensor on the CPU, of any dtype.

    Raises: WeightsError: no such file, a folder, empty, truncated, not a checkpoint, without tensors, or a pickle that
        asks for code.
    """
    return dict(next(iter(open_checkpoint(path).states.values())))


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Everything that a file says of weights.

    Raises: WeightsError: as `read_checkpoint`.
    """
    path = Path(path)
    found = _opened(path, _form(path))
    for tensors in found.states.values():
        _refuse_larger(tensors, path)
    return found


def _opened(path: Path, form: str) -> Checkpoint:
    if form == "safetensors":
        return _safetensors(path)
    if form == "npz":
        return Checkpoint({"": _npz(path)})
    if form == "zip":
        _refuse_bomb(path)
    found = _unpickle(path, form)
    said = found if isinstance(found, Mapping) else {}
    return Checkpoint(_states_in(found, path), names_in(said), architecture=architecture_in(said))


def _refuse_larger(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Notice what a small file makes large: names to be taken apart, shapes over few numbers or none at all.

    Raises: WeightsError: more or longer names than any network has; shapes of more bytes than the file.
    """
    longest = max(tensors, key=lambda name: (name.count("."), len(name)), default="")
    if len(tensors) > MOST_TENSORS or max(map(len, tensors)) > _LONGEST_NAME or longest.count(".") > _DEEPEST_NAME:
        raise WeightsError(
            f"{len(tensors):,} tensors, with names of up to {max(map(len, tensors)):,} letters: no network's",
            where=path,
            hint="do not trust this file",
        )
    made = 0
    for tensor in tensors.values():
        said, there = (
            tensor.numel() * tensor.element_size(),
            tensor.untyped_storage().nbytes() if is_plain(tensor) else 0,
        )
        made += said if said > there else 0
    if made > path.stat().st_size:
        raise WeightsError(
            f"its shapes are of {made:,} bytes, and the file has {path.stat().st_size:,}",
            where=path,
            hint="save net.state_dict() of a trained network; do not trust a file of somebody else's that says so",
        )


def _form(path: Path) -> str:
    """ "zip", "npz", "safetensors" or "pickle", by the first bytes."""
    try:
        if path.is_dir():
            inside = sorted(p.name for p in path.iterdir() if p.suffix in {".safetensors", ".pth", ".pt", ".bin"})
            hint = f"name the file: {path / inside[0]}" if inside else "name the checkpoint file itself"
            raise WeightsError("the weights are a folder, not a file", where=path, hint=hint)
        with path.open("rb") as file:
            start = file.read(64)
    except FileNotFoundError:
        raise WeightsError("there is no such weights file", where=path, hint="check the path") from None
    except OSError as error:
        raise WeightsError(f"the weights file cannot be read: {error.strerror}", where=path, hint=_READABLE) from None
    again = "download it again"
    if not start:
        raise WeightsError("the weights file is empty (0 bytes)", where=path, hint=again)
    if start.lstrip()[:1] == b"<":
        raise WeightsError("the weights file is a web page (HTML), not a checkpoint", where=path, hint=again)
    for magic, what in _ANOTHER_FORM.items():
        if start.startswith(magic):
            raise WeightsError(f"the weights file is {what}", where=path, hint=_NEEDED)
    if start.startswith(b"PK\x03\x04"):
        return "npz" if _is_npz(path) else "zip"
    if start[8:9] == b"{":
        return "safetensors"
    if start.startswith(b"\x80"):
        return "pickle"
    raise WeightsError(
        f"the weights file is no checkpoint; it begins with {one_line(repr(start[:12]))}", where=path, hint=_NEEDED
    )


def _is_npz(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # whatever a damaged zip makes of it: what reads it next says what is wrong
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


def _safetensors(path: Path) -> Checkpoint:
    try:
        with safe_open(path, framework="pt") as file:
            said: dict[str, Any] = dict(file.metadata() or {})
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, error) from None
    if not tensors:
        raise _without_tensors(path, "nothing at all")
    for key, text in said.items():  # its metadata are texts: a list or a dict in them is JSON
        if str(text)[:1] in "[{":
            with suppress(ValueError, RecursionError):
                said[key] = json.loads(text)
    return Checkpoint({"": tensors}, names_in(said), ordered=False, architecture=architecture_in(said))


def _npz(path: Path) -> dict[str, Tensor]:
    """Arrays of NumPy by name: JAX's published checkpoints, or a state dict that was saved so. No pickles."""
    _refuse_bomb(path, times=20)
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
        return {name: torch.from_numpy(array) for name, array in found.items() if array.dtype.kind in "fiub"}
    except Exception as error:  # NumPy raises nearly anything on foreign bytes
        raise _damaged(path, error) from None


def _refuse_bomb(path: Path, *, times: int = 2) -> None:
    """torch stores its members uncompressed, so what a whole file unpacks to is no larger than the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            unpacked = sum(member.file_size for member in archive.infolist())
    # zipfile raises whatever its parts do on foreign bytes (BadZipFile, UnicodeDecodeError, struct.error, OSError)
    except Exception as error:
        raise _damaged(path, error) from None
    if unpacked > times * path.stat().st_size + 2**20:
        raise WeightsError(
            f"the weights file unpacks to {unpacked:,} bytes from {path.stat().st_size:,}",
            where=path,
            hint="torch does not compress checkpoints; do not trust this file",
        )
    if not any(name.endswith((_PICKLED, ".npy")) for name in names):
        some = one_line(", ".join(names[:3]))
        raise WeightsError(f"the weights file is a zip archive of other things: {some}", where=path, hint=_NEEDED)


def _unpickle(path: Path, form: str) -> object:
    beside: list[Any] = [argparse.Namespace, (_PassedOverList, "collections.deque")]
    beside += [(_PassedOver, name) for name in _BESIDE] + [(_PassedOverDict, name) for name in _DICTS]
    try:
        with warnings.catch_warnings():
            # torch warns of TorchScript and unusual pickle protocols before it refuses them: the refusal says enough
            warnings.simplefilter("ignore")
            # The option tables of timm's and Meta's trainers: plain attributes, nothing that runs.
            with torch.serialization.safe_globals(beside):
                return torch.load(path, map_location="cpu", weights_only=True)
    # torch raises nearly anything on foreign bytes (UnpicklingError, RuntimeError, KeyError, OSError): nothing is kept
    except Exception as error:
        raise _refused(path, error) from None


def _refused(path: Path, error: Exception) -> WeightsError:
    text = str(error)
    if blocked := _GLOBAL.search(text):
        name = one_line(blocked[1].rstrip("."))
        if name.startswith(("torch.nn.", "torchvision.", "timm.", "__main__.")):
            what = f"the weights file holds a whole pickled network ({name}), which would run its code"
        else:
            what = f"the weights file asks to run or build {name}; it was refused and nothing in it was executed"
        hint = "if you made it yourself, save net.state_dict() instead, with torch.save or safetensors"
        return WeightsError(what, where=path, hint=hint)
    if "TorchScript" in text:
        what = "the weights file is a TorchScript program, which would run its code"
        return WeightsError(what, where=path, hint="save its state_dict() with safetensors")
    if "Unsupported operand" in text or "Unsupported class" in text or "weights_only" in text:
        what = "the weights file is a pickle of more than tensors; it was refused and nothing in it was executed"
        return WeightsError(what, where=path, hint="save the state_dict() with torch.save or safetensors")
    return _damaged(path, error)


def _damaged(path: Path, error: Exception) -> WeightsError:
    size = f"{path.stat().st_size:,} bytes" if path.exists() else "gone"
    what = f"the weights file is damaged or truncated ({size}): {first_line(error)}"
    return WeightsError(what, where=path, hint="download it again, and compare its size and digest")


def _states_in(found: object, path: Path) -> dict[str, dict[str, Tensor]]:
    """Every mapping of names to tensors, through at most four wrappers, the one to prefer first."""
    states = dict(_walk(found, "", 4, set()))
    most = max((len(state) for place, state in states.items() if not _in_callbacks(place)), default=0)
    # counters of a callback are no network, nor is an average of some of it
    states = {place: state for place, state in states.items() if not _in_callbacks(place) or len(state) >= most > 1}
    if not states:
        keys = [str(key) for key in list(found)[:8]] if isinstance(found, Mapping) else []
        raise _without_tensors(path, f"a {type(found).__name__}", keys)
    return dict(sorted(states.items(), key=lambda item: (preference(item[0]), -len(item[1]))))


def _walk(found: object, place: str, depth: int, seen: set[int]) -> Iterator[tuple[str, dict[str, Tensor]]]:
    if not isinstance(found, Mapping) or depth < 0 or id(found) in seen:
        return
    seen.add(id(found))  # once each: a pickle may say the same mapping at a million places
    if not all(isinstance(key, str) for key in found):
        return
    own = {name: value for name, value in found.items() if isinstance(value, Tensor)}
    if own and (not _NOT_WEIGHTS.search(place) or (_in_callbacks(place) and _is_averaged(place))):
        yield place, own
    for key, value in found.items():
        if not _NOT_WEIGHTS.search(key) or (key == _CALLBACKS and not place):
            yield from _walk(value, f"{place}.{key}".lstrip("."), depth - 1, seen)


def _in_callbacks(place: str) -> bool:
    return place.startswith(f"{_CALLBACKS}.")


def _is_averaged(place: str) -> bool:
    return any(AVERAGED & set(part.lower().split("_")) for part in place.split("."))


def preference(place: str) -> int:
    """Averaged weights first, as timm does: where a trainer kept both, its published accuracy is that of the average.
    Then known wrappers, then others: the lower is preferred.

    place: the keys that lead to a state dict.
    """
    parts = place.split(".") if place else []
    if _is_averaged(place):
        return 0
    known = [1 + _WRAPPERS.index(part) if part in _WRAPPERS else 1 + len(_WRAPPERS) for part in parts]
    return min(known, default=1)


def _without_tensors(path: Path, what: str, keys: list[str] | None = None) -> WeightsError:
    told = f"; its keys are {one_line(', '.join(keys))}" if keys else f"; it holds {what}"
    return WeightsError(
        f"there are no tensors in the weights file{told}",
        where=path,
        hint=f"a state dict is looked for at the top and under {', '.join(_WRAPPERS)}, ema",
    )

"""Read one checkpoint file into names and tensors, and never run what is in it.

`weights` makes the names fit a network, `origins` finds the file. Pickles are read by torch's restricted unpickler only
(``weights_only=True``): there is no fallback that would trust a file.
"""

import argparse
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from frostline.errors import WeightsError, one_line

# Averaged weights first, as timm does: where a trainer kept both, its published accuracy is that of the average.
_AVERAGED = ("state_dict_ema", "model_ema", "ema")
_WRAPPERS = (*_AVERAGED, "state_dict", "model_state_dict", "model", "net", "module", "teacher")
_READABLE = "check its permissions, and the disk"
_NEEDED = "needed: torch (.pth, .pt) or safetensors"
_GLOBAL = re.compile(r"(?:Unsupported global: GLOBAL|unsupported GLOBAL)\s+(\S+)", re.IGNORECASE)
_ANOTHER_FORM = {
    b"\x89HDF": "an HDF5 file (Keras)",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
    b"\x1f\x8b": "gzip-compressed",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\x93NUMPY": "a NumPy array",
}


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The state dict in a file: torch's zip form, its legacy form, or safetensors, told apart by content, not by name.

    A state dict nested under ``state_dict``, ``model``, ``model_state_dict``, ``model_ema``, ``net`` or the like is
    taken out; where averaged (EMA) weights lie beside the others, they are taken. The names are those in the file, and
    their order too (except safetensors, which has none).

    Returns: name -> tensor on the CPU, of any dtype.

    Raises: WeightsError: no such file, a folder, empty, truncated, not a checkpoint, without tensors, or a pickle that
        asks for code.
    """
    path = Path(path)
    form = _form(path)
    if form == "safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise _damaged(path, error) from None
    if form == "zip":
        _refuse_bomb(path)
    return _state_in(_unpickle(path), path)


def _form(path: Path) -> str:
    """ "zip", "safetensors" or "pickle", by the first bytes."""
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
        return "zip"
    if start[8:9] == b"{":
        return "safetensors"
    if start.startswith(b"\x80"):
        return "pickle"
    raise WeightsError(
        f"the weights file is no checkpoint; it begins with {one_line(repr(start[:12]))}",
        where=path,
        hint=_NEEDED,
    )


def _refuse_bomb(path: Path) -> None:
    """torch stores its members uncompressed, so what a whole file unpacks to is no larger than the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    # zipfile raises whatever its parts do on foreign bytes (BadZipFile, UnicodeDecodeError, struct.error, OSError)
    except Exception as error:
        raise _damaged(path, error) from None
    if unpacked > 2 * path.stat().st_size + 2**20:
        raise WeightsError(
            f"the weights file unpacks to {unpacked:,} bytes from {path.stat().st_size:,}",
            where=path,
            hint="torch does not compress checkpoints; do not trust this file",
        )


def _unpickle(path: Path) -> object:
    try:
        with warnings.catch_warnings():
            # torch warns of TorchScript and unusual pickle protocols before it refuses them: the refusal says enough
            warnings.simplefilter("ignore")
            # The option tables of timm's and Meta's trainers: plain attributes, nothing that runs.
            with torch.serialization.safe_globals([argparse.Namespace]):
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
    reason = one_line(str(error).strip().partition("\n")[0][:160]) or type(error).__name__
    size = f"{path.stat().st_size:,} bytes" if path.exists() else "gone"
    what = f"the weights file is damaged or truncated ({size}): {reason}"
    return WeightsError(what, where=path, hint="download it again, and compare its size and digest")


def _state_in(found: object, path: Path) -> dict[str, Tensor]:
    """The innermost mapping of names to tensors, through at most four wrappers."""
    seen: list[str] = []
    for _ in range(4):
        if not isinstance(found, Mapping):
            break
        inner = next((key for key in _WRAPPERS if _holds_tensors(found.get(key))), None)
        if inner is None:
            state = {str(name): value for name, value in found.items() if isinstance(value, Tensor)}
            if state:
                return state
            seen = [str(key) for key in list(found)[:8]]
            break
        found = found[inner]
    what = "there are no tensors in the weights file"
    what += f"; its keys are {one_line(', '.join(seen))}" if seen else f"; it holds a {type(found).__name__}"
    raise WeightsError(what, where=path, hint=f"a state dict is looked for at the top and under {', '.join(_WRAPPERS)}")


def _holds_tensors(value: object, depth: int = 3) -> bool:
    """Whether a mapping has a tensor in it, directly or within a further wrapper."""
    if not isinstance(value, Mapping) or depth == 0:
        return False
    if any(isinstance(item, Tensor) for item in value.values()):
        return True
    return any(_holds_tensors(value.get(key), depth - 1) for key in _WRAPPERS)

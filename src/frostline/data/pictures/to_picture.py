"""Pictures as Python programs hold them, in PIL's form, as arrays or as tensors, become what ``decode`` takes.

The same picture means the same pixels in every form. Neither torch nor PIL is asked for: things are told by what they
can do.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.data.pictures.formats import pillow
from frostline.data.pictures.picture import Crop, Item, Picture, Slice
from frostline.data.pictures.samples import Samples
from frostline.errors import DataError, DecodeError

_FORMS = "give a path, encoded bytes, a PIL picture, an array (H, W, 3) or a tensor (3, H, W)"
_CHANNELS = (1, 2, 3, 4)
_ORIENTATION = 0x0112
_ROUNDING = 1e-3  # of 8-bit pixels in float32


def picture_of(thing: Any) -> Picture:
    """A path, encoded bytes or an open file as they are; PIL pictures, arrays (H, W[, C]) and tensors ([C,] H, W).

    A PIL picture that has not been loaded is its file's bytes, so that it means exactly what the file means; of one
    that has, all that it still holds is kept: 16 bits, floating point, alpha, EXIF orientation. Floating-point pixels
    must lie in [0, 1], unless an intensity window says otherwise.

    Raises: DecodeError: it is none of these, a PIL picture that is closed, or has its channels in an unexpected place.
    """
    if isinstance(thing, str):
        return Path(thing)
    if isinstance(thing, Path | bytes | Slice | Item | Crop | Samples):
        return thing
    if isinstance(thing, bytearray | memoryview):
        return bytes(thing)
    if _is_pil(thing):
        return _of_pil(thing)
    if _is_tensor(thing):
        return _of_tensor(thing)
    if hasattr(thing, "read") and hasattr(thing, "seek"):
        thing.seek(0)
        return bytes(thing.read())
    if not isinstance(thing, np.ndarray):
        raise DecodeError(f"{type(thing).__name__} is no picture", hint=_FORMS)
    return _of_floats(thing) if thing.dtype.kind == "f" else thing


def pictures_of(things: Any) -> Iterator[Picture]:
    """Several pictures, or the only one that is given in place of several.

    An array (N, H, W, C) and a tensor (N, C, H, W) are N pictures; (H, W), (H, W, 3), (3, H, W) of a tensor, a PIL
    picture, a path and bytes are one.

    Raises: DataError: it is neither, or could be both. DecodeError: as ``picture_of``, when its turn comes.
    """
    if isinstance(things, str | Path | bytes | bytearray | Slice | Item | Crop | Samples) or _is_pil(things):
        return iter((picture_of(things),))
    if isinstance(things, np.ndarray) and things.dtype != object:
        return map(picture_of, _split(things, channels=-1))
    if _is_tensor(things):
        return map(picture_of, _split(things, channels=-3))
    if isinstance(things, Mapping | set | frozenset) or not isinstance(things, Iterable):
        raise DataError(f"{type(things).__name__} is no list of pictures", hint=f"a list: for each, {_FORMS}")
    return map(picture_of, things)


def _split(things: Any, *, channels: int) -> Iterable[Any]:
    """One picture, or those of a batch. channels: the axis on which they lie in a picture that has some."""
    shape = tuple(things.shape)
    if len(shape) == 4 or (len(shape) == 1 and things.dtype.kind in "OUS"):
        return things  # type: ignore[no-any-return]
    if len(shape) == 2 or (len(shape) == 3 and shape[channels] in _CHANNELS):
        return (things,)
    if len(shape) == 3 and shape[-3 if channels == -1 else -1] in _CHANNELS:
        return (things,)  # which of its axes is wrong, reading it says
    form = "(N, H, W, C)" if channels == -1 else "(N, C, H, W)"
    raise DataError(
        f"an array of shape {shape} could be one picture or several",
        hint=f"give {form}, for grey pictures with C = 1, or a list of pictures",
    )


def _is_pil(thing: Any) -> bool:
    return hasattr(thing, "getexif") and hasattr(thing, "convert")


def _is_tensor(thing: Any) -> bool:
    return hasattr(thing, "detach") and hasattr(thing, "numpy")


def _of_floats(values: NDArray[Any]) -> NDArray[Any]:
    """uint8 if they are 8-bit pixels that have been divided by 255; what holds more keeps it."""
    if values.size and values.min() >= 0 and values.max() <= 1:
        scaled = values * 255
        whole = np.round(scaled)
        if np.abs(scaled - whole).max() < _ROUNDING:
            return whole.astype(np.uint8)
    return values.astype(np.float32)


def _of_tensor(thing: Any) -> Picture:
    held = thing.detach().cpu()
    if "bfloat16" in str(held.dtype):
        held = held.float()
    values: NDArray[Any] = held.numpy()
    if values.ndim == 3:
        if values.shape[0] not in _CHANNELS and values.shape[2] in _CHANNELS:
            raise DecodeError(
                f"a tensor of shape {values.shape} has its channels last",
                hint="give (C, H, W), as torch has it: tensor.permute(2, 0, 1), or an array: tensor.numpy()",
            )
        values = np.moveaxis(values, 0, -1)
    return picture_of(values)


def _of_pil(image: Any) -> Picture:
    try:
        held = _encoded(image)
        if held is not None:
            return held
        image.load()
        found = pillow.samples(image, None)
        orientation = 1 if image.format == "TIFF" else image.getexif().get(_ORIENTATION, 1)
        if found is not None:
            return found.turned(orientation)
        values, alpha = _pixels(image)
        turned = Samples(values if values.ndim == 3 else values[:, :, None], alpha=alpha).turned(orientation)
        if image.format == "TIFF" and alpha is not None:
            return turned  # whether that is an alpha is not sure
        return turned.values
    except DecodeError:
        raise
    except Exception:  # Pillow has no word of its own for it: ValueError, OSError, AssertionError, AttributeError
        raise DecodeError(
            "the PIL picture is closed, or its file is: there is nothing to be read",
            hint="call its load() before the file is closed, or give the path",
        ) from None


def _encoded(image: Any) -> bytes | None:
    """The file of a picture that has been opened and nothing else."""
    file, tiles, drafted = (getattr(image, name, None) for name in ("fp", "tile", "decoderconfig"))
    if file is None or not tiles or drafted or image.tell() != 0:
        return None
    place = file.tell()
    file.seek(0)
    found = bytes(file.read())
    file.seek(place)
    return found or None


def _pixels(image: Any) -> tuple[NDArray[np.uint8], int | None]:
    """Pixels of 8 bits as an array, and which band of it is an alpha."""
    if image.mode in ("La", "RGBa"):
        image = image.convert({"La": "LA", "RGBa": "RGBA"}[image.mode])
    if image.mode in ("PA",) or "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode not in ("L", "LA", "RGB", "RGBA"):
        image = image.convert("RGB")
    return np.array(image), {"LA": 1, "RGBA": 3}.get(image.mode)

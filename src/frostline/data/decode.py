"""The one decoder: a file, encoded bytes or pixels become RGB, and nothing that a file says is believed.

``image`` gives a Pillow image (views resize it without a copy), ``decode`` the same as an array, ``content_digest`` the
name under which a picture is known everywhere else. Which part of it a network sees is the business of ``views``.

Not all of Pillow's formats are read: some run other programs (EPS), some are recognised by so little (TGA, PCX) that
junk passes for a picture.
"""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from frostline.data.picture import (
    Box,
    Crop,
    Indexed,
    Item,
    Picture,
    Size,
    Slice,
    content_digest,
    described,
    fetched,
    refusal,
    source,
)
from frostline.data.pillow_settings import strict_and_silent
from frostline.errors import DecodeError

__all__ = [
    "Box",
    "Crop",
    "Decoded",
    "Header",
    "Indexed",
    "Item",
    "Picture",
    "Pixels",
    "Size",
    "Slice",
    "content_digest",
    "decode",
    "described",
    "header",
    "image",
]


MAX_PIXELS = 178_956_970
"""Pillow's own ceiling, half a gigabyte of RGB; above it ``PIL.Image.MAX_IMAGE_PIXELS`` would have to be raised too."""

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "QOI", "ICO", "MPO")

_KNOWN = f"read are {', '.join(FORMATS[:-1])}"
_ORIENTATION = 0x0112
_STANDARD_TABLE = 3688
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LOOK = "open it in a picture viewer: save it again from there, or remove it"


@dataclass(frozen=True, slots=True)
class Pixels:
    """A decoded picture.

    rgb: (H, W, 3) uint8.
    size: (width, height) of the whole picture as it is to be looked at, before any reduction.
    """

    rgb: NDArray[np.uint8]
    size: Size


@dataclass(frozen=True, slots=True)
class Decoded:
    """As ``Pixels``, for Pillow.

    image: of mode RGB.
    size: (width, height) of the whole picture.
    extent: left, top, right and bottom of the whole picture within ``image``, in its pixels. The outermost ones of a
        reduced JPEG cover less of the picture than the others do, so its sides need not be whole numbers.
    """

    image: Image.Image
    size: Size
    extent: Box


def decode(picture: Picture, *, max_pixels: int = MAX_PIXELS, at_least: int | None = None) -> Pixels:
    """RGB pixels of a picture, upright, the first frame, alpha laid over white.

    16-bit grey keeps its upper 8 bits; other deep modes are scaled by the range that their values lie in: [0, 1],
    8 bit, 16 bit, or from the least to the greatest value.
    at_least: a JPEG may come at 1/2, 1/4 or 1/8 of its size, much faster, as long as its shorter side stays this long.

    Raises: DecodeError: no such file, empty, truncated, damaged, not a picture, or more than ``max_pixels`` (which the
        header tells before anything is allocated).
    """
    found = image(picture, max_pixels=max_pixels, at_least=None if at_least is None else lambda _: at_least)
    return Pixels(np.asarray(found.image), found.size)


def image(picture: Picture, *, max_pixels: int = MAX_PIXELS, at_least: Callable[[Size], int] | None = None) -> Decoded:
    """As ``decode``, but for Pillow; ``at_least`` is asked with the whole upright picture's size.

    Raises: DecodeError: as ``decode``.
    """
    where = described(picture)
    try:
        if isinstance(picture, Crop):
            return _cropped(picture, max_pixels, at_least)
        found = fetched(picture)
        with strict_and_silent():
            if isinstance(found, np.ndarray):
                return _from_array(found, max_pixels)
            with source(found) as encoded, Image.open(encoded, formats=_formats()) as opened:
                return _from_file(opened, max_pixels, at_least)
    except DecodeError as error:
        raise DecodeError(error.what, where=where, hint=error.hint) from None
    except UnidentifiedImageError:
        raise DecodeError("not a picture, or damaged at its very start", where=where, hint=_KNOWN) from None
    except MemoryError:
        raise DecodeError("not enough memory to decode it", where=where, hint="make the picture smaller") from None
    except Exception as error:  # damaged input: Pillow's parsers let struct, zlib, Index- and other errors through
        raise DecodeError(refusal(error), where=where, hint=_LOOK) from None


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself, before anything is decoded.

    format: Pillow's name, "" for pixels. mode: Pillow's name of how its pixels are kept.
    frames: whether there is more than the one that is looked at (an animation, the pages of a TIFF).
    quality: of a JPEG, in [1, 100] as libjpeg counts, from its quantisation table; 0 for everything else.
    bytes: as it is encoded.
    """

    format: str
    mode: str
    frames: bool
    quality: int
    bytes: int


def header(picture: Picture) -> Header:
    """Format, mode and compression of a picture.

    Raises: DecodeError: as ``decode``, as far as the header tells.
    """
    where = described(picture)
    try:
        found = fetched(picture.of if isinstance(picture, Crop) else picture)
        if isinstance(found, np.ndarray):
            return Header("", "L" if found.ndim == 2 else "RGB", False, 0, found.nbytes)
        with strict_and_silent(), source(found) as encoded:
            size = encoded.seek(0, os.SEEK_END)
            encoded.seek(0)
            opened = Image.open(encoded, formats=_formats())
            # A JPEG of several pictures (MPO) is what telephones write: the first one is the photograph.
            several = opened.format not in ("JPEG", "MPO") and bool(getattr(opened, "is_animated", False))
            return Header(opened.format or "", opened.mode, several, _quality(opened), size)
    except DecodeError:
        raise
    except Exception as error:
        raise DecodeError(refusal(error), where=where, hint=_LOOK) from None


def _quality(opened: Image.Image) -> int:
    """The inverse of how libjpeg scales its standard luminance table, whose 64 entries add up to 3688."""
    tables = getattr(opened, "quantization", None)
    if not isinstance(tables, dict) or 0 not in tables:
        return 0
    scale = 100 * sum(tables[0]) / _STANDARD_TABLE
    return int(min(100, max(1, round(100 - scale / 2 if scale <= 100 else 5000 / scale))))


def _from_file(opened: ImageFile.ImageFile, max_pixels: int, at_least: Callable[[Size], int] | None) -> Decoded:
    _check(opened.size, max_pixels)
    if at_least is None or opened.format not in ("JPEG", "MPO"):
        opened.load()
        _check(opened.size, max_pixels)  # an .ico finds out its true size only now
        upright = _rgb(_upright(opened, _orientation(opened)))
        return Decoded(upright, upright.size, (0, 0, *upright.size))
    orientation = _orientation(opened)
    width, height = opened.size
    whole = (height, width) if orientation >= 5 else (width, height)
    least = max(1, at_least(whole))
    drafted = opened.draft(None, (least, least))
    covered = (drafted[1][2], drafted[1][3]) if drafted else opened.size
    extent = _turned(covered, opened.size, orientation)
    return Decoded(_rgb(_upright(opened, orientation)), whole, extent)


def _cropped(crop: Crop, max_pixels: int, at_least: Callable[[Size], int] | None) -> Decoded:
    """Only the part, so that what lies around it is seen by nobody, however the part is resized."""

    def least(whole: Size) -> int:
        left, top, right, bottom = crop.within(whole)
        part = right - left, bottom - top
        return math.ceil(min(whole) * (at_least(part) if at_least is not None else min(part)) / min(part))

    found = image(crop.of, max_pixels=max_pixels, at_least=None if at_least is None else least)
    left, top, right, bottom = crop.within(found.size)
    across = (found.extent[2] - found.extent[0]) / found.size[0]
    down = (found.extent[3] - found.extent[1]) / found.size[1]
    exact = (
        found.extent[0] + left * across,
        found.extent[1] + top * down,
        found.extent[0] + right * across,
        found.extent[1] + bottom * down,
    )
    outer = (
        math.floor(exact[0]),
        math.floor(exact[1]),
        min(found.image.width, math.ceil(exact[2])),
        min(found.image.height, math.ceil(exact[3])),
    )
    within = (
        exact[0] - outer[0],
        exact[1] - outer[1],
        min(exact[2], outer[2]) - outer[0],
        min(exact[3], outer[3]) - outer[1],
    )
    return Decoded(found.image.crop(outer), (right - left, bottom - top), within)


def _from_array(pixels: NDArray[np.uint8], max_pixels: int) -> Decoded:
    grey = pixels.ndim == 2
    if pixels.dtype != np.uint8 or not (grey or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))) or not pixels.size:
        raise DecodeError("pixels must be uint8 of shape (H, W), (H, W, 3) or (H, W, 4), none of them 0")
    _check((pixels.shape[1], pixels.shape[0]), max_pixels)
    whole = _rgb(Image.fromarray(np.ascontiguousarray(pixels)))
    return Decoded(whole, whole.size, (0, 0, *whole.size))


def _check(size: Size, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise DecodeError(
            f"{width} x {height} pixels are more than the limit of {max_pixels:,}",
            hint="make the picture smaller, or raise max_pixels",
        )


def _orientation(opened: Image.Image) -> int:
    if opened.format == "JPEG" and "exif" not in opened.info:
        return 1
    try:
        value = opened.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged EXIF block says nothing about the pixels: they are kept as they lie
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def _upright(lying: Image.Image, orientation: int) -> Image.Image:
    return lying.transpose(_TURNS[orientation]) if orientation in _TURNS else lying


def _turned(covered: tuple[float, float], size: Size, orientation: int) -> Box:
    """Where the top left (width, height) of an image lie after ``_upright``."""
    left = size[0] - covered[0] if orientation in (2, 3, 7, 8) else 0.0
    top = size[1] - covered[1] if orientation in (3, 4, 6, 7) else 0.0
    right, bottom = left + covered[0], top + covered[1]
    return (top, left, bottom, right) if orientation >= 5 else (left, top, right, bottom)


def _rgb(any_mode: Image.Image) -> Image.Image:
    if any_mode.mode == "RGB" and "transparency" not in any_mode.info:
        any_mode.load()
        return any_mode
    if any_mode.mode in ("I", "F") or any_mode.mode.startswith("I;16"):
        return Image.fromarray(_grey(np.asarray(any_mode))).convert("RGB")
    if any_mode.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in any_mode.info:
        if any_mode.mode in ("La", "RGBa"):
            any_mode = any_mode.convert({"La": "LA", "RGBa": "RGBA"}[any_mode.mode])
        clear = any_mode.convert("RGBA")
        paper = Image.new("RGB", clear.size, "white")
        paper.paste(clear, mask=clear)
        return paper
    return any_mode.convert("RGB")


def _grey(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    # The same rule for all pictures of a kind wherever the kind says its range, so that brightness stays comparable.
    if values.dtype == np.uint16 or values.dtype == np.dtype(">u2"):
        return (values.astype(np.uint16) >> 8).astype(np.uint8)
    real = np.nan_to_num(values.astype(np.float32), posinf=0.0, neginf=0.0)
    low, high = float(real.min()), float(real.max())
    if low < 0 or high > 65535:
        real, top = real - low, (high - low) or 1.0
    elif high <= 1 and values.dtype.kind == "f":
        top = 1.0
    else:
        top = 255.0 if high <= 255 else 65535.0
    return np.round(real * (255.0 / top)).astype(np.uint8)


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)  # a build of Pillow may lack some

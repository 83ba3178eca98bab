"""The one decoder: a file, encoded bytes or pixels become RGB, and nothing that a file says is believed.

``image`` gives a Pillow image (views resize it without a copy), ``decode`` the same as an array, ``content_digest`` the
name under which a picture is known everywhere else. Which part of it a network sees is the business of ``views``.

Not all of Pillow's formats are read: some run other programs (EPS), some are recognised by so little (TGA, PCX) that
junk passes for a picture.
"""

import hashlib
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from frostline.data.pillow_settings import strict_and_silent
from frostline.errors import DecodeError, one_line


@dataclass(frozen=True, slots=True)
class Slice:
    """A picture within a larger file, such as a member of a tar: ``length`` bytes from ``offset`` on."""

    path: Path
    offset: int
    length: int


class Indexed(Protocol):
    """What gives a picture by its number, from any thread."""

    def __getitem__(self, index: int, /) -> Any:
        """A path, encoded bytes, or pixels.

        Raises: anything: the picture then counts as one that cannot be read.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A picture that is fetched whenever it is needed and never kept: ``of[index]``."""

    of: Indexed
    index: int


Picture: TypeAlias = Path | bytes | NDArray[np.uint8] | Slice | Item
"""A file, an encoded file's bytes, pixels of shape (H, W), (H, W, 3) or (H, W, 4), or where one of these is found."""

Size: TypeAlias = tuple[int, int]
"""(width, height) in pixels, as Pillow has it."""

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom."""

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
        picture = _fetched(picture)
        with strict_and_silent():
            if isinstance(picture, np.ndarray):
                return _from_array(picture, max_pixels)
            with _source(picture) as source, Image.open(source, formats=_formats()) as opened:
                return _from_file(opened, max_pixels, at_least)
    except DecodeError as error:
        raise DecodeError(error.what, where=where, hint=error.hint) from None
    except UnidentifiedImageError:
        raise DecodeError("not a picture, or damaged at its very start", where=where, hint=_KNOWN) from None
    except MemoryError:
        raise DecodeError("not enough memory to decode it", where=where, hint="make the picture smaller") from None
    except Exception as error:  # damaged input: Pillow's parsers let struct, zlib, Index- and other errors through
        raise DecodeError(_refusal(error), where=where, hint=_LOOK) from None


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
        picture = _fetched(picture)
        if isinstance(picture, np.ndarray):
            return Header("", "L" if picture.ndim == 2 else "RGB", False, 0, picture.nbytes)
        with strict_and_silent(), _source(picture) as source:
            size = source.seek(0, os.SEEK_END)
            source.seek(0)
            opened = Image.open(source, formats=_formats())
            # A JPEG of several pictures (MPO) is what telephones write: the first one is the photograph.
            several = opened.format not in ("JPEG", "MPO") and bool(getattr(opened, "is_animated", False))
            return Header(opened.format or "", opened.mode, several, _quality(opened), size)
    except DecodeError:
        raise
    except Exception as error:
        raise DecodeError(_refusal(error), where=where, hint=_LOOK) from None


def _quality(opened: Image.Image) -> int:
    """The inverse of how libjpeg scales its standard luminance table, whose 64 entries add up to 3688."""
    tables = getattr(opened, "quantization", None)
    if not isinstance(tables, dict) or 0 not in tables:
        return 0
    scale = 100 * sum(tables[0]) / _STANDARD_TABLE
    return int(min(100, max(1, round(100 - scale / 2 if scale <= 100 else 5000 / scale))))


def content_digest(picture: Picture) -> str:
    """BLAKE2b-128, in hex, of a file's bytes; of shape and values where pixels are given.

    Raises: DecodeError: no such file, not readable, truncated, or empty.
    """
    where = described(picture)
    digest = hashlib.blake2b(digest_size=16)
    try:
        picture = _fetched(picture)
        if isinstance(picture, np.ndarray):
            digest.update(f"pixels {picture.dtype} {picture.shape}\n".encode())
            digest.update(np.ascontiguousarray(picture).tobytes())
            return digest.hexdigest()
        with _source(picture) as source:
            while block := source.read(1 << 20):
                digest.update(block)
    except DecodeError as error:
        raise DecodeError(error.what, where=where, hint=error.hint) from None
    except (OSError, ValueError) as error:  # a ValueError is a name that no file can have
        raise DecodeError(_refusal(error), where=where, hint=_LOOK) from None
    return digest.hexdigest()


def described(picture: Picture) -> str:
    """What to call a picture in a message: its path, or what kind of thing it is."""
    if isinstance(picture, Path):
        return str(picture)
    if isinstance(picture, np.ndarray):
        return f"array of shape {picture.shape}, {picture.dtype}"
    if isinstance(picture, Slice):
        return f"{picture.path}, byte {picture.offset:,}"
    if isinstance(picture, Item):
        return f"#{picture.index}"
    return f"{len(picture):,} bytes"


def _fetched(picture: Picture) -> Path | bytes | NDArray[np.uint8] | Slice:
    if not isinstance(picture, Item):
        return picture
    try:
        found = picture.of[picture.index]
    except DecodeError:
        raise
    except Exception as error:  # somebody else's code: whatever it raises, this picture is not to be had
        reason = one_line(str(error).strip().partition("\n")[0][:200])
        raise DecodeError(f"cannot be fetched: {reason or type(error).__name__}", hint=_LOOK) from None
    if isinstance(found, Path | bytes | np.ndarray | Slice):
        return found
    raise DecodeError(f"there is no picture, but {type(found).__name__}", hint="give a path, bytes or uint8 pixels")


@contextmanager
def _source(picture: Path | bytes | Slice) -> Iterator[IO[bytes]]:
    if isinstance(picture, Slice):
        there = max(0, picture.path.stat().st_size - picture.offset)
        if there < picture.length:
            raise DecodeError(f"truncated: {there:,} of {picture.length:,} bytes are there", hint=_LOOK)
        with _source(picture.path) as whole:
            whole.seek(picture.offset)
            picture = whole.read(picture.length)
    if isinstance(picture, bytes):
        if not picture:
            raise DecodeError("there are no bytes", hint="was the file read to its end already?")
        yield io.BytesIO(picture)
        return
    kind = picture.stat()
    if not stat.S_ISREG(kind.st_mode):  # opening a pipe would wait for ever
        raise DecodeError("not an ordinary file", hint="name a picture file, not a folder, pipe or device")
    if not kind.st_size:
        raise DecodeError("the file is empty", hint="copy it again from where it came, or remove it")
    with picture.open("rb") as source:
        yield source


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


def _refusal(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return f"cannot be decoded: {one_line(str(error)) or type(error).__name__}"


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)  # a build of Pillow may lack some

"""What Pillow reads, and HEIC and JPEG XL through its plugins."""

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile

from frostline.data.pictures.formats import jpeg, jpeg_xl, kinds, png, tiff
from frostline.data.pictures.picture import Size
from frostline.data.pictures.samples import Samples
from frostline.errors import DecodeError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "QOI", "ICO", "MPO")

_DEEP = ("I", "F")
_JPEG = b"\xff\xd8"
_TILE_SIDES = (322, 323)
_MOST_COMMENTS = 1_000
_SIZ = b"\xff\x4f\xff\x51"  # start of a JPEG 2000 codestream, then its marker of sizes
_SSIZ = 2 + 38  # from that marker to the first component's precision


def opened(encoded: BinaryIO, kind: kinds.Kind | None = None) -> ImageFile.ImageFile:
    """A file by its header, nothing decoded yet.

    Raises: UnidentifiedImageError: no format that is read, or damaged. DecodeError: a plugin is not installed.
    """
    if kind is kinds.HEIC:
        kinds.require(kind)
        heif = _plugin("pillow_heif")
        heif.register_heif_opener()
        return Image.open(encoded, formats=("HEIF",))
    if kind is kinds.JPEG_XL:
        kinds.require(kind)
        _plugin("pillow_jxl")
        return Image.open(encoded, formats=("JXL",))
    if encoded.read(2) == _JPEG:
        jpeg.check(encoded)
    encoded.seek(0)
    found = Image.open(encoded, formats=_formats())
    if found.format == "PPM" and found.tile and found.tile[0].codec_name == "ppm_plain":
        _check_comments(encoded)
    return found


def size(encoded: BinaryIO) -> Size:
    """(width, height) of what must be held to decode a file, which may be more than its picture: tiles of a TIFF.

    Raises: as ``opened``; DecodeError: neither Pillow nor a plugin of its reads it.
    """
    kind = kinds.sniffed(encoded)
    if kind is kinds.JPEG_XL:
        return jpeg_xl.size(encoded)
    if kind not in (None, kinds.HEIC):
        raise DecodeError(f"{kind.name} is not read by Pillow", hint="see formats")
    with opened(encoded, kind) as found:
        return held(found)


def held(image: Image.Image) -> Size:
    """(width, height) of the picture, or of one of its tiles if that is larger."""
    tags = getattr(image, "tag_v2", {})
    wide, high = (tags.get(tag) for tag in _TILE_SIDES)
    if not isinstance(wide, int) or not isinstance(high, int) or wide * high <= image.width * image.height:
        return image.size
    return wide, high


def _check_comments(encoded: BinaryIO) -> None:
    """Pillow copies a megabyte for each one."""
    place = encoded.tell()
    encoded.seek(0)
    count = sum(block.count(b"#") for block in iter(lambda: encoded.read(1 << 20), b""))
    encoded.seek(place)
    if count > _MOST_COMMENTS:
        raise DecodeError(f"{count:,} comments in a picture", hint="save it again")


def samples(image: Image.Image, encoded: BinaryIO | None) -> Samples | None:
    """What a Pillow image keeps beside 8-bit grey or colour; None if that is all.

    encoded: the file that it was opened from, if it can be read once more.
    """
    if image.format == "PNG" and encoded is not None:
        return png.samples(image, encoded)
    if image.format == "TIFF" and hasattr(image, "tag_v2"):
        return tiff.samples(image, encoded)
    if not deep(image.mode):
        return None
    full = _fills_its_depth(image, encoded)
    return Samples(np.array(image)[:, :, None], declared=(0.0, 65535.0) if full else None)


def deep(mode: str) -> bool:
    """Whether a mode of Pillow's keeps more than 8 bits."""
    return mode in _DEEP or mode.startswith("I;16")


def _fills_its_depth(image: Image.Image, encoded: BinaryIO | None) -> bool:
    """Whether Pillow brings values from the depth that the file states to 16 bits, as for PGM, HEIC and JPEG 2000."""
    if image.format == "HEIF":
        return True
    if image.format == "PPM":
        return image.mode == "I" and any(tile.codec_name != "raw" for tile in getattr(image, "tile", ()))
    if image.format == "JPEG2000" and encoded is not None:
        place = encoded.tell()
        encoded.seek(0)
        head = encoded.read(1 << 16)
        encoded.seek(place)
        at = head.find(_SIZ)
        return at >= 0 and len(head) > at + 2 + _SSIZ and (head[at + 2 + _SSIZ] & 0x7F) + 1 < 16
    return False


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)  # a build of Pillow may lack some


@cache
def _plugin(name: str) -> ModuleType:
    Image.init()
    return import_module(name)

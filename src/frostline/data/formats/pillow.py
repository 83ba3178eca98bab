"""What Pillow reads, and HEIC and JPEG XL through its plugins."""

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageFile

from frostline.data.formats import kinds, png, tiff
from frostline.data.samples import Samples

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "QOI", "ICO", "MPO")

_DEEP = ("I", "F")
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
    return Image.open(encoded, formats=_formats())


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

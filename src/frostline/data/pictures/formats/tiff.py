"""TIFF: depth, photometric meaning, extra bands and missing data, from its tags."""

import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frostline.data.pictures.formats import png
from frostline.data.pictures.reading import Window
from frostline.data.pictures.samples import Samples

STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_SUBFILE, _BITS, _PHOTOMETRIC, _MAKE, _BANDS = 254, 258, 262, 271, 277
_MAX, _PLANAR, _SUB_IFDS, _EXTRA, _FORMAT = 281, 284, 330, 338, 339
_NODATA, _DNG = 42113, 50706
_MIN_IS_WHITE, _RGB, _CFA, _LINEAR_RAW = 0, 2, 32803, 34892
_GREYS = (0, 1)
_NO_PAGE = 1 | 4  # of _SUBFILE: reduced, a mask
_LOOKED_AT = 32
_ALPHAS = (1, 2, 999)
_ALPHA_ALONE = ((1,), (2,))


def is_raw(tags: Mapping[int, Any]) -> bool:
    """Whether it is a camera's RAW (DNG, NEF, ARW, PEF) in the form of a TIFF, whose first picture is a small copy."""
    if _DNG in tags or tags.get(_PHOTOMETRIC) in (_CFA, _LINEAR_RAW):
        return True
    return bool(_number(tags, _SUBFILE) & 1) and _SUB_IFDS in tags and _MAKE in tags


def has_pages(image: Image.Image) -> bool:
    """Whether there are further pictures: smaller copies of the first one (overviews) and its masks are none."""
    for page in range(1, min(getattr(image, "n_frames", 1), _LOOKED_AT)):
        image.seek(page)
        if not _number(image.tag_v2, _SUBFILE) & _NO_PAGE:  # type: ignore[attr-defined]
            return True
    return False


def too_many(tags: Mapping[int, Any]) -> bool:
    """Whether Pillow would pass over bands that it can open."""
    bands, extra = _number(tags, _BANDS, 1), _tuple(tags.get(_EXTRA, ()))
    bits = max(_tuple(tags.get(_BITS, (1,))), default=1)
    if tags.get(_PHOTOMETRIC, 0) in _GREYS:
        return bands > 2 or (bands == 2 and extra not in _ALPHA_ALONE)
    if tags.get(_PHOTOMETRIC) != _RGB:
        return False
    by_plane = tags.get(_PLANAR) == 2
    odd = (by_plane and (bits > 8 or extra not in _ALPHA_ALONE)) or (bits > 8 and extra == (1,))
    return bands > 4 or (bands == 4 and odd) or (bits > 8 and by_plane)


def leaves_values(image: Image.Image) -> bool:
    """Whether ``samples`` would find some, by the header alone."""
    tags: Mapping[int, Any] = image.tag_v2  # type: ignore[attr-defined]
    bits = max(_tuple(tags.get(_BITS, (1,))), default=1)
    four = tags.get(_PHOTOMETRIC) == _RGB and _number(tags, _BANDS, 1) == 4
    return bits > 8 or (four and not set(_tuple(tags.get(_EXTRA, ()))) & set(_ALPHAS))


def samples(image: Image.Image, encoded: BinaryIO | None) -> Samples | None:
    """Of a TIFF that Pillow reads, of more than 8 bits or with a fourth band that nobody calls an alpha; else None."""
    tags: Mapping[int, Any] = image.tag_v2  # type: ignore[attr-defined]
    bits = max(_tuple(tags.get(_BITS, (1,))), default=1)
    extra = _tuple(tags.get(_EXTRA, ()))
    bands = _number(tags, _BANDS, 1)
    if tags.get(_PHOTOMETRIC) == _RGB and bands == 4 and not set(extra) & set(_ALPHAS) and bits <= 8:
        return Samples(_four(image, encoded))
    if bits <= 8:
        return None
    if tags.get(_PHOTOMETRIC) == _RGB and bands in (3, 4):
        if encoded is None:
            return None
        values: NDArray[Any] = _wide(encoded, "RGB" if bands == 3 else "RGBA")
    elif image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.array(image)[:, :, None]
        if bits == 32 and image.mode == "I" and _tuple(tags.get(_FORMAT, (1,)))[:1] == (1,):
            values = values.view(np.uint32)
    else:
        return None
    return Samples(
        values,
        declared=declared(values, bits, _tuple(tags.get(_MAX, ()))),
        alpha=3 if bands == 4 and set(extra) & set(_ALPHAS) else None,
        inverted=tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE,
        hidden=hidden(values, tags.get(_NODATA)),
    )


def declared(values: NDArray[Any], bits: int, most: tuple[Any, ...]) -> Window | None:
    """The depth that a file states: 12 bits, or a greatest value below the type's; None if its values exceed it."""
    if values.dtype.kind not in "iu" or bits > 16:
        return None
    full = (1 << bits) - 1
    numbers = [int(value) for value in most if isinstance(value, int | float) and 0 < value < full]
    top = max(numbers) if numbers else full if bits < 16 else 0
    return (0.0, float(top)) if top and values.size and int(values.max()) <= top and int(values.min()) >= 0 else None


def hidden(values: NDArray[Any], nodata: Any) -> NDArray[np.bool_] | None:
    """(H, W) where all bands have the value that GDAL's tag names."""
    number: float | None = None
    with suppress(TypeError, ValueError):
        number = float(str(nodata).strip("\0 "))
    if number is None or number != number:
        return None
    with np.errstate(over="ignore"):
        absent = values == (np.float32(number) if values.dtype == np.float32 else number)
    found: NDArray[np.bool_] = np.asarray(absent.all(2))
    return found if found.any() else None


def _four(image: Image.Image, encoded: BinaryIO | None) -> NDArray[np.uint8]:
    """(H, W, 4) of bands of which Pillow takes the last for an alpha, or passes over it."""
    if image.mode == "RGBA" or encoded is None:
        return np.array(image)
    return png.decoded(encoded, "RGBA", "RGBA")


def _wide(encoded: BinaryIO, mode: str) -> NDArray[np.uint16]:
    raw = png.raw_mode(encoded)
    little = raw.endswith("L") or (raw.endswith("N") and sys.byteorder == "little")
    upper, lower = ("L", "B") if little else ("B", "L")
    return png.wide(encoded, mode, f"{mode};16{upper}", f"{mode};16{lower}")


def _number(tags: Mapping[int, Any], tag: int, default: int = 0) -> int:
    value = tags.get(tag, default)
    return value if isinstance(value, int) else default


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)

"""TIFF that Pillow cannot read: more bands, 64-bit numbers, other compressions; through tifffile."""

from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from frostline.data.pictures.formats import kinds, tiff
from frostline.data.pictures.picture import Size
from frostline.data.pictures.samples import Samples
from frostline.errors import DecodeError

_ALPHAS = (1, 2)
_MIN_IS_WHITE, _RGB, _PALETTE, _YCBCR = 0, 2, 3, 6
_NODATA, _MAX = 42113, 281


def samples(encoded: BinaryIO, check: Callable[[Size], None]) -> Samples:
    """The first page of a TIFF with all its bands.

    check: raises if so many pixels are too many.

    Raises: DecodeError: tifffile is not installed, or it is no picture of numbers.
    """
    kinds.require(kinds.BANDS)
    import tifffile

    encoded.seek(0)
    with tifffile.TiffFile(encoded) as file:
        page = file.pages.first
        bands = int(page.samplesperpixel)
        if page.photometric in (_PALETTE, _YCBCR) or page.dtype is None or page.dtype.kind not in "iuf":
            raise DecodeError("a TIFF of a kind that is not read", hint="save it as an ordinary TIFF or PNG")
        weight = max(1, bands * page.dtype.itemsize * max(1, int(page.imagedepth)) // 4)  # an RGB pixel has 3 bytes
        sides = zip((page.imagewidth, page.imagelength), (page.tilewidth, page.tilelength), strict=True)
        wide, high = (max(map(int, pair)) for pair in sides)  # a tile is held whole, however small the picture is
        check((wide, high * weight))
        values = _channels_last(page.asarray(), page.axes)
        extra = [int(kind) for kind in page.extrasamples]
        coloured = page.photometric == _RGB
        alphas = [bands - len(extra) + place for place, kind in enumerate(extra) if kind in _ALPHAS]
        nodata = page.tags.get(_NODATA)
        most = page.tags.get(_MAX)
        return Samples(
            values,
            declared=tiff.declared(values, int(page.bitspersample), _numbers(None if most is None else most.value)),
            alpha=alphas[0] if alphas and (bands == 4 if coloured else bands == 2) else None,
            inverted=page.photometric == _MIN_IS_WHITE and bands == 1,
            hidden=tiff.hidden(values, None if nodata is None else nodata.value),
        )


def _channels_last(values: NDArray[Any], axes: str) -> NDArray[Any]:
    """(H, W, C) of what lies in any order, such as a plane for each band; of a volume the first slice."""
    for place, axis in reversed(list(enumerate(axes))):
        if axis not in "YXS":
            values = values.take(0, place)
    order = [axis for axis in axes if axis in "YXS"]
    values = np.moveaxis(values, [order.index("Y"), order.index("X")], [0, 1])
    return values[:, :, None] if values.ndim == 2 else values


def _numbers(value: Any) -> tuple[Any, ...]:
    return () if value is None else value if isinstance(value, tuple) else (value,)

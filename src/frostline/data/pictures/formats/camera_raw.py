"""Camera RAW (DNG, NEF, CR2, CR3, ARW, ...), developed by LibRaw through rawpy with the camera's own white balance."""

from collections.abc import Callable
from typing import BinaryIO

from PIL import Image

from frostline.data.pictures.formats import kinds
from frostline.data.pictures.picture import Size
from frostline.errors import DecodeError, one_line

_ON_ITS_SIDE = (5, 6)


def picture(
    encoded: BinaryIO, check: Callable[[Size], None], least: Callable[[Size], int] | None
) -> tuple[Image.Image, Size]:
    """The developed picture, upright, in sRGB, and its whole size; at half of that, much faster, if it is enough.

    check: raises if so many pixels are too many. least: how long the shorter side must stay.

    Raises: DecodeError: rawpy is not installed, or LibRaw cannot read the file.
    """
    kinds.require(kinds.RAW)
    import rawpy

    encoded.seek(0)
    try:
        with rawpy.imread(encoded) as raw:
            whole = raw.sizes.iwidth, raw.sizes.iheight
            if raw.sizes.flip in _ON_ITS_SIDE:
                whole = whole[1], whole[0]
            check(whole)
            half = least is not None and min(whole) // 2 >= least(whole)
            found = Image.fromarray(raw.postprocess(use_camera_wb=True, output_bps=8, half_size=half))
            return found, whole if half else found.size
    except rawpy.LibRawError as error:
        said = one_line(str(error.args[0] if error.args else error))[:200]
        raise DecodeError(f"LibRaw cannot read it: {said}", hint="develop it with the camera's program") from None

"""Which way up a picture is, by its EXIF orientation (1 to 8)."""

from PIL import Image

from frostline.data.pictures.picture import Box, Size

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation(opened: Image.Image) -> int:
    """What the EXIF block says; 1, as it lies, if it says nothing."""
    if opened.format == "JPEG" and "exif" not in opened.info:
        return 1
    try:
        value = opened.getexif().get(_ORIENTATION, 1)
    except Exception:  # a damaged EXIF block says nothing about the pixels: they are kept as they lie
        return 1
    return value if isinstance(value, int) and value in _TURNS else 1


def upright(lying: Image.Image, orientation: int) -> Image.Image:
    """Turned as it is to be looked at."""
    return lying.transpose(_TURNS[orientation]) if orientation in _TURNS else lying


def turned(covered: tuple[float, float], size: Size, orientation: int) -> Box:
    """Where the top left (width, height) of an image lie after ``upright``."""
    left = size[0] - covered[0] if orientation in (2, 3, 7, 8) else 0.0
    top = size[1] - covered[1] if orientation in (3, 4, 6, 7) else 0.0
    right, bottom = left + covered[0], top + covered[1]
    return (top, left, bottom, right) if orientation >= 5 else (left, top, right, bottom)

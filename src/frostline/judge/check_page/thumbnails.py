"""Small pictures for people to look at."""

import io

from PIL import Image

from frostline.data.pictures import decode
from frostline.data.pictures.picture import Picture
from frostline.data.pictures.reading import Reading
from frostline.errors import DecodeError

_SIDE = 176


def thumbnail(picture: Picture, *, reading: Reading) -> bytes | None:
    """A JPEG of at most 176 pixels in height and twice that in width, or None if the picture cannot be decoded."""
    try:
        image = decode.image(picture, reading=reading, at_least=lambda _: _SIDE).image
    except DecodeError:
        return None
    factor = max(image.height / _SIDE, image.width / (2 * _SIDE), 1)
    small = image.resize(
        (max(1, round(image.width / factor)), max(1, round(image.height / factor))), Image.Resampling.BICUBIC
    )
    kept = io.BytesIO()
    small.save(kept, "JPEG", quality=78, optimize=True)
    return kept.getvalue()

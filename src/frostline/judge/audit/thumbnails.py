"""Small pictures for people to look at."""

import io

from PIL import Image

from frostline.data.pictures import decode
from frostline.data.pictures.picture import Picture
from frostline.data.pictures.reading import AS_IT_IS, Reading
from frostline.errors import DecodeError


def thumbnail(picture: Picture, *, reading: Reading = AS_IT_IS, side: int = 176) -> bytes | None:
    """A JPEG of at most ``side`` pixels in height and twice that in width, or None if the picture cannot be decoded."""
    try:
        image = decode.image(picture, reading=reading, at_least=lambda _: side).image
    except DecodeError:
        return None
    factor = max(image.height / side, image.width / (2 * side), 1)
    small = image.resize(
        (max(1, round(image.width / factor)), max(1, round(image.height / factor))), Image.Resampling.BICUBIC
    )
    kept = io.BytesIO()
    small.save(kept, "JPEG", quality=78, optimize=True)
    return kept.getvalue()

"""What one decode tells of a picture: its file, its light, its sharpness, its hash, and itself at 32 x 32."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frostline.data import decode
from frostline.data.decode import Decoded, Picture
from frostline.data.header import header
from frostline.data.manifest import Row
from frostline.data.reading import AS_IT_IS, Reading
from frostline.data.survey import lost_in_its_ground
from frostline.errors import DecodeError

ImageStats: TypeAlias = NDArray[np.void]
"""(N,) of `LOOK`: plain columns, some 1.2 kB a picture, so that memory is known before anything is read."""

SIDE = 32
_CLEAR = ("RGBA", "LA", "PA", "P", "RGBa", "La")
_UNSEEN = 0.02
AT_LEAST = 256
LOOK = np.dtype(
    [
        ("width", np.int32),  # of the upright picture, in pixels
        ("height", np.int32),
        ("bytes", np.int64),  # as encoded
        ("format", "U8"),  # Pillow's names
        ("mode", "U8"),
        ("frames", np.bool_),  # there are more than the first
        ("quality", np.int16),  # of a JPEG, 1 to 100; else 0
        ("low", np.float32),  # percentiles 1 and 99 of the grey values, in [0, 1]
        ("high", np.float32),
        ("spread", np.float32),  # standard deviation of the grey values, in [0, 1]
        ("sharpness", np.float32),  # see `_sharpness`
        ("colour", np.float32, 3),  # mean of red, green, blue, in [0, 1]
        ("hash", np.bool_, 64),  # perceptual
        ("unseen", np.bool_),  # transparent, and nothing is seen over the background
        ("small", np.uint8, SIDE * SIDE),  # grey, squashed
    ]
)


def look(picture: Picture, opened: Decoded, reading: Reading = AS_IT_IS) -> np.void:
    """One record of `LOOK`.

    opened: the picture, decoded at any size whose shorter side is at least `AT_LEAST` if the picture's is.

    Raises: DecodeError: its header cannot be read.
    """
    import imagehash

    said = header(picture)
    rgb = _reduced(opened.image)
    grey = rgb.convert("L")
    values = np.asarray(grey, np.float32) / np.float32(255)
    low, high = np.percentile(values, (1, 99))
    record = np.zeros(1, LOOK)
    record["width"], record["height"] = opened.size
    record["bytes"], record["format"], record["mode"] = said.bytes, said.format, said.mode
    record["frames"], record["quality"] = said.frames, said.quality
    record["low"], record["high"], record["spread"] = low, high, values.std()
    if said.mode in _CLEAR and record["spread"][0] < _UNSEEN:
        record["unseen"] = lost_in_its_ground(picture, reading)
    record["sharpness"] = _sharpness(values)
    record["colour"] = np.asarray(rgb, np.float32).mean((0, 1)) / 255
    record["hash"] = imagehash.phash(grey).hash.ravel()
    record["small"] = np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.LANCZOS)).ravel()
    found: np.void = record[0]
    return found


def looked(row: Row, reading: Reading = AS_IT_IS) -> np.void:
    """Decode a picture no larger than needed, and look at it.

    Raises: DecodeError: it cannot be decoded.
    """
    return look(row.picture, decode.image(row.picture, reading=reading, at_least=lambda _: AT_LEAST), reading)


def look_at(
    rows: Sequence[Row],
    *,
    threads: int,
    reading: Reading = AS_IT_IS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[tuple[str, np.void | str]]:
    """Digest and look, or the reason why there is none, of each row; some hundred pictures ahead and no more."""

    def one(row: Row) -> tuple[str, np.void | str]:
        try:
            return row.digest, looked(row, reading)
        except DecodeError as error:
            return row.digest, error.what

    waiting, done = iter(rows), 0
    with ThreadPoolExecutor(threads, thread_name_prefix="look") as pool:
        while block := list(islice(waiting, 128)):
            yield from pool.map(one, block)
            done += len(block)
            progress(done, len(rows))


def _reduced(image: Image.Image) -> Image.Image:
    """The shorter side comes down to `AT_LEAST`; the longer one to at most four times as much."""
    factor = max(min(image.size) / AT_LEAST, max(image.size) / (4 * AT_LEAST))
    if factor <= 1:
        return image
    size = max(1, round(image.width / factor)), max(1, round(image.height / factor))
    return image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)


def _sharpness(values: NDArray[np.float32]) -> float:
    """How much of the picture's contrast is fine detail: the Laplacian's deviation over that of the grey values.

    Contrast is divided out, so that fog is not called blur. Some 0.1 to 1 for photographs at this size.
    """
    spread = float(values.std())
    if min(values.shape) < 3 or spread < 1e-3:
        return 0.0
    inner = values[1:-1, 1:-1]
    laplacian = values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:] - 4 * inner
    return float(laplacian.std()) / spread

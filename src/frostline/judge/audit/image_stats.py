"""What one decode tells of a picture: its file, its light, its sharpness, its hash, and itself at 32 x 32."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frostline.data import decode
from frostline.data.decode import Decoded
from frostline.data.header import header
from frostline.data.manifest import Row
from frostline.data.pictures.picture import Picture
from frostline.data.pictures.reading import AS_IT_IS, Reading
from frostline.data.survey import lost_in_its_ground
from frostline.errors import DecodeError

ImageStats: TypeAlias = NDArray[np.void]
"""(N,) of `LOOK`: plain columns, some 1.2 kB a picture, so that memory is known before anything is read."""

SIDE = 32
_CLEAR = ("RGBA", "LA", "PA", "P", "RGBa", "La")
_UNSEEN = 0.02
AT_LEAST = 256
_TILE = 32  # pixels, of `_sharpness`
_LEVEL = 0.004  # one grey level of 256: slopes below it are noise
_BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16
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
        ("flat", np.float32),  # share of the pixels that have the commonest of 256 grey values
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
    record["flat"] = np.bincount(np.asarray(grey).ravel()).max() / values.size
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
    """How fine the finest detail is, in the sharpest places: second differences over the slope of the smoothed picture.

    Both are root mean squares over tiles; the 95th percentile of the tiles counts, so that the soft ground behind a
    sharp subject does not make a photograph blurry, and contrast is divided out, so that fog does not either. About 1
    and less where nothing is finer than two pixels, whatever the picture shows; 3 to 25 for photographs at this size.
    After the idea of Crete et al. 2007 (what smoothing takes away tells how sharp it was).
    """
    if min(values.shape) < 2 * len(_BINOMIAL):
        return 0.0
    inner = values[1:-1, 1:-1]
    second = values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:] - 4 * inner
    smooth = _smoothed(_smoothed(values).T).T
    slope = (smooth[2:, 1:-1] - smooth[:-2, 1:-1]) ** 2 + (smooth[1:-1, 2:] - smooth[1:-1, :-2]) ** 2
    ratio = _of_tiles(second) / (_of_tiles(np.sqrt(slope) / 2) + _LEVEL)
    return float(np.percentile(ratio, 95))


def _smoothed(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Along the first axis, by a Gaussian of two pixels: four times a binomial of one."""
    reach = len(_BINOMIAL) // 2
    for _ in range(4):
        wide = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
        values = np.sum([w * wide[at : at + len(values)] for at, w in enumerate(_BINOMIAL)], axis=0, dtype=np.float32)
    return values


def _of_tiles(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Root mean square of each whole tile."""
    side = min(_TILE, *values.shape)
    high, wide = values.shape[0] // side, values.shape[1] // side
    tiles = values[: high * side, : wide * side].reshape(high, side, wide, side)
    found: NDArray[np.floating] = np.sqrt((tiles**2).mean((1, 3)))
    return found

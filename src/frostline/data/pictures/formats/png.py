"""PNG of 16 bits. Pillow keeps the upper 8 of colour; decoded again with bytes exchanged, it gives the lower ones."""

import struct
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frostline.data.pictures.reading import Window
from frostline.data.pictures.samples import Samples

_START = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOUR, _GREY_ALPHA, _COLOUR_ALPHA = 0, 2, 4, 6
_MOST_CHUNKS = 1000


def samples(image: Image.Image, encoded: BinaryIO) -> Samples | None:
    """Of a PNG of 16 bits; None for any other, which Pillow reads whole."""
    depth, kind, significant = facts(encoded)
    if depth != 16:
        return None
    if kind == _GREY:
        values = np.array(image)[:, :, None]
    elif kind == _GREY_ALPHA:
        pairs = decoded(encoded, "RGBA", "RGBA")  # the four bytes of a pixel as they lie
        values = pairs[:, :, 0::2].astype(np.uint16) << 8 | pairs[:, :, 1::2]
    else:
        mode = "RGB" if kind == _COLOUR else "RGBA"
        values = wide(encoded, mode, f"{mode};16B", f"{mode};16L")
    alpha = values.shape[2] - 1 if kind in (_GREY_ALPHA, _COLOUR_ALPHA) else None
    clear = image.info.get("transparency")
    if alpha is None and isinstance(clear, int | tuple):
        covering = np.where((values == np.array(clear, np.int64)).all(2, keepdims=True), 0, 65535).astype(np.uint16)
        values, alpha = np.concatenate([values, covering], 2), values.shape[2]
    colours = values if alpha is None else values[:, :, :alpha]
    return Samples(values, declared=_declared(colours, significant), alpha=alpha, sure=True)


def facts(encoded: BinaryIO) -> tuple[int, int, int]:
    """Bits a sample, colour type and the significant bits that sBIT states (0 if it does not); (0, 0, 0): no PNG."""
    encoded.seek(0)
    head = encoded.read(33)
    if len(head) < 33 or not head.startswith(_START) or head[12:16] != b"IHDR":
        encoded.seek(0)
        return 0, 0, 0
    depth, kind, significant = head[24], head[25], 0
    for _ in range(_MOST_CHUNKS if depth == 16 else 0):
        start = encoded.read(8)
        if len(start) < 8 or start[4:] == b"IDAT":
            break
        (length,) = struct.unpack(">I", start[:4])
        if start[4:] == b"sBIT" and length in (1, 2, 3, 4):
            significant = max(encoded.read(length)[: 3 if kind & _COLOUR else 1])
            break
        encoded.seek(length + 4, 1)
    encoded.seek(0)
    return depth, kind, significant


def wide(encoded: BinaryIO, mode: str, upper: str, lower: str) -> NDArray[np.uint16]:
    """(H, W, C) of 16 bits of two readings of a file: by one raw mode of Pillow's the upper, by one the lower bytes."""
    above, below = decoded(encoded, mode, upper), decoded(encoded, mode, lower)
    found: NDArray[np.uint16] = np.bitwise_or(above.astype(np.uint16) << np.uint16(8), below, dtype=np.uint16)
    return found


def decoded(encoded: BinaryIO, mode: str, raw: str) -> NDArray[np.uint8]:
    """(H, W, C) uint8 of a PNG or TIFF that is read as if its samples lay in another way."""
    encoded.seek(0)
    image = Image.open(encoded, formats=("PNG", "TIFF"))
    image._mode = mode
    image.tile = [tile._replace(args=_with_raw(tile.args, raw)) for tile in image.tile]
    image.load()
    return np.array(image)


def raw_mode(encoded: BinaryIO) -> str:
    """How Pillow reads the samples of a PNG or TIFF as they lie."""
    encoded.seek(0)
    args = Image.open(encoded, formats=("PNG", "TIFF")).tile[0].args
    return str(args[0] if isinstance(args, tuple) else args)


def _with_raw(args: Any, raw: str) -> Any:
    return raw if isinstance(args, str) else (raw, *args[1:])


def _declared(values: NDArray[Any], significant: int) -> Window | None:
    """Sample depth as sBIT has it. Files should be scaled to 16 bits, and many are not: the unused bits tell."""
    if not 8 <= significant < 16 or not values.size:
        return None
    unscaled = int(values.max()) < 1 << significant and bool((values & ((1 << (16 - significant)) - 1)).any())
    return 0.0, float((1 << significant) - 1) if unscaled else 65535.0

"""The size of a JPEG XL picture by its header (ISO/IEC 18181-1, annex D): its plugin decodes a file to tell it."""

from collections.abc import Iterator
from typing import BinaryIO

from frostline.data.pictures.picture import Size
from frostline.errors import DecodeError

_CODESTREAM = b"\xff\x0a"
_MOST_BOXES = 1_000
_RATIOS = (None, (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def size(encoded: BinaryIO) -> Size:
    """(width, height); the file is left at its start.

    Raises: DecodeError: there is no picture in it.
    """
    head = next((start for start in _starts(encoded) if start.startswith(_CODESTREAM)), None)
    encoded.seek(0)
    if head is None:
        raise DecodeError("not a picture, or damaged at its very start", hint="save it again")
    bits = int.from_bytes(head[2:], "little")

    def take(count: int) -> int:
        nonlocal bits
        value = bits & ((1 << count) - 1)
        bits >>= count
        return value

    small = take(1)

    def side() -> int:
        return 8 * (take(5) + 1) if small else take((9, 13, 18, 30)[take(2)]) + 1

    height = side()
    ratio = _RATIOS[take(3)]
    return (side() if ratio is None else height * ratio[0] // ratio[1]), height


def _starts(encoded: BinaryIO) -> Iterator[bytes]:
    """The first bytes of each part of a file that may be a codestream."""
    encoded.seek(0)
    yield encoded.read(16)
    encoded.seek(0)
    for _ in range(_MOST_BOXES):
        place = encoded.tell()
        head = encoded.read(16)
        length, kind, skipped = int.from_bytes(head[:4]), head[4:8], 8
        if length == 1:
            length, skipped = int.from_bytes(head[8:16]), 16
        if kind in (b"jxlc", b"jxlp"):
            encoded.seek(place + skipped + (4 if kind == b"jxlp" else 0))
            yield encoded.read(16)
        if length < skipped:
            return
        encoded.seek(place + length)

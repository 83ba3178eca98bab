"""The size of a JPEG XL picture by its header (ISO/IEC 18181-1, annex D): its plugin decodes a file to tell it."""

from typing import BinaryIO

from frostline.data.pictures.picture import Size
from frostline.errors import DecodeError

_CODESTREAM = b"\xff\x0a"
_HEAD = 16  # bytes, of which the size takes ten at the most
_MOST_BOXES = 1_000
_RATIOS = (None, (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def size(encoded: BinaryIO) -> Size:
    """(width, height); the file is left at its start.

    Raises: DecodeError: there is no picture in it.
    """
    head = _head(encoded)
    encoded.seek(0)
    if not head.startswith(_CODESTREAM):
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


def _head(encoded: BinaryIO) -> bytes:
    """The first bytes of the codestream: the file itself, or what its parts come to one behind the other, however short
    each is."""
    encoded.seek(0)
    head = encoded.read(_HEAD)
    if head.startswith(_CODESTREAM):
        return head
    encoded.seek(0)
    head = b""
    for _ in range(_MOST_BOXES):
        place = encoded.tell()
        start = encoded.read(16)
        length, kind, skipped = int.from_bytes(start[:4]), start[4:8], 8
        if length == 1:
            length, skipped = int.from_bytes(start[8:16]), 16
        if kind in (b"jxlc", b"jxlp"):
            inside = place + skipped + (4 if kind == b"jxlp" else 0)
            encoded.seek(inside)
            left = _HEAD - len(head)
            head += encoded.read(min(left, max(0, place + length - inside)) if length else left)
        if length < skipped or len(head) == _HEAD:
            break
        encoded.seek(place + length)
    return head

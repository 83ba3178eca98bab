"""JPEG files that are made to keep a decoder busy: thousands of scans, or of markers, for a handful of bytes."""

from typing import BinaryIO

from frostline.errors import DecodeError

_MOST_MARKERS = 5_000
"""Before the first scan; a profile and extended XMP come in pieces of 64 kB."""
_MOST_SCANS = 200
"""Encoders write some ten; each is a pass over all of the picture."""

_SCAN, _PROGRESSIVE, _FRAMES = 0xDA, 0xC2, (0xC0, 0xC1, 0xC2)


def check(encoded: BinaryIO) -> None:
    """Of a JPEG; it is left at its start.

    Raises: DecodeError: it has more markers or scans than any encoder writes.
    """
    encoded.seek(2)
    components, progressive = 0, False
    for _ in range(_MOST_MARKERS):
        head = encoded.read(4)
        if len(head) < 4 or head[0] != 0xFF:
            break  # damaged: the decoder says so
        marker, place = head[1], encoded.tell()
        if marker == 0xFF:  # a byte that fills
            encoded.seek(place - 3)
            continue
        if marker in _FRAMES:
            components, progressive = int.from_bytes(encoded.read(6)[5:]), marker == _PROGRESSIVE
        if marker == _SCAN:
            one_of_many = progressive or int.from_bytes(encoded.read(1)) < components
            if one_of_many and encoded.read().count(b"\xff\xda") >= _MOST_SCANS:
                raise DecodeError(
                    f"a JPEG of more than {_MOST_SCANS} scans, which takes very long", hint="save it again"
                )
            break
        encoded.seek(place + max(int.from_bytes(head[2:]) - 2, 0))
    else:
        raise DecodeError(f"a JPEG of more than {_MOST_MARKERS:,} markers before its picture", hint="save it again")
    encoded.seek(0)

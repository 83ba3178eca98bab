"""How the pictures of a data set are to be read, decided once by looking at all that leave a choice.

JPEGs leave none and are not opened. PNG and TIFF tell by their headers; what has more than 8 bits is decoded, because
only its values show how many of them are used.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from PIL import UnidentifiedImageError

from frostline.data import decode
from frostline.data.manifest import Row
from frostline.data.pictures.formats import kinds, pillow, png, tiff
from frostline.data.pictures.picture import Item, Picture, fetched, source, whole_of
from frostline.data.pictures.pillow_settings import strict_and_silent
from frostline.data.pictures.reading import DEPTHS, Reading, Window, text
from frostline.data.pictures.samples import Doubt, Extent, Samples, read
from frostline.errors import DataError, DecodeError
from frostline.processors import processors

T = TypeVar("T")

_PLAIN_NAMES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"})
_PEEKED_ITEMS = 64  # of pictures that are fetched at some cost; if none of these leaves a choice, none is said to
_LOOKED_THROUGH = 24  # transparent pictures that are laid over the background
_FEW = 0.05  # doubtful pictures that are left out and named; more are refused
_DARK = 0.1  # of the window, within which a picture is nearly black
_UNSEEN = 0.02 * 255  # standard deviation of grey values of a picture on which nothing is seen
_MAYBE_DEEP = (b"P2", b"P3", b"P5", b"P6", b"Pf", b"PF", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP")


_MAYBE_CLEAR = (b"GIF8", b"BM", b"\0\0\1\0")  # GIF, BMP, ICO


class _Leaves(Enum):
    """What a header leaves open."""

    NOTHING = 0
    VALUES = 1
    GROUND = 2
    ALPHA = 3


@dataclass(frozen=True)
class Surveyed:
    """reading: how all pictures are to be read. notes: what was found, a line each. warnings: what may be wrong."""

    reading: Reading
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def survey(
    rows: Sequence[Row],
    asked: Reading | None = None,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    strict: bool = True,
) -> Surveyed:
    """Look at what leaves a choice, and make it.

    asked: what the user has said; that stays.
    progress: is told (pictures decoded, pictures to decode).
    strict: raise where the meaning of bands is in doubt in more than a few pictures.

    Raises: DataError: bands of which nobody said what they are.
    """
    reading = asked or Reading()
    leaves = _peeked(rows)
    deep = [row for row, what in zip(rows, leaves, strict=True) if what in (_Leaves.VALUES, _Leaves.ALPHA)]
    clear = [row for row, what in zip(rows, leaves, strict=True) if what is _Leaves.GROUND]
    extents: list[Extent] = []
    declared, doubts = 0, []
    for done, (row, found) in enumerate(_each(deep, lambda row: _found(row, reading)), start=1):
        if isinstance(found, Doubt):
            doubts.append((row, found))
        elif isinstance(found, Extent):
            extents.append(found)
        declared += found is True
        progress(done, len(deep))
    if doubts and strict:
        _refuse(doubts, len(rows))
    notes, warnings = [], []
    if doubts:
        warnings.append(f"{_pictures(len(doubts))} cannot be understood: {doubts[0][1].what}")
    if declared:
        notes.append(f"{_pictures(declared)} of more than 8 bits: the files say which values are black and white")
    if extents and reading.window is None:
        reading = replace(reading, window=Extent.joined(extents).window())
        notes.append(_says(reading, extents))
        warnings += _dark(reading.window, extents)
    if unseen := _unseen(clear, reading):
        warnings.append(unseen)
    return Surveyed(reading, tuple(notes), tuple(warnings))


def _says(reading: Reading, extents: Sequence[Extent]) -> str:
    assert reading.window is not None
    low, high = reading.window
    depth = all(one.whole for one in extents) and low == 0 and high in {(1 << bits) - 1 for bits in DEPTHS}
    why = "the smallest depth that holds all values" if depth else "their range"
    return (
        f"{_pictures(len(extents))} of more than 8 bits: {low:g} is black and {high:g} is white, {why}; "
        f"--intensity {text(reading.window)} says the same, or other values"
    )


def _dark(window: Window | None, extents: Sequence[Extent]) -> list[str]:
    """What to say where one window for all leaves most pictures nearly black: of other depths, or for a hot pixel."""
    low, high = window or (0.0, 1.0)
    dark = [one for one in extents if one.usual_high - low < _DARK * (high - low)]
    if len(dark) <= len(extents) / 2:
        return []
    own = text(Extent.joined(dark).window())
    return [
        f"{len(dark):,} of {len(extents):,} pictures of more than 8 bits use less than a tenth of {text((low, high))} "
        f"and are nearly black: --intensity {own}"
    ]


def _pictures(count: int) -> str:
    return f"{count:,} picture{'' if count == 1 else 's'}"


def _peeked(rows: Sequence[Row]) -> list[_Leaves]:
    items = [number for number, row in enumerate(rows) if isinstance(whole_of(row.picture), Item)]
    step = max(1, len(items) // _PEEKED_ITEMS)
    first = {number: _peek(rows[number].picture) for number in items[::step]}
    if all(what is _Leaves.NOTHING for what in first.values()):
        first = dict.fromkeys(items, _Leaves.NOTHING)
    todo = [row for number, row in enumerate(rows) if number not in first and not _plain(row.picture)]
    found = dict(zip(map(id, todo), (what for _, what in _each(todo, lambda row: _peek(row.picture))), strict=True))
    return [first.get(number) or found.get(id(row), _Leaves.NOTHING) for number, row in enumerate(rows)]


def _plain(picture: Picture) -> bool:
    """Whether a picture leaves no choice, by its kind or its name."""
    whole = whole_of(picture)
    if isinstance(whole, Path):
        return whole.suffix.lower() in _PLAIN_NAMES
    return isinstance(whole, np.ndarray) and (whole.dtype == np.uint8 or whole.dtype.kind not in "iuf")


def _peek(picture: Picture) -> _Leaves:
    try:
        found = fetched(whole_of(picture))
        if isinstance(found, Samples):
            return _Leaves.VALUES
        if isinstance(found, np.ndarray):
            return _Leaves.NOTHING if _plain(found) else _Leaves.VALUES
        with strict_and_silent(), source(found) as encoded:
            return _header(encoded)
    except Exception:  # whatever is wrong with it, decoding will say
        return _Leaves.NOTHING


def _header(encoded: BinaryIO) -> _Leaves:
    depth, colour, _ = png.facts(encoded)
    if depth:
        return _Leaves.VALUES if depth == 16 else _Leaves.GROUND if colour in (4, 6) else _Leaves.NOTHING
    kind = kinds.sniffed(encoded)
    if kind is not None:
        return _Leaves.VALUES if kind is kinds.DICOM else _Leaves.NOTHING
    head = encoded.read(32)
    encoded.seek(0)
    if head.startswith(tiff.STARTS):
        return _tiff(encoded)
    if _is_clear(encoded, head):
        return _Leaves.GROUND
    return _Leaves.VALUES if head.startswith(_MAYBE_DEEP) else _Leaves.NOTHING


def _is_clear(encoded: BinaryIO, head: bytes) -> bool:
    """Whether a file of 8 bits that is neither PNG nor TIFF says that parts of it are transparent."""
    if head[8:15] == b"WEBPVP8":
        lossless = int.from_bytes(head[21:25], "little") >> 28 & 1
        return bool(head[20] & 0x10 if head[15:16] == b"X" else lossless if head[15:16] == b"L" else 0)
    if head.startswith(b"qoif"):
        return head[12] == 4
    if not (head.startswith(_MAYBE_CLEAR) or head[4:12] in (b"ftypavif", b"ftypavis")):
        return False
    with pillow.opened(encoded) as opened:
        return opened.mode in ("RGBA", "LA", "PA") or "transparency" in opened.info


def _tiff(encoded: BinaryIO) -> _Leaves:
    try:
        with pillow.opened(encoded) as opened:
            tags = opened.tag_v2  # type: ignore[attr-defined]
            if tiff.is_raw(tags):
                return _Leaves.NOTHING
            if tiff.too_many(tags) or tiff.leaves_values(opened):
                return _Leaves.VALUES
            return _Leaves.ALPHA if opened.mode in ("RGBA", "LA") else _Leaves.NOTHING
    except UnidentifiedImageError:
        return _Leaves.VALUES


def _found(row: Row, reading: Reading) -> "Extent | Doubt | bool":
    """What a picture tells: its range, that it states its own (True), a doubt, or nothing (False)."""
    try:
        samples = decode.samples(row.picture)
        if samples is None:
            decode.image(row.picture, reading=reading, at_least=lambda _: 1)
            return False
        checked = samples.checked(reading)
        if checked.unit:
            read(checked, reading)
        if not checked.deep or checked.unit:
            return False
        if checked.declared is not None and reading.declared:
            return True
        return Extent.of(checked) or False
    except Doubt as doubt:
        return doubt
    except DecodeError:
        return False


def _refuse(doubts: Sequence[tuple[Row, Doubt]], of: int) -> None:
    row, doubt = doubts[0]
    if len(doubts) > _FEW * of:
        raise DataError(f"{len(doubts):,} of {of:,} pictures: {doubt.what}", where=row.name, hint=doubt.hint)


def _unseen(rows: Sequence[Row], reading: Reading) -> str:
    """What to say if transparent pictures show nothing over their background."""
    some = rows[:: max(1, len(rows) // _LOOKED_THROUGH)][:_LOOKED_THROUGH]
    lost = sum(found for _, found in _each(some, lambda row: lost_in_its_ground(row.picture, reading)))
    if not lost:
        return ""
    ground = "white" if reading.background is None else "the background"
    return (
        f"{lost} of {len(some)} transparent pictures show nothing over {ground}: "
        f"--background {'black' if reading.background is None else 'white'} draws them on another ground"
    )


def lost_in_its_ground(picture: Picture, reading: Reading) -> bool:
    """Whether nothing is seen of a transparent picture, and something would be over another background."""

    def spread(how: Reading) -> float:
        small = decode.image(picture, reading=how, at_least=lambda _: 64).image
        return float(np.asarray(small.convert("L")).std())

    try:
        if spread(reading) >= _UNSEEN:
            return False
        dark = sum(reading.background or (255, 255, 255)) < 3 * 128
        return spread(replace(reading, background=(255, 255, 255) if dark else (0, 0, 0))) >= _UNSEEN
    except DecodeError:
        return False


def _each(rows: Sequence[Row], act: Callable[[Row], T]) -> Iterator[tuple[Row, T]]:
    if not rows:
        return
    with ThreadPoolExecutor(max(2, processors()), thread_name_prefix="survey") as pool:
        for start in range(0, len(rows), 256):
            part = rows[start : start + 256]
            yield from zip(part, pool.map(act, part), strict=True)

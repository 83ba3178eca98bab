"""What stands for a picture before it is decoded: a file, bytes, pixels, where one of these is found; and its digest.

`decode` makes pixels of it.
"""

import hashlib
import io
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from frostline.data.pictures.samples import Samples
from frostline.errors import DecodeError, first_line, one_line

Size: TypeAlias = tuple[int, int]
"""(width, height) in pixels, as Pillow has it."""

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A picture within a larger file, such as a member of a tar: ``length`` bytes from ``offset`` on."""

    path: Path
    offset: int
    length: int


class Indexed(Protocol):
    """What gives a picture by its number, from any thread."""

    def __getitem__(self, index: int, /) -> Any:
        """A path, encoded bytes, or pixels.

        Raises: anything: the picture then counts as one that cannot be read.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """A picture that is fetched whenever it is needed and never kept: ``of[index]``."""

    of: Indexed
    index: int


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a picture that counts as a picture of its own, such as what a detector has found.

    of: the whole picture; no crop.
    box: left, top, right and bottom in pixels of the whole picture, as it is to be looked at (upright). What lies
        outside the picture is cut off.
    margin: how much more is taken on each side, as a share of the box's width and height.
    """

    of: "Whole"
    box: Box
    margin: float = 0.0

    def within(self, whole: Size) -> tuple[int, int, int, int]:
        """The box with its margin in whole pixels, none of which it cuts, within a picture of that size.

        Raises: DecodeError: nothing of the picture lies in it.
        """
        left, top, right, bottom = self.box
        if not all(map(math.isfinite, (*self.box, self.margin))) or left >= right or top >= bottom:
            raise DecodeError(f"the box {_text(self.box)} is empty", hint="give left, top, right, bottom in pixels")
        wide, high = (right - left) * self.margin, (bottom - top) * self.margin
        found = (
            max(0, math.floor(left - wide)),
            max(0, math.floor(top - high)),
            min(whole[0], math.ceil(right + wide)),
            min(whole[1], math.ceil(bottom + high)),
        )
        if found[0] >= found[2] or found[1] >= found[3]:
            raise DecodeError(
                f"the box {_text(self.box)} is outside the picture of {whole[0]} x {whole[1]} pixels",
                hint="give left, top, right, bottom in pixels of the upright picture",
            )
        return found

    def digest(self, of: str) -> str:
        """The digest of this part, given that of the whole picture."""
        says = f"crop {of} {self.box!r} {self.margin!r}".encode()
        return hashlib.blake2b(says, digest_size=16).hexdigest()


Whole: TypeAlias = Path | bytes | NDArray[Any] | Samples | Slice | Item

Picture: TypeAlias = Whole | Crop
"""A file, an encoded file's bytes, pixels, where one of these is found, or a part of it.

Pixels are uint8 of shape (H, W) (grey), (H, W, 2) (grey and alpha), (H, W, 3) (RGB), (H, W, 4) (RGBA) or (H, W, C);
whole numbers of other types are samples that are read by a window; floating-point ones must lie in [0, 1]."""

_LONG, _HOLES = 256 << 20, 16
_LOOK = "open it in a picture viewer: save it again from there, or remove it"


def content_digest(picture: Picture) -> str:
    """BLAKE2b-128, in hex, of a file's bytes; of shape and values where pixels are given; of a crop, its box too.

    Raises: DecodeError: no such file, not readable, truncated, or empty.
    """
    if isinstance(picture, Crop):
        return picture.digest(content_digest(picture.of))
    where = described(picture)
    digest = hashlib.blake2b(digest_size=16)
    try:
        found = fetched(picture)
        if isinstance(found, Samples):
            digest.update(f"{found.declared} {found.alpha} {found.inverted} {found.unit}\n".encode())
            digest.update(b"" if found.hidden is None else found.hidden.tobytes())
            found = found.values
        if isinstance(found, np.ndarray):
            digest.update(f"pixels {found.dtype} {found.shape}\n".encode())
            digest.update(np.ascontiguousarray(found).tobytes())
            return digest.hexdigest()
        with source(found) as bytes_of:
            while block := bytes_of.read(1 << 20):
                digest.update(block)
    except DecodeError as error:
        raise DecodeError(error.what, where=where, hint=error.hint) from None
    except (OSError, ValueError) as error:  # a ValueError is a name that no file can have
        raise DecodeError(refusal(error), where=where, hint=_LOOK) from None
    return digest.hexdigest()


def described(picture: Picture) -> str:
    """What to call a picture in a message: its path, or what kind of thing it is."""
    if isinstance(picture, Crop):
        return f"{described(picture.of)}, box {_text(picture.box)}"
    if isinstance(picture, Path):
        return str(picture)
    if isinstance(picture, Samples):
        return f"picture of shape {picture.values.shape}, {picture.values.dtype}"
    if isinstance(picture, np.ndarray):
        return f"array of shape {picture.shape}, {picture.dtype}"
    if isinstance(picture, Slice):
        return f"{picture.path}, byte {picture.offset:,}"
    if isinstance(picture, Item):
        return f"#{picture.index}"
    return f"{len(picture):,} bytes"


def whole_of(picture: Picture) -> Whole:
    """The whole picture: of a crop, what it was cut from."""
    return picture.of if isinstance(picture, Crop) else picture


def fetched(picture: Whole) -> Path | bytes | NDArray[Any] | Samples | Slice:
    """The same, and what an ``Item`` stands for.

    Raises: DecodeError: it is not to be had.
    """
    if not isinstance(picture, Item):
        return picture
    try:
        found = picture.of[picture.index]
    except DecodeError:
        raise
    except Exception as error:  # somebody else's code: whatever it raises, this picture is not to be had
        raise DecodeError(f"cannot be fetched: {first_line(error)}", hint=_LOOK) from None
    if isinstance(found, Path | bytes | np.ndarray | Samples | Slice):
        return found
    raise DecodeError(f"there is no picture, but {type(found).__name__}", hint="give a path, bytes or uint8 pixels")


@contextmanager
def source(picture: Path | bytes | Slice) -> Iterator[BinaryIO]:
    """The encoded picture, open for reading.

    Raises: DecodeError, OSError: there are no bytes, or fewer than there should be.
    """
    if isinstance(picture, Slice):
        there = max(0, picture.path.stat().st_size - picture.offset)
        if there < picture.length:
            raise DecodeError(f"truncated: {there:,} of {picture.length:,} bytes are there", hint=_LOOK)
        with source(picture.path) as whole:
            whole.seek(picture.offset)
            picture = whole.read(picture.length)
    if isinstance(picture, bytes):
        if not picture:
            raise DecodeError("there are no bytes", hint="was the file read to its end already?")
        yield io.BytesIO(picture)
        return
    kind = picture.stat()
    if not stat.S_ISREG(kind.st_mode):  # opening a pipe would wait for ever
        raise DecodeError("not an ordinary file", hint="name a picture file, not a folder, pipe or device")
    refuse_sparse(picture, kind)
    if not kind.st_size:
        raise DecodeError("the file is empty", hint="copy it again from where it came, or remove it")
    with picture.open("rb") as opened:
        yield opened


def refuse_sparse(path: Path, kind: os.stat_result) -> None:
    """Notice a file that is all holes, see ``holes``.

    Raises: DecodeError: it is.
    """
    if (said := holes(kind)) is not None:
        raise DecodeError(said, where=path, hint="copy it again from where it came: it was not written to its end")


def holes(kind: os.stat_result) -> str | None:
    """What is wrong with a file that is all holes, a terabyte of zeros that takes no disk and hours to read: it is
    long, and hardly any of it is on the disk. None of any other."""
    there = getattr(kind, "st_blocks", None)  # which Windows does not tell
    if there is not None and kind.st_size > _LONG and there * 512 * _HOLES < kind.st_size:
        return f"a sparse file: {kind.st_size:,} bytes long, and {there * 512:,} of them are on the disk"
    return None


def refusal(error: Exception) -> str:
    """Why a picture cannot be read, from what reading it raised."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror}"
    return f"cannot be decoded: {one_line(str(error)) or type(error).__name__}"


def _text(box: Box) -> str:
    return ",".join(f"{side:g}" for side in box)

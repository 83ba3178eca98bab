"""One block file: some rows of a shelf, written once, whole or absent, checked before it is believed.

    magic (8 bytes) | length of the header (4) | CRC-32 of the header (4) | header, JSON | zeros up to 64 | rows

The header names the rows' digests, dtype, shape and checksum. The file is written under another name, flushed to the
disk and renamed: a kill leaves a ``.tmp`` file, never a part of a block.
"""

import json
import mmap
import os
import secrets
import struct
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline import atomic

Rows = NDArray[Any]

SUFFIX = ".block"
UNFINISHED = ".tmp"

_MAGIC = b"FROSTBL1"
_FRONT = struct.Struct("<8sII")
_ALIGN = 64
_LONGEST_HEADER = 1 << 28


class Damaged(Exception):
    """A block file is not what was written; frostline's own business, the rows are computed again."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """The rows (n, ...) of a block, memory-mapped, read-only. Unix keeps them readable when the file is removed."""

    rows: Rows
    memory: mmap.mmap

    def release(self) -> None:
        """Let the pages that were read go; the system has them, or reads them again, when they are next asked for."""
        if hasattr(mmap, "MADV_DONTNEED"):  # not on Windows, which sees to it by itself
            self.memory.madvise(mmap.MADV_DONTNEED)


@dataclass(frozen=True, slots=True)
class Block:
    """What the header of a block file says.

    shape: of one row. offset: where the rows begin, in bytes. check: CRC-32 of the rows.
    """

    path: Path
    digests: tuple[str, ...]
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int
    check: int

    @property
    def nbytes(self) -> int:
        """Bytes of all rows."""
        return len(self.digests) * self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))

    def map(self) -> Mapped:
        """The rows (n, *shape), not read yet.

        Raises: Damaged: the file is shorter than its header says. OSError: it is gone.
        """
        with self.path.open("rb") as file:
            if os.fstat(file.fileno()).st_size != self.offset + self.nbytes:
                raise Damaged("its length is not what its header says")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        flat = np.frombuffer(mapped, self.dtype, offset=self.offset)
        return Mapped(flat.reshape(len(self.digests), *self.shape), mapped)

    def verified(self) -> Mapped:
        """``map``, and every byte compared with the checksum.

        Raises: Damaged: they differ. OSError: the file is gone.
        """
        mapped = self.map()
        if _checksum(mapped.rows) != self.check:
            raise Damaged("its checksum is not that of its rows")
        mapped.release()
        return mapped


def write(folder: Path, digests: Sequence[str], rows: Rows) -> Block:
    """Write rows (n, ...), one a digest, as one new block of a folder.

    Raises: OSError: the disk is full or read-only; nothing is left behind.
    """
    rows = np.ascontiguousarray(rows)
    check = _checksum(rows)
    facts = {"digests": list(digests), "dtype": rows.dtype.str, "shape": rows.shape[1:], "check": check}
    header = json.dumps(facts, separators=(",", ":")).encode()
    front = _FRONT.pack(_MAGIC, len(header), zlib.crc32(header)) + header
    front += bytes(-len(front) % _ALIGN)
    path = folder / f"{time.time_ns():020d}-{secrets.token_hex(6)}{SUFFIX}"
    with atomic.beside(path) as fresh, fresh.open("xb") as file:
        file.write(front)
        file.write(_bytes(rows))
    return Block(path, tuple(digests), rows.dtype, rows.shape[1:], len(front), check)


def read_header(path: Path) -> Block:
    """What a block file holds, without reading its rows.

    Raises: Damaged: it is no block, or its header is not what was written. OSError: it is gone.
    """
    with path.open("rb") as file:
        front = file.read(_FRONT.size)
        if len(front) < _FRONT.size:
            raise Damaged("it is shorter than a header")
        magic, length, check = _FRONT.unpack(front)
        if magic != _MAGIC or length > _LONGEST_HEADER:
            raise Damaged("it does not begin as a block")
        header = file.read(length)
    if zlib.crc32(header) != check:
        raise Damaged("the checksum of its header is wrong")
    facts = json.loads(header)
    end = _FRONT.size + length
    return Block(
        path,
        tuple(facts["digests"]),
        np.dtype(facts["dtype"]),
        tuple(facts["shape"]),
        end + -end % _ALIGN,
        facts["check"],
    )


def _bytes(rows: Rows) -> memoryview:
    return rows.reshape(-1).view(np.uint8).data


def _checksum(rows: Rows) -> int:
    return zlib.crc32(_bytes(rows))  # against accidents, at 2.5 GB/s; blake2b makes 0.7

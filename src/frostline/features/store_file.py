"""One block file: some rows of a shelf as safetensors, written once, whole or absent, checked before it is believed.

Anything that reads safetensors opens it: the tensor is called "rows", and the metadata has the pictures' digests, the
CRC-32 of the rows and that of the header's own facts. The file is written under another name, flushed to the disk and
renamed: a kill leaves a ``.tmp`` file, never a part of a block.
"""

import json
import mmap
import os
import secrets
import struct
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from frostline import atomic

Rows = NDArray[Any]

SUFFIX = ".safetensors"
UNFINISHED = (".tmp", ".block")
"""What a kill, or a version before 0.2, has left: it holds nothing that is not computed again."""

_ROWS = "rows"
_KINDS = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"]
_DTYPES = {f"{kind[0].upper()}{8 * int(kind[1])}": np.dtype(kind) for kind in _KINDS}
_LENGTH = struct.Struct("<Q")
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
    facts = {"digests": json.dumps(list(digests)), "crc32": str(_checksum(rows))}
    facts["facts_crc32"] = str(_facts_checksum(facts, rows.dtype, rows.shape))
    path = folder / f"{time.time_ns():020d}-{secrets.token_hex(6)}{SUFFIX}"
    with atomic.beside(path) as fresh:
        save_file({_ROWS: rows}, fresh, metadata=facts)
    return read_header(path)


def read_header(path: Path) -> Block:
    """What a block file holds, without reading its rows.

    Raises: Damaged: it is no block, or its header is not what was written. OSError: it is gone.
    """
    with path.open("rb") as file:
        front = file.read(_LENGTH.size)
        length = _LENGTH.unpack(front)[0] if len(front) == _LENGTH.size else 0
        if not 0 < length <= _LONGEST_HEADER:
            raise Damaged("it does not begin as a block")
        header = file.read(length)
    try:
        says = json.loads(header)
        facts, rows = says["__metadata__"], says[_ROWS]
        dtype, shape = np.dtype(_DTYPES[rows["dtype"]]), tuple(map(int, rows["shape"]))
        if int(facts["facts_crc32"]) != _facts_checksum(facts, dtype, shape):
            raise Damaged("the checksum of its header is wrong")
        offset = _LENGTH.size + length + int(rows["data_offsets"][0])
        return Block(path, tuple(json.loads(facts["digests"])), dtype, shape[1:], offset, int(facts["crc32"]))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise Damaged(f"its header cannot be read: {error}") from None


def _facts_checksum(facts: Mapping[str, str], dtype: np.dtype[Any], shape: Sequence[int]) -> int:
    return zlib.crc32(f"{facts['digests']}|{facts['crc32']}|{dtype.str}|{list(shape)}".encode())


def _bytes(rows: Rows) -> memoryview:
    return rows.reshape(-1).view(np.uint8).data


def _checksum(rows: Rows) -> int:
    return zlib.crc32(_bytes(rows))  # against accidents, at 2.5 GB/s; blake2b makes 0.7

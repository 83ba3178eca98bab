"""Digests of files seen before, so that nothing is read again that is known to be the same.

The same is: path, size, inode, when the content and when the inode changed. Size and the first time alone are not
enough: ``cp -p``, ``rsync -t``, ``tar`` and two folders that swap their names keep both. Where the file system cannot
tell (times without a fraction of a second: FAT, ISO 9660, squashfs), or a moment ago it changed, the file is read.
"""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

from frostline.data.pictures.picture import Crop, Item, Picture, Slice, content_digest
from frostline.data.pictures.samples import Samples

_FRESH = 2.0  # seconds: a file this young may change again within the clock's grain and keep its time (cf. git)
_COARSE = (
    10_000_000  # ns: FAT's grain; a clock that ticks in nanoseconds hits a multiple of it once in ten million times
)
_BATCH = 512


class DigestCache:
    """A digest function with a memory on disk. Use it as a context manager: what is new is written in batches.

    Any thread may call it, and several processes may share the file. A cache that cannot be read or written is no
    error: digests are computed as if there were none.

    path: of the SQLite file; its folder is made.
    compute: what gives a digest not known yet.
    fresh: seconds that a file must have been left alone for, before its digest is kept.
    """

    def __init__(
        self, path: Path, compute: Callable[[Picture], str] = content_digest, *, fresh: float = _FRESH
    ) -> None:
        self.path = path
        self._compute, self._fresh = compute, fresh
        self._lock = threading.Lock()
        self._new: dict[str, tuple[str, str]] = {}
        self._database: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = self._opened()
        except sqlite3.DatabaseError as error:
            if not isinstance(error, sqlite3.OperationalError):  # no database at all: begin anew
                with contextlib.suppress(OSError, sqlite3.Error):
                    path.unlink()
                    self._database = self._opened()
        except OSError:
            pass

    def __call__(self, picture: Picture) -> str:
        """As ``content_digest``.

        Raises: DecodeError: as ``content_digest``.
        """
        if isinstance(picture, Crop):
            return picture.digest(self(picture.of))
        if isinstance(picture, bytes | np.ndarray | Samples | Item):
            return self._compute(picture)
        path = picture.path if isinstance(picture, Slice) else picture
        key = os.path.abspath(path)  # noqa: PTH100 (resolving links would cost a call per folder of the path)
        if isinstance(picture, Slice):
            key += f"//{picture.offset}+{picture.length}"  # no absolute path has two slashes
        before = state(path)
        if before is not None and (known := self._known(key, before)):
            return known
        digest = self._compute(picture)
        if before is not None and before == state(path) and before.age(time.time_ns()) > self._fresh:
            with self._lock:
                self._new[key] = (str(before), digest)
                if len(self._new) >= _BATCH:
                    self._flush()
        return digest

    def close(self) -> None:
        """Write what is new."""
        with self._lock:
            self._flush()
            if self._database is not None:
                self._database.close()
                self._database = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=30, check_same_thread=False)
        try:
            database.execute("DROP TABLE IF EXISTS digests")  # of versions that believed size and time
            database.execute(
                "CREATE TABLE IF NOT EXISTS files"
                " (path TEXT PRIMARY KEY, state TEXT, digest TEXT, seal TEXT) WITHOUT ROWID"
            )
            database.commit()
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _known(self, key: str, before: "State") -> str | None:
        with self._lock:
            if self._database is None:
                return None
            try:
                found = self._database.execute(
                    "SELECT digest, seal FROM files WHERE path = ? AND state = ?", (key, str(before))
                ).fetchone()
            except (sqlite3.Error, UnicodeError):  # damaged, or a name that is no text
                return None
        return str(found[0]) if found and found[1] == _seal(key, str(before), str(found[0])) else None

    def _flush(self) -> None:
        if self._database is not None and self._new:
            values = [(key, *entry, _seal(key, *entry)) for key, entry in self._new.items() if key.isprintable()]
            with contextlib.suppress(sqlite3.Error), self._database:
                self._database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", values)
        self._new.clear()


class State(NamedTuple):
    """What is the same as long as a file is the same."""

    size: int
    inode: int
    modified: int
    changed: int

    def __str__(self) -> str:
        return f"{self.size} {self.inode} {self.modified} {self.changed}"

    def age(self, now: int) -> float:
        """Seconds since it was touched last; of a time in the future as well."""
        return min(abs(now - self.modified), abs(now - self.changed)) / 1e9


def state(path: Path) -> State | None:
    """None where it cannot be told whether a file is still the same."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    # On Windows st_ctime is the time of creation: there the time of the content alone must show a fraction of a second.
    changed = found.st_mtime_ns if os.name == "nt" else found.st_ctime_ns
    if changed % _COARSE == 0 or not found.st_ino:
        return None
    return State(found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)


def _seal(*entry: str) -> str:
    """So that a flipped byte of the database is a digest computed again, and not another digest."""
    return blake2b("\0".join(entry).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()

"""Digests of files seen before: same path, size and time of change, so the same bytes; nothing is read again."""

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from frostline.data.picture import Crop, Item, Picture, Slice, content_digest

_FRESH = 2_000_000_000  # ns: a file this young may change again within the clock's grain and keep its time (cf. git)
_BATCH = 512


class DigestCache:
    """A digest function with a memory on disk. Use it as a context manager: what is new is written in batches.

    Any thread may call it, and several processes may share the file. A cache that cannot be read or written is no
    error: digests are computed as if there were none.

    path: of the SQLite file; its folder is made.
    compute: what gives a digest not known yet.
    """

    def __init__(self, path: Path, compute: Callable[[Picture], str] = content_digest) -> None:
        self.path = path
        self._compute = compute
        self._lock = threading.Lock()
        self._new: dict[str, tuple[int, int, str]] = {}
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
        if isinstance(picture, bytes | np.ndarray | Item):
            return self._compute(picture)
        path = picture.path if isinstance(picture, Slice) else picture
        key = os.path.abspath(path)  # noqa: PTH100 (resolving links would cost a call per folder of the path)
        if isinstance(picture, Slice):
            key += f"//{picture.offset}+{picture.length}"  # no absolute path has two slashes
        before = _state(path)
        if before is not None and (known := self._known(key, before)):
            return known
        digest = self._compute(picture)
        if before is not None and before == _state(path) and abs(time.time_ns() - before[1]) > _FRESH:
            with self._lock:
                self._new[key] = (*before, digest)
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
            database.execute(
                "CREATE TABLE IF NOT EXISTS digests"
                " (path TEXT PRIMARY KEY, size INT, mtime INT, digest TEXT) WITHOUT ROWID"
            )
            database.commit()
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _known(self, key: str, state: tuple[int, int]) -> str | None:
        with self._lock:
            if self._database is None:
                return None
            try:
                found = self._database.execute(
                    "SELECT digest FROM digests WHERE path = ? AND size = ? AND mtime = ?", (key, *state)
                ).fetchone()
            except (sqlite3.Error, UnicodeEncodeError):
                return None
        return str(found[0]) if found else None

    def _flush(self) -> None:
        if self._database is not None and self._new:
            values = [(key, *entry) for key, entry in self._new.items() if key.isprintable()]
            with contextlib.suppress(sqlite3.Error), self._database:
                self._database.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?)", values)
        self._new.clear()


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns

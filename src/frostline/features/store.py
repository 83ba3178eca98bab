"""The activation store: rows of numbers on disk, addressed by what they were computed from.

    Store     a folder of shelves, kept below a limit; who was used longest ago goes first
    Shelf     the rows of one address, by picture digest; a block of them is whole or absent, and checked before use
    Address   what the rows of a shelf depend on besides the picture

Several processes may read and fill one shelf at once: each writes blocks (`blocks`) of its own, and a lock (`locks`)
keeps a shelf that is in use from being removed. A row that two of them computed stands twice and is read once.
"""

import json
import logging
import shutil
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np

from frostline import atomic
from frostline.errors import StoreError, one_line
from frostline.features import store_file
from frostline.features.locks import Held, unused
from frostline.features.store_file import SUFFIX, UNFINISHED, Block, Damaged, Mapped, Rows
from frostline.quantities import in_bytes

LIMIT = 20 * 10**9
"""Bytes that a store may take on disk."""

_LOCK = ".lock"
_OPEN_BLOCKS = 64  # memory maps a shelf keeps; each holds a file descriptor, of which there may be 256 in all

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Address:
    """What a row depends on besides its picture.

    prefix: digest of all that is computed: weights, architecture, line, mean and standard deviation.
    view: a view's key. engine, precision: the numbers of two engines differ a little.
    """

    prefix: str
    view: str
    engine: str
    precision: str

    @property
    def key(self) -> str:
        """The shelf's name: blake2b, 128 bits, hexadecimal."""
        return blake2b(self._plain().encode(), digest_size=16).hexdigest()

    def _plain(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, slots=True)
class Usage:
    """What one shelf takes.

    key: the name of its folder. about: what its rows are, for people. rows: those that stand twice count twice.
    bytes: on disk. used: when it was last opened, seconds since 1970.
    """

    key: str
    about: str
    rows: int
    bytes: int
    used: float


class Store:
    """A folder of shelves.

    limit: bytes on disk. Shelves that nobody uses are removed to stay below it, the one used longest ago first.

    Raises: StoreError: the folder cannot be made.
    """

    def __init__(self, root: Path, *, limit: int = LIMIT) -> None:
        self.root = root
        self.limit = limit
        with _explained(root, "the store cannot be opened"):
            root.mkdir(parents=True, exist_ok=True)

    def shelf(self, address: Address) -> "Shelf":
        """The shelf of an address, empty if it is new. It is in use, and safe from removal, while anybody refers to it.

        Raises: StoreError: the store cannot be read or written.
        """
        with _explained(self.root, "the store cannot be opened"):
            return Shelf(self, address)

    def usage(self) -> list[Usage]:
        """What each shelf takes, the one used last first.

        Raises: StoreError: the store cannot be read.
        """
        found = []
        with _explained(self.root, "the store cannot be read"):
            for lock in self.root.glob(f"*{_LOCK}"):
                folder = lock.with_suffix("")
                rows = 0
                for path in folder.glob(f"*{SUFFIX}"):
                    try:
                        rows += len(store_file.read_header(path).digests)
                    except (Damaged, OSError):
                        continue
                used = _stamp(lock)
                if used:
                    found.append(Usage(folder.name, _about(lock), rows, _size(folder), used))
        return sorted(found, key=lambda shelf: shelf.used, reverse=True)

    def clear(self, *, before: float | None = None) -> int:
        """Remove the shelves that nobody uses; returns the bytes that became free.

        before: only those used last before this time, seconds since 1970.

        Raises: StoreError: the store cannot be read.
        """
        with _explained(self.root, "the store cannot be cleared"):
            return sum(self._remove(lock) for used, lock in self._by_age() if before is None or used < before)

    def make_room(self, nbytes: int) -> None:
        """Remove shelves until so many bytes more fit below the limit.

        Raises: StoreError: they do not fit beside the shelves in use, or the disk has not that much space.
        """
        with _explained(self.root, "the store cannot be read"):
            shelves = self._by_age()
            over = sum(_size(lock.with_suffix("")) for _, lock in shelves) + nbytes - self.limit
            for _, lock in shelves:
                if over <= 0:
                    break
                over -= self._remove(lock)
            free = shutil.disk_usage(self.root).free
        if over > 0:
            more, past, limit = map(in_bytes, (nbytes, over, self.limit))
            raise StoreError(
                f"{more} more would take the store {past} over its limit of {limit}",
                where=self.root,
                hint="raise --store-limit, use fewer --views, or end the other runs that use the store",
            )
        if nbytes > free:
            raise StoreError(
                f"{in_bytes(nbytes)} are needed and the disk has {in_bytes(free)} left",
                where=self.root,
                hint="make room there, for instance with `frostline store clear`",
            )

    def _by_age(self) -> list[tuple[float, Path]]:
        return sorted((_stamp(lock), lock) for lock in self.root.glob(f"*{_LOCK}"))

    def _remove(self, lock: Path) -> int:
        with unused(lock) as free:
            if not free:
                return 0
            folder = lock.with_suffix("")
            size = _size(folder)
            shutil.rmtree(folder, ignore_errors=True)  # what remains, of a file open on Windows, is counted below
            left = _size(folder)
            if not left:
                lock.unlink(missing_ok=True)
            return size - left


class Shelf:
    """The rows of one address, by picture digest; made by ``Store.shelf``. Threads may use it at the same time."""

    def __init__(self, store: Store, address: Address) -> None:
        self.address = address
        self._store = store
        self._folder = store.root / address.key
        lock = self._folder.with_suffix(_LOCK)
        self._held = Held(lock, address._plain().encode())
        lock.touch()
        self._folder.mkdir(exist_ok=True)
        if self._held.alone:
            for leftover in self._folder.iterdir():
                if leftover.name.endswith(UNFINISHED):
                    leftover.unlink(missing_ok=True)
            self._held.share()
        self._guard = threading.RLock()
        self._blocks: dict[Path, Block] = {}
        self._where: dict[str, tuple[Path, int]] = {}
        self._verified: set[Path] = set()
        self._maps: OrderedDict[Path, Mapped] = OrderedDict()
        self._look()

    def __contains__(self, digest: str) -> bool:
        return not self.missing([digest])

    def __len__(self) -> int:
        return len(self._where)

    def missing(self, digests: Iterable[str]) -> list[str]:
        """Which of these have no row here, each once, in the order given.

        Blocks that hold the others are checked, each once. A damaged one is removed, with a warning in the log, and its
        rows are missing.

        Raises: StoreError: the store cannot be read.
        """
        wanted = list(dict.fromkeys(digests))
        with self._guard, _explained(self._folder, "the store cannot be read"):
            self._look()
            while True:
                needed = {self._where[digest][0] for digest in wanted if digest in self._where} - self._verified
                if not needed:
                    return [digest for digest in wanted if digest not in self._where]
                for path in sorted(needed):
                    self._verify(path)

    def read(self, digests: Sequence[str]) -> Rows:
        """The rows of these pictures (n, ...), in this order, as an array of one's own.

        Raises: StoreError: a row is not here, or has been damaged since it was written.
        """
        with self._guard, _explained(self._folder, "the store cannot be read"):
            absent = self.missing(digests)
            if absent:
                raise StoreError(
                    f"{len(absent)} of {len(digests)} rows are not in the store, first: {absent[0]}",
                    where=self._folder,
                    hint="run it again: what was damaged or removed meanwhile is computed again",
                )
            places: dict[Path, list[tuple[int, int]]] = defaultdict(list)
            for number, digest in enumerate(digests):
                path, row = self._where[digest]
                places[path].append((number, row))
            one = next(iter(self._blocks.values()), None)
            found = np.empty((len(digests), *(one.shape if one else ())), one.dtype if one else np.float32)
            for path, pairs in places.items():
                numbers, rows = zip(*pairs, strict=True)
                mapped = self._mapped(path)
                found[list(numbers)] = mapped.rows[list(rows)]
                mapped.release()
            return found

    def write(self, digests: Sequence[str], rows: Rows) -> None:
        """Add rows (n, ...), one a digest, as one block: after this they outlive the process.

        Raises: StoreError: the disk or the limit is full, or the rows have not the shape or type of those here; nothing
            is left half written.
        """
        if len(digests) != len(rows):
            raise ValueError(f"{len(digests)} digests for {len(rows)} rows")
        if not len(rows):
            return
        with self._guard:
            one = next(iter(self._blocks.values()), None)
            if one is not None and (one.shape, one.dtype) != (rows.shape[1:], rows.dtype):
                raise StoreError(
                    f"rows of {rows.dtype} {rows.shape[1:]} on a shelf of {one.dtype} {one.shape}",
                    where=self._folder,
                    hint="the address leaves out something that the rows depend on",
                )
            self._store.make_room(rows.nbytes)
            with _explained(self._folder, f"{in_bytes(rows.nbytes)} cannot be written to the store"):
                block = store_file.write(self._folder, digests, rows)
            self._add(block)
            self._verified.add(block.path)

    def make_room(self, rows: int, row: Rows) -> None:
        """See to it, before the work is begun, that so many rows like this one will fit.

        Raises: StoreError: they will not.
        """
        self._store.make_room(rows * row.nbytes)

    def close(self) -> None:
        """Give the shelf free for removal; its rows cannot be counted on from here."""
        with self._guard:
            self._maps.clear()
            self._held.release()

    def _look(self) -> None:
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            if path in self._blocks:
                continue
            try:
                self._add(store_file.read_header(path))
            except Damaged as error:
                self._discard(path, error)
            except (FileNotFoundError, IsADirectoryError):
                continue

    def _add(self, block: Block) -> None:
        self._blocks[block.path] = block
        for row, digest in enumerate(block.digests):
            self._where.setdefault(digest, (block.path, row))

    def _verify(self, path: Path) -> None:
        try:
            self._keep_open(path, self._blocks[path].verified())
            self._verified.add(path)
        except (Damaged, FileNotFoundError) as error:
            self._discard(path, error)

    def _discard(self, path: Path, reason: Exception) -> None:
        log.warning("a block of the store is damaged (%s), its rows are computed again: %s", reason, path)
        path.unlink(missing_ok=True)
        self._blocks.pop(path, None)
        self._where.clear()
        for block in list(self._blocks.values()):  # a row that stood twice is still there once
            self._add(block)

    def _mapped(self, path: Path) -> Mapped:
        mapped = self._maps.get(path)
        if mapped is None:
            try:
                mapped = self._blocks[path].map()
            except Damaged as error:
                raise StoreError(
                    f"a block was changed while it was in use: {error}",
                    where=path,
                    hint="run it again: what is damaged is computed again",
                ) from None
            self._keep_open(path, mapped)
        self._maps.move_to_end(path)
        return mapped

    def _keep_open(self, path: Path, mapped: Mapped) -> None:
        self._maps[path] = mapped
        while len(self._maps) > _OPEN_BLOCKS:
            self._maps.popitem(last=False)


@contextmanager
def _explained(where: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        said = atomic.reason(error)
        hint = "make room there, for instance with `frostline store clear`, or set XDG_CACHE_HOME to another folder"
        raise StoreError(f"{what}: {said}", where=where, hint=hint) from error


def _stamp(lock: Path) -> float:
    try:
        return lock.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(folder: Path) -> int:
    total = 0
    for path in folder.glob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total


def _about(lock: Path) -> str:
    try:
        says = Address(**json.loads(lock.read_bytes()))
    except (OSError, ValueError, TypeError):
        return "of unknown origin"
    return one_line(f"{says.engine} {says.precision}, prefix {says.prefix[:8]}, view {says.view}")

"""Fill a shelf with what it lacks: threads decode, the engine computes meanwhile, blocks are written as they come."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from frostline.data.manifest import Row, Skipped
from frostline.data.views import View
from frostline.errors import DecodeError, EngineError
from frostline.features.store import Shelf
from frostline.inference.engine import Engine
from frostline.processors import processors

Batch = NDArray[np.uint8]
Progress = Callable[[int, int], None]
"""Is told (pictures done, pictures to do), not counting those that were there."""

SAMPLES = 8
"""Pictures that an engine is checked on."""

BLOCK_BYTES = 32 << 20
BLOCK_SECONDS = 5.0
"""A block is written when it is that large or that old: what a kill can cost."""

_AHEAD = 3  # batches that are decoded or waiting, so that memory does not grow with the number of pictures


def fill(
    shelf: Shelf,
    rows: Sequence[Row],
    view: View,
    on_progress: Progress = lambda done, total: None,
    *,
    opened: Callable[[Batch], Engine],
    batch: int = 32,
    threads: int | None = None,
) -> list[Skipped]:
    """Compute the rows that a shelf lacks; equal pictures once.

    opened: makes the engine, given at most `SAMPLES` pictures; not called if nothing is missing.
    batch: pictures that the engine is given at once. threads: decoders, by default one a core.

    Returns every row whose picture cannot be decoded, in the order of the rows.

    Raises: StoreError: the rows cannot be written or will not fit. EngineError: no engine agrees with the network, or
        another one was opened than the shelf is for.
    """
    todo = missing(shelf, rows)
    if not todo:
        return []
    reasons: dict[str, str] = {}
    done = 0
    writer = BlockWriter(shelf, len(todo))
    engine: Engine | None = None
    with ThreadPoolExecutor(threads or processors(), thread_name_prefix="decode") as pool:
        batches = _decoded(pool, todo, view, batch)
        on_progress(0, len(todo))
        try:
            for part, pictures in batches:
                good = [
                    (row.digest, picture)
                    for row, picture in zip(part, pictures, strict=True)
                    if not isinstance(picture, str)
                ]
                reasons |= {
                    row.digest: picture for row, picture in zip(part, pictures, strict=True) if isinstance(picture, str)
                }
                if good:
                    stacked = np.stack([picture for _, picture in good])
                    if engine is None:
                        engine = _matching(opened(stacked[:SAMPLES]), shelf)
                    writer.add([digest for digest, _ in good], engine.run(stacked)[0])
                done += len(part)
                on_progress(done, len(todo))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            writer.flush()
    return [Skipped(row.name, reasons[row.digest]) for row in rows if row.digest in reasons]


def missing(shelf: Shelf, rows: Sequence[Row]) -> list[Row]:
    """The rows that a shelf lacks; equal pictures once."""
    first = {row.digest: row for row in reversed(rows)}
    return [first[digest] for digest in shelf.missing(row.digest for row in rows)]


def _decoded(
    pool: ThreadPoolExecutor, rows: Sequence[Row], view: View, size: int
) -> Iterator[tuple[list[Row], list[Batch | str]]]:
    """Batches of rows with their pictures, or the reason why there is none, a few batches ahead of who takes them."""
    waiting: deque[tuple[list[Row], list[Future[Batch | str]]]] = deque()
    remaining = iter(rows)
    while True:
        while len(waiting) < _AHEAD and (part := list(islice(remaining, size))):
            waiting.append((part, [pool.submit(_seen, view, row) for row in part]))
        if not waiting:
            return
        part, futures = waiting.popleft()
        yield part, [future.result() for future in futures]


def _seen(view: View, row: Row) -> Batch | str:
    try:
        return view(row.picture, row.digest)
    except DecodeError as error:
        return error.what


def _matching(engine: Engine, shelf: Shelf) -> Engine:
    wanted = shelf.address.engine, shelf.address.precision
    if (engine.name, engine.precision) != wanted:
        raise EngineError(
            f"the rows are to be computed by {' '.join(wanted)}, and {engine.name} {engine.precision} was opened",
            hint="run it again: the engine that works now was noted",
        )
    return engine


class BlockWriter:
    """Gathers rows into blocks. total: rows that will come, for which there must be room."""

    def __init__(self, shelf: Shelf, total: int) -> None:
        self._shelf = shelf
        self._left = total
        self._digests: list[str] = []
        self._rows: list[NDArray[np.generic]] = []
        self._bytes = 0
        self._since = time.monotonic()
        self._fits = False

    def add(self, digests: list[str], rows: NDArray[np.generic]) -> None:
        """Rows (n, ...), one a digest."""
        if not self._fits:
            self._shelf.make_room(self._left, rows[0])
            self._fits = True
        self._digests += digests
        self._rows.append(rows)
        self._bytes += rows.nbytes
        if self._bytes >= BLOCK_BYTES or time.monotonic() - self._since >= BLOCK_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what has been gathered."""
        digests, rows = self._digests, self._rows
        self._digests, self._rows, self._bytes, self._since = [], [], 0, time.monotonic()
        if digests:
            self._shelf.write(digests, np.concatenate(rows))

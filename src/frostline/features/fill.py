"""Fill a shelf with what it lacks: pictures are decoded ahead, the engine computes, blocks are written as they come."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from frostline.data.decode_ahead import FEW, DecodeAhead, Seen
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

_AHEAD = 3  # batches that are decoded or waiting, at least: memory must not grow with the number of pictures


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
    on_progress(0, len(todo))
    try:
        matching = partial(_matching, opened, shelf)
        for part in computed(todo, view, matching, batch=batch, threads=threads, kept=True):
            if part.rows:
                writer.add([row.digest for row in part.rows], part.found)
            reasons |= {row.digest: reason for row, reason in part.failed}
            done += len(part.rows) + len(part.failed)
            on_progress(done, len(todo))
    finally:
        writer.flush()
    return [Skipped(row.name, reasons[row.digest]) for row in rows if row.digest in reasons]


@dataclass(frozen=True, eq=False)
class Computed:
    """Some rows with what the engine gives for them (n, ...), and those that cannot be decoded, with the reason."""

    rows: list[Row]
    found: NDArray[np.generic]
    failed: list[tuple[Row, str]]


def computed(
    rows: Sequence[Row],
    view: View,
    opened: Callable[[Batch], Engine],
    *,
    batch: int = 32,
    threads: int | None = None,
    kept: bool = False,
) -> Iterator[Computed]:
    """What an engine gives for rows, some at a time, in order, while those that come next are decoded.

    opened, batch, threads: as `fill`; an engine that says what it wants ``at_once`` is given that many. kept: see
    `DecodeAhead`.

    Raises: whatever ``opened`` raises.
    """
    engine: Engine | None = None
    held: list[tuple[Row, Seen]] = []
    waiting: deque[tuple[list[Row], Callable[[], list[Seen]]]] = deque()
    remaining = iter(rows)
    with DecodeAhead(view, threads or processors(), kept=kept) as decoders:
        while True:
            at_once = getattr(engine, "at_once", 0)  # of a GPU, which threads could not keep busy
            # What the next call takes is decoded while the engine is busy with this one.
            while len(waiting) < max(_AHEAD, 2 * at_once // batch) and (part := list(islice(remaining, batch))):
                in_processes = bool(at_once) and len(rows) > FEW
                waiting.append((part, decoders.submit(part, in_processes=in_processes)))
            if not waiting:
                break
            part, decoded = waiting.popleft()
            held += zip(part, decoded(), strict=True)
            if engine is None:
                samples = [picture for _, picture in held if not isinstance(picture, DecodeError)][:SAMPLES]
                engine = opened(np.stack(samples)) if samples else None
            if engine is None or len(held) >= getattr(engine, "at_once", batch):
                yield _run(engine, held)
                held = []
        if held:
            yield _run(engine, held)


def _run(engine: Engine | None, held: Sequence[tuple[Row, Seen]]) -> Computed:
    """engine: None if there is nothing to compute."""
    good = [(row, picture) for row, picture in held if not isinstance(picture, DecodeError)]
    failed = [(row, picture.what) for row, picture in held if isinstance(picture, DecodeError)]
    if engine is None or not good:
        return Computed([], np.zeros((0, 0), np.float32), failed)
    return Computed([row for row, _ in good], engine.run(np.stack([picture for _, picture in good]))[0], failed)


def missing(shelf: Shelf, rows: Sequence[Row]) -> list[Row]:
    """The rows that a shelf lacks; equal pictures once."""
    first = {row.digest: row for row in reversed(rows)}
    return [first[digest] for digest in shelf.missing(row.digest for row in rows)]


def _matching(opened: Callable[[Batch], Engine], shelf: Shelf, samples: Batch) -> Engine:
    engine = opened(samples)
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

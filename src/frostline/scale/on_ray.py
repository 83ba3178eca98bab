"""Ray Data behind the command: actors that hold the model answer blocks of paths, and write them as Parquet.

An actor writes what it has answered itself, so that nothing but counts goes through Ray's object store, and no other
task wants the core that it works on. What is written is not computed again: a driver that was killed and is started
again answers what is missing. A kill costs the blocks in flight.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from frostline.data.label_text import as_text
from frostline.data.manifest import Row
from frostline.errors import EngineError, FrostlineError, MissingExtra, PlanError, one_line
from frostline.scale.batches import CELL, SLICE, alike, named
from frostline.scale.parts import Parts

BLOCK_ROWS = 512
"""Pictures of a block at the most: what a kill can cost."""

_LEAST_ROWS, _LAST = 64, 32  # a block is a 32nd of what is left, once that is less than 32 blocks

T = TypeVar("T")

_SAY = 10.0  # seconds between two words on how far it is

Block = Mapping[str, list[Any]]
"""Columns of pictures that one actor is given at once."""


@dataclass(frozen=True)
class Count:
    """rows: pictures that were answered now. unreadable: how many of them could not be read."""

    rows: int = 0
    unreadable: int = 0


class Saving:
    """What one actor does: answers a block and writes it as a part; what goes back is how many there were.

    answer: `Predict` or `Embed`, made with `arguments`. out: a folder or a URL, see `Parts`.
    """

    def __init__(self, answer: type, arguments: Mapping[str, Any], out: str) -> None:
        self._answer, self._parts = answer(**arguments), Parts(out)

    def __call__(self, block: Mapping[str, Any]) -> dict[str, Any]:
        """See the class."""
        found = self._answer(block)
        self._parts.write({name: column for name, column in found.items() if name not in (SLICE, CELL)})
        return {
            "rows": np.array([len(found["error"])]),
            "unreadable": np.array([sum(error is not None for error in found["error"])]),
        }


def check_engine(on: str) -> None:
    """Refuse a cluster engine that is not Ray.

    Raises: PlanError: it is another.
    """
    if on != "ray":
        raise PlanError(f"there is no cluster engine {on!r}", where="--on", hint="--on ray, or leave it out")


def run(
    answer: type,
    arguments: Mapping[str, Any],
    rows: Iterable[Row],
    out: str | Path,
    *,
    address: str | None = None,
    workers: int | None = None,
    cpus: float = 1,
    labelled: bool = False,
    several: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> Count:
    """Answer pictures on a Ray cluster and write Parquet parts; returns how many were answered now.

    answer: `Predict` or `Embed`, made with `arguments` once in each actor. rows: pictures in files on a disk that every
    worker reaches, or at URLs. out: a folder that every worker reaches, or a URL. address: of a cluster, "auto" for the
    one of this machine; None starts one here. workers: actors at the most; None is one for each `cpus` of the cluster.
    cpus: of an actor. labelled: write columns label, split and digest as well; several: a picture may have several
    labels, which are joined (`data.label_text`).

    Raises: MissingExtra: Ray is not installed. PlanError: pictures that no other machine finds, or a place that holds
        the results of another job or other things. DataError: the results cannot be written. FrostlineError: what
        `answer` says against its model.
    """
    job = {**answer(**arguments).job(), "labelled": labelled}
    parts = Parts(out)
    parts.join(job)
    done = parts.done()
    if done:
        tell(f"{len(done):,} pictures are done already")
    blocks = _blocks(rows, done, labelled=labelled, several=several)
    begun = next(blocks, None)
    if begun is None:
        return Count()
    total, count, said = 0, Count(), time.monotonic()

    def counted() -> Iterator[Block]:
        nonlocal total
        for block in chain([begun], blocks):
            total += len(block["path"])
            yield block

    saving = {"answer": answer, "arguments": dict(arguments), "out": parts.place}
    with on_cluster(address) as ray:
        for part in answered(ray, Saving, saving, counted(), cpus=cpus, workers=workers):
            count = Count(count.rows + int(part["rows"].sum()), count.unreadable + int(part["unreadable"].sum()))
            if time.monotonic() - said > _SAY:
                said = time.monotonic()
                tell(f"{count.rows:,} of {total:,} pictures")
    return count


def _blocks(rows: Iterable[Row], done: set[str], *, labelled: bool, several: bool = False) -> Iterator[Block]:
    """What is left to do. Blocks are cut before what is done is left out, so that they are the same ones when it is
    done again, and so are the names of their parts.
    """
    for some in in_blocks(_once(rows, labelled=labelled, several=several)):
        yield from alike(one for one in some if one["path"] not in done)


def _once(rows: Iterable[Row], *, labelled: bool, several: bool = False) -> Iterator[dict[str, Any]]:
    seen: set[str] = set()
    for row in rows:
        one = named(row) | (_known(row, several=several) if labelled else {})
        if one["path"] not in seen:
            seen.add(one["path"])
            yield one


def in_blocks(rows: Iterable[T]) -> Iterator[list[T]]:
    """Blocks of `BLOCK_ROWS`, and ever smaller ones at the end: whoever has the last one keeps all others waiting.

    How many rows there are decides it alone, so that another number of workers finds the same blocks.
    """
    held: list[T] = []
    for row in rows:
        held.append(row)
        if len(held) == (_LAST + 1) * BLOCK_ROWS:
            yield held[:BLOCK_ROWS]
            del held[:BLOCK_ROWS]
    while held:
        size = min(BLOCK_ROWS, max(_LEAST_ROWS, len(held) // _LAST))
        yield held[:size]
        del held[:size]


@contextmanager
def on_cluster(address: str | None) -> Iterator[Any]:
    """Ray, connected to a cluster; one that is started for this is stopped afterwards.

    Raises: MissingExtra: Ray is not installed. PlanError: there is no cluster at that address. EngineError: the cluster
        gave up.
    """
    ray = _ray()
    started = not ray.is_initialized()
    if started:
        try:
            ray.init(address=address or "local", include_dashboard=False, log_to_driver=False, logging_level="error")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise PlanError(
                f"there is no Ray cluster: {one_line(str(error))[:120]}",
                where=f"--address {address}",
                hint="ray start --head, or leave out --address to start one on this machine",
            ) from None
    try:
        yield ray
    except ray.exceptions.RayError as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise EngineError(
            f"the cluster gave up: {one_line(said[-1])[:200]}",
            where=f"--address {address}" if address else "Ray",
            hint="run it again: what is written is kept; `ray status` and Ray's logs say more",
        ) from None
    finally:
        if started:
            ray.shutdown()


class Actor:
    """An answer as Ray gets it: made with the first block, in the actor. What it refuses comes back in our own words,
    which Ray would lose, as a column "refused".
    """

    def __init__(self, answer: type, arguments: Mapping[str, Any]) -> None:
        self._answer, self._arguments = answer, dict(arguments)
        self._made: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None

    def __call__(self, block: Mapping[str, Any]) -> dict[str, Any]:
        """See the class."""
        try:
            if self._made is None:
                self._made = self._answer(**self._arguments)
            return self._made(block)
        except FrostlineError as error:
            return {"refused": np.array([error], dtype=object)}


def answered(
    ray: Any,
    answer: type,
    arguments: Mapping[str, Any],
    blocks: Iterable[Block],
    *,
    cpus: float,
    workers: int | None = None,
) -> Iterator[Mapping[str, Any]]:
    """What actors make of blocks, as it comes. Blocks lie in the object store, and are not read by tasks of their own.

    See ``run`` for the arguments.

    Raises: FrostlineError: what an actor raised.
    """
    import pyarrow

    held = [ray.put(pyarrow.table(dict(block))) for block in blocks]
    most = min(len(held), workers or max(1, int(ray.cluster_resources().get("CPU", 1) // cpus)))
    found = ray.data.from_arrow_refs(held).map_batches(
        Actor,
        fn_constructor_kwargs={"answer": answer, "arguments": dict(arguments)},
        batch_size=None,
        batch_format="numpy",
        num_cpus=cpus,
        concurrency=(1, most, most),
    )
    for part in found.iter_batches(batch_size=None, batch_format="numpy"):
        for error in part.get("refused", ()):
            raise error
        yield part


def _known(row: Row, *, several: bool) -> dict[str, str]:
    return {"label": as_text(row.labels, several=several), "split": row.split or "", "digest": row.digest}


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    if not sys.stderr.isatty():
        os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("RAY_DATA_LOG_LEVEL", "ERROR")
    try:
        import ray
        import ray.data
    except ImportError:
        raise MissingExtra("the engine needs Ray", where="--on ray", hint="pip install 'frostline[ray]'") from None
    return ray

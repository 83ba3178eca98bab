"""Ray Data behind the command: actors that hold the model answer blocks of paths, and write them as Parquet.

What is written is not computed again: a driver that was killed and is started again answers what is missing. A kill
costs the blocks in flight.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from frostline.data.decode import described
from frostline.data.manifest import Row
from frostline.errors import DataError, MissingExtra, PlanError, one_line

BLOCK_ROWS = 512
"""Pictures of a block: what a kill can cost."""

_BATCH = 64


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
    out: Path,
    *,
    address: str | None = None,
    workers: int | None = None,
    cpus: float = 1,
    labelled: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> int:
    """Answer pictures on a Ray cluster and write Parquet parts into a folder; returns how many were answered now.

    answer: `Predict` or `Embed`, made with `arguments` once in each actor. rows: pictures that are files, on a disk
    that every worker reaches. address: of a cluster, "auto" for the one of this machine; None starts one here.
    workers: actors at the most; None is one for each `cpus` of the cluster. cpus: of an actor. labelled: write columns
    label ("|" joins several), split and digest as well.

    Raises: MissingExtra: Ray is not installed. PlanError: pictures that are no files. DataError: it cannot be written.
    """
    out = out.absolute()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"the results cannot be written: {error.strerror}", where=out, hint="name another --out"
        ) from None
    asked = {path_of(row): row for row in rows}
    done = _done(out)
    left = [{"path": path} | (_known(row) if labelled else {}) for path, row in asked.items() if path not in done]
    if done:
        tell(f"{len(done):,} pictures are done already")
    if left:
        with on_cluster(address) as ray:
            answered(ray, answer, arguments, left, cpus=cpus, workers=workers).write_parquet(str(out))
    return len(left)


@contextmanager
def on_cluster(address: str | None) -> Iterator[Any]:
    """Ray, connected to a cluster; one that is started for this is stopped afterwards.

    Raises: MissingExtra: Ray is not installed. PlanError: there is no cluster at that address.
    """
    ray = _ray()
    started = not ray.is_initialized()
    if started:
        try:
            ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="error")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise PlanError(
                f"there is no Ray cluster: {one_line(str(error))[:120]}",
                where=f"--address {address}",
                hint="ray start --head, or leave out --address to start one on this machine",
            ) from None
    try:
        yield ray
    finally:
        if started:
            ray.shutdown()


def answered(
    ray: Any,
    answer: type,
    arguments: Mapping[str, Any],
    items: Sequence[Mapping[str, str]],
    *,
    cpus: float,
    workers: int | None = None,
) -> Any:
    """A Ray dataset of what actors make of batches of items, block by block. See ``run`` for the arguments."""
    blocks = max(1, -(-len(items) // BLOCK_ROWS))
    most = workers or max(1, int(ray.cluster_resources().get("CPU", 1) // cpus))
    return ray.data.from_items(list(items), override_num_blocks=blocks).map_batches(
        answer,
        fn_constructor_kwargs=dict(arguments),
        batch_size=_BATCH,
        batch_format="numpy",
        num_cpus=cpus,
        concurrency=(1, min(most, blocks)),
    )


def path_of(row: Row) -> str:
    """The whole path of a picture.

    Raises: PlanError: it is no file.
    """
    if not isinstance(row.picture, Path):
        raise PlanError(
            "only pictures that are files can be named to other machines",
            where=row.name or described(row.picture),
            hint="unpack the archive, or leave out --on ray",
        )
    return str(row.picture.absolute())


def _known(row: Row) -> dict[str, str]:
    return {"label": "|".join(row.labels), "split": row.split or "", "digest": row.digest}


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


def _done(out: Path) -> set[str]:
    """Paths in the parts that are whole; a part that is not is removed, and its pictures are answered again."""
    import pyarrow
    import pyarrow.parquet

    found: set[str] = set()
    for part in sorted(out.glob("*.parquet")):
        try:
            found.update(pyarrow.parquet.read_table(part, columns=["path"]).column("path").to_pylist())
        except (pyarrow.ArrowInvalid, OSError):
            part.unlink(missing_ok=True)
    return found

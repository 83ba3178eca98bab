"""Ray Data behind the command: actors that hold the model answer blocks of paths, and write them as Parquet.

What is written is not computed again: a driver that was killed and is started again answers what is missing. A kill
costs the blocks in flight.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from frostline.data.decode import described
from frostline.data.manifest import Row
from frostline.errors import DataError, MissingExtra, PlanError

BLOCK_ROWS = 512
"""Pictures of a block: what a kill can cost."""

_BATCH = 64


def run(
    answer: type,
    arguments: dict[str, Any],
    rows: Iterable[Row],
    out: Path,
    *,
    address: str | None = None,
    workers: int | None = None,
    cpus: float = 1,
    tell: Callable[[str], None] = lambda text: None,
) -> int:
    """Answer pictures on a Ray cluster and write Parquet parts into a folder; returns how many were answered now.

    answer: `Predict` or `Embed`, made with `arguments` once in each actor. rows: pictures that are files, on a disk
    that every worker reaches. address: of a cluster, "auto" for the one of this machine; None starts one here.
    workers: actors at the most; None is one for each `cpus` of the cluster. cpus: of an actor.

    Raises: MissingExtra: Ray is not installed. PlanError: pictures that are no files. DataError: it cannot be written.
    """
    ray = _ray()
    out = out.absolute()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"the results cannot be written: {error.strerror}", where=out, hint="name another --out"
        ) from None
    done = _done(out)
    left = [path for path in _paths(rows) if path not in done]
    if done:
        tell(f"{len(done):,} pictures are done already")
    if not left:
        return 0
    started = not ray.is_initialized()
    if started:
        ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        blocks = max(1, -(-len(left) // BLOCK_ROWS))
        most = workers or max(1, int(ray.cluster_resources().get("CPU", 1) // cpus))
        most = min(most, blocks)
        data = ray.data.from_items([{"path": path} for path in left], override_num_blocks=blocks)
        answered = data.map_batches(
            answer,
            fn_constructor_kwargs=arguments,
            batch_size=_BATCH,
            batch_format="numpy",
            num_cpus=cpus,
            concurrency=(1, most),
            max_restarts=-1,
            max_task_retries=-1,
        )
        answered.write_parquet(str(out))
    finally:
        if started:
            ray.shutdown()
    return len(left)


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    try:
        import ray
        import ray.data
    except ImportError:
        raise MissingExtra("the engine needs Ray", where="--on ray", hint="pip install 'frostline[ray]'") from None
    return ray


def _paths(rows: Iterable[Row]) -> list[str]:
    found: dict[str, None] = {}
    for row in rows:
        if not isinstance(row.picture, Path):
            raise PlanError(
                "only pictures that are files can be named to other machines",
                where=row.name or described(row.picture),
                hint="unpack the archive, or leave out --on ray",
            )
        found[str(row.picture.absolute())] = None
    return list(found)


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

"""Predictions by many processes that know nothing of each other: each answers a share, and can be killed.

A picture belongs to a shard by its name alone, so no process needs to hear from another, and a list that has grown or
comes in another order changes nothing. What is done lies in parts that are whole or absent; a worker that starts again
goes on behind them. torch-free.

    OUT/job.json                     what all workers must agree on
    OUT/shard-00000-of-00002/*.csv   parts, while a worker runs
    OUT/shard-00000-of-00002.csv     a shard, sorted by name
    OUT/shard-00000-of-00002.done    its rows, counted, and its digest: the shard is complete
"""

import csv
import hashlib
import heapq
import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frostline import atomic
from frostline.data import csv_files
from frostline.data.manifest import Row
from frostline.data.pictures.picture import described
from frostline.errors import DataError, PlanError, one_line
from frostline.ordinary_file import ordinary
from frostline.ship.prediction_table import Columns, failed
from frostline.ship.predictor import Predictor

PART_ROWS = 512
PART_SECONDS = 30.0
"""A part is written at whichever comes first: what a kill can cost."""

JOB = "job.json"
_MOST = 1_000_000  # shards of a job, and classes that it names


@dataclass(frozen=True)
class Shard:
    """One of `of` shares of the pictures, counted from 0.

    Raises: PlanError: there is no such share.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 0 <= self.number < self.of:
            raise PlanError(
                f"there is no shard {self.number} of {self.of}",
                where="--shard",
                hint=f"they are counted from 0: 0/{max(self.of, 1)} to {max(self.of, 1) - 1}/{max(self.of, 1)}",
            )

    @property
    def name(self) -> str:
        """How its files are called."""
        return f"shard-{self.number:05d}-of-{self.of:05d}"

    def has(self, name: str) -> bool:
        """Whether a picture of that name is in it."""
        digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=8).digest()
        return int.from_bytes(digest) % self.of == self.number


@dataclass(frozen=True)
class Count:
    """rows: pictures that are done. unreadable: how many of them could not be read. new: done by this process."""

    rows: int
    unreadable: int
    new: int = 0


def shard_of(text: str | None, environment: Mapping[str, str]) -> Shard:
    """The shard that "I/N" names; without it the one of RANK and WORLD_SIZE, as torchrun and accelerate set them.

    Raises: PlanError: what stands there is no shard.
    """
    source = "--shard"
    if text is None:
        source, text = "RANK/WORLD_SIZE", f"{environment.get('RANK', '0')}/{environment.get('WORLD_SIZE', '1')}"
    number, _, of = text.partition("/")
    try:
        return Shard(int(number), int(of))
    except ValueError as error:
        if isinstance(error, PlanError):
            raise
        raise PlanError(
            f"{one_line(text)!r} is no shard", where=source, hint="write --shard 0/4, counted from 0"
        ) from None


def work(
    folder: Path,
    shard: Shard,
    rows: Iterable[Row],
    predictor: Predictor,
    *,
    places: Sequence[str],
    columns: Columns = Columns(),
    tta: str | None = None,
    part_rows: int = PART_ROWS,
    tell: Callable[[str], None] = lambda text: None,
) -> Count:
    """Answer what is left of a shard, and close it.

    rows: all pictures; those of other shards are passed over, and a name that comes twice counts once.
    places: what the pictures were named by, and tta: what the predictor was opened with; all workers must be given
        the same.

    Raises: PlanError: the folder holds another job. DataError: it cannot be written.
    """
    try:
        _join_job(folder, _job(predictor, shard, places, columns, tta))
        if (done := _marker(folder, shard)) is not None:
            tell(f"{shard.name} is complete: {done['rows']:,} pictures")
            return Count(done["rows"], done["unreadable"])
        kept = {line[0] for line in _lines(_parts(folder, shard))}
        if kept:
            tell(f"{shard.name}: {len(kept):,} pictures are done already")
        new = _answer(folder, shard, _left(rows, shard, kept), predictor, columns, part_rows, tell)
        return _close(folder, shard, columns, new)
    except OSError as error:
        raise DataError(
            f"the results cannot be written: {atomic.reason(error)}",
            where=folder,
            hint="free some space, then start it again",
        ) from None


def merge(folder: Path, out: Callable[[Sequence[str]], object]) -> Count:
    """Give every line of a finished job to `out`, a header first, sorted by name.

    Raises: DataError: it is no such folder, a shard is not complete or damaged, or a picture stands in it twice.
    """
    job = _read_job(folder)
    shards = [Shard(number, job["of"]) for number in range(job["of"])]
    markers = {shard: _marker(folder, shard) for shard in shards}
    missing = [shard for shard, marker in markers.items() if marker is None]
    if missing:
        some = ", ".join(f"{shard.number}/{shard.of}" for shard in missing[:8])
        raise DataError(
            f"{len(missing)} of {len(shards)} shards are not complete: {some}",
            where=folder,
            hint=f"run those again: frostline predict ... --out {folder.name} --shard {missing[0].number}/{job['of']}",
        )
    for shard, marker in markers.items():
        path = folder / f"{shard.name}.csv"
        with ordinary(path).open("rb") as written:
            if marker is None or hashlib.file_digest(written, "sha256").hexdigest() != marker["sha256"]:
                raise DataError(
                    "its content is not what was written", where=path, hint="delete it and its .done, and run it again"
                )
    out(Columns(job["top"], job.get("coverage")).header)
    rows = unreadable = 0
    last: str | None = None
    for line in heapq.merge(*(_lines([folder / f"{shard.name}.csv"]) for shard in shards), key=lambda line: line[0]):
        if line[0] == last:
            raise DataError(
                "a picture is in two shards", where=one_line(last), hint="they are of two jobs: begin again"
            )
        last = line[0]
        rows, unreadable = rows + 1, unreadable + failed(line)
        out(line)
    return Count(rows, unreadable)


def _answer(
    folder: Path,
    shard: Shard,
    rows: Iterable[Row],
    predictor: Predictor,
    columns: Columns,
    part_rows: int,
    tell: Callable[[str], None],
) -> int:
    held: list[list[str]] = []
    done, since = 0, time.monotonic()
    for answer in predictor.predict(rows):
        held.append(columns.line(answer, predictor.about))
        if len(held) >= part_rows or time.monotonic() - since > PART_SECONDS:
            _write_part(folder, shard, held, columns)
            done, held, since = done + len(held), [], time.monotonic()
            tell(f"{shard.name}: {done:,} pictures")
    if held:
        _write_part(folder, shard, held, columns)
    return done + len(held)


def _left(rows: Iterable[Row], shard: Shard, kept: set[str]) -> Iterator[Row]:
    seen = set(kept)
    for row in rows:
        name = row.name or described(row.picture)
        if shard.has(name) and name not in seen:
            seen.add(name)
            yield row


def _close(folder: Path, shard: Shard, columns: Columns, new: int) -> Count:
    """All parts as one file. Another worker may have closed the same shard meanwhile: what it wrote counts too."""
    path = folder / f"{shard.name}.csv"
    found = {line[0]: line for line in _lines([*_parts(folder, shard), *([path] if path.is_file() else [])])}
    text = _csv([found[name] for name in sorted(found)], columns)
    unreadable = sum(map(failed, found.values()))
    atomic.write(path, text)
    marker = {"rows": len(found), "unreadable": unreadable, "sha256": hashlib.sha256(text).hexdigest()}
    atomic.write(folder / f"{shard.name}.done", json.dumps(marker).encode())
    shutil.rmtree(folder / shard.name, ignore_errors=True)
    return Count(len(found), unreadable, new)


def _write_part(folder: Path, shard: Shard, lines: Sequence[Sequence[str]], columns: Columns) -> None:
    place = folder / shard.name
    place.mkdir(parents=True, exist_ok=True)
    # A random name: a worker that was thought dead may still be writing, and what both have is the same.
    atomic.write(place / f"{secrets.token_hex(8)}.csv", _csv(lines, columns))


def _parts(folder: Path, shard: Shard) -> list[Path]:
    return sorted((folder / shard.name).glob("*.csv"))


def _lines(paths: Iterable[Path]) -> Iterator[list[str]]:
    for path in paths:
        with ordinary(path).open(encoding="utf-8", errors="surrogateescape", newline="") as lines:
            try:
                found = csv_files.rows(lines)
            except csv.Error as error:
                raise DataError(
                    f"not what was written: {one_line(str(error))[:100]}",
                    where=path,
                    hint="delete it, and run it again",
                ) from None
        yield from found[1:]


def _csv(lines: Iterable[Sequence[str]], columns: Columns) -> bytes:
    return csv_files.text((columns.header, *lines)).encode("utf-8", "surrogateescape")


def _marker(folder: Path, shard: Shard) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(ordinary(folder / f"{shard.name}.done").read_bytes())
        return found if {"rows", "unreadable", "sha256"} <= found.keys() else None
    except (OSError, ValueError, AttributeError, RecursionError):
        return None


def _job(
    predictor: Predictor, shard: Shard, places: Sequence[str], columns: Columns, tta: str | None
) -> dict[str, Any]:
    about = predictor.about
    files = {name: stated.get("sha256") for name, stated in about.files.items()}
    model = hashlib.sha256(json.dumps([files, about.temperature, list(about.classes)]).encode()).hexdigest()
    precision = predictor.engine.precision
    asked = {
        **{"top": columns.top, "coverage": columns.coverage, "tta": tta},
        "precision": None if precision == "fp32" else precision,
    }
    return {"format": 2, "model": model, "of": shard.of, **asked, "pictures": [one_line(place) for place in places]}


def _join_job(folder: Path, job: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / JOB
    atomic.first(path, json.dumps(job, indent=2))
    refuse_another(job, _read_job(folder), path)


def refuse_another(job: Mapping[str, Any], there: Mapping[str, Any], where: object) -> None:
    """Notice that results which are there already are not those that are asked for.

    there: what the place says of its job, the file that says it at `where`.

    Raises: PlanError: it is another job.
    """
    differing = sorted(key for key in job if there.get(key) != job[key])
    if differing:
        words = {"of": "number of shards", "pictures": "list of pictures", "labelled": "--unlabelled"}
        words |= {name: f"--{name}" for name in ("tta", "precision")}
        named = ", ".join(words.get(key, key) for key in differing)
        raise PlanError(
            f"the folder holds the results of another job: its {named} differs",
            where=where,
            hint="give all workers the same arguments, or another --out",
        )


def _read_job(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(ordinary(folder / JOB).read_bytes())
        counts = (found["of"], found["top"])
        if found.get("format") != 2 or not all(type(count) is int and 1 <= count <= _MOST for count in counts):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DataError(
            f"there is no {JOB} that this version reads", where=folder, hint="name the --out of `frostline predict`"
        ) from None
    return found

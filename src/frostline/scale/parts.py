"""Results as Parquet parts, in a folder or at a URL (s3://, gs://, whatever fsspec writes). torch-free.

A part is whole or absent: a file takes its name when it is written, an object exists when it was sent. It is called
after the pictures in it, so a block that is answered twice, because its worker was killed or thought dead, is there
once. `_job.json` says what the parts are of; whoever reads a folder of Parquet passes over such a name.
"""

import hashlib
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from frostline import atomic
from frostline.data.arrow_table import arrow_table
from frostline.data.cache_folder import expanded
from frostline.data.places.remote import filesystem, url_of
from frostline.errors import DataError, FrostlineError, PlanError, first_line, one_line
from frostline.ship.batch_predict import refuse_another

JOB = "_job.json"
_PART = re.compile(r"[0-9a-f]{32}\.parquet")
_AT_ONCE = 16  # parts whose paths are read at a time


class Parts:
    """The parts of one result. place: a folder, made if need be, or a URL.

    Raises: DataError: nothing can be written there. MissingExtra: the package for its scheme is not installed.
    """

    def __init__(self, place: str | Path) -> None:
        self.url = url_of(place)
        self.place = str(expanded(place).absolute()) if self.url is None else self.url
        if self.url is None:
            with _explained(self.place):
                Path(self.place).mkdir(parents=True, exist_ok=True)
        else:
            self._system, self._top = filesystem(self.url)

    def join(self, job: Mapping[str, Any]) -> None:
        """Say what the parts are of, if nothing says it yet.

        Raises: PlanError: they are of another job, or other things are there. DataError: the place cannot be read or
            written.
        """
        with _explained(self.place):
            names = self._names()
            if JOB not in names:
                if names:
                    some = ", ".join(map(one_line, names[:3]))
                    raise PlanError(
                        f"the folder holds {len(names)} things, and nothing says of which job: {some}",
                        where=self.place,
                        hint="name another --out, or an empty folder",
                    )
                self._begin(job)
            refuse_another(job, self._job(), f"{self.place.rstrip('/')}/{JOB}")

    def write(self, columns: Mapping[str, Any]) -> None:
        """Write one part; columns of equal length, one of them "path".

        Raises: DataError: it cannot be written.
        """
        import pyarrow.parquet

        held = io.BytesIO()
        pyarrow.parquet.write_table(arrow_table(columns), held)
        name = f"{_digest(columns['path'])}.parquet"
        with _explained(self.place):
            if self.url is None:
                atomic.write(Path(self.place) / name, held.getvalue())
            else:
                self._system.pipe_file(self._path(name), held.getvalue())

    def done(self) -> set[str]:
        """The paths in the parts that are whole; a part that is not is removed, and its pictures are to do again.

        What is not called as parts are is somebody else's, and left alone.

        Raises: DataError: the place cannot be read.
        """
        found: set[str] = set()
        with _explained(self.place), ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="parts") as pool:
            for paths in pool.map(self._paths, filter(_PART.fullmatch, self._names())):
                found.update(paths)
        return found

    def _names(self) -> list[str]:
        """What is there, without what is hidden, as a part is that a killed worker was writing."""
        if self.url is None:
            found = [path.name for path in Path(self.place).iterdir()]
        else:
            self._system.invalidate_cache()  # others have written since
            try:
                listed = self._system.ls(self._top, detail=False)
            except FileNotFoundError:
                listed = []
            found = [str(path).rstrip("/").rpartition("/")[2] for path in listed]
        return sorted(name for name in found if not name.startswith("."))

    def _path(self, name: str) -> str:
        return f"{self.place if self.url is None else self._top.rstrip('/')}/{name}"

    def _begin(self, job: Mapping[str, Any]) -> None:
        said = json.dumps(job, indent=2).encode()
        if self.url is None:
            atomic.first(Path(self._path(JOB)), said)
        else:
            self._system.pipe_file(self._path(JOB), said)

    def _job(self) -> Mapping[str, Any]:
        path = self._path(JOB)
        try:
            found = json.loads(Path(path).read_bytes() if self.url is None else self._system.cat_file(path))
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def _paths(self, name: str) -> list[str]:
        import pyarrow.parquet

        path = self._path(name)
        try:
            with open(path, "rb") if self.url is None else self._system.open(path, "rb") as file:  # noqa: PTH123
                part = pyarrow.parquet.ParquetFile(file)
                if "path" not in part.schema_arrow.names:  # whole, so that nothing of ours was lost here
                    return []
                return list(map(str, part.read(columns=["path"]).column("path").to_pylist()))
        except pyarrow.ArrowInvalid:
            Path(path).unlink(missing_ok=True) if self.url is None else self._system.rm_file(path)
            return []


def _digest(paths: Sequence[str]) -> str:
    return hashlib.blake2b("\n".join(map(str, paths)).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()


@contextmanager
def _explained(place: str) -> Iterator[None]:
    try:
        yield
    except FrostlineError:
        raise
    except Exception as error:  # of botocore, gcsfs and others: each has its own
        said = atomic.reason(error) if isinstance(error, OSError) else first_line(error)
        raise DataError(
            f"the results cannot be written: {said}",
            where=place,
            hint="name another --out, or see to your rights there",
        ) from None

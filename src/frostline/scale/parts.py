"""Results as Parquet parts, in a folder or at a URL (s3://, gs://, whatever fsspec writes). torch-free.

A part is whole or absent: a file takes its name when it is written, an object exists when it was sent. It is called
after the pictures in it, so a block that is answered twice, because its worker was killed or thought dead, is there
once.
"""

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from frostline import atomic
from frostline.data.arrow_table import arrow_table
from frostline.data.cache_folder import expanded
from frostline.data.remote import filesystem, url_of
from frostline.errors import DataError, FrostlineError, one_line

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
                self._system.pipe_file(f"{self._top}/{name}", held.getvalue())

    def done(self) -> set[str]:
        """The paths in the parts that are whole; a part that is not is removed, and its pictures are to do again.

        Raises: DataError: the place cannot be read.
        """
        found: set[str] = set()
        with _explained(self.place), ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="parts") as pool:
            for paths in pool.map(self._paths, self._names()):
                found.update(paths)
        return found

    def _names(self) -> list[str]:
        if self.url is None:
            return sorted(map(str, Path(self.place).glob("*.parquet")))
        return [str(path) for path in self._system.glob(f"{self._top}/*.parquet")]

    def _paths(self, name: str) -> list[str]:
        import pyarrow.parquet

        try:
            with open(name, "rb") if self.url is None else self._system.open(name, "rb") as file:  # noqa: PTH123
                return list(map(str, pyarrow.parquet.read_table(file, columns=["path"]).column("path").to_pylist()))
        except pyarrow.ArrowInvalid:
            Path(name).unlink(missing_ok=True) if self.url is None else self._system.rm_file(name)
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
        said = atomic.reason(error) if isinstance(error, OSError) else one_line(str(error).strip().partition("\n")[0])
        raise DataError(
            f"the results cannot be written: {said[:200] or type(error).__name__}",
            where=place,
            hint="name another --out, or see to your rights there",
        ) from None

"""The CSV that we write ourselves: one way to write it, and one to read it back whole. torch-free.

What people bring is read by `tables.csv_table`, which believes less; how long a cell may be is said to csv here alone.
"""

import csv
import io
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

_LARGEST_CELL = (1 << 31) - 1  # a set of some thousand classes passes the 131,072 letters that csv allows by itself
_ONE_AT_A_TIME = threading.Lock()


class _Out(Protocol):
    def write(self, text: str, /) -> object: ...


def writer(out: _Out) -> Callable[[Iterable[Any]], object]:
    """What writes a row, on a line that ends in a newline."""
    return csv.writer(_Newlines(out)).writerow


def text(rows: Iterable[Iterable[Any]]) -> str:
    """What `writer` writes of rows, the header the first of them."""
    held = io.StringIO(newline="")
    write = writer(held)
    for row in rows:
        write(row)
    return held.getvalue()


class _Newlines:
    """Lines that csv ended in "\\r\\n". Python before 3.13 quotes only what its own line ends hold: told to end lines
    in "\\n" it would leave a carriage return in a name bare, and nobody could read that.
    """

    def __init__(self, out: _Out) -> None:
        self._out = out

    def write(self, line: str) -> object:
        return self._out.write(line.removesuffix("\r\n") + "\n")


def rows(lines: Iterable[str]) -> list[list[str]]:
    """All rows, the header too.

    Raises: csv.Error: it is no CSV.
    """
    with cells_up_to(_LARGEST_CELL):
        return list(csv.reader(lines))


def records(lines: Iterable[str]) -> list[dict[str, Any]]:
    """All rows below the header, by its names.

    Raises: csv.Error: it is no CSV.
    """
    with cells_up_to(_LARGEST_CELL):
        return list(csv.DictReader(lines))


@contextmanager
def cells_up_to(letters: int) -> Iterator[None]:
    """Cells that are read within may be so long. csv has one limit for a whole process, which others are to keep."""
    with _ONE_AT_A_TIME:
        before = csv.field_size_limit(letters)
        try:
            yield
        finally:
            csv.field_size_limit(before)

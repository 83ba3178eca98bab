"""Standard output is data, and loses none of it: names cannot steer a terminal, and no encoding stops a result.

rows     a line a picture, for people and for `cut`: control characters in names are escaped
json     for programs: always valid, whatever the names and the encoding
table    CSV for programs: cells are what the names are; escaped only where a terminal shows them
lossless what the encoding of the stream cannot hold is escaped, and no error
"""

import codecs
import json as _json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from frostline.data import csv_files
from frostline.errors import one_line

_SIGNS = {"❄": "*", "…": "...", "×": "x", "├": "|", "┤": "|", "─": "-", "●": "o"}
"""What our own notes and tables have beside letters, and what stands for it where an encoding cannot hold it."""


def lossless() -> None:
    """Bytes of odd file names are written back as they were; where the stream is not UTF-8 (a pipe on Windows), what
    it cannot hold becomes ``\\u8682``; our own signs on standard error, which is for people, become letters. A stream
    that was closed before we began (a daemon's) takes everything, keeps nothing and gives nothing."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 (as long as the process)
    codecs.register_error("frostline", _readable)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_for_odd(stream))
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="surrogateescape")  # names of files that are no UTF-8


def _for_odd(stream: Any) -> str:
    if stream is sys.stderr:
        return "frostline"
    return "surrogateescape" if _unicode(stream) else "backslashreplace"


def _readable(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    odd = error.object[error.start : error.end]
    return in_letters(odd).encode("ascii", "backslashreplace").decode("ascii"), error.end


def in_letters(text: str) -> str:
    """A text of our own for an encoding without our signs."""
    return "".join(_SIGNS.get(sign, sign) for sign in text)


def row(*cells: str) -> None:
    """A line of cells with tabs between them."""
    print(*map(one_line, cells), sep="\t")


def json(values: Any, *, indent: int | None = None) -> None:
    """Values as JSON, in one line without `indent`."""
    text = _json.dumps(values, indent=indent, ensure_ascii=not _unicode(sys.stdout), default=str)
    print("".join(c if c.isprintable() or c == "\n" else _escaped(c) for c in text))


def table() -> Callable[[Iterable[Any]], object]:
    """What writes a row of CSV."""
    write = csv_files.writer(sys.stdout)
    if not sys.stdout.isatty():
        return write
    return lambda cells: write([one_line(str(cell)) for cell in cells])


def _escaped(character: str) -> str:
    return _json.dumps(character)[1:-1] if character > "\x7f" or character < " " else f"\\u{ord(character):04x}"


def _unicode(stream: Any) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("_", "-") in ("utf-8", "utf8")

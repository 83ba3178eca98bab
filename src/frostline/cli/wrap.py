"""Lines that end between words: left to itself, a terminal cuts a word where its edge is."""

import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

_CHINESE = "\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff60"
_AFTER = "，。；：、）》”！？"  # never first in a line
_COMMAND = re.compile(r"\bfrostline [a-z]")
_PIECE = re.compile(rf"\s+|[{_CHINESE}“（《]+?(?![{_AFTER}])[{_AFTER}]*|[^\s{_CHINESE}“]+[{_AFTER}]*")


def wrapped(text: str, width: int, indent: int = 0) -> str:
    """The text in lines of at most `width` cells: broken at spaces, and between Chinese characters. A longer word
    stays whole, and so does a line with a command, which is there to be copied.

    indent: of all lines but the first.
    """
    from rich.cells import cell_len

    if _COMMAND.search(text) or cell_len(text) <= width:
        return text
    lines, line, used = [], "", 0
    for piece in _PIECE.findall(text):
        length = cell_len(piece)
        if line.strip() and used + length > width:
            lines.append(line.rstrip())
            line, used = " " * indent, indent
            if piece.isspace():
                continue
        line, used = line + piece, used + length
    return "\n".join([*lines, line.rstrip()])


def for_console(text: str, console: "Console") -> str:
    """A text as it should be printed by Rich: wrapped on a terminal, else as it is."""
    return wrapped(text, console.width) if console.is_terminal else text


def for_stream(text: str, stream: TextIO, indent: int = 0) -> str:
    """Lines as they should be written to a stream: wrapped on a terminal, else as they are."""
    if not stream.isatty():
        return text
    try:
        width = int(os.environ.get("COLUMNS") or os.get_terminal_size(stream.fileno()).columns)
    except (OSError, ValueError):
        return text
    return "\n".join(wrapped(line, width, indent) for line in text.split("\n")) if width else text


def in_columns(rows: Iterable[tuple[str, str]], stream: TextIO) -> str:
    """Names, and beside each of them what is said of it."""
    rows = list(rows)
    width = max((len(name) for name, _ in rows), default=0) + 2
    return "\n".join(for_stream(f"{name:<{width}}{text}", stream, width) for name, text in rows)

"""Lines that end between words: left to itself, a terminal cuts a word where its edge is."""

import os
import re
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_CHINESE = "\u2e80-\u30ff\u3400-\u9fff\uf900-\ufaff\uff01-\uff60"
_BEFORE = "“（《"  # never last in a line
_AFTER = "，。；：、）》”！？"  # never first in a line
_COMMAND = re.compile(r"\bfrostline [a-z]")
_WORD = rf"[^\s{_CHINESE}{_BEFORE}]+"
_PIECE = re.compile(rf"\s+|[{_BEFORE}]*(?:[{_CHINESE}]|{_WORD}(?: = {_WORD})?)?[{_AFTER}]*")


def wrapped(text: str, width: int, indent: int = 0) -> str:
    """The text in lines of at most `width` cells: broken at spaces, and between Chinese characters. A longer word
    stays whole, and so does a line with a command, which is there to be copied.

    indent: of all lines but the first.
    """
    from rich.cells import cell_len

    if _COMMAND.search(text) or cell_len(text) <= width:
        return text
    ends = [0, *_ends(text, width, indent), len(text)]
    lines = [text[start:end].rstrip() for start, end in pairwise(ends)]
    return f"\n{' ' * indent}".join(lines)


def _ends(text: str, width: int, indent: int = 0) -> list[int]:
    """Where its lines end, but for the last."""
    from rich.cells import cell_len

    ends, used, place, empty = [], 0, 0, True
    for piece in _PIECE.findall(text):
        length = cell_len(piece)
        if used + length > width and not empty and not piece.isspace():
            ends.append(place)
            used, empty = indent, True
        used, place, empty = used + length, place + len(piece), empty and piece.isspace()
    return ends


def in_cell(text: "Text") -> "Text":
    """The text as tables and help have it: their lines end as those of `wrapped`, and a longer word is folded."""
    cell: Text = _cell()(style=text.style, justify=text.justify, overflow="fold")
    return cell.append_text(text)


@cache
def _cell() -> Any:
    from rich.containers import Lines
    from rich.text import Text

    class Cell(Text):
        """Rich itself breaks at spaces alone, and sets what follows a long Chinese word apart from it."""

        def wrap(self, console: Any, width: int, **how: Any) -> Any:
            lines = Lines()
            for line in self.split(allow_blank=True):
                for part in line.divide(_ends(line.plain, width)):
                    part.rstrip()
                    lines.extend(part.wrap(console, width, **how))
            return lines

    return Cell


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

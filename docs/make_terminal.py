"""Make docs/terminal.svg and docs/terminal.cast: run the commands of the README for real, and keep what was shown.

    python docs/make_terminal.py hymenoptera_data

The picture is a still one; the cast has bars and all, at the time at which they were shown, and is played by
`asciinema play docs/terminal.cast`. The cache starts empty, so the seconds are those of a first run.
"""

import argparse
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
COMMANDS = (
    "fit hymenoptera_data --strategy probe",
    "predict runs/hymenoptera_data-probe hymenoptera_data/val/ants/10308379_1b6c72e180.jpg"
    " hymenoptera_data/val/bees/1032546534_06907fe3b3.jpg",
)
WIDTH, HEIGHT = 92, 40
# What only moves a cursor is no part of a still picture.
_CURSOR = re.compile(r"\x1b\[\?25[lh]|\x1b\[[0-9;]*[ABCDGJK]|\r")
# The picture must not fetch its font from anywhere; a viewer's own monospace does, on the grid that the SVG sets.
_FONT = re.compile(r"@font-face \{.*?\}", re.DOTALL)


def terminal(command: str, *, here: Path) -> str:
    """What a colour terminal shows of ``frostline COMMAND``, without the bars that vanish in the end.

    Raises: CalledProcessError: the command failed.
    """
    seen = {"FORCE_COLOR": "1", "TTY_INTERACTIVE": "0", "COLUMNS": str(WIDTH), "PYTHONUNBUFFERED": "1"}
    own = {"XDG_CACHE_HOME": str(here / "cache"), "PYTHONPATH": str(ROOT / "src")}
    run = subprocess.run(
        [sys.executable, "-m", "frostline", *command.split()],
        cwd=here,
        env={**os.environ, **seen, **own},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=True,
    )
    return _CURSOR.sub("", run.stdout)


def picture(data: Path) -> str:
    """The run as SVG."""
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115, PTH123
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "hymenoptera_data").symlink_to(data.resolve())
        for command in COMMANDS:
            console.print(Text.assemble(("$ ", "bold cyan"), (f"frostline {command}", "bold")), overflow="fold")
            console.print(Text.from_ansi(terminal(command, here=here)))
    drawn = console.export_svg(title="frostline", unique_id="frostline")
    return _FONT.sub("", drawn)


def shown(command: str, *, here: Path) -> Iterator[tuple[float, str]]:
    """What a terminal of its own shows of ``frostline COMMAND``: seconds since it began, and text.

    Raises: RuntimeError: the command failed.
    """
    own = {"XDG_CACHE_HOME": str(here / "cache"), "PYTHONPATH": str(ROOT / "src"), "TERM": "xterm-256color"}
    began, (outer, inner) = time.monotonic(), pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    words = [sys.executable, "-m", "frostline", *command.split()]
    run = subprocess.Popen(words, cwd=here, env={**os.environ, **own}, stdin=inner, stdout=inner, stderr=inner)
    os.close(inner)
    try:
        while read := os.read(outer, 1 << 16):
            yield time.monotonic() - began, read.decode("utf-8", "replace")
    except OSError:  # so Linux says that nobody writes any more
        pass
    os.close(outer)
    if run.wait():
        raise RuntimeError(command)


def cast(data: Path) -> str:
    """The run as asciicast 2: a line that says what it is, then a line for all that was shown at a time."""
    head = {"version": 2, "width": WIDTH, "height": HEIGHT, "idle_time_limit": 1.5, "title": "frostline"}
    lines, at = [json.dumps(head)], 0.0

    def note(text: str) -> None:
        lines.append(json.dumps([round(at, 3), "o", text], ensure_ascii=False))

    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "hymenoptera_data").symlink_to(data.resolve())
        for command in COMMANDS:
            note("\x1b[1;36m$ \x1b[0m")
            for character in f"frostline {command}":
                at += 0.03
                note(character)
            at += 0.5
            note("\r\n")
            began = at
            for since, text in shown(command, here=here):
                at = began + since
                note(text)
            at += 1
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the picture and the cast beside this file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="the folder hymenoptera_data")
    data = parser.parse_args().data
    svg = "\n".join(line.rstrip() for line in picture(data).splitlines()) + "\n"
    (ROOT / "docs" / "terminal.svg").write_text(svg, encoding="utf-8")
    (ROOT / "docs" / "terminal.cast").write_text(cast(data), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Make docs/terminal.svg: run the commands of the README for real, and draw what the terminal showed.

    python docs/make_terminal.py hymenoptera_data

The cache starts empty, so the seconds in the picture are those of a first run.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
COMMANDS = (
    "fit hymenoptera_data --strategy probe",
    "predict runs/hymenoptera_data-probe hymenoptera_data/val/ants/10308379_1b6c72e180.jpg"
    " hymenoptera_data/val/bees/1032546534_06907fe3b3.jpg",
)
WIDTH = 92
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


def main() -> None:
    """Write the picture beside this file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="the folder hymenoptera_data")
    svg = "\n".join(line.rstrip() for line in picture(parser.parse_args().data).splitlines()) + "\n"
    (ROOT / "docs" / "terminal.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()

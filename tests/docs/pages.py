"""The blocks of a Markdown page, and what it takes to run them as a reader would: one after another, in one folder."""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from frostline.cli import main
from frostline.data.sources import sources
from frostline.net.available import factories
from frostline.train.strategies import strategies

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
EPOCHS = 3  # at most, for what is tried is what a page says, not how long a network learns
_MODULE = re.compile(r"# (\w+\.py)\n")
_ENTRY = re.compile(r'\[project\.entry-points\."(?P<group>[\w.]+)"\]\n(?P<points>(?:[\w-]+ = "[\w:.]+"\n)+)')


@dataclass(frozen=True)
class Block:
    """kind: the fence's word. not_run: why a reader is shown it and no test runs it, or ""."""

    kind: str
    text: str
    line: int
    not_run: str = ""


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(m["kind"], m["text"], text[: m.start("kind")].count("\n") + 1, (m["reason"] or "").strip())
        for m in _FENCE.finditer(text)
    ]


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """(command, what the page shows that it prints) of a console block."""
    for part in re.split(r"^\$ ", block.text, flags=re.M)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


@dataclass
class Reader:
    """Somebody who reads a page and types everything that it shows, in a folder of his own."""

    here: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})

    def reads(self, page: Path) -> int:
        """Run a page's blocks; returns how many there were to run."""
        found = blocks(page)
        ran = 0
        for number, block in enumerate(found):
            if block.not_run:
                continue
            where = f"{page.relative_to(ROOT)}:{block.line}"
            if block.kind == "python":
                after = found[number + 1] if number + 1 < len(found) else None
                self._python(block, after.text if after and after.kind == "text" else None, where)
            elif block.kind == "console":
                for command, shown in commands(block):
                    self._types(command, shown, where)
            elif block.kind == "toml":
                self._installs(block)
            else:
                continue
            ran += 1
        return ran

    def _python(self, block: Block, prints: str | None, where: str) -> None:
        if module := _MODULE.match(block.text):
            (self.here / module[1]).write_text(block.text, encoding="utf-8")
            return
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(block.text, where, "exec"), self.names)
        if prints is not None:
            assert out.getvalue().rstrip() == prints.rstrip(), f"{where} prints\n{out.getvalue()}"

    def _types(self, command: str, shown: str, where: str) -> None:
        words = shlex.split(command)
        if "--epochs" in words:
            at = words.index("--epochs") + 1
            words[at] = str(min(int(words[at]), EPOCHS))
        given: dict[str, str] = {}
        while "=" in words[0]:
            name, _, value = words.pop(0).partition("=")
            given[name] = value
        wanted = 2 if shown.startswith("error: ") else 0
        with mock.patch.dict(os.environ, given):
            ours = 1 if words[0] == "frostline" else 3 if words[:3] == ["python", "-m", "frostline"] else 0
            if ours and not given:  # a variable may be read when a library is imported: that takes a new process
                code, out, err = in_process(words[ours:])
            else:
                code, out, err = in_shell(words)
        assert code == wanted, f"{where}: {command}\n{out}\n{err}"
        if wanted:
            assert shown.splitlines()[0] in err, f"{where}: {command}\n{err}"
        if words[0] == "cat":
            assert set(shown.splitlines()) <= set(out.splitlines()), f"{where}: {command}\n{out}"

    def _installs(self, block: Block) -> None:
        """What ``pip install`` makes of entry points: they are announced by a folder beside the module."""
        groups = [(match["group"], match["points"].replace('"', "")) for match in _ENTRY.finditer(block.text)]
        if not groups:
            return
        told = self.here / "my_plugin-1.0.dist-info"
        told.mkdir()
        (told / "METADATA").write_text("Metadata-Version: 2.1\nName: my-plugin\nVersion: 1.0\n")
        (told / "entry_points.txt").write_text("\n".join(f"[{group}]\n{points}" for group, points in groups))
        forget_announced()


def forget_announced() -> None:
    """What was announced is looked up once a process; a page that installs something begins a new one."""
    for registry in (strategies, sources, factories):
        vars(registry).pop("_announced", None)


def in_process(words: list[str]) -> tuple[int, str, str]:
    """The command without the seconds that starting Python and importing torch take."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", ["frostline", *words]),
    ):
        try:
            main()
        except SystemExit as stop:
            return int(stop.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def in_shell(words: list[str]) -> tuple[int, str, str]:
    """Any other command, as a process."""
    programs = {
        "accelerate": [sys.executable, "-m", "accelerate.commands.accelerate_cli"],
        "frostline": [sys.executable, "-m", "frostline"],
        "cat": ["cat"],
        "python": [sys.executable],
        "torchrun": [sys.executable, "-m", "torch.distributed.run"],
    }
    program = programs[words[0]]
    done = subprocess.run([*program, *words[1:]], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr

"""Names cannot steer a terminal, and no encoding of standard output costs a result."""

import csv
import io
import json
import os
import pty
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from frostline.cli import console, output
from frostline.errors import FrostlineError, shown

NAMES = (
    "\x1b[2J\x1b]0;PWNED\x07a",
    "\x9b31mred",  # CSI in eight bits
    "line\nbreak\rback\x08",
    "\u202egpj.exe",
    "\u200bhidden",
    "[bold red]x[/]",
    "蚂蚁 é 😀",
    "odd \udcff byte",
    '=HYPERLINK("http://x","y")',
)
STEERING = ("\x1b", "\x9b", "\r", "\x08", "\x07", "\u202e", "\u200b")


def printed(code: str, *, encoding: str = "utf-8", flags: tuple[str, ...] = ()) -> bytes:
    program = f"from frostline.cli import output, console; output.lossless(); names = {NAMES!r}; {code}"
    done = subprocess.run(
        [sys.executable, *flags, "-c", program],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        check=True,
    )
    assert not done.stderr.startswith(b"Traceback")
    return done.stdout


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii", "gbk"])
def test_no_encoding_loses_a_line(encoding):
    text = printed("[output.row(name, name) for name in names]", encoding=encoding).decode(encoding)
    assert len(text.splitlines()) == len(NAMES)
    assert not [sign for sign in STEERING if sign in text]
    if encoding in ("utf-8", "gbk"):
        assert "蚂蚁" in text


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii", "gbk"])
def test_our_own_signs_can_be_read_in_every_encoding(encoding):
    code = "import sys; print('❄ logits × 2, DIR/…, 蚂', file=sys.stderr)"
    program = f"from frostline.cli import output; output.lossless(); {code}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"},
        capture_output=True,
        check=True,
    )
    said = done.stderr.decode(encoding)
    assert "\\u2744" not in said
    assert "\\u2026" not in said
    assert ("❄" if encoding == "utf-8" else "* logits") in said
    assert ("蚂" if encoding in ("utf-8", "gbk") else "\\u8682") in said


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii", "gbk"])
def test_json_is_valid_and_says_the_same_in_every_encoding(encoding):
    text = printed("[output.json({name: [name]}) for name in names]", encoding=encoding).decode(encoding)
    assert [json.loads(line) for line in text.splitlines()] == [{name: [name]} for name in NAMES]
    assert not [sign for sign in STEERING if sign in text]


def test_csv_for_a_program_holds_the_names_themselves():
    written = printed("write = output.table(); [write([name, 1]) for name in names]")
    text = written.decode("utf-8", "surrogateescape")
    assert [row[0] for row in csv.reader(io.StringIO(text, newline=""))] == list(NAMES)


def test_csv_on_a_terminal_is_escaped():
    main, theirs = pty.openpty()
    program = f"from frostline.cli import output; output.lossless(); output.table()([{NAMES[0]!r}])"
    subprocess.run([sys.executable, "-c", program], stdout=theirs, check=True)
    os.close(theirs)
    assert b"\x1b" not in os.read(main, 1000)
    os.close(main)


def test_errors_notes_and_tables_escape_names_too(capsys):
    import numpy as np

    from frostline.judge.metrics import report

    for name in NAMES:
        for text in (str(FrostlineError(f"no class {name}", where=name, hint=f"there are: {name}")), shown(name)):
            assert not [sign for sign in STEERING if sign in text]
        console.aside(f"a note on {name}")
        console.report(report(np.eye(2), np.arange(2), (name, "b")), title=name)
    said = capsys.readouterr()
    assert not [sign for sign in STEERING if sign in said.out + said.err]
    assert "[bold red]x[/]" in said.out


def test_an_error_keeps_its_lines():
    assert str(FrostlineError("one\ntwo", hint="h")) == "one\ntwo\n  hint: h"


def test_json_with_an_indent_keeps_its_lines(capsys):
    output.json({"a": 1}, indent=2)
    assert capsys.readouterr().out == '{\n  "a": 1\n}\n'


@pytest.mark.skipif(sys.platform == "win32", reason="no such pipes")
@pytest.mark.parametrize("words", [["strategies"], ["--help"], ["models", "--all", "--json"]])
def test_who_has_seen_enough_ends_it_well(words):
    read, written = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "frostline", *words], stdout=written, stderr=subprocess.PIPE)
    os.close(written)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_standard_output_is_said(tmp_path):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-m", "frostline", "strategies"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert b"error: the disk is full" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="a shell's way to close a stream")
def test_names_on_standard_input_may_be_no_text_and_there_may_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9.jpg\n"), encoding="utf-8"))
    output.lossless()
    assert [os.fsencode(line) for line in sys.stdin] == [b"caf\xe9.jpg\n"]
    monkeypatch.setattr(sys, "stdin", None)
    output.lossless()
    with sys.stdin as nothing:
        assert list(nothing) == []


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_stream_that_was_closed_before_takes_everything(closed: str) -> None:
    command = f"{shlex.quote(sys.executable)} -m frostline strategies {closed}"
    assert subprocess.run(["sh", "-c", command], check=False, capture_output=True).returncode == 0

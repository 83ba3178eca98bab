"""A file is whole or absent, whatever happens while it is written."""

import errno
import os
from pathlib import Path

import pytest

from frostline import atomic


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_text_and_bytes_are_written_and_folders_made(tmp_path: Path) -> None:
    atomic.write(tmp_path / "a" / "b.txt", "é\udcff")
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"\xc3\xa9\xff"
    atomic.write(tmp_path / "a" / "b.txt", b"again")
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"again"
    assert names(tmp_path / "a") == ["b.txt"]


def test_bytes_are_on_the_disk_before_the_name_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (seen.append("fsync"), fsync(handle))[1])
    monkeypatch.setattr(Path, "replace", lambda self, to: (seen.append("rename"), replace(self, to))[1])
    atomic.write(tmp_path / "x", b"1")
    assert seen == ["fsync", "rename", "fsync"]


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_what_was_there_stays_and_nothing_is_left_beside_it(tmp_path: Path, error: BaseException) -> None:
    atomic.write(tmp_path / "x", b"before")
    kind = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else OSError
    with pytest.raises(kind) as caught, atomic.beside(tmp_path / "x") as fresh:  # noqa: PT012
        fresh.write_bytes(b"half")
        raise error
    assert (tmp_path / "x").read_bytes() == b"before"
    assert names(tmp_path) == ["x"]
    if isinstance(caught.value, OSError):
        assert atomic.reason(caught.value) == "the disk is full"


def test_the_first_file_of_a_name_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    atomic.first(tmp_path / "job.json", "one")
    exists = Path.exists
    monkeypatch.setattr(Path, "exists", lambda path: path.name != "job.json" and exists(path))  # both come at once
    atomic.first(tmp_path / "job.json", "two")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["one"]


def test_a_really_full_disk_is_called_that() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with pytest.raises(OSError) as caught, Path("/dev/full").open("wb", buffering=0) as full:  # noqa: PT011
        full.write(b"x")
    assert atomic.reason(caught.value) == "the disk is full"
    assert atomic.reason(OSError(errno.EDQUOT, "x")) == "the disk quota is used up"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_or_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    """As root `--out /dev/null` would take the device from every program of the machine."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="a device or a pipe") as caught:
        atomic.write(tmp_path / "pipe", b"page")
    assert caught.value.filename == str(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()
    assert names(tmp_path) == ["pipe"]

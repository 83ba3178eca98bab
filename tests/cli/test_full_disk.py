"""Every command that writes, on a disk that takes files up to some size only: a message of three parts and code 2, or
it was not needed; what was there before stays, and nothing is left half written.

A limit on the size of files stands for the disk: the kernel refuses the write, in Python's code and in libraries'.
"""

import contextlib
import csv
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import in_process

resource = pytest.importorskip("resource")

SMALL = ("--model", "test_resnet", "--weights", "none", "--engine", "torch", "--precision", "fp32", "--quiet")
FIT = (*SMALL, "--image-size", "32")
TRAIN = ("--epochs", "1", "--views", "1", "--batch-size", "16")
WORDS = {
    "probe": "fit {data} {fit} --strategy probe --out {out}/run",
    "train": "fit {data} {fit} {train} --strategy lp-ft --out {out}/run",
    "predict --out": "predict {run} {few} --out {out}/job",
    "evaluate": "evaluate {run} {data} --split val --quiet --report {out}/page.html",
    "check": "check {data} --no-features --quiet --out {out}/page.html",
    "export": "export {run} --to openvino --out {out}/graph",
    "report": "report {run} --out {out}/page.html",
    "embed": "embed {few} {small} --out {out}/rows.npz",
    "explain": "explain {run} {few}/0.png --quiet --out {out}/maps",
}
MANY = {"{fit}": FIT, "{small}": SMALL, "{train}": TRAIN}
SIZES = (0, 700, 9_000, 200_000)
"""The first byte of anything; a table or JSON; a picture or features; a page; the weights have 1.5 MB."""


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def run(leaves: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    code, _, said = in_process(["fit", str(leaves), *FIT, "--strategy", "probe", "--out", str(out)])
    assert code == 0, said
    return out


def worded(said: str) -> bool:
    return said.count("error: ") == 1 and "\n  at " in said and "\n  hint: " in said


@pytest.mark.parametrize("name", WORDS)
def test_a_disk_that_takes_no_more_is_said_and_leaves_nothing_half(
    name: str, leaves: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = leaves / "val" / "red leaf"
    codes = []
    for size in SIZES:
        place, out = tmp_path / str(size), tmp_path / str(size) / "out"
        out.mkdir(parents=True)
        monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
        (out / "page.html").write_bytes(b"before")
        (out / "rows.npz").write_bytes(b"before")
        places = {"data": leaves, "few": few, "run": run, "out": out}
        parts = ((word.format(**places),) if word not in MANY else MANY[word] for word in WORDS[name].split())
        with files_up_to(size):
            code, _, said = in_process([*itertools.chain(*parts)])
        codes.append(code)
        assert code in (0, 2), said
        assert "Traceback" not in said
        assert code == 0 or worded(said), said
        assert not [path for path in place.rglob("*") if ".tmp" in path.name and path.is_file()]
        if code == 2:
            assert (out / "page.html").read_bytes() == (out / "rows.npz").read_bytes() == b"before"
            assert not (out / "graph").exists()
        shutil.rmtree(place)
    assert 2 in codes


def test_what_is_printed_needs_no_disk(
    leaves: Path, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with files_up_to(0):
        code, table, said = in_process(["predict", str(run), str(leaves / "val" / "red leaf"), "--csv"])
    assert code == 0, said
    assert len(list(csv.DictReader(table.splitlines()))) == 12
    with files_up_to(0):
        code, figures, said = in_process(["evaluate", str(run), str(leaves), "--split", "val", "--json", "--quiet"])
    assert code == 0, said
    assert '"accuracy"' in figures


def test_a_run_goes_on_from_its_checkpoint_once_there_is_room(
    leaves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = ["fit", str(leaves), *FIT, *TRAIN, "--strategy", "lp-ft", "--resume", "--out", str(tmp_path / "run")]
    with files_up_to(200_000):
        code, _, said = in_process(words)
    assert code == 2, said
    code, _, said = in_process(words)
    assert code == 0, said
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()

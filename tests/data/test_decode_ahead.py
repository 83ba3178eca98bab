"""Pictures decoded ahead: processes give what threads give, what is broken is said, and a script needs no guard."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from joblib import Parallel, delayed
from PIL import Image

from frostline.data import decode_ahead
from frostline.data.decode_ahead import DecodeAhead
from frostline.data.manifest import Row
from frostline.data.views import EvaluationView, Preprocessing
from frostline.errors import DataError, DecodeError

VIEW = EvaluationView(Preprocessing((24, 24)))


@pytest.fixture(autouse=True)
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROSTLINE_CPUS", "2")


@pytest.fixture
def rows(tmp_path: Path) -> list[Row]:
    rng = np.random.default_rng(0)
    found = []
    for number in range(20):
        place = tmp_path / f"{number}.png"
        Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(place)
        found.append(Row(place, name=place.name, digest=str(number)))
    (tmp_path / "7.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    return found


@dataclass
class Processes:
    """A view that says which process saw the picture."""

    key: str = "processes"

    def __call__(self, picture: object, digest: str) -> np.ndarray:
        return np.frombuffer(os.getpid().to_bytes(4, "little"), np.uint8).reshape(2, 2, 1)


class Notes(Processes):
    def note_of(self, digest: str) -> bytes:
        return b""

    def noted(self, digest: str, note: bytes) -> None:
        return


@dataclass
class Killed(Processes):
    def __call__(self, picture: object, digest: str) -> np.ndarray:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def test_processes_give_what_threads_give_in_order_and_say_what_is_broken(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In parts of six by two processes, through files that are gone afterwards."""
    monkeypatch.setattr(decode_ahead, "CHUNK", 6)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    with DecodeAhead(VIEW, 2) as decoders:
        by_threads = decoders.submit(rows)()
        assert not list((tmp_path / "temporary").iterdir())
        waiting = decoders.submit(rows, in_processes=True)
        wait(decoders._begun)
        assert len(list((tmp_path / "temporary").glob("*/*"))) == 4
        by_processes = waiting()
        assert not list((tmp_path / "temporary").glob("*/*"))
    assert not list((tmp_path / "temporary").iterdir())
    assert len(by_threads) == len(by_processes) == 20
    for number, (one, two) in enumerate(zip(by_threads, by_processes, strict=True)):
        if number == 7:
            assert isinstance(one, DecodeError)
            assert isinstance(two, DecodeError)
            assert one.what == two.what
        else:
            np.testing.assert_array_equal(one, VIEW(rows[number].picture, ""))
            np.testing.assert_array_equal(one, two)


def test_what_is_no_file_and_what_is_noted_stays_in_this_process(
    rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = os.getpid()
    arrays = [Row(np.zeros((9, 9, 3), np.uint8), digest=str(n)) for n in range(9)]

    def seen(view: Processes, given: list[Row]) -> set[int]:
        with DecodeAhead(view, 1) as decoders:
            return {int.from_bytes(one.tobytes(), "little") for one in decoders.submit(given, in_processes=True)()}

    assert own not in seen(Processes(), rows)
    assert seen(Processes(), arrays) == {own}
    assert seen(Notes(), rows) == {own}
    monkeypatch.setattr(multiprocessing.current_process(), "_config", {"daemon": True})  # a Dask worker, say
    assert seen(Processes(), rows) == {own}


def test_names_relative_to_a_folder_that_changes_are_read_where_they_are(
    rows: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes live on: they would read the other folder's pictures."""
    found = []
    for folder, colour in (("one", 20), ("two", 200)):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (24, 24), (colour,) * 3).save(tmp_path / folder / "same.png")
        monkeypatch.chdir(tmp_path / folder)
        with DecodeAhead(VIEW, 1) as decoders:
            found += decoders.submit([Row(Path("same.png"), digest="x")], in_processes=True)()
    assert [int(one[0, 0, 0]) for one in found] == [20, 200]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_a_process_that_is_killed_is_an_error_that_says_what_to_do_and_the_next_ones_work(rows: list[Row]) -> None:
    with DecodeAhead(Killed(), 1) as decoders, pytest.raises(DataError, match="has ended") as caught:
        decoders.submit(rows, in_processes=True)()
    assert "FROSTLINE_CPUS" in str(caught.value.hint)
    with DecodeAhead(VIEW, 1) as decoders:
        assert len(decoders.submit(rows[:3], in_processes=True)()) == 3


def test_a_script_without_a_guard_is_run_once(rows: list[Row], tmp_path: Path) -> None:
    """multiprocessing's own spawn would run it again in every process, and stop with a RuntimeError."""
    script = tmp_path / "script.py"
    script.write_text(
        "from frostline.data.decode_ahead import DecodeAhead\n"
        "from frostline.data.manifest import Row\n"
        "from frostline.data.views import EvaluationView, Preprocessing\n"
        "from pathlib import Path\n"
        "print('begun')\n"
        f"rows = [Row(path, digest=path.name) for path in sorted(Path({str(tmp_path)!r}).glob('1*.png'))]\n"
        "with DecodeAhead(EvaluationView(Preprocessing((24, 24))), 1) as decoders:\n"
        "    print(sum(one.size for one in decoders.submit(rows, in_processes=True)()))\n"
    )
    said = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["begun", str(11 * 24 * 24 * 3)]


def test_joblib_in_the_same_process_keeps_its_own(rows: list[Row]) -> None:
    """joblib's processes are one for all who ask loky for them: ours must not be those."""
    for _ in range(2):
        with DecodeAhead(VIEW, 1) as decoders:
            assert len(decoders.submit(rows[:4], in_processes=True)()) == 4
        assert Parallel(n_jobs=2)(delayed(abs)(n) for n in (-1, -2)) == [1, 2]

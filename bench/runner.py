"""Whole processes, measured from outside: wall clock, processor time, peak memory, and what they say of themselves.

Linux counts the memory of who starts a process as that process's own peak, so this one imports nothing large.

Run         one process
measure     start it, wait, read the clock and the kernel's account of it
alternate   contestants in turn, so that whatever else the machine does befalls all of them; goes on where it stopped
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

_EPOCH = re.compile(r"epoch\s+(\d+)/(\d+)")


@dataclass(frozen=True)
class Run:
    """One process.

    seconds: from start to end. cpu: user and system seconds, children that were waited for included.
    peak: bytes, of the largest of its processes (workers of a DataLoader are not added up).
    says: what the contestant printed as its last line, JSON. epochs: seconds when each line "epoch i/n" came.
    """

    seconds: float
    cpu: float
    peak: int
    says: dict[str, Any] = field(default_factory=dict)
    epochs: tuple[float, ...] = ()

    def epoch(self) -> float:
        """Seconds of an epoch, the first left out: it warms things up."""
        return median(later - earlier for earlier, later in zip(self.epochs, self.epochs[1:], strict=False))


@dataclass(frozen=True)
class Contestant:
    """Who runs what.

    command: argv. env: variables beside the ones here. before: called before each run (empties a cache, for instance).
    """

    name: str
    command: Sequence[str | Path]
    env: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[], None] = lambda: None


def measure(who: Contestant) -> Run:
    """Run a contestant once, in a folder of its own.

    Raises: RuntimeError: it failed; its last words are in the message.
    """
    who.before()
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        heard: list[str] = []
        epochs: list[float] = []
        began = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in who.command],
            cwd=place,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore", **who.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )

        def listen() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                heard.append(line.rstrip())
                if _EPOCH.search(line):
                    epochs.append(time.perf_counter() - began)

        ear = threading.Thread(target=listen, daemon=True)
        ear.start()
        _, status, used = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        ear.join(5)
        assert process.stdout is not None
        process.stdout.close()
        if process.returncode:
            raise RuntimeError(f"{who.name} ended with {process.returncode}:\n" + "\n".join(heard[-15:]))
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(took, used.ru_utime + used.ru_stime, used.ru_maxrss * unit, _last_json(heard), tuple(epochs))


def alternate(contestants: Sequence[Contestant], times: int, kept: Path | None = None) -> dict[str, list[Run]]:
    """Every contestant's runs, in turn, each as often.

    kept: a file with a line for each run that is over; a run that stands there is not repeated.
    """
    runs: dict[str, list[Run]] = {who.name: [] for who in contestants}
    known = _known(kept)
    for number in range(times):
        for who in contestants:
            key = json.dumps([number, who.name, *map(str, who.command)])
            run = known.get(key) or measure(who)
            if kept and key not in known:
                with kept.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"key": key, "run": asdict(run)}) + "\n")
            runs[who.name].append(run)
            says = {name: value for name, value in run.says.items() if isinstance(value, int | float | str)}
            print(
                f"  {who.name:34} {run.seconds:8.2f} s  {run.cpu:8.2f} cpu  {run.peak / 1e6:7.0f} MB  "
                f"{json.dumps(says)[:90]}",
                file=sys.stderr,
                flush=True,
            )
    return runs


def _known(kept: Path | None) -> dict[str, Run]:
    """Runs by their key; a line that was cut off is left out."""
    found = {}
    for line in kept.read_text(encoding="utf-8").splitlines() if kept and kept.exists() else ():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        run = values["run"]
        found[values["key"]] = Run(**{**run, "epochs": tuple(run["epochs"])})
    return found


def _last_json(heard: Sequence[str]) -> dict[str, Any]:
    """The last JSON object among the lines; it may go over several lines if it ends the output."""
    text = "\n".join(heard)
    for start in reversed([match.start() for match in re.finditer(r"^\{", text, re.MULTILINE)]):
        try:
            found, _ = json.JSONDecoder().raw_decode(text[start:])
        except ValueError:
            continue
        return dict(found)
    return {}


def accuracy(run: Run) -> float | None:
    """The share that is right of test, else of val: from a peer's last line or from frostline's ``--json``."""
    if "val" in run.says:
        return float(run.says["val"])
    found = run.says.get("metrics") or {}
    judged = found.get("test") or found.get("val")
    return float(judged["accuracy"]["value"]) if judged else None


def fresh(folder: Path) -> Callable[[], None]:
    """What empties a folder before a run."""
    import shutil

    return lambda: shutil.rmtree(folder, ignore_errors=True)

"""Mutants one after another in a child process that may not take more than so much time and memory."""

import multiprocessing
import os
import random
import resource
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from frostline.errors import FrostlineError
from tests.fuzz.mutate import mutant
from tests.fuzz.targets import FAULTY, TARGETS, Seed, check_words

SECONDS = 20.0
"""A mutant that takes longer hangs."""

MEMORY = 3 << 29
"""Bytes above what the libraries themselves hold: half a gigabyte of pixels, as decoding allows, and twice that."""

DISK = 1 << 30

_START = 120.0


@dataclass
class Result:
    """counts: of outcomes, by seed and kind ("read", "refused"). findings: what should not have been."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def tried(self) -> int:
        """Mutants."""
        return self.counts.total()


def run(
    name: str,
    mutants: int,
    *,
    seed: int = 0,
    seconds: float = SECONDS,
    keep: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Result:
    """So many mutants of one target. seconds: after which one hangs. keep: a folder for those that are findings."""
    result = Result()
    done = 0
    while done < mutants:
        done = _child(name, seed, seconds, done, mutants, result, keep, progress)
    return result


def _child(
    name: str,
    seed: int,
    seconds: float,
    first: int,
    last: int,
    result: Result,
    keep: Path | None,
    progress: Callable[[int], None],
) -> int:
    """Mutants from ``first`` on until the child dies or all are done; returns how many are done then."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        child = context.Process(target=_work, args=(name, seed, first, last, theirs, Path(folder)), daemon=True)
        child.start()
        theirs.close()
        number, wait, ready = first, _START, False
        try:
            while number < last:
                if not ours.poll(wait):
                    _note(result, name, number, f"no answer within {wait:.0f} s", folder, keep)
                    return number + 1
                outcome, kind, text, took = ours.recv()
                wait = seconds
                if outcome == "ready":
                    ready = True
                    continue
                result.counts[kind, outcome] += 1
                result.slowest = max(result.slowest, took)
                if outcome == "finding":
                    _note(result, name, number, text, folder, keep, counted=True)
                number += 1
                progress(number)
        except EOFError:
            child.join()
            if not ready:
                raise RuntimeError(f"{name}: a seed is not read, see above") from None
            code = child.exitcode or 0
            _note(result, name, number, f"died: {signal.Signals(-code).name if code < 0 else code}", folder, keep)
            return number + 1
        finally:
            child.kill()
            child.join()
    return last


def _note(
    result: Result, name: str, number: int, text: str, folder: str, keep: Path | None, *, counted: bool = False
) -> None:
    if not counted:
        result.counts["?", "finding"] += 1
    result.findings.append(f"{name} {number}: {text}")
    if keep:
        for path in filter(Path.is_file, Path(folder).glob("mutants/*/*")):
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{name.replace(' ', '-')}-{number}-{path.parent.name}-{path.name}").write_bytes(path.read_bytes())


def mutants_of(seeds: list[Seed], name: str, seed: int, first: int, last: int) -> Iterator[tuple[Seed, bool, bytes]]:
    """(what it was, whether its checksums were made right again, the damaged bytes)."""
    for number in range(first, last):
        rng = random.Random(f"{seed}/{name}/{number}")
        chosen = rng.choice(seeds)
        kin = [other.data for other in seeds if other.name.partition(".")[2] == chosen.name.partition(".")[2]]
        data = mutant([chosen.data, chosen.data, *kin], rng)
        whole = chosen.seal is not None and (rng.random() < 0.5 or chosen.seal(chosen.data) != chosen.data)
        yield chosen, whole, chosen.seal(data) if whole and chosen.seal else data


def _work(name: str, seed: int, first: int, last: int, answers: Connection, folder: Path) -> None:
    os.chdir(folder)
    os.environ["XDG_CACHE_HOME"] = str(folder / "home")
    target = {**TARGETS, **FAULTY}[name]
    seeds = target.seeds(folder)
    (folder / "mutants" / "sealed").mkdir(parents=True)
    (folder / "mutants" / "broken").mkdir(parents=True)
    for good in seeds:  # libraries are loaded, and every seed is good
        data = good.data if good.seal is None else good.seal(good.data)
        if good.name == "evil.pth":
            continue
        path = _written(folder, good.name, "broken", data)
        target.attempt(path, folder)
        path.unlink()
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 (libraries in C talk to the descriptor)
        os.dup2(nowhere.fileno(), 2)
    held = int(Path("/proc/self/status").read_text().split("VmData:")[1].split()[0]) << 10
    resource.setrlimit(resource.RLIMIT_DATA, (held + MEMORY, held + MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (DISK, DISK))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers.send(("ready", "", "", 0.0))
    for chosen, whole, data in mutants_of(seeds, name, seed, first, last):
        path = _written(folder, chosen.name, "sealed" if whole else "broken", data)
        begun = time.monotonic()
        outcome, text = _tried(target.attempt, path, folder)
        answers.send((outcome, chosen.name, text, time.monotonic() - begun))
        with suppress(FileNotFoundError):
            path.unlink()
    answers.close()


def _written(folder: Path, name: str, kind: str, data: bytes) -> Path:
    # Tables name pictures beside them.
    path = folder / "mutants" / kind / name
    path.write_bytes(data)
    for split in ("train", "val"):
        link = path.parent / split
        if (folder / split).is_dir() and not link.exists():
            link.symlink_to(folder / split)
    return path


def _tried(attempt: Callable[[Path, Path], None], path: Path, folder: Path) -> tuple[str, str]:
    try:
        attempt(path, folder)
    except FrostlineError as error:
        try:
            check_words(error.what, error.where)
        except AssertionError as fault:
            return "finding", str(fault)
        return "refused", error.what
    except BaseException:  # what it is for
        return "finding", traceback.format_exc()
    return "read", ""

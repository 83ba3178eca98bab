"""Kill every command that writes at random moments, a hundred times; then let each run once, and compare what it gives
with what an undisturbed one gave. What lies there after a kill must be whole or absent.

    python -m tests.kills --kills 100 --place scratch/kills

Four of five are SIGKILL, which leaves a process no time for anything; the fifth is Ctrl-C, which must end in one line.
It is seeded, and goes on where it was stopped if the place is the same. `make kills` runs it.
"""

import argparse
import csv
import hashlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frostline import atomic
from frostline.ship.model_info import check_files, read
from tests.run.kills import drawn

SMALL = ("--model", "test_resnet", "--weights", "none", "--engine", "torch", "--precision", "fp32", "--quiet")
FIT = (*SMALL, "--image-size", "64")
DATE = re.compile(rb"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?|\d+(\.\d+)? (s|seconds|ms)\b|\d+ pictures a second")
IN_A_ROW = 4
"""Kills of one command, before it is let run."""


@dataclass(frozen=True)
class Job:
    """words: of the command, in a folder. figures: what came of it, in that folder. made: what it writes there."""

    words: Callable[[Path], tuple[str, ...]]
    figures: Callable[[Path], object]
    made: str
    whole: bool = True


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def page(path: Path) -> str:
    """Of a page but for its dates and its times."""
    return hashlib.sha256(DATE.sub(b"", path.read_bytes())).hexdigest()[:16]


def of_run(run: Path) -> object:
    return json.loads((run / "metrics.json").read_bytes())["metrics"], weights(run), sha(run / "pictures.csv")


def weights(run: Path) -> str:
    check_files(run / "model", about := read(run / "model"), tuple(about.files))
    return sha(run / "model" / "model.safetensors")


def lines(path: Path) -> object:
    with path.open(newline="") as file:
        return sorted(map(tuple, csv.reader(file)))


def arrays(path: Path) -> object:
    with np.load(path, allow_pickle=False) as file:
        return {name: hashlib.sha256(file[name].tobytes()).hexdigest()[:16] for name in sorted(file.files)}


def exported(place: Path) -> object:
    said = json.loads((place / "export.json").read_bytes())
    return said["agreement"]["n"], [sha(place / name) for name in sorted(said["files"]) if name.endswith(".bin")]


def jobs(shared: Path) -> dict[str, Job]:
    """shared: the folder with the pictures, and with a run that is only read."""
    data, run = str(shared / "data"), str(shared / "run")
    few, job = str(shared / "data" / "val"), str(shared / "job")
    probe = (*FIT, "--strategy", "probe")
    long = (*FIT, "--strategy", "gradual", "--epochs", "6", "--views", "1", "--batch-size", "8", "--resume")
    return {
        "fit": Job(lambda p: ("fit", data, *probe, "--out", f"{p}/run"), _of("run", of_run), "run"),
        "fit --resume": Job(lambda p: ("fit", data, *long, "--out", f"{p}/long"), _of("long", weights), "long"),
        "predict --out": Job(
            lambda p: ("predict", run, few, "--out", f"{p}/job"),
            _of("job", lambda j: lines(next(j.glob("*-of-*.csv")))),
            "job",
        ),
        "merge": Job(lambda p: ("merge", job, "--out", f"{p}/all.csv"), _of("all.csv", lines), "all.csv"),
        "export": Job(
            lambda p: ("export", run, "--to", "openvino", "--out", f"{p}/graph"), _of("graph", exported), "graph"
        ),
        "check": Job(
            lambda p: ("check", data, "--no-features", "--quiet", "--out", f"{p}/check.html"),
            _of("check.html", page),
            "check.html",
        ),
        "evaluate": Job(
            lambda p: ("evaluate", run, data, "--split", "val", "--quiet", "--report", f"{p}/judged.html"),
            _of("judged.html", page),
            "judged.html",
        ),
        "report": Job(lambda p: ("report", run, "--out", f"{p}/report.html"), _of("report.html", page), "report.html"),
        "embed": Job(lambda p: ("embed", few, *SMALL, "--out", f"{p}/rows.npz"), _of("rows.npz", arrays), "rows.npz"),
    }


def _of(name: str, look: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda place: look(place / name)


def started(words: tuple[str, ...], cache: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "frostline", *words],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )


def ended(words: tuple[str, ...], cache: Path) -> tuple[int, str, float]:
    """Code, standard error and seconds of a command that is left alone."""
    began = time.monotonic()
    run = started(words, cache)
    said = run.communicate(timeout=1200)[1]
    return run.returncode, said, time.monotonic() - began


def killed(words: tuple[str, ...], cache: Path, seconds: float, *, politely: bool) -> tuple[bool, str]:
    """Whether it was still running then, and what is wrong with how it ended."""
    run = started(words, cache)
    try:
        run.communicate(timeout=seconds)
        return False, ""
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGINT if politely else signal.SIGKILL)
    try:
        said = run.communicate(timeout=120)[1]
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
        return True, "it hung after Ctrl-C"
    early = "frostline" not in said and "interrupted" not in said  # Python was still starting
    if politely and not early and (run.returncode not in (0, 130) or "Traceback" in said):
        return True, f"Ctrl-C: code {run.returncode}, {said[-300:]!r}"
    return True, ""


def served(run: Path, cache: Path, rng: random.Random, picture: bytes) -> tuple[int, object]:
    """Kill a server twice while it is asked; the third on the same port answers. Returns kills and the answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for last in (False, False, True):
        server = started(("serve", str(run), "--port", str(port), "--workers", "2", "--engine", "torch"), cache)
        try:
            answer = None
            moment = time.monotonic() + (600 if last else rng.uniform(0.5, 12))
            while time.monotonic() < moment and not (last and answer):
                try:
                    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=60 if last else 2)
                    asking.request("POST", "/predict", picture, {"Content-Type": "image/png"})
                    answer = json.loads(asking.getresponse().read())["results"][0]["classes"]
                except (OSError, http.client.HTTPException):
                    time.sleep(0.1)
        finally:
            server.kill()  # its workers end by themselves, and leave the port
            server.communicate()
    return 2, answer


def tried(name: str, job: Job, shared: Path, place: Path, rng: random.Random, wanted: dict) -> tuple[int, list[str]]:
    """Kill a command a few times, then let it be. Returns how many kills, and what was wrong."""
    here, cache = place / "here", place / "cache"
    here.mkdir(parents=True, exist_ok=True)
    kills, faults = 0, []
    while kills < IN_A_ROW:
        hit, fault = killed(
            job.words(here), cache, rng.uniform(0.02, 1.0) * wanted["seconds"], politely=rng.random() < 0.2
        )
        kills += hit
        faults += [fault] if fault else []
        out = here / job.made
        if not hit:
            if plain(job.figures(here)) != wanted["figures"]:
                faults.append(f"{name}: another result when it was let run")
            _remove(out)
        elif out.is_file() and plain(job.figures(here)) != wanted["figures"]:
            faults.append(f"{name}: half a file, or another, after a kill")
        elif (out / "model").is_dir():
            weights(out)
    code, said, _ = ended(job.words(here), cache)
    if (code == 2 and "is finished" in said) or "a finished run" in said:
        code = 0  # a kill came when everything had been written
    if code not in (0, 1) or plain(job.figures(here)) != wanted["figures"]:
        faults.append(f"{name}: code {code}, {said[-200:]!r}, or another result")
    left = [path.name for path in here.iterdir() if path.name.startswith(".")]
    _remove(here)
    return kills, [*faults, *(f"{name}: left {one}" for one in left if not one.endswith(".tmp") and ".tmp-" not in one)]


def plain(value: object) -> object:
    return json.loads(json.dumps(value))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def prepared(shared: Path) -> dict[str, dict]:
    """Pictures, a run and a job to read from, and what each command gives when nobody disturbs it."""
    known = shared / "wanted.json"
    if known.exists():
        return dict(json.loads(known.read_bytes()))
    _remove(shared)
    shared.mkdir(parents=True)
    drawn(shared / "data")
    cache = shared / "cache"
    for words in (
        ("fit", str(shared / "data"), *FIT, "--strategy", "probe", "--out", str(shared / "run")),
        ("predict", str(shared / "run"), str(shared / "data" / "val"), "--out", str(shared / "job")),
    ):
        code, said, _ = ended(words, cache)
        assert code == 0, said
    wanted = {}
    for name, job in jobs(shared).items():
        alone = shared / "alone"
        alone.mkdir()
        code, said, seconds = ended(job.words(alone), cache)
        assert code in (0, 1), said
        wanted[name] = {"seconds": seconds, "figures": plain(job.figures(alone))}
        print(f"{name:14} {seconds:5.1f} s undisturbed", flush=True)
        _remove(alone)
    atomic.write(known, json.dumps(wanted))
    return wanted


def main() -> int:
    """Do it, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--place", type=Path, default=Path("kills-scratch"))
    given = parser.parse_args()
    place = given.place.resolve()
    wanted = prepared(place / "shared")
    state = place / f"state-{given.seed}.json"
    done = json.loads(state.read_bytes()) if state.exists() else {"round": 0, "kills": {}, "faults": []}
    every = [*jobs(place / "shared").items(), ("serve", None)]
    while sum(done["kills"].values()) < given.kills:
        number = done["round"]
        rng = random.Random(f"{given.seed} {number}")
        name, job = every[number % len(every)]
        _remove(place / "here")
        if number % len(every) == 0:
            _remove(place / "cache")
        if job is None:
            picture = next((place / "shared" / "data" / "val").rglob("*.png")).read_bytes()
            kills, answer = served(place / "shared" / "run", place / "cache", rng, picture)
            first = done.setdefault("answer", answer)
            faults = [] if answer and answer == first else [f"serve: {answer} and not {first}"]
        else:
            kills, faults = tried(name, job, place / "shared", place, rng, wanted[name])
        done["kills"] = dict(Counter(done["kills"]) + Counter({name: kills}))
        done["faults"] += faults
        done["round"] += 1
        atomic.write(state, json.dumps(done))
        print(f"{sum(done['kills'].values()):4} kills; {name}: {faults or 'the same'}", flush=True)
    print(", ".join(f"{name} {count}" for name, count in done["kills"].items()))
    print(f"{sum(done['kills'].values())} kills, {len(done['faults'])} faults")
    for fault in done["faults"]:
        print("  ", fault)
    return 1 if done["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""Many machines, tried on this one: a Ray cluster of two workers beside one process, with kills; and what a million
pictures cost.

    python -m bench.scale                       20,000 pictures; writes bench/SCALE.md
    python -m bench.scale --pictures 200 --dry  small, and writes nothing

Every picture must be answered once, by the very numbers of one process, whatever is killed: workers five times, the
driver once. Throughput is measured without kills, in turn with one process of one core; memory at a tenth and at the
whole of the pictures.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import psutil
import pyarrow.parquet

from bench.pictures import first, made
from bench.report import HERE, commit, machine

TEXT = HERE / "SCALE.md"
WORKERS = 2
Answers = dict[str, tuple[str, float]]
"""The label and probability of each picture, by its name."""

ENV = {**os.environ, "HF_HUB_OFFLINE": "1", "RAY_USAGE_STATS_ENABLED": "0"}


@dataclass(frozen=True)
class Run:
    """seconds: from start to end. driver, worker: the most bytes that the command and any one worker held."""

    seconds: float
    driver: int
    worker: int


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder of JPEGs that pictures are made from")
    parser.add_argument("--model", type=Path, required=True, help="a run's folder")
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=5, help="of workers; the driver is killed once beside them")
    parser.add_argument("--dry", action="store_true", help="print the page and write nothing")
    given = parser.parse_args()
    place = Path(mkdtemp(prefix="bench-scale-"))
    try:
        page = measured(given.model, given.data, given.pictures, given.kills, place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    print(page)
    if not given.dry:
        TEXT.write_text(page)


def measured(model: Path, sources: Path, count: int, kills: int, place: Path) -> str:
    """The page. place: a folder for what is written on the way."""
    pictures = made(place / "pictures", sources, count)
    few = first(place / "few", pictures, count // 10)
    one = _run(["taskset", "-c", "0", *_alone(model, pictures, place / "one")])
    with cluster():
        small = _run(_on_ray("predict", model, few, place / "small"))
        many = _run(_on_ray("predict", model, pictures, place / "many"))
        killed = _killed(_on_ray("predict", model, pictures, place / "killed"), kills, place / "killed")
    wanted, found, after = (_answers(place / name) for name in ("one", "many", "killed"))
    alone, each = count / one.seconds, count / many.seconds / WORKERS
    lines = [
        "# Many machines",
        "",
        "Written by `python -m bench.scale`; do not edit.",
        "",
        f"{count:,} pictures, {machine()}, {commit()}.",
        "",
        f"- one process with one core: {alone:.1f} pictures/s; Ray with {WORKERS} workers of one core: {each:.1f} "
        f"pictures/s for each core ({each / alone:.2f} of it), start included",
        f"- {killed} kills, of workers and of the driver: {_same(found, after)}",
        f"- beside one process, whose table has six digits: {_same(wanted, found, digits=6)}",
        f"- memory at {count // 10:,} and {count:,} pictures: driver {small.driver >> 20} and {many.driver >> 20} MiB, "
        f"largest worker {small.worker >> 20} and {many.worker >> 20} MiB",
        "",
        *_costs(each, pictures),
    ]
    return "\n".join(lines) + "\n"


def _alone(model: Path, pictures: Path, out: Path) -> list[str]:
    return [
        sys.executable,
        "-m",
        "frostline",
        "predict",
        str(model),
        str(pictures),
        "--out",
        str(out),
        "--shard",
        "0/1",
    ]


def _on_ray(command: str, model: Path, pictures: Path, out: Path) -> list[str]:
    words = [sys.executable, "-m", "frostline", command, str(model), str(pictures)]
    return [*words, "--on", "ray", "--address", "auto", "--out", str(out)]


@contextmanager
def cluster() -> Iterator[None]:
    """A Ray cluster on this machine, with as many cores as there are workers."""
    ray = str(Path(sys.executable).with_name("ray"))
    start = [ray, "start", "--head", f"--num-cpus={WORKERS}", "--include-dashboard=false", "--disable-usage-stats"]
    subprocess.run(start, check=True, env=ENV, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        subprocess.run([ray, "stop", "--force"], check=True, env=ENV, stdout=subprocess.DEVNULL)


def _run(command: Sequence[str]) -> Run:
    began = time.perf_counter()
    process = subprocess.Popen(command, env=ENV, stdout=subprocess.DEVNULL)
    driver = worker = 0
    while process.poll() is None:
        driver = max(driver, _held(psutil.Process(process.pid)))
        worker = max([worker, *map(_held, _workers())])
        time.sleep(0.5)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    return Run(time.perf_counter() - began, driver, worker)


def _killed(command: Sequence[str], kills: int, out: Path) -> int:
    """Run a command to its end while workers are killed, and the driver once; returns the kills."""
    rng, done, driver_killed = random.Random(0), 0, False
    while True:
        process = subprocess.Popen(command, env=ENV, stdout=subprocess.DEVNULL)
        due = time.monotonic() + rng.uniform(4, 12)
        while process.poll() is None:
            time.sleep(0.2)
            if time.monotonic() < due:
                continue
            due = time.monotonic() + rng.uniform(4, 12)
            workers = list(_workers())
            if done < kills and workers:
                rng.choice(workers).kill()
                done += 1
            elif not driver_killed and any(out.glob("*.parquet")):
                process.send_signal(signal.SIGKILL)
                driver_killed = True
                done += 1
        if process.returncode == 0:
            return done
        if process.returncode != -signal.SIGKILL:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")


def _workers() -> Iterator[psutil.Process]:
    """Ray's processes that hold the model."""
    for process in psutil.process_iter(["name", "cmdline"]):
        words = " ".join(process.info["cmdline"] or ())
        if words.startswith("ray::") and "Predict" in words:
            yield process


def _held(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _answers(out: Path) -> Answers:
    """What a folder says; its parts may be Parquet or the command's own.

    Raises: RuntimeError: a picture is there twice.
    """
    found: Answers = {}
    parts = sorted(out.glob("*.parquet"))
    if not parts:
        merged = out.with_suffix(".csv")
        subprocess.run(
            [sys.executable, "-m", "frostline", "merge", str(out), "--out", str(merged)], check=True, env=ENV
        )
        import csv

        with merged.open(newline="", encoding="utf-8") as file:
            return {
                Path(line["path"]).name: (line["label"], float(line["probability"])) for line in csv.DictReader(file)
            }
    for part in parts:
        table = pyarrow.parquet.read_table(part, columns=["path", "label", "probability"]).to_pydict()
        for path, label, p in zip(table["path"], table["label"], table["probability"], strict=True):
            if Path(path).name in found:
                raise RuntimeError(f"{path} was answered twice")
            found[Path(path).name] = label, float(p)
    return found


def _same(wanted: Answers, found: Answers, digits: int | None = None) -> str:
    missing = len(wanted.keys() - found.keys())

    def alike(one: tuple[str, float], other: tuple[str, float]) -> bool:
        near = abs(one[1] - other[1]) <= (0 if digits is None else 0.51 * 10**-digits)
        return one[0] == other[0] and near

    other = sum(name not in wanted or not alike(wanted[name], answer) for name, answer in found.items())
    if missing or other:
        return f"{missing:,} pictures are MISSING and {other:,} are answered DIFFERENTLY"
    return "every picture once, by the same numbers"


def _costs(speed: float, pictures: Path) -> list[str]:
    """What larger jobs cost by this machine's figures: core-hours, bytes to read, bytes of results."""
    sizes = [path.stat().st_size for path in sorted(pictures.iterdir())[:1000]]
    lines = [
        "| pictures | core-hours | hours on 100 cores | read | a link of 10 Gbit/s reads it in |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for count in (10**6, 10**7, 10**9):
        hours, size = count / speed / 3600, count * float(np.mean(sizes))
        lines.append(
            f"| {count:,} | {hours:,.1f} | {hours / 100:,.2f} | {size / 1e12:,.2f} TB | {size / 1.25e9 / 3600:,.2f} h |"
        )
    return lines


if __name__ == "__main__":
    main()

"""Commands on a Ray cluster of this machine, and what they take: seconds, processor time and memory, by process."""

import os
import resource
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow.parquet

WORKERS = 2
ENV = {
    **os.environ,
    "HF_HUB_OFFLINE": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",  # nodes and drivers of this process only
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}


@dataclass(frozen=True)
class Run:
    """seconds: from start to end. driver, worker: the most bytes that the command and any one worker held. cpu: seconds
    of processor time of the command's processes and of the workers, start included; for a cluster `around` is that of
    everything else: the driver and Ray's own processes. busy: share of the time between a worker's first and last part
    that workers had a core for themselves. steady: pictures/s of all workers in that time. nodes: that had workers.
    """

    seconds: float
    cpu: float
    driver: int
    worker: int = 0
    around: float = 0.0
    busy: float = 0.0
    steady: float = 0.0
    nodes: int = 0


def frostline(command: str) -> list[str]:
    """The command as this Python runs it."""
    return [sys.executable, "-m", "frostline", command]


def on_ray(out: Path) -> list[str]:
    """The options that send it to the cluster, and begin it anew."""
    shutil.rmtree(out, ignore_errors=True)
    return ["--on", "ray", "--address", "auto", "--out", str(out)]


@contextmanager
def cluster(cores: int = WORKERS) -> Iterator[list[psutil.Process]]:
    """The process of a Ray cluster on this machine, with so many cores; those below it end with it."""
    try:
        with node("--head", "--port=6379", "--include-dashboard=false", cores=cores) as head:
            yield [head]
    finally:
        # Ended by a signal, Ray leaves it, and whoever starts Ray next waits for a cluster that is gone.
        Path(tempfile.gettempdir(), "ray", "ray_current_cluster").unlink(missing_ok=True)


@contextmanager
def node(*words: str, cores: int, within: Sequence[str] = ()) -> Iterator[psutil.Process]:
    """The process of one node, as `ray start` starts it. within: what the command is given to, as `ip netns exec`."""
    ray = str(Path(sys.executable).with_name("ray"))
    start = [*within, ray, "start", *words, f"--num-cpus={cores}", "--disable-usage-stats", "--block"]
    process = subprocess.Popen(start, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        said: list[str] = []
        for line in process.stdout:
            said.append(line)
            if "Ray runtime started" in line:
                break
        else:
            raise RuntimeError(f"{' '.join(start)} ended with {process.wait()}: {''.join(said[-3:])}")
        yield psutil.Process(process.pid)
    finally:
        below = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        psutil.wait_procs(below, timeout=20)
        for one in below:
            if one.is_running():
                one.kill()
        process.wait()


def run(command: Sequence[str], nodes: Sequence[psutil.Process] = ()) -> Run:
    """Run a command to its end and look at it and at the processes of a cluster's nodes twice a second."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    others = {process.pid: _cpu(process) for process in of_ray(nodes)}
    process = subprocess.Popen(command, env=ENV, stdout=subprocess.DEVNULL)
    driver = worker = 0
    seen: dict[int, float] = {}
    samples: list[tuple[float, float]] = []
    ours: dict[int, int] = {}
    while process.poll() is None:
        driver = max(driver, _held(psutil.Process(process.pid)))
        for number, one in ((n, one) for n, place in enumerate(nodes) for one in of_ray([place])):
            seen[one.pid] = max(seen.get(one.pid, 0.0), _cpu(one) - others.get(one.pid, 0.0))
            if is_worker(one):
                ours[one.pid] = number
                worker = max(worker, _held(one))
        samples.append((time.time(), sum(seen[pid] for pid in ours)))
        time.sleep(0.5)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)[:200]} ended with {process.returncode}")
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    working = sum(seen[pid] for pid in ours)
    if not ours:
        return Run(seconds, own, driver)
    around = own + sum(seen.values()) - working
    out = Path(command[command.index("--out") + 1])
    return Run(seconds, working, driver, worker, around, *_steadily(out, samples), len(set(ours.values())))


def _steadily(out: Path, samples: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """(busy, steady) between the first part of the last worker to begin and the last part: see `Run`."""
    parts = sorted(
        (part.stat().st_mtime, pyarrow.parquet.read_metadata(part).num_rows) for part in out.glob("*.parquet")
    )
    if len(parts) <= WORKERS + 1:
        return 0.0, 0.0
    start, end = parts[WORKERS - 1][0], parts[-1][0]
    within = [(when, cpu) for when, cpu in samples if start <= when <= end]
    busy = 0.0 if len(within) < 3 else (within[-1][1] - within[0][1]) / (within[-1][0] - within[0][0]) / WORKERS
    return busy, sum(rows for _, rows in parts[WORKERS:]) / (end - start)


def of_ray(nodes: Sequence[psutil.Process]) -> Iterator[psutil.Process]:
    """The processes of a cluster's nodes."""
    for one in nodes:
        yield from one.children(recursive=True)


def is_worker(process: psutil.Process) -> bool:
    """Whether it holds the model."""
    try:
        return " ".join(process.cmdline()).startswith("ray::MapWorker")
    except psutil.Error:
        return False


def _cpu(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
        return float(used.user + used.system)
    except psutil.NoSuchProcess:
        return 0.0


def _held(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0

"""What this process may compute with: cores, a GPU's driver, processes that were launched together."""

import math
import os
from functools import cache
from pathlib import Path

from frostline.errors import PlanError, one_line

_limit: list[int] = []
LAUNCHER_HINT = "unset these environment variables, or let a launcher set them"
_DRIVERS = Path("/dev/nvidiactl"), Path("/dev/dxg"), Path("/dev/kfd")  # NVIDIA's, that of Windows' Linux, AMD's
_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: "400000 100000" is four cores, "max 100000" all


def processors() -> int:
    """Cores that this process may use, by its affinity, its container's quota and FROSTLINE_CPUS; 1 or more.

    Raises: PlanError: FROSTLINE_CPUS is no number.
    """
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(found, _quota(_QUOTA), *_limit, _number("FROSTLINE_CPUS", found)))


@cache
def _quota(place: Path) -> int:
    try:
        quota, period = place.read_text().split()
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        return 1 << 20


def limit_processors(most: int) -> None:
    """Use at most so many cores from now on: an actor of a cluster is given a share of its machine's."""
    _limit[:] = [max(1, most)]


def gpu_driver() -> bool:
    """Whether a driver for GPUs is here and they are not hidden from this process; nothing is loaded to find out.

    Without one, a command that could do without torch need not import it to learn that there is no card.
    """
    windows = Path(os.environ.get("SYSTEMROOT", "C:\\Windows"), "System32", "nvcuda.dll")
    shown = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() not in ("", "-1")
    return shown and any(place.exists() for place in (*_DRIVERS, windows))


def launched_processes() -> tuple[int, int]:
    """(rank, processes) as the launcher tells them in the environment, without importing accelerate.

    Raises: PlanError: they are no numbers, or there are not so many processes.
    """
    rank, processes = _number("RANK", 0), _number("WORLD_SIZE", 1)
    if rank >= processes:
        raise PlanError(f"there is no process {rank} of {processes}", where="RANK/WORLD_SIZE", hint=LAUNCHER_HINT)
    return rank, processes


def processes_here() -> int:
    """How many of them are on this machine, as the launcher tells it; 1 if it does not.

    Raises: PlanError: it is no number.
    """
    return max(1, _number("LOCAL_WORLD_SIZE", 1))


def _number(name: str, otherwise: int) -> int:
    asked = os.environ.get(name, "").strip() or str(otherwise)
    if not (asked.isascii() and asked.isdigit() and len(asked) < 10):
        raise PlanError(f"{one_line(asked)[:40]!r} is no number", where=name, hint=LAUNCHER_HINT)
    return int(asked)

"""How many processors there are for this process, and how many processes were launched together."""

import math
import os
from functools import cache
from pathlib import Path

_limit: list[int] = []
_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: "400000 100000" is four cores, "max 100000" all


def processors() -> int:
    """Cores that this process may use, by its affinity, its container's quota and FROSTLINE_CPUS; 1 or more."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    asked = os.environ.get("FROSTLINE_CPUS", "")
    limits = [_quota(_QUOTA), *_limit, *([int(asked)] if asked.isascii() and asked.isdigit() else [])]
    return max(1, min(found, *limits))


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


def launched_processes() -> tuple[int, int]:
    """(rank, processes) as the launcher tells them in the environment, without importing accelerate."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))

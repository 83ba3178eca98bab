"""How many processors there are for this process, and how many processes were launched together."""

import os

_limit: list[int] = []


def processors() -> int:
    """Cores that this process may use; 1 or more."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([found, *_limit])


def limit_processors(most: int) -> None:
    """Use at most so many cores from now on: an actor of a cluster is given a share of its machine's."""
    _limit[:] = [max(1, most)]


def launched_processes() -> tuple[int, int]:
    """(rank, processes) as the launcher tells them in the environment, without importing accelerate."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))

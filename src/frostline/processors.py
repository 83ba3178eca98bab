"""How many processors there are for this process, and how many processes were launched together."""

import os


def processors() -> int:
    """Cores that this process may use; 1 or more."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def launched_processes() -> tuple[int, int]:
    """(rank, processes) as the launcher tells them in the environment, without importing accelerate."""
    return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))

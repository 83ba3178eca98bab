"""How many processors there are for this process: the one count of them."""

import os


def processors() -> int:
    """Cores that this process may use; 1 or more."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

"""What training frees is kept for its next step, and given back at its end."""

import os
import resource
from pathlib import Path

import pytest
import torch

from frostline.train.cpu import malloc

pytestmark = pytest.mark.skipif(malloc._glibc() is None, reason="the C library is not glibc")
SIDE = 4096  # 64 MB of float32


def faults(times: int) -> int:
    """Pages that the kernel had to find while a large tensor was made and freed again so many times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(SIDE, SIDE)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_memory_is_found_once_and_given_back_at_the_end() -> None:
    loose = faults(40)
    with malloc.kept():
        assert faults(40) < loose / 2  # it finds some places for the same block until it comes back to them
        held = resident()
    assert resident() < held - SIDE * SIDE * 4 // 2
    assert faults(40) > loose / 2

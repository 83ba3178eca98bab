"""What training frees is kept for its next step, and given back at its end."""

import subprocess
import sys

import pytest

from frostline.train.cpu import malloc

pytestmark = pytest.mark.skipif(malloc._glibc() is None, reason="the C library is not glibc")

# In a process of its own: what other tests leave in the heap would be found again in place of new pages. What is judged
# is what stays resident: how many pages the kernel then finds again depends on its large pages and on the heap's holes.
ALONE = """
import os
import torch
from frostline.train.cpu import malloc

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

def once():
    torch.ones(4096, 4096)  # 64 MB of float32, freed at once

once()
before = resident()
once()
loose = resident()
with malloc.kept():
    for _ in range(5):
        once()
    kept = resident()
print(loose - before, kept - before, resident() - before)
"""


def test_freed_memory_is_kept_for_the_next_step_and_given_back_at_the_end() -> None:
    said = subprocess.run([sys.executable, "-c", ALONE], capture_output=True, text=True, check=True).stdout.split()
    loose, kept, after = (int(one) for one in said)  # MB
    assert loose < 16
    assert kept > 48
    assert after < 16


GIVEN_BACK = """
import os, sys
from PIL import Image
from frostline.train.cpu import malloc

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20

if sys.argv[1] == "yes":
    malloc.give_back()
Image.new("RGB", (1000, 5000), 1)  # 20 MB: once such a block is freed, glibc takes smaller ones from its heap
before = resident()
large, small = [], []
for _ in range(10):
    large.append(Image.new("RGB", (1000, 2000), 1))
    small.append(Image.new("RGB", (100, 100), 1))
large.clear()
print(resident() - before)
"""


def test_a_server_gives_back_what_giants_took_though_something_small_lies_between_them() -> None:
    kept, given = (
        int(subprocess.run([sys.executable, "-c", GIVEN_BACK, word], capture_output=True, text=True, check=True).stdout)
        for word in ("no", "yes")
    )
    assert kept > 40  # MB, of 80
    assert given < 8

"""The C library's heap: what one step of training frees is kept for the next; what a server frees is given back.

glibc hands large blocks back to the kernel, which has to find and clear their pages again a moment later: of a training
step on a CPU, whose activations are such blocks, that is up to a tenth.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_TRIM, _MAP = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
_KEEP = {_TRIM: 2**31 - 1, _MAP: 1 << 30}
# Where glibc's own adjustment, which ends with the first call, comes to once large tensors are freed.
_AS_BEFORE = {_TRIM: 64 << 20, _MAP: 32 << 20}
_GIVE_BACK = {_TRIM: 4 << 20, _MAP: 1 << 20}


@contextmanager
def kept() -> Iterator[None]:
    """Keep freed memory until the end, then give it back. Does nothing where the C library is not glibc."""
    glibc = _glibc()
    if glibc is None:
        yield
        return
    for what, size in _KEEP.items():
        glibc.mallopt(what, size)
    try:
        yield
    finally:
        for what, size in _AS_BEFORE.items():
            glibc.mallopt(what, size)
        glibc.malloc_trim(0)


def give_back() -> None:
    """From now on every large block goes back to the kernel when it is freed: of a server whose threads decode giants
    now and then, each thread's heap would otherwise keep the largest. Does nothing where the C library is not glibc.
    """
    glibc = _glibc()
    if glibc is not None:
        for what, size in _GIVE_BACK.items():
            glibc.mallopt(what, size)


@cache
def _glibc() -> Any:
    library = ctypes.CDLL(None) if os.name == "posix" else None
    return library if hasattr(library, "malloc_trim") else None

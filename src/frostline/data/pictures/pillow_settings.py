"""Pillow as the decoder wants it, whatever the rest of the process told it: silent, and strict with truncated files."""

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import ImageFile

# Pillow's log records would reach stderr when the program has set up no logging at all.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_lock = threading.Lock()
_inside = 0
_lenient = False
_filter: list[object] = []


@contextmanager
def strict_and_silent() -> Iterator[None]:
    """No warning leaves Pillow or pydicom while anyone is in here, and ``LOAD_TRUNCATED_IMAGES`` is off.

    Any thread may enter.

    Both belong to the whole process, so ``warnings.catch_warnings`` would put back a wrong list when threads leave in
    another order than they came: one filter, for these alone, stands from the first one in to the last one out.
    What libtiff writes to stderr about a damaged compressed TIFF comes from C, where nothing here can hold it back.
    """
    _enter()
    try:
        if getattr(sys.flags, "context_aware_warnings", False):  # Python 3.14: filters may belong to the thread
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module=r"(PIL|pydicom)\.")
                yield
        else:
            yield
    finally:
        _leave()


def _enter() -> None:
    global _inside, _lenient
    with _lock:
        if not _inside:
            warnings.filterwarnings("ignore", module=r"(PIL|pydicom)\.")
            _filter[:] = warnings.filters[:1]
            _lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
        _inside += 1


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if not _inside:
            ImageFile.LOAD_TRUNCATED_IMAGES = _lenient
            for entry in _filter:
                if entry in warnings.filters:  # else someone restored an older list meanwhile
                    warnings.filters.remove(entry)  # type: ignore[attr-defined]

"""Of what would wait for ever: a pipe that nobody writes to."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")


def pipe(path: Path) -> Path:
    """A pipe in that place, whatever lies there."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return path


@contextmanager
def without_waiting(seconds: float = 20) -> Iterator[None]:
    """Fails what waits in there for so long, in the main thread."""

    def late(*_: object) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

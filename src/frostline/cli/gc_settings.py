"""Python's garbage collector, kept away from what lives as long as the process: a third of the time to import torch."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """For imports of large libraries: no garbage is looked for meanwhile, nor ever among what they made."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def leave() -> None:
    """At the end of the process: what there is goes with it, and need not be taken apart first."""
    gc.freeze()

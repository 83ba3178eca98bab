"""The threads of the linear algebra below NumPy and SciPy, kept off the cores that somebody else computes on.

When a product is done they wait for the next one by spinning, for some milliseconds and at full load: an engine beside
them, or a second library of the same kind, computes at half its speed meanwhile.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()  # the number of threads belongs to the process: who set it last must put it back first


@contextmanager
def one_thread() -> Iterator[None]:
    """For small products between the computations of an engine. One caller at a time; the others wait."""
    with _lock, _all().limit(limits=1):
        yield


@contextmanager
def one_library() -> Iterator[None]:
    """For optimisation: SciPy's wheels bring a library of their own beside NumPy's, and here it has one thread.

    Scipy must have been imported.
    """
    found = ThreadpoolController()
    own = [library.filepath for library in found.lib_controllers if "scipy.libs" in Path(library.filepath).parts]
    with found.select(filepath=own).limit(limits=1):
        yield


@cache
def _all() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")

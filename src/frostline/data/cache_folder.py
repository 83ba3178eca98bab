"""Where what is kept between runs lies, and where ``~`` is."""

import os
from pathlib import Path

from frostline.errors import DataError


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/frostline``, by default ``~/.cache/frostline``.

    Raises: DataError: whoever runs this has no home folder (a container's nameless user).
    """
    return expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "frostline"


def expanded(place: str | Path) -> Path:
    """The same with ``~`` and ``~name`` as home folders.

    Raises: DataError: there is none.
    """
    try:
        return Path(place).expanduser()
    except RuntimeError:
        raise DataError(
            "there is no such home folder", where=place, hint="write the path in full; XDG_CACHE_HOME is the cache's"
        ) from None

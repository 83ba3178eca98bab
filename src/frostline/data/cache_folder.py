"""Where what is kept between runs lies."""

import os
from pathlib import Path


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/frostline``, by default ``~/.cache/frostline``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "frostline"

"""What other people's folders hold under the name of a file may be a pipe, which waits, or a device without an end."""

import errno
import stat
from pathlib import Path

SAID = "not an ordinary file"


def ordinary(path: Path) -> Path:
    """The path, if what lies there may be opened: a file, or a folder, of which opening says what it is.

    Raises: OSError: a pipe, a socket or a device; or there is nothing, or no permission to look.
    """
    if is_special(path.stat().st_mode):
        raise OSError(errno.EINVAL, SAID, str(path))
    return path


def is_special(mode: int) -> bool:
    """Whether it is the mode of a pipe, a socket or a device."""
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)

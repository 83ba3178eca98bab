"""Who uses a shelf: a lock on a small file, shared by readers and writers, exclusive for whoever would remove it.

The system lets go of a lock when its process dies, however it dies. Windows has no shared locks; there the system
itself refuses to remove a file that is open.
"""

import errno
import os
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}


class Held:
    """A shared lock on a file, from now until ``release`` or until nobody refers to it any more.

    content: what the file is to say, for people. alone: whether nobody else held the lock at the beginning; always
    False where the file system has no locks.

    Raises: OSError: the file can neither be opened nor made.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        while True:
            if path.is_dir():  # by accident: an empty folder protects nothing
                path.rmdir()
            number = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
            self.alone = _lock(number, exclusive=True, wait=False)
            if not self.alone:
                _lock(number, exclusive=False, wait=True)
            if is_still(number, path):
                break
            os.close(number)  # removed between opening and locking: this lock would protect nothing
        self._number = number
        self._release = weakref.finalize(self, os.close, number)
        if os.fstat(number).st_size != len(content):
            os.lseek(number, 0, os.SEEK_SET)
            os.write(number, content)
            os.truncate(number, len(content))

    def share(self) -> None:
        """Let others in, after what had to be done alone."""
        _lock(self._number, exclusive=False, wait=True)

    def release(self) -> None:
        """Give the lock back; once more does nothing."""
        self._release()


@contextmanager
def unused(path: Path) -> Iterator[bool]:
    """Hold a lock file exclusively, and say whether that worked: False while anybody uses what it stands for."""
    try:
        number = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        yield False
        return
    try:
        yield _lock(number, exclusive=True, wait=False) and is_still(number, path)
    finally:
        os.close(number)


def taken(number: int) -> bool:
    """Whether somebody else has locked an open file for themselves alone; if not, it is ours until it is closed.

    False where the file system has no locks.
    """
    return not _lock(number, exclusive=True, wait=False, otherwise=True)


if sys.platform == "win32":

    def _lock(number: int, *, exclusive: bool, wait: bool, otherwise: bool = False) -> bool:
        return True

else:
    import fcntl

    def _lock(number: int, *, exclusive: bool, wait: bool, otherwise: bool = False) -> bool:
        """otherwise: what is answered where the file system has no locks."""
        kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        try:
            fcntl.flock(number, kind if wait else kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                return otherwise
            raise
        return True


def is_still(number: int, path: Path) -> bool:
    """Whether an open file is the one that lies at a path now."""
    with suppress(OSError):
        return os.path.samestat(os.fstat(number), path.stat())
    return False

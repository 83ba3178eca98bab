"""Files that are whole or absent: written beside their place, flushed to the disk, then renamed. The one place for it.

write     text or bytes
first     the same, unless something stands there already
beside    for whatever wants a path, or writes bit by bit
sync      wait until a file or folder is on the disk
reason    an OSError in words; system_error: the one behind another library's error; full: where it gives none
FULL      the errors of a disk that takes no more
"""

import errno
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from frostline.errors import one_line

_WORDS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EFBIG: "the file is larger than the disk allows",
}
FULL = frozenset(_WORDS)
_CODE = re.compile(r"os error (\d+)")  # as safetensors words what the system said


def write(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all. Text becomes UTF-8; surrogates are written back as the bytes they stand for.

    Raises: OSError: it cannot be written; what was there before is untouched and nothing is left beside it.
    """
    with beside(path) as fresh:
        fresh.write_bytes(content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content)


def first(path: Path, content: str | bytes) -> None:
    """Write a file whole, unless one of that name is there: whoever comes first says what stands in it.

    Raises: OSError: it cannot be written.
    """
    if path.exists():
        return
    fresh = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.new")
    try:
        write(fresh, content)
        os.link(fresh, path)  # unlike a rename it never takes the place of what another process wrote first
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        if not fresh.exists():
            raise
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A path to write to, in the folder of `path` (made if need be), that takes its place when the block ends well.

    Raises: OSError: it cannot be written, also where a library raised something else for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and not (path.is_file() or path.is_dir()):  # /dev/null would be a page from now on
        raise OSError(errno.EEXIST, "a device or a pipe stands there", str(path))
    fresh = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        yield fresh
        sync(fresh)
        fresh.replace(path)
        sync(path.parent)
    except BaseException as error:
        with suppress(OSError):
            fresh.unlink(missing_ok=True)
        if (found := system_error(error)) is not None:
            found.filename = str(path)
            raise found from error
        if isinstance(error, OSError) and error.filename is None:  # a write that fails does not know its file's name
            error.filename = str(path)
        raise


def system_error(error: BaseException) -> OSError | None:
    """What the system said, where a library says it in its own words (safetensors); None of any other error."""
    code = _CODE.search(str(error)) if isinstance(error, Exception) and not isinstance(error, OSError) else None
    return None if code is None else OSError(int(code[1]), os.strerror(int(code[1])))


def full(folder: Path) -> OSError | None:
    """Why not a megabyte more can be written there, if so: for libraries that fail without a reason."""
    try:
        with beside(folder / "probe") as fresh:
            fresh.write_bytes(bytes(1 << 20))
            sync(fresh)
            raise _Enough
    except _Enough:
        return None
    except OSError as error:
        return error


class _Enough(Exception):
    """The probe was written, and goes."""


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk.

    Raises: OSError: a file cannot be flushed. Folders that cannot be opened (Windows) keep their entries themselves.
    """
    if path.is_dir():
        with suppress(OSError):
            _flush(path, os.O_RDONLY)
    else:
        _flush(path, os.O_RDWR)


def reason(error: OSError) -> str:
    """What went wrong, in a few words: a full disk and a used-up quota are called that."""
    return _WORDS.get(error.errno or 0) or one_line(error.strerror or str(error))


def _flush(path: Path, mode: int) -> None:
    handle = os.open(path, mode)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

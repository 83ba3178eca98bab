"""Pictures decoded ahead of who waits for them: by threads, or by processes where a GPU waits.

Python's lock is let go only within a picture's decoding. Past some four cores more threads therefore decode no faster,
and a loop that feeds a GPU waits for the lock as well: on 16 cores 1,300 pictures a second by threads and 2,700 by
processes, and beside a training ResNet-50 half as many.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor, wait
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Self

import numpy as np
from numpy.typing import NDArray

from frostline.data.manifest import Row
from frostline.data.pictures.picture import Picture, Slice, content_digest, described, whole_of
from frostline.data.views import Noting, View
from frostline.errors import DataError, DecodeError, first_line
from frostline.processors import processes_here, processors

Seen = NDArray[np.uint8] | DecodeError
"""A picture (H, W, C) as the view gives it, or why there is none."""

FEW = 512
"""Fewer pictures are decoded before processes have started."""

CHUNK = 32
"""Pictures that a process is sent at once: while a loop holds Python's lock, each message waits for it."""

_IDLE = 60  # seconds after which a process ends
_MOST_AHEAD = 1 << 29  # bytes

_Answer = list[Seen] | tuple[str, tuple[int, ...], list[DecodeError | None]]


class DecodeAhead:
    """Decodes rows by a view. threads: how many, where no process does it. kept: what comes of a row is kept under its
    digest, so that a file which is no longer what its digest says gives an error, and no picture.

    As a context manager it cancels what was not begun.
    """

    def __init__(self, view: View, threads: int, *, kept: bool = False) -> None:
        self._view, self._kept = view, kept
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._begun: list[Future[_Answer]] = []
        self._folder: TemporaryDirectory[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._folder is not None:
            wait([future for future in self._begun if not future.cancel()], timeout=5)  # they write into the folder
            self._folder.cleanup()

    def submit(self, rows: Sequence[Row], *, in_processes: bool = False) -> Callable[[], list[Seen]]:
        """Begin to decode rows; what is returned waits for them.

        in_processes: by processes, as many as there are cores for this one. Pictures that are no files, and views that
        note what they see, stay with the threads.

        Raises: DataError: (when waited for) a process ended.
        """
        here = not in_processes or multiprocessing.current_process().daemon  # whose children Python refuses
        if not here and not isinstance(self._view, Noting) and all(row.file for row in rows):
            if self._folder is None:
                self._folder = TemporaryDirectory(prefix="frostline-decoded-", ignore_cleanup_errors=True)
            given = [(row.picture, row.digest) for row in rows]
            parts = [given[start : start + CHUNK] for start in range(0, len(given), CHUNK)]
            # Names of files may be relative to a folder that was left since the processes started.
            futures = [
                _sent(_seen_all, self._view, self._kept, part, self._folder.name, str(Path.cwd())) for part in parts
            ]
            self._begun = [future for future in self._begun if not future.done()] + futures
            return lambda: [seen for future in futures for seen in _waited_for(future)]
        one_by_one = [self._threads.submit(_seen, self._view, self._kept, row.picture, row.digest) for row in rows]
        return lambda: [future.result() for future in one_by_one]


def pictures_ahead(size: tuple[int, int]) -> int:
    """How many pictures (H, W) to have begun so that no process is idle while some are waited for."""
    return min(2 * CHUNK * _count(), max(CHUNK, _MOST_AHEAD // (3 * size[0] * size[1])))


def _count() -> int:
    return max(1, processors() // processes_here())


def _sent(work: Callable[..., _Answer], *given: object) -> "Future[_Answer]":
    try:
        return _processes(_count()).submit(work, *given)
    except BrokenExecutor:  # by a process that ended while nobody waited
        _processes.cache_clear()
        return _processes(_count()).submit(work, *given)


@cache
def _processes(count: int) -> Executor:
    # multiprocessing's own would run a script again which has no `if __name__ == "__main__"`. And not loky's reusable
    # ones, which are joblib's too.
    from joblib.externals.loky import ProcessPoolExecutor

    made: Executor = ProcessPoolExecutor(count, timeout=_IDLE, initializer=_ignore_interrupts)
    return made


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal; ours says when to end


def _seen(view: View, kept: bool, picture: Picture, digest: str) -> Seen:
    try:
        seen = view(picture, digest)
        if kept and digest:
            _refuse_changed(picture, digest)
        return seen
    except DecodeError as error:
        return error


def _refuse_changed(picture: Picture, digest: str) -> None:
    """Whoever keeps features under a digest would give those of another picture for ever. Read once more behind the
    decoder, the bytes come from memory. What a data set in memory gives is its own affair: it may draw anew each time.

    Raises: DecodeError: the file has other bytes by now.
    """
    if isinstance(whole_of(picture), Path | Slice) and content_digest(picture) != digest:
        raise DecodeError("it changed while it was read", where=described(picture), hint="run it again")


def _seen_all(view: View, kept: bool, pictures: Sequence[tuple[Picture, str]], folder: str, here: str) -> _Answer:
    """A file with the pixels of all that could be decoded, its shape, and what could not be.

    Through a pipe they would come in pieces of 64 KiB, and who reads them would wait for Python's lock at each.
    """
    os.chdir(here)
    seen = [_seen(view, kept, picture, digest) for picture, digest in pictures]
    place = None
    try:
        whole = np.stack([one for one in seen if not isinstance(one, DecodeError)])
        with NamedTemporaryFile(dir=folder, delete=False) as file:
            place = Path(file.name)
            whole.tofile(file)
    except (OSError, ValueError):  # no room there, or no picture
        if place is not None:
            place.unlink(missing_ok=True)
        return seen
    return file.name, whole.shape, [one if isinstance(one, DecodeError) else None for one in seen]


def _waited_for(future: "Future[_Answer]") -> list[Seen]:
    try:
        answer = future.result()
    except BrokenExecutor as error:
        _processes.cache_clear()
        raise DataError(
            f"a process that decoded pictures has ended: {first_line(error)}",
            hint="was it killed, or out of memory? FROSTLINE_CPUS=4 starts fewer",
        ) from None
    if isinstance(answer, list):
        return answer
    place, shape, errors = answer
    whole = iter(np.fromfile(place, np.uint8).reshape(shape))
    Path(place).unlink()
    return [next(whole) if error is None else error for error in errors]

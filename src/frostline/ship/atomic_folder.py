"""A folder that is written whole or not at all: beside its place first, then by one rename."""

import secrets
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from frostline import atomic
from frostline.errors import CheckpointError, one_line

_STALE_SECONDS = 24 * 3600


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """A folder to write into; when the block ends well it takes the place of `folder`, else it is gone.

    Raises: CheckpointError: the disk is full, or the place cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        with _beside(folder) as made:
            yield made
            _settle(made)
            _put(made, folder)
    except Exception as error:
        found = error if isinstance(error, OSError) else atomic.system_error(error)
        if found is None:
            raise
        raise CheckpointError(
            f"the folder cannot be written: {atomic.reason(found)}",
            where=folder,
            hint="is there room on the disk, and may you write there? name another place with --out",
        ) from None


def check(folder: Path, known: Collection[str]) -> None:
    """Notice what would be lost if a folder were written over.

    known: names that may be there.

    Raises: CheckpointError: there is a file of that name, or a folder with other things in it.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise CheckpointError("there is a file of that name", where=folder, hint="name another place")
    strange = sorted(path.name for path in folder.iterdir() if path.name not in known and path.name != ".DS_Store")
    if strange:
        some = ", ".join(one_line(name) for name in strange[:3])
        raise CheckpointError(
            f"the folder holds {len(strange)} things that would be lost: {some}",
            where=folder,
            hint="move them away, or name another place",
        )


@contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    made = folder.parent / f".{folder.name}.tmp-{secrets.token_hex(6)}"
    made.mkdir()
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _settle(made: Path) -> None:
    """All bytes on the disk, before the folder gets its name."""
    for path in made.iterdir():
        atomic.sync(path)


def _put(made: Path, folder: Path) -> None:
    if not folder.exists():
        made.rename(folder)
        return
    older = folder.parent / f".{folder.name}.old-{secrets.token_hex(6)}"
    folder.rename(older)
    try:
        made.rename(folder)
    except BaseException:
        older.rename(folder)
        raise
    shutil.rmtree(older, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """What killed processes left beside the folder, once it is a day old and the folder itself is there."""
    for path in folder.parent.glob(".*"):
        left = path.name.startswith((f".{folder.name}.tmp-", f".{folder.name}.old-"))
        if left and folder.exists() and time.time() - path.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(path, ignore_errors=True)

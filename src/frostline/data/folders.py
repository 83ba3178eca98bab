"""Folders of pictures: what is walked, what is junk, which folder is a split and which a class."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from frostline.data.formats import kinds
from frostline.data.manifest import Row, Skipped, natural
from frostline.errors import DataError, one_line

LAYOUTS = "DIR/<class>/…, DIR/train/<class>/… with val and test beside it, or a CSV with columns path,label[,split]"
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}

SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff"),
        *(".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".qoi", ".ico"),
    )
)
_JUNK = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information"}
    | {"icon\r", "lost+found"}
)


def is_junk(name: str) -> bool:
    """Whether it is a hidden name, or one that a desktop leaves behind everywhere."""
    return name.startswith(".") or name.lower() in _JUNK


def maybe_picture(name: str) -> bool:
    """Whether a file's name does not rule out that it is a picture: what it is, decoding tells."""
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 (half a million times)
    known = suffix in SUFFIXES or suffix in kinds.SUFFIXES
    return known or len(suffix) < 2 or len(suffix) > 6 or suffix[1:].isdecimal()


def readable(path: str) -> str:
    """A path as text that can be written: bytes that are no UTF-8 become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def in_split(split: str, rows: Iterable[Row | Skipped]) -> Iterator[Row | Skipped]:
    """Rows of a source that says nothing of splits, as those of one split."""
    for item in rows:
        name = f"{split}/{item.name}"
        yield replace(item, name=name, split=split) if isinstance(item, Row) else replace(item, name=name)


def folder(place: Path) -> Iterator[Row | Skipped]:
    """``DIR/train/<class>/…`` with val and test, or ``DIR/<class>/…``. A picture may lie anywhere below its class.

    Raises: DataError: no class folders; two folders for one split; the folder cannot be read.
    """
    folders, files = _listed(place)
    splits = _splits(place, folders)
    for name in files:
        yield Skipped(readable(name), "in no class folder" if maybe_picture(name) else "not a picture")
    if splits:
        for name in folders:
            if name in splits:
                yield from _classes(place / name, place, splits[name])
            else:
                yield Skipped(f"{readable(name)}/", "beside the split folders, but none itself")
    elif folders:
        yield from _classes(place, place, None)
    else:
        raise _no_classes(place, len(files))


def walk(top: Path) -> Iterator[Path | tuple[Path, str]]:
    """Every file below a folder, sorted, junk left out; a folder that cannot be read comes with the reason.

    Links to folders are followed, and each folder is entered once, so loops end.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [top]
    while waiting:
        here = waiting.pop()
        try:
            status = here.stat()
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(here) as entries:
                kinds = sorted((natural(entry.name), _is_folder(entry), entry.name) for entry in entries)
        except OSError as error:
            yield here, f"cannot be read: {error.strerror}"
            continue
        inner = [here / name for _, is_folder, name in kinds if is_folder and not is_junk(name)]
        waiting.extend(reversed(inner))
        yield from (here / name for _, is_folder, name in kinds if not is_folder and not is_junk(name))


def single_inner(place: Path) -> Path:
    """The only folder within, if there is nothing beside it but files that are no pictures; else the place itself."""
    folders, files = _listed(place)
    alone = len(folders) == 1 and folders[0].lower() not in SPLIT_NAMES and not any(map(maybe_picture, files))
    return place / folders[0] if alone else place


def _classes(top: Path, place: Path, split: str | None) -> Iterator[Row | Skipped]:
    folders, files = _listed(top)
    if split is not None:
        for name in files:
            kind = "in no class folder" if maybe_picture(name) else "not a picture"
            yield Skipped(_name(top / name, place), kind)
    for label in folders:
        empty = True
        for found in walk(top / label):
            empty = False
            if isinstance(found, tuple):
                yield Skipped(f"{_name(found[0], place)}/", found[1])
            elif maybe_picture(found.name):
                yield Row(found, (readable(label),), split, name=_name(found, place))
            else:
                yield Skipped(_name(found, place), "not a picture")
        if empty:
            yield Skipped(f"{_name(top / label, place)}/", "an empty folder")


def _splits(place: Path, folders: list[str]) -> dict[str, str]:
    """Which folders are splits. "train" may be a class (of vehicles), too: a split holds folders, a class pictures."""
    named = {name: SPLIT_NAMES[name.lower()] for name in folders if name.lower() in SPLIT_NAMES}
    splits = {name: split for name, split in named.items() if _listed(place / name)[0]}
    if named and len(named) == len(folders) and not splits:
        raise _no_classes(place, sum(len(_listed(place / name)[1]) for name in named))
    if "train" not in splits.values() and len(splits) < len(folders):
        return {}
    for split in set(splits.values()):
        rivals = [name for name in splits if splits[name] == split]
        if len(rivals) > 1:
            raise DataError(
                f"two folders for the split {split!r}: {one_line(', '.join(rivals))}",
                where=place,
                hint="merge them, or rename one",
            )
    return splits


def _listed(place: Path) -> tuple[list[str], list[str]]:
    try:
        with os.scandir(place) as entries:
            kinds = sorted((natural(entry.name), _is_folder(entry), entry.name) for entry in entries)
    except OSError as error:
        raise DataError(
            f"the folder cannot be read: {error.strerror}", where=place, hint="check its name and permissions"
        ) from None
    there = [(is_folder, name) for _, is_folder, name in kinds if not is_junk(name)]
    return [name for is_folder, name in there if is_folder], [name for is_folder, name in there if not is_folder]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: that is no folder, and what it is, reading it tells
        return False


def _name(path: Path, place: Path) -> str:
    return readable(path.relative_to(place).as_posix())


def _no_classes(place: Path, files: int) -> DataError:
    return DataError(f"there are no class folders, but {files} loose files", where=place, hint=f"expected: {LAYOUTS}")

"""A folder as it lies there, looked through once: what is junk, what is hidden, what may be a picture."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from frostline.data.manifest import Found, Row, Skipped, natural
from frostline.data.pictures.formats import kinds
from frostline.data.split_names import split_of
from frostline.errors import DataError, one_line
from frostline.ordinary_file import SAID, is_special

SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff"),
        *(".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".qoi", ".ico"),
    )
)
_JUNK = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "system volume information"}
    | {"icon\r", "lost+found", ".git", ".svn", ".hg", ".cache", ".venv", ".ds_store", ".idea", ".vscode"}
    | {"#recycle", "#snapshot", "@recycle", "@recently-snapshot", "recycler", "__pycache__", "node_modules"}
)
_NO_PICTURES = frozenset(
    (".parquet", ".feather", ".geojson", ".ndjson", ".safetensors", ".torrent")
)  # longer than most endings
_ARRAYS = re.compile(r"data_batch_\d+|test_batch|.*[-.]idx\d-ubyte|.*\.tfrecords?-.*")  # of CIFAR, MNIST, TensorFlow
_HIDDEN_AT_MOST = 10_000  # files of a hidden folder that are counted

_Place = tuple[int, int]


def single_inner(place: Path) -> Path:
    """The only folder within, if there is nothing beside it but files that are no pictures; else the place itself."""
    try:
        with os.scandir(place) as entries:
            there = [entry for entry in entries if not is_junk(entry.name)]
    except OSError:
        return place
    folders = [entry.name for entry in there if _is_folder(entry)]
    files = any(maybe_picture(entry.name) for entry in there if entry.name not in folders)
    return place / folders[0] if len(folders) == 1 and not files and split_of(folders[0]) is None else place


def is_junk(name: str) -> bool:
    """Whether it is a hidden name, or one that a desktop or an office program leaves behind everywhere."""
    return name.startswith((".", "~$")) or name.lower() in _JUNK


def ends_as_picture(name: str) -> bool:
    """Whether a name or a path ends as those of pictures do: .jpg, .PNG."""
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122


def maybe_picture(name: str) -> bool:
    """Whether a file's name does not rule out that it is a picture: what it is, decoding tells."""
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 (half a million times)
    if suffix in _NO_PICTURES or suffix.endswith("_original"):  # ExifTool keeps x.jpg as x.jpg_original
        return False
    known = suffix in SUFFIXES or suffix in kinds.SUFFIXES
    if known:
        return True
    return (len(suffix) < 2 or len(suffix) > 6 or suffix[1:].isdecimal()) and not _ARRAYS.fullmatch(name)


def readable(path: str) -> str:
    """A path as text that can be written: bytes that are no UTF-8 become escapes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True, eq=False)
class Folder:
    """A folder without its junk, in natural order.

    name: its path within the place that was looked through, "" for the place itself.
    pictures, others: names of files. aside: what lies in it and is left out, whatever it is read as.
    """

    path: Path
    name: str
    folders: tuple["Folder", ...] = ()
    pictures: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    aside: tuple[Skipped, ...] = ()
    count: int = field(default=0)

    @property
    def base(self) -> str:
        """Its own name."""
        return self.path.name

    def named(self, file: str) -> str:
        """What to call a file or folder in it."""
        return readable(f"{self.name}/{file}" if self.name else file)

    def filled(self) -> tuple["Folder", ...]:
        """The folders in it that have pictures somewhere below."""
        return tuple(folder for folder in self.folders if folder.count)

    def skipped(self, reason: str) -> Skipped:
        """All of it, left out."""
        return Skipped(f"{readable(self.name)}/", reason, self.count)

    def walk(self) -> Iterator["Folder"]:
        """Itself and every folder below, each before those in it."""
        yield self
        for folder in self.folders:
            yield from folder.walk()

    def left_out(self) -> Iterator[Skipped]:
        """What is left out of it and of all below, whatever it is read as."""
        for folder in self.walk():
            yield from folder.aside


def with_unused(top: Folder, tables: Sequence[Path], found: Iterable[Found]) -> Iterator[Found]:
    """What tables of a folder say, and what else is in it: pictures that no row names, folders of them whole, and
    other files."""
    yield from top.left_out()
    used: set[Path] = set()
    for item in found:
        used |= {item.file} if isinstance(item, Row) and item.file is not None else set()
        yield item
    for folder in top.walk():
        beside = [name for name in folder.others if folder.path / name not in tables]
        yield from (Skipped(folder.named(name), "not a picture") for name in beside)
        idle = [name for name in folder.pictures if folder.path / name not in used]
        if idle and folder.name and len(idle) == len(folder.pictures):
            yield Skipped(f"{folder.name}/", "without labels", len(idle))
        else:
            yield from (Skipped(folder.named(name), "no row of the table names it") for name in idle)


def survey(place: Path, ignore: Sequence[str] = ()) -> Folder:
    """Look through a folder. Links to folders are followed, and none is entered within itself, so loops end.

    ignore: patterns (``*_mask.png``, ``test``, ``old/*``) of names or paths that are left out, and said.

    Raises: DataError: the folder cannot be read; a pattern matches nothing.
    """
    patterns = [pattern.strip().rstrip("/") for pattern in ignore]
    used: set[str] = set()
    found = _surveyed(place, "", patterns, used, frozenset(), None)
    if found.aside and found.aside[0].name == "/":
        raise DataError(
            f"the folder {found.aside[0].reason}", where=place, hint="check its name and permissions"
        ) from None
    if idle := [pattern for pattern in patterns if pattern not in used]:
        raise DataError(
            f"nothing matches --ignore {one_line(repr(idle[0]))}",
            where=place,
            hint="a pattern is of a name (test, *_mask.png) or of a path within the folder (old/*)",
        )
    return found


def walk(top: Path) -> Iterator[Path]:
    """Every file below a folder as it is found, sorted, junk left out: for folders too large to be surveyed.

    Links to folders are followed, and each folder is entered once, so loops end; what cannot be read is passed over.
    """
    seen: set[_Place] = set()
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
        except OSError:
            continue
        inner = [here / name for _, is_folder, name in kinds if is_folder and not is_junk(name)]
        waiting.extend(reversed(inner))
        yield from (here / name for _, is_folder, name in kinds if not is_folder and not is_junk(name))


def _surveyed(
    path: Path, name: str, ignore: Sequence[str], used: set[str], above: frozenset[_Place], entered: set[_Place] | None
) -> Folder:
    """entered: folders of this branch, from the third level on; so links among them end soon, and classes may share."""
    try:
        status = path.stat()
        here = status.st_dev, status.st_ino
        if here in above or (entered is not None and here in entered):
            return Folder(path, name)
        with os.scandir(path) as entries:
            kinds = sorted((natural(entry.name), _is_folder(entry), _special(entry), entry.name) for entry in entries)
    except OSError as error:
        return Folder(path, name, aside=(Skipped(f"{readable(name)}/", f"cannot be read: {error.strerror}", 0),))
    above |= {here}
    if entered is None and len(above) > 3:
        entered = set()
    if entered is not None:
        entered.add(here)
    folders: list[Folder] = []
    files: list[str] = []
    aside: list[Skipped] = []
    for _, is_folder, special, own in kinds:
        called = f"{name}/{own}" if name else own
        if is_junk(own):
            aside += _hidden(path / own, called, is_folder)
            continue
        matching = [p for p in ignore if fnmatchcase(own, p) or fnmatchcase(called, p)]
        by = matching[0] if matching else None
        if is_folder:
            inner = _surveyed(path / own, called, () if by else ignore, used, above, entered)
            if by is None:
                folders.append(inner)
            else:
                aside.append(inner.skipped(f"--ignore {by}"))
        elif by is not None:
            aside.append(Skipped(readable(called), f"--ignore {by}"))
        elif special and not maybe_picture(own):  # decoding says it of pictures
            aside.append(Skipped(readable(called), SAID))
        else:
            files.append(own)
        used.update(matching)
    pictures = tuple(filter(maybe_picture, files))
    others = tuple(file for file in files if not maybe_picture(file))
    count = len(pictures) + sum(folder.count for folder in folders)
    return Folder(path, name, tuple(folders), pictures, others, tuple(aside), count)


def _hidden(path: Path, called: str, is_folder: bool) -> list[Skipped]:
    """What is hidden is never used; pictures among it are named, for ".NET" may be meant as a class."""
    own = path.name
    if own.lower() in _JUNK or own.startswith("._"):
        return []
    if not is_folder:
        shown = ends_as_picture(own)
        return [Skipped(readable(called), "hidden: its name begins with a dot")] if shown else []
    count = 0
    for seen, (_, _, names) in enumerate(os.walk(path)):
        count += sum(map(ends_as_picture, names))
        if seen > 100 or count > _HIDDEN_AT_MOST:
            break
    return [Skipped(f"{readable(called)}/", "hidden: its name begins with a dot", count)] if count else []


def _special(entry: os.DirEntry[str]) -> bool:
    """Whether it is a pipe, a socket or a device, or a link to one."""
    try:
        return not entry.is_file() and is_special(entry.stat().st_mode)
    except OSError:  # a link to nothing
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: that is no folder, and what it is, reading it tells
        return False

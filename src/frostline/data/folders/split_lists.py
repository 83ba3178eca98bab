"""What lies beside class folders and says more of their pictures: lists of splits, tables of splits and groups."""

import os
import re
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

from frostline.data.encodings import encoding_of
from frostline.data.folders.class_folders import around
from frostline.data.manifest import Found, Row, Skipped
from frostline.data.places.folder_names import BESIDE
from frostline.data.places.place_options import PlaceOptions
from frostline.data.places.tree import SUFFIXES, Folder
from frostline.data.places.unread import SUBMISSION
from frostline.data.split_names import says_splits, splits_of
from frostline.data.tables.csv_table import Read
from frostline.data.tables.lists import list_of_splits
from frostline.data.tables.table import rows_of
from frostline.data.understood import Understood
from frostline.errors import DataError, one_line

_LISTS = (".txt", ".csv", ".tsv")
_TABLES = (".csv", ".tsv")
_UNREAD = (".mat", ".json", ".pkl", ".pickle", ".npy", ".npz", ".xlsx", ".yaml", ".yml")
_LOOKED_AT = 20  # lines by which a list is known to name pictures that are there
_LARGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class _Said:
    """of: split and group of pictures. files: what says so. complete: whether every picture should be in it."""

    of: dict[Path, tuple[str | None, str | None]]
    files: tuple[str, ...]
    split: str
    group: str
    complete: bool


_NOTHING, _NEITHER = _Said({}, (), "", "", complete=False), (None, None)


def said_beside(
    top: Folder, rows: Iterator[Found], table: Callable[[Path], Read], how: PlaceOptions
) -> Iterator[Found]:
    """Rows of a folder, with the split and the group that lists or a table beside its pictures say.

    table: ``csv_records``. how: where it names a split or a group, even none, nothing else says that.

    Raises: DataError: two lists for one split; a picture in two lists; as the source of the rows.
    """
    held = list(rows)
    parted = how.split_column is not None or any(isinstance(item, Row) and item.split is not None for item in held)
    read = [item.source for item in held if isinstance(item, Understood)]
    files = {_plain(item.file) for item in held if isinstance(item, Row) and item.file is not None}
    lists = None if parted else _lists(top, read, table)  # of MMPretrain, a list in each split starts at its own folder
    found = [said for said in (lists, *_tables(top, read, files, table)) if said is not None]
    of_split = next((said for said in found if said.split), _NOTHING)
    of_group = next((said for said in found if said.group and how.group is None), _NOTHING)
    if not found:
        yield from held
        if not parted and (unread := _unread(top, read)):
            yield Understood(warnings=(unread,))
        return
    used = (*of_split.files, *of_group.files)
    for item in held:
        if isinstance(item, Skipped) and any(name == item.name or _only(item, name) for name in used):
            continue
        if isinstance(item, Row) and item.file is not None:
            file = _plain(item.file)
            if of_split.complete and not parted and file not in of_split.of:
                yield Skipped(item.name, f"in none of {', '.join(of_split.files)}")
                continue
            split, group = of_split.of.get(file, _NEITHER)[0], of_group.of.get(file, _NEITHER)[1]
            yield replace(item, split=item.split if parted else split, group=item.group or group)
        else:
            yield item
    yield Understood(split="" if parted else of_split.split, group=of_group.group)


def _unread(top: Folder, read: Sequence[str]) -> str:
    """What to say of files that are called as splits are, and are of a kind or a form that is not read."""
    names = [folder.named(name) for folder, name in _idle_files(top, _UNREAD)]
    listed = [(folder, name) for folder, name in _idle_files(top, _LISTS) if not any(name in one for one in read)]
    names += [folder.named(name) for folder, name in listed if not SUBMISSION.search(name)]
    said = splits_of(Path(name).stem for name in names)
    if len(set(said.values())) < 2:
        said = {}
    found = [name for name in names if Path(name).stem in said or says_splits(Path(name).name)]
    if not found:
        return ""
    return (
        f"{one_line(', '.join(found[:3]))} may say which pictures are of which split, and is not read: "
        "train.txt and test.txt are, of one name a line; --ignore if it says nothing"
    )


def _only(folder: Skipped, file: str) -> bool:
    """Whether a folder without pictures is left out, in which a file lies that is used."""
    return folder.name.endswith("/") and not folder.pictures and file.startswith(folder.name)


def _lists(top: Folder, read: Sequence[str], table: Callable[[Path], Read]) -> _Said | None:
    """train.txt, test.txt, ...: a picture a line, by its path, with or without its ending; what follows is not read.

    Tables called so say the same. read: what the rows are from already.
    """
    found: dict[Path, tuple[str | None, str | None]] = {}
    files: dict[str, str] = {}
    idle = [(folder, name) for folder, name in _idle_files(top, _LISTS) if not any(name in source for source in read)]
    said = splits_of(Path(name).stem for _, name in idle)
    named = [(folder.named(name), said[Path(name).stem]) for folder, name in idle if Path(name).stem in said]
    listed = [(called, split, _listed(top, top.path / called, table)) for called, split in named]
    lists = [(called, split, [*map(_plain, own)]) for called, split, own in listed if own is not None]
    sets = [(split, set(own)) for _, split, own in lists]
    for called, split, pictures in lists:
        if any(of == split and set(pictures) < others for of, others in sets):
            continue  # applauding_train.txt, beside train.txt of all classes
        if rival := next((other for other, of in files.items() if of == split), None):
            raise DataError(
                f"two lists for the split {split!r}: {one_line(rival)}, {one_line(called)}",
                where=top.path,
                hint=_one_of(called, rival),
            )
        if twice := next((path for path in pictures if path in found), None):
            raise DataError(
                f"{one_line(twice.name)} is in {one_line(called)} and in another list",
                where=top.path,
                hint=f"correct them, or leave them out: --ignore {one_line(Path(called).name)!r}",
            )
        files[called] = split
        found |= dict.fromkeys(pictures, (split, None))
    names = tuple(files)
    return _Said(found, names, ", ".join(names), "", True) if len(set(files.values())) > 1 else None


def _plain(file: Path) -> Path:
    """A path as it is compared: without ``..``, which lists may have."""
    return Path(os.path.normpath(file))


def _one_of(called: str, rival: str) -> str:
    """How to leave out one of two lists; of DTD's train1.txt to train10.txt, all but the first."""
    own, first = Path(called), Path(rival)
    numbered = re.search(r"(?:^|\D)0*1$", first.stem) is not None and own.name != first.name
    if numbered and re.sub(r"\d+", "", own.name) == re.sub(r"\d+", "", first.name):
        return f"leave all but one out: --ignore '*[!1]{own.suffix}'"
    return f"leave one out: --ignore {one_line(called if own.name == first.name else own.name)!r}"


def _idle_files(top: Folder, endings: tuple[str, ...]) -> Iterator[tuple[Folder, str]]:
    outer = around(top)
    for folder in (*outer, *(f for f in top.walk() if f not in outer and (not f.count or f.base.lower() in BESIDE))):
        yield from ((folder, name) for name in folder.others if name.lower().endswith(endings))


def _listed(top: Folder, place: Path, table: Callable[[Path], Read]) -> list[Path] | None:
    """The pictures that a list or a table names, or None: it is none."""
    if place.suffix.lower() != ".txt":
        found = rows_beside(place, top, table)
        return None if found is None else [row.picture for row in found[0] if isinstance(row.picture, Path)]
    try:
        if place.stat().st_size > _LARGEST:
            return None
        text = place.read_text(encoding=encoding_of(place)).replace("\\", "/")  # as Windows writes paths
        lines = [line.strip() for line in text.splitlines() if line.strip()]
    except (OSError, UnicodeError):
        return None
    words = [line.split()[0] for line in lines]  # labels may follow
    bases = dict.fromkeys(folder.path for outer in around(top) for folder in (outer, *outer.filled()))
    for base in bases:
        here = f"{base.name}/"  # names may start beside the folder
        written = (lines, words, [word.lstrip("/").removeprefix(here) for word in words])
        for names in (*written, *([normalize("NFD", name) for name in own] for own in written)):  # as macOS keeps them
            way = _way(base, names[:_LOOKED_AT])
            if way is not None:
                return [path for name in names if _is_file(path := way(name))]
    return _by_name(top, lines) or _by_name(top, words)


def _by_name(top: Folder, names: list[str]) -> list[Path] | None:
    """Pictures of names without their folders, as NIH's lists have them; None if they are not just that."""
    homes: dict[str, list[Path]] = {}
    for folder in top.walk():
        for name in folder.pictures:
            homes.setdefault(name, []).append(folder.path)
    if not names or not all(len(homes.get(name, ())) == 1 for name in names[:_LOOKED_AT]):
        return None
    return [homes[name][0] / name for name in names if len(homes.get(name, ())) == 1]


def _is_file(place: Path) -> bool:
    return os.path.isfile(place)  # noqa: PTH113 (pathlib raises on a line that is no name)


def _way(base: Path, names: list[str]) -> Callable[[str], Path] | None:
    for ending in ("", *sorted(SUFFIXES)):
        if names and all(_is_file(base / (name + ending)) for name in names):
            return lambda name, ending=ending: base / (name + ending)  # type: ignore[misc]
    return None


def _tables(top: Folder, read: Sequence[str], pictures: Set[Path], table: Callable[[Path], Read]) -> Iterator[_Said]:
    """Tables that name some of the pictures, and say their splits or groups."""
    tables = [(folder, name) for folder in around(top) for name in folder.others if name.lower().endswith(_TABLES)]
    tables += [one for one in _idle_files(top, _LISTS) if says_splits(one[1]) and one not in tables]
    for folder, name in tables:
        if any(name in source for source in read) or (found := rows_beside(folder.path / name, top, table)) is None:
            continue
        rows, said = found
        own_files = [_plain(row.picture) for row in rows if isinstance(row.picture, Path)]
        if not (said.split or said.group) or pictures.isdisjoint(own_files):
            continue
        of: dict[Path, tuple[str | None, str | None]] = {}
        for file, row in zip(own_files, rows, strict=True):
            own = row.split, row.group
            if (first := of.setdefault(file, own)) != own:
                splits = f"{one_line(name)} says two splits of {one_line(row.name)}"
                raise DataError(
                    splits if first[0] != row.split else f"{one_line(name)} says two groups of {one_line(row.name)}",
                    where=folder.path,
                    hint=f"keep the rows of one; or leave it out: --ignore {one_line(name)!r}",
                )
        split, group = (f"{one} of {name}" if one else "" for one in (said.split, said.group))
        yield _Said(of, (folder.named(name),), split, group, bool(said.split))


def rows_beside(place: Path, top: Folder, table: Callable[[Path], Read]) -> tuple[list[Row], Understood] | None:
    """What a table says of pictures that are there, whatever it says of labels; None: it names none."""
    is_list = place.suffix.lower() == ".txt"
    how = PlaceOptions(box_format="none", images=top.path if is_list else None)
    try:
        header, records = list_of_splits(place) if is_list else table(place)[:2]
        items = list(rows_of(header, records, place, how=how, labelled=False))
    except DataError:
        return None
    rows = [row for row in items if isinstance(row, Row) and isinstance(row.picture, Path)]
    if not rows or not all(_is_file(row.picture) for row in rows[:_LOOKED_AT] if isinstance(row.picture, Path)):
        return None
    return rows, next(item for item in items if isinstance(item, Understood))

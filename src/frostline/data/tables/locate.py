"""Where the pictures of a table lie: names without an ending, of another system or folder, are found too."""

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from unicodedata import normalize
from urllib.parse import unquote, urlparse

from frostline.data.cache_folder import default_cache, expanded
from frostline.data.pictures.picture import Item
from frostline.data.places import remote
from frostline.data.places.folder_names import BESIDE
from frostline.data.places.place_options import PlaceOptions
from frostline.data.places.tree import SUFFIXES, is_junk, maybe_picture
from frostline.errors import DataError, one_line

Finder = Callable[[str], Path | Item]
_Paths = Callable[[str], Path]
_File = tuple[str, str]  # its folder and its name
_LOOKED_AT = 40  # names of a table by which it is known how it names its pictures
_MOST_FILES = 500_000
_MOST_DIGITS = 20
_NEARLY_ALL = 0.9
_LONGEST = 1000  # letters of a path that a message shows


class NotThere(DataError):
    """Not one of the pictures that a table names is there."""


def finder(names: Iterable[str], place: Path, how: PlaceOptions) -> tuple[Finder, str, NotThere | None]:
    """What turns the names in a table into paths, how to say it, and what is wrong if no name is a file's.

    Names are taken as they are, if some are there so. place: the table's file.

    Raises: DataError: names that are URLs; names of several files; a folder that is not there.
    """
    every = list(names)
    sample = every[:: max(1, len(every) // _LOOKED_AT)]
    if (far := _elsewhere(sample, place, how)) is not None:
        return far
    base = expanded(how.images) if how.images is not None else place.parent
    if not base.is_dir():
        raise DataError("there is no such folder of pictures", where=base, hint="--images DIR names it")
    suffix = how.suffix or ""
    suffix = f".{suffix}" if f".{suffix.lower()}" in SUFFIXES else suffix

    def plain(name: str) -> Path:
        return base / (name + suffix)

    def mended(name: str) -> Path:
        if name.startswith("file://"):
            name = unquote(urlparse(name).path)
        return base / os.path.expanduser(name.replace("\\", "/") + suffix)  # noqa: PTH111

    shown = f" in {one_line(str(how.images))}/" if how.images is not None else ""
    said = (f" + `{suffix}`" if suffix else "") + shown

    def from_above(name: str) -> Path:
        return base.parent / mended(name).relative_to(base)

    def from_here(name: str) -> Path:
        return base / (name.replace("\\", "/").lstrip("/") + suffix)

    ways_there = [plain, mended, from_here]
    if how.images is None and all(name.startswith(f"{base.name}/") for name in sample):
        ways_there.append(from_above)  # names start beside the folder of the table
    for ways in ways_there:
        if any(os.path.isfile(ways(name)) for name in sample):  # noqa: PTH113 (pathlib raises on some names)
            return _whatever_form(ways, base), said, None
    if (how.suffix is None or how.images is not None) and (by_name := _by_name(sample, suffix, mended, base, place)):
        return *by_name, None
    absent = None
    if every and not any(os.path.exists(mended(name)) for name in every):  # noqa: PTH110
        first = one_line(str(mended(every[0])))
        first = first if len(first) <= _LONGEST else f"{first[:_LONGEST]}…"
        absent = NotThere(
            f"not one of its {len(every):,} pictures is there; the first would be {first}",
            where=place,
            hint="--images DIR names the folder that the names start from, --suffix .jpg what they lack, "
            "--image-column another column",
        )
    return mended, said, absent


def _elsewhere(sample: Sequence[str], place: Path, how: PlaceOptions) -> tuple[Finder, str, None] | None:
    """Where names are URLs, or start at one; None if they do not.

    Raises: DataError: URLs of a kind that is not fetched; URLs beside names of files.
    """
    far = [name for name in sample if "://" in name and not name.startswith("file://")]
    if not far and (how.images is None or remote.url_of(how.images) is None):
        return None
    if strange := next((name for name in far if remote.url_of(name) is None), None):
        raise DataError(
            f"{one_line(strange)} is not on this machine, and not fetched",
            where=place,
            hint=f"fetched are {', '.join(remote.SCHEMES)}",
        )
    base = remote.url_of(how.images) if how.images is not None else None
    if base is None and len(far) < len(sample):
        raise DataError(
            f"some pictures are URLs and some are names of files, such as {one_line(far[0])}",
            where=place,
            hint="--images URL says where the names start",
        )
    remote.check(base or far[0])
    held = remote.Remote(how.cache or default_cache(), like=base or far[0])
    suffix = how.suffix or ""
    of = remote.host_of(base or far[0])
    return (lambda name: held.picture(remote.joined(base or "", name + suffix))), f" at {one_line(of)}", None


def _by_name(sample: Sequence[str], suffix: str, mended: _Paths, base: Path, place: Path) -> tuple[Finder, str] | None:
    """By the last part of the names, with or without an ending, in any folder below; last of all by another ending."""
    found = _files_below(base)

    def candidates(name: str) -> list[_File]:
        files = named_so(_last(name) + suffix)  # images/1.png, and not masks/1.png
        return [file for file in files if os.path.basename(file[0]).lower() not in BESIDE] or files  # noqa: PTH119

    def named_so(own: str) -> list[_File]:
        if own in found:
            return found[own]
        decoded = unquote(own).rpartition("/")[2]  # of a URL's path
        by_number = found.get(_counted(decoded), []) if counted else []
        return found.get(decoded) or found.get(_folded(decoded)) or by_number

    # if many are not there by their numbers, those may be the numbers of rows
    counted = sum(_counted(_last(name) + suffix) in found for name in sample) >= _NEARLY_ALL * len(sample)
    named = [(name, files) for name in sample if (files := candidates(name))]
    there = [files for _, files in named]
    if not there:
        return None
    homes = set.intersection(*({folder for folder, _ in files} for files in there))
    home = next(iter(homes)) if len(homes) == 1 else None
    several = any(len([file for file in files if home in (None, file[0])]) > 1 for files in there)
    shift = _shift(named) if several else None
    if several and shift is None:
        raise DataError(
            f"{one_line(sample[0])!r} names several files, such as {one_line(os.path.join(*there[0][-1]))}",  # noqa: PTH118
            where=place,
            hint="--images DIR names the folder, --suffix .jpg what the names lack",
        )

    def finding(name: str) -> Path:
        if shift is not None:
            folder = str(shift[0].joinpath(*_parts(name)[shift[1] :]))
            exact = os.path.join(folder, _last(name) + suffix)  # noqa: PTH118
            if os.path.isfile(exact):  # noqa: PTH113 (looking through all of its name would take long)
                return Path(exact)
            files = [file for file in candidates(name) if file[0] == folder]
        else:
            files = candidates(name)
        if len(files) > 1 and home is not None:
            files = [file for file in files if file[0] == home] or files
        return Path(*files[0]) if len(files) == 1 else mended(name)

    first = next(name for name in sample if candidates(name))
    own, real = _last(first) + suffix, there[0][0][1]
    ending = os.path.splitext(real)[1]  # noqa: PTH122
    said = f" + `{ending}`" if real == f"{own}{ending}" else ""
    if not said and real not in (own, unquote(own).rpartition("/")[2]):
        if _folded(real) != _folded(unquote(own).rpartition("/")[2]):
            said = f" (`{own}` is {real})"
        elif ending != Path(own).suffix:
            said = f" (`{ending}` in place of `{Path(own).suffix}`)"
    return finding, said + (f" in {_within(Path(home), base)}/" if home else " by their names")


def _last(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _parts(name: str) -> list[str]:
    """The folders that a name leads through."""
    return [part for part in name.replace("\\", "/").split("/")[:-1] if part]


def _shift(named: Iterable[tuple[str, list[_File]]]) -> tuple[Path, int] | None:
    """The one folder here that stands for so many leading folders of every name, by those that both have in common.

    C:\\data\\ants\\1.jpg is ants/1.jpg here, and not bees/1.jpg. named: names, and the files that may be meant.
    """
    found = set[tuple[Path, int]]()
    for name, files in named:
        asked = _parts(name)
        shared = [_shared(asked, Path(folder).parts) for folder, _ in files]
        if shared.count(max(shared)) > 1 or not max(shared):
            return None
        folder = Path(files[shared.index(max(shared))][0])
        found.add((Path(*folder.parts[: -max(shared)]), len(asked) - max(shared)))
    return found.pop() if len(found) == 1 else None


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """How many parts two paths have in common at their ends."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _files_below(base: Path) -> dict[str, list[_File]]:
    """What may be a picture, by its name, by its name without the ending, and by that in lower case."""
    found: dict[str, list[_File]] = {}
    seen, entered = 0, set[tuple[int, int]]()
    for folder, folders, files in os.walk(base, followlinks=True):
        here = os.stat(folder)  # noqa: PTH116
        if (here.st_dev, here.st_ino) in entered:  # by another link, or a loop of them
            folders.clear()
            continue
        entered.add((here.st_dev, here.st_ino))
        folders[:] = sorted(name for name in folders if not is_junk(name))
        for name in filter(maybe_picture, sorted(files)):
            file = (folder, name)
            for key in {name, name.rpartition(".")[0], _folded(name), _counted(name)}:
                found.setdefault(key, []).append(file)
        seen += len(files)
        if seen > _MOST_FILES:
            raise DataError("there are too many files to look for pictures", where=base, hint="--images DIR names it")
    return found


def _folded(name: str) -> str:
    """A picture's name without its ending, in lower case; with a mark, so that it is no name itself."""
    return "\0" + _same(_stem(name))


def _counted(name: str) -> str:
    """The same of a name that is a number, which a spreadsheet has taken the zeros from: of 00012.jpg that of 12."""
    stem = _stem(name)
    return f"\0\0{int(stem)}" if stem.isdecimal() and len(stem) <= _MOST_DIGITS else _folded(name)


def _stem(name: str) -> str:
    stem, ending = os.path.splitext(name)  # noqa: PTH122
    return stem if ending.lower() in SUFFIXES else name


def _same(name: str) -> str:
    """A name as it is compared: in one case and in one form of accents, which macOS keeps apart."""
    return normalize("NFC", name).casefold()


def _whatever_form(ways: _Paths, base: Path) -> _Paths:
    """The same, where a name that is not there is one in another case or form of accents, if that is one file."""
    listed: dict[Path, dict[str, list[str]]] = {}

    def there(folder: Path, name: str) -> Path:
        if folder not in listed:
            listed[folder] = {}
            try:
                for own in os.listdir(folder):  # noqa: PTH208 (names are all that is needed)
                    listed[folder].setdefault(_same(own), []).append(own)
            except OSError:
                pass
        found = listed[folder].get(_same(name), [])
        return folder / (found[0] if len(found) == 1 and name not in found else name)

    def found(name: str) -> Path:
        path = ways(name)
        if os.path.isfile(path) or not path.is_relative_to(base):  # noqa: PTH113 (pathlib raises on some names)
            return path
        here = base
        for part in path.relative_to(base).parts:
            here = there(here, part)
        return here

    return found


def _within(home: Path, base: Path) -> str:
    return one_line(base.name if home == base else home.relative_to(base).as_posix())

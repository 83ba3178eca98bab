"""Where the pictures of a table lie: names without an ending, of another system or folder, are found too."""

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from urllib.parse import unquote, urlparse

from frostline.data.place_options import PlaceOptions
from frostline.data.tree import is_junk, maybe_picture
from frostline.errors import DataError, one_line

Finder = Callable[[str], Path]
_LOOKED_AT = 20  # names of a table by which it is known how it names its pictures
_MOST_FILES = 500_000


def finder(names: Iterable[str], place: Path, how: PlaceOptions) -> tuple[Finder, str]:
    """What turns the names in a table into paths, and how to say it; as they are, if the first ones are there so.

    place: the table's file. Raises: DataError: names that are URLs; names of several files; a folder that is not there.
    """
    base = Path(how.images).expanduser() if how.images is not None else place.parent
    if not base.is_dir():
        raise DataError("there is no such folder of pictures", where=base, hint="--images DIR names it")
    suffix = how.suffix or ""
    sample = list(islice(names, _LOOKED_AT))
    if far := next((name for name in sample if "://" in name and not name.startswith("file://")), None):
        raise DataError(f"{one_line(far)} is not on this machine", where=place, hint="fetch the pictures first")

    def plain(name: str) -> Path:
        return base / (name + suffix)

    def mended(name: str) -> Path:
        if name.startswith("file://"):
            name = unquote(urlparse(name).path)
        return base / os.path.expanduser(name.replace("\\", "/") + suffix)  # noqa: PTH111

    shown = f" in {one_line(str(how.images))}/" if how.images is not None else ""
    for ways in (plain, mended):
        if any(os.path.exists(ways(name)) for name in sample):  # noqa: PTH110 (pathlib raises on some names)
            return ways, (f" + `{suffix}`" if suffix else "") + shown
    if (how.suffix is None or how.images is not None) and (by_name := _by_name(sample, mended, base, place)):
        return by_name
    return plain, shown


def _by_name(sample: Sequence[str], mended: Finder, base: Path, place: Path) -> tuple[Finder, str] | None:
    """By the last part of the names, with or without an ending, in any folder below."""
    found: dict[str, list[Path]] = {}
    seen = 0
    for folder, folders, files in os.walk(base):
        folders[:] = sorted(name for name in folders if not is_junk(name))
        for name in filter(maybe_picture, sorted(files)):
            for key in {name, name.rpartition(".")[0]}:
                found.setdefault(key, []).append(Path(folder, name))
        seen += len(files)
        if seen > _MOST_FILES:
            raise DataError("there are too many files to look for pictures", where=base, hint="--images DIR names it")
    there = [paths for name in sample if (paths := found.get(mended(name).name))]
    if not there:
        return None
    homes = set.intersection(*({path.parent for path in paths} for paths in there))
    if any(len(paths) > 1 for paths in there) and len(homes) != 1:
        raise DataError(
            f"{one_line(sample[0])!r} names several files, such as {one_line(str(there[0][-1]))}",
            where=place,
            hint="--images DIR names the folder, --suffix .jpg what the names lack",
        )
    home = next(iter(homes)) if len(homes) == 1 else None

    def finding(name: str) -> Path:
        paths = found.get(mended(name).name, [])
        at_home = [path for path in paths if path.parent == home]
        paths = at_home or paths
        return paths[0] if len(paths) == 1 else mended(name)

    ending = there[0][0].suffix if mended(sample[0]).name != there[0][0].name else ""
    said = f" + `{ending}`" if ending else ""
    return finding, said + (f" in {_within(home, base)}/" if home else " by their names")


def _within(home: Path, base: Path) -> str:
    return one_line(base.name if home == base else home.relative_to(base).as_posix())

"""Pictures of one name and two endings: a mask beside its picture (MT_Free/exp1.jpg and exp1.png), or a copy of it."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations, islice
from pathlib import Path

from PIL import Image

from frostline.data.tree import Folder
from frostline.errors import DataError, one_line

_SAME = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif"}
_SHARE = 0.9  # of the rarer kind of file must stand beside one of the other kind
_LOOKED_INTO = 10  # pairs whose sizes tell whether they are of one picture

_Pair = tuple[Path, Path]


def check_twins(folders: Iterable[Folder], where: Path, as_they_are: str) -> None:
    """Notice that the pictures of one kind of file stand beside those of another, by name and size.

    as_they_are: the option by which both are read.

    Raises: DataError: they do, so that one may be the masks or copies of the other.
    """
    listed = [folder for folder in folders if folder.pictures]
    counts = Counter(_parted(name)[1] for folder in listed for name in folder.pictures)
    pairs: dict[tuple[str, str], list[_Pair]] = defaultdict(list)
    for folder in listed if len(counts) > 1 else ():
        named: dict[str, dict[str, Path]] = defaultdict(dict)
        for stem, kind, name in (_parted(name) for name in folder.pictures):
            named[stem].setdefault(kind, folder.path / name)
        for files in named.values():
            for one, other in combinations(sorted(files), 2):
                pairs[one, other].append((files[one], files[other]))
    for (one, other), found in pairs.items():
        if len(found) > 1 and len(found) >= _SHARE * min(counts[one], counts[other]) and _of_one_size(found):
            first, second = found[0]
            raise DataError(
                f"{one_line(first.name)} and {one_line(second.name)} stand beside each other, as {len(found):,} pairs "
                "do: is one a mask or a copy of the other?",
                where=where,
                hint=f"leave one kind out: --ignore '*{second.suffix}', or --ignore '*{first.suffix}'; "
                f"both are pictures: {as_they_are}",
            )


def _parted(name: str) -> tuple[str, str, str]:
    """Its stem, the kind of file that its ending says, and itself."""
    stem, ending = os.path.splitext(name)  # noqa: PTH122
    return stem, _SAME.get(ending.lower(), ending.lower()), name


def _of_one_size(pairs: Sequence[_Pair]) -> bool:
    """Whether the two of each pair have one size, as far as they can be opened."""
    sizes = ({_size(one), _size(other)} for one, other in islice(pairs, _LOOKED_INTO))
    return all(len(pair - {None}) < 2 for pair in sizes)


def _size(file: Path) -> tuple[int, int] | None:
    try:
        with Image.open(file) as opened:
            return opened.size
    except (OSError, ValueError):
        return None

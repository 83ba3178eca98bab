"""Pictures of one name and two endings: a mask beside its picture (MT_Free/exp1.jpg and exp1.png), or a copy of it."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frostline.data.decode import decode
from frostline.data.places.tree import Folder
from frostline.errors import DataError, DecodeError, one_line

_SAME = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif"}
_SHARE = 0.9  # of the rarer kind of file must stand beside one of the other kind
_MOST = 0.5  # of all pictures in pairs of one size are no chance; where fewer are, what they show tells
_LOOKED_INTO = 10  # pairs
_FEW_COLOURS = 8  # of a mask
_ALIKE = 0.9  # correlation with a copy, which may have been compressed or made grey

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
        nearly_all = len(found) > 1 and len(found) >= _SHARE * min(counts[one], counts[other])
        if nearly_all and _belong_together(found, 2 * len(found) >= _MOST * counts.total()):
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


def _belong_together(pairs: Sequence[_Pair], most: bool) -> bool:
    """Whether pairs are of one size, as far as they can be opened.

    most: whether nearly all pictures are in such pairs; else some must be seen to be masks or copies.
    """
    known = 0
    for first, second in pairs[:: max(1, len(pairs) // _LOOKED_INTO)]:
        one, other = _grey(first), _grey(second)
        if one is None or other is None:
            continue
        if sorted(one.shape) != sorted(other.shape) or not (most or _mask_or_copy(one, other)):
            return False
        known += 1
    return most or known > 0


def _mask_or_copy(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    if any(len(np.unique(pixels)) <= _FEW_COLOURS for pixels in (one, other)):
        return True
    return one.shape == other.shape and float(np.corrcoef(one.ravel(), other.ravel())[0, 1]) > _ALIKE


def _grey(file: Path) -> NDArray[np.float32] | None:
    """(H, W) float32 in [0, 255], or None: it cannot be read."""
    try:
        found: NDArray[np.float32] = decode(file).rgb.mean(2, dtype=np.float32)
    except DecodeError:
        return None
    return found

"""Pictures that belong together by their names: frames of one video, tiles of one slide, channels of one field."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePath

from frostline.data.folders.nesting import Level
from frostline.data.manifest import Found, Row
from frostline.data.places.folder_names import ONE_OF_MANY
from frostline.data.places.tree import Folder
from frostline.data.understood import Understood
from frostline.errors import one_line

_DATE = r"(?:19|20)\d\d[_-]?[01]\d[_-]?[0-3]\d(?!\d)"
_STAINS = r"(?:red|green|blue|yellow|dapi|hoechst|gfp|rfp|fitc|tritc|cy[357]|actin|tubulin|brightfield)(?![a-z])"
_OF = (
    *((rf"[ ._-]*{word}[ ._-]*\d", "of one video, scan or burst") for word in ("frames?", "frm", "slice", "burst")),
    (r"[ ._-]x[ _-]?\d+[ ._-]*y[ _-]?\d", "of one slide or scene"),
    (r"[ ._-]r(?:ow)?[ _-]?\d+[ ._-]*c(?:ol)?[ _-]?\d", "of one slide or scene"),
    (r"[ ._-](?:w|ch|channel)[ _-]?\d", "channels of one field"),
    (rf"[ ._-]{_STAINS}", "channels of one field"),
    (rf"[ ._-]{_DATE}", "of one place on several days"),
)
"""What stands behind that which pictures have in common, and what they are."""

_A_GROUP = "a column of groups, or (?P<group>…) in --label-pattern,"
_NUMBER = r"[ ._-]\(?\d+\)?\.\w+$"
_COUNTED = re.compile(r"(.*[^\W_].*)[ ._-]\(?(\d+)\)?\.\w+")
_FEW = 4  # parts of a folder on average: two or three may be where pictures are from, google_1 and bing_1
_NEARLY_ALL = 0.8


def said_of_frames(folders: Sequence[Folder], level: Level) -> tuple[str, ...]:
    """A warning where the names of most pictures say of which video, slide, ... they are, and those have several.

    Neighbours on both sides of a split make figures too good.
    """
    names = [(folder.name, name) for outer in folders for folder in outer.walk() for name in folder.pictures]
    return _said(names, 1, lambda mark: f"{level.named_groups(mark or _NUMBER)} keeps")


def with_names_said(rows: Iterable[Found]) -> Iterator[Found]:
    """Rows that do not have their labels from folders, and the same warning of the names of their files, and of folders
    (patient00001/view1.jpg), if nothing groups them; that boxes are of one picture is too narrow a group."""
    held = list(rows)
    yield from held
    own = [item for item in held if isinstance(item, Row) and item.file is not None]
    if any(row.group is not None and not row.name.startswith(f"{row.group} box ") for row in own):
        return
    classes = {label for row in own for label in row.labels}
    names = [os.path.split(file) for file in dict.fromkeys(row.file for row in own if row.file is not None)]
    top = len(os.path.commonpath({home for home, _ in names})) if names else 0
    ones = [one for home, _ in names if (one := _one_of_many(home[top:])) and one not in classes]
    if len(ones) >= _NEARLY_ALL * len(names) and 1 < len(set(ones)) <= len(ones) / 2:
        said: tuple[str, ...] = (
            f"the folders of pictures, such as {one_line(ones[0])!r}, may say which belong together: {_A_GROUP} keeps "
            "them on one side of a split",
        )
    else:
        said = _said(names, len(classes), lambda _: f"{_A_GROUP} keeps")
    if said:
        yield Understood(warnings=said)


def _one_of_many(path: str) -> str:
    """The first folder of a path that is called as that of one patient or video is."""
    return next(filter(ONE_OF_MANY.fullmatch, PurePath(path).parts), "")


def _said(names: Sequence[tuple[str, str]], classes: int, keeps: Callable[[str], str]) -> tuple[str, ...]:
    """names: folder and name of each picture. keeps: how those before a mark ("" before numbers) are kept together."""
    mark, what = next((one for one in _OF if _parts(names, *one, classes)), ("", ""))
    if not mark and _count_up(names, classes):
        return (
            f"the names of pictures, such as {one_line(names[0][1])!r}, count up behind what may be a patient, a "
            f"video or one thing: {keeps('')} the pictures of one on one side of a split",
        )
    if not mark:
        return ()
    return (
        f"the names of pictures, such as {one_line(names[0][1])!r}, say which are {what}: "
        f"{keeps(mark)} them on one side of a split",
    )


def _count_up(names: Sequence[tuple[str, str]], classes: int) -> bool:
    """Whether names are of many parts in each folder and class, whose pictures count from 0 or 1 without a gap."""
    parts = defaultdict[tuple[str, str], set[int]](set)
    for folder, name in names:
        if (match := _COUNTED.fullmatch(name)) is not None:
            parts[folder, match[1]].add(int(match[2]))
    whole = [len(numbers) for numbers in parts.values() if len(numbers) > 1 and _without_gap(numbers)]
    least = max(len({folder for folder, _ in parts}), classes)
    return sum(whole) >= _NEARLY_ALL * len(names) and len(whole) >= max(_FEW * least, _FEW)


def _without_gap(numbers: set[int]) -> bool:
    return min(numbers) <= 1 and max(numbers) - min(numbers) == len(numbers) - 1


def _parts(names: Sequence[tuple[str, str]], mark: str, what: str, classes: int) -> bool:
    """Whether what stands before a mark parts nearly all pictures, each folder's into several parts of several.

    "window frame 1" is of a class of frames. Of channels all parts have equally many.
    """
    before = re.compile(rf"(.*?[^\W_].*?){mark}.*", re.IGNORECASE)
    found = [(folder, match[1]) for folder, name in names if (match := before.fullmatch(name)) is not None]
    parts = Counter(found)
    enough = found and len(found) >= _NEARLY_ALL * len(names) and len(parts) <= len(found) / 2
    if not enough or len(parts) <= max(len({folder for folder, _ in parts}), classes):
        return False
    (_, alike), *_ = Counter(parts.values()).most_common(1)
    return alike >= _NEARLY_ALL * len(parts) or not what.startswith("channels")

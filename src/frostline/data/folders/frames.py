"""Pictures that belong together by their names: frames of one video, tiles of one slide, channels of one field."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import PurePath

from frostline.data.folders.nesting import Level
from frostline.data.manifest import Found, Row
from frostline.data.places.folder_names import ONE, ONE_OF_MANY
from frostline.data.places.tree import Folder
from frostline.data.split_names import SPLIT_NAMES
from frostline.data.understood import Understood
from frostline.errors import one_line

_DATE = r"(?:19|20)\d\d[_-]?[01]\d[_-]?[0-3]\d(?!\d)"
_STAINS = r"(?:red|green|blue|yellow|dapi|hoechst|gfp|rfp|fitc|tritc|cy[357]|actin|tubulin|brightfield)(?![a-z])"
_PERSON = "of one person"
_SIDE = re.compile(r"[ ._-](left|right)(?![^\W_])", re.IGNORECASE)
_OF = (
    *((rf"[ ._-]*{word}[ ._-]*\d", "of one video, scan or burst") for word in ("frames?", "frm", "slice", "burst")),
    (r"[ ._-]x[ _-]?\d+[ ._-]*y[ _-]?\d", "of one slide or scene"),
    (r"[ ._-]r(?:ow)?[ _-]?\d+[ ._-]*c(?:ol)?[ _-]?\d", "of one slide or scene"),
    (r"[ ._-](?:w|ch|channel)[ _-]?\d", "channels of one field"),
    (rf"[ ._-]{_STAINS}", "channels of one field"),
    (rf"[ ._-]{_DATE}", "of one place on several days"),
    (_SIDE.pattern.replace("(left", "(?:left"), _PERSON),
)
"""What stands behind that which pictures have in common, and what they are."""

_SPLIT = re.compile(rf"({'|'.join(SPLIT_NAMES)})(?=[ ._-])", re.IGNORECASE)
_A_GROUP = "a column of groups, or (?P<group>…) in --label-pattern,"
_BEFORE = "(?P<group>.+?)(?i:{})"
_ONE_OF = re.compile(rf"(?:.*?[ ._-])?({ONE})[ ._-]", re.IGNORECASE)
_NUMBER = r"[ ._-]\(?\d+\)?\.\w+$"
_COUNTED = re.compile(r"(.*[^\W_].*)[ ._-]\(?(\d+)\)?\.\w+")
_FEW = 4  # parts of a folder on average: two or three may be where pictures are from, google_1 and bing_1
_NEARLY_ALL = 0.8


def said_of_frames(folders: Sequence[Folder], level: Level) -> tuple[str, ...]:
    """A warning where the names of most pictures say of which video, slide, ... they are, and those have several.

    Neighbours on both sides of a split make figures too good.
    """
    names = [(folder.name, name) for outer in folders for folder in outer.walk() for name in folder.pictures]
    return _said(names, 1, lambda form: f"{level.named_groups(form)} keeps")


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


def with_splits_said(rows: Iterable[Found]) -> Iterator[Found]:
    """Rows, and a warning where none has a split, but nearly all names begin with one: test_0001.jpg of RAF-DB."""
    held = list(rows)
    yield from held
    files = [item.file for item in held if isinstance(item, Row) and item.file is not None]
    if any(isinstance(item, Row) and item.split is not None for item in held):
        return
    found = [(match[1].lower(), file.name) for file in files if (match := _SPLIT.match(file.name)) is not None]
    words = sorted({word for word, _ in found})
    splits = {SPLIT_NAMES[word] for word in words}
    if len(found) >= _NEARLY_ALL * len(files) and "train" in splits and len(splits) > 1:
        pattern = f"(?P<label>[^/]+)/(?i:(?P<split>{'|'.join(words)}))[^/]*$"
        said = (
            f"the names of pictures, such as {one_line(found[0][1])!r}, say of which split they are: "
            f"a column of splits, or --label-pattern '{pattern}', reads it"
        )
        yield Understood(warnings=(said,))


def _one_of_many(path: str) -> str:
    """The first folder of a path that is called as that of one patient or video is."""
    return next(filter(ONE_OF_MANY.fullmatch, PurePath(path).parts), "")


def _said(names: Sequence[tuple[str, str]], classes: int, keeps: Callable[[str], str]) -> tuple[str, ...]:
    """names: folder and name of each picture. keeps: what keeps groups together that names of some form have."""
    shown = f"the names of pictures, such as {one_line(names[0][1])!r}," if names else ""
    if found := next((one for one in _OF if _parts(names, *one, classes)), None):
        mark, what = found
        return (f"{shown} say which are {what}: {keeps(_BEFORE.format(mark))} them on one side of a split",)
    if ones := _called_as_one(names, classes):
        words = "|".join(sorted({one.rstrip("0123456789 _-").lower() for one, _ in ones}))
        kept = keeps(rf"(?:.*?(?P<group>(?i:{words})[ _-]?\d+))?")
        return (
            f"the names of pictures, such as {one_line(ones[0][1])!r}, say which are of one person, video or place: "
            f"{kept} them on one side of a split",
        )
    if _count_up(names, classes):
        return (
            f"{shown} count up behind what may be a patient, a video or one thing: {keeps(_BEFORE.format(_NUMBER))} "
            "the pictures of one on one side of a split",
        )
    return ()


def _called_as_one(names: Sequence[tuple[str, str]], classes: int) -> Sequence[tuple[str, str]]:
    """What is called as one patient or video is in names (person1 of person1_virus_6.jpeg), and those names, if half of
    all or more have it, and most come again."""
    found = [(match[1], folder, name) for folder, name in names if (match := _ONE_OF.match(name)) is not None]
    least = max(len({folder for _, folder, _ in found}), classes)
    several = least < len({one for one, _, _ in found}) <= len(found) / 2
    return [(one, name) for one, _, name in found] if several and len(found) >= len(names) / 2 else []


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
    parts = Counter(found if what != _PERSON else (("", name) for _, name in found))  # whose sides are of two classes
    enough = found and len(found) >= _NEARLY_ALL * len(names) and len(parts) <= len(found) / 2
    homes = {folder for folder, _ in found}
    if not enough or len(parts) <= max(len(homes), classes):
        return False
    sides = {(home, side[1].lower()) for home, name in names if (side := _SIDE.search(name)) is not None}
    if what == _PERSON and len(sides) <= len(homes):
        return False  # a side is a class
    (_, alike), *_ = Counter(parts.values()).most_common(1)
    return alike >= _NEARLY_ALL * len(parts) or not what.startswith("channels")

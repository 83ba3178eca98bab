"""Pictures that belong together by their names: frames of one video, tiles of one slide, channels of one field."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from frostline.data.folders.nesting import Level
from frostline.data.places.tree import Folder
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

_NUMBER = r"[ ._-]\(?\d+\)?\.\w+$"
_COUNTED = re.compile(r"(.*[^\W_].*)[ ._-]\(?(\d+)\)?\.\w+")
_FEW = 4  # parts of a folder on average: two or three may be where pictures are from, google_1 and bing_1
_NEARLY_ALL = 0.8


def said_of_frames(folders: Sequence[Folder], level: Level) -> tuple[str, ...]:
    """A warning where the names of most pictures say of which video, slide, ... they are, and those have several.

    Neighbours on both sides of a split make figures too good.
    """
    names = [(folder, name) for outer in folders for folder in outer.walk() for name in folder.pictures]
    mark, what = next((one for one in _OF if _parts(names, *one)), ("", ""))
    if not mark and _count_up(names):
        return (
            f"the names of pictures, such as {one_line(names[0][1])!r}, count up behind what may be a patient, a "
            f"video or one thing: {level.named_groups(_NUMBER)} keeps the pictures of one on one side of a split",
        )
    if not mark:
        return ()
    return (
        f"the names of pictures, such as {one_line(names[0][1])!r}, say which are {what}: "
        f"{level.named_groups(mark)} keeps them on one side of a split",
    )


def _count_up(names: Sequence[tuple[Folder, str]]) -> bool:
    """Whether names are of many parts in each folder, whose pictures are counted from 0 or 1 without a gap."""
    parts = defaultdict[tuple[Folder, str], set[int]](set)
    for folder, name in names:
        if (match := _COUNTED.fullmatch(name)) is not None:
            parts[folder, match[1]].add(int(match[2]))
    whole = [len(numbers) for numbers in parts.values() if len(numbers) > 1 and _without_gap(numbers)]
    folders = {folder for folder, _ in parts}
    return sum(whole) >= _NEARLY_ALL * len(names) and len(whole) >= max(_FEW * len(folders), _FEW)


def _without_gap(numbers: set[int]) -> bool:
    return min(numbers) <= 1 and max(numbers) - min(numbers) == len(numbers) - 1


def _parts(names: Sequence[tuple[Folder, str]], mark: str, what: str) -> bool:
    """Whether what stands before a mark parts nearly all pictures, each folder's into several parts of several.

    "window frame 1" is of a class of frames. Of channels all parts have equally many.
    """
    before = re.compile(rf"(.*?[^\W_].*?){mark}.*", re.IGNORECASE)
    found = [(folder, match[1]) for folder, name in names if (match := before.fullmatch(name)) is not None]
    parts = Counter(found)
    enough = found and len(found) >= _NEARLY_ALL * len(names) and len(parts) <= len(found) / 2
    if not enough or len(parts) <= len({folder for folder, _ in parts}):
        return False
    (_, alike), *_ = Counter(parts.values()).most_common(1)
    return alike >= _NEARLY_ALL * len(parts) or not what.startswith("channels")

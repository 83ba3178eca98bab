"""Pictures that are frames of one video, slices of one scan or shots of one burst, by their names."""

import re
from collections import Counter
from collections.abc import Sequence

from frostline.data.folders.nesting import Level
from frostline.data.places.tree import Folder
from frostline.errors import one_line

_FRAME = re.compile(r"(?P<of>.*?[^\W_].*?)[ ._-]*(?P<word>frames?|frm|slice|burst)[ ._-]*\d+(?!\d).*", re.IGNORECASE)
_NEARLY_ALL = 0.8


def said_of_frames(folders: Sequence[Folder], level: Level) -> tuple[str, ...]:
    """A warning where the names of most pictures say of which video they are a frame, and videos have several.

    Neighbours on both sides of a split make figures too good.
    """
    names = [(folder, name) for outer in folders for folder in outer.walk() for name in folder.pictures]
    found = [(folder, match) for folder, name in names if (match := _FRAME.fullmatch(name)) is not None]
    videos = {(folder, match["of"]) for folder, match in found}
    of_one_each = len(videos) <= len({folder for folder, _ in videos})  # "window frame 1", of a class of frames
    if not found or len(found) < _NEARLY_ALL * len(names) or len(videos) > len(found) / 2 or of_one_each:
        return ()
    (word, count), *_ = Counter(match["word"] for _, match in found).most_common(1)
    if count < len(found):
        return ()
    first = one_line(found[0][1].string)
    return (
        f"the names of pictures, such as {first!r}, say which are of one video, scan or burst: "
        f"{level.named_groups(word)} keeps them on one side of a split",
    )

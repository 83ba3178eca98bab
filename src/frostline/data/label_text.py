r"""Labels as one text, as tables have them: of several "|" stands between, `sea|people`. torch-free.

A "|" that is part of a name is written `\|`. Backslashes stay as they are but where one would be taken for such a mark:
before a "|" and at the end of a name each is written twice.
"""

import re
from collections.abc import Iterable

_TO_MARK = re.compile(r"(?<!\\)\\+(?=\||\Z)|\|")
_ENDS = re.compile(r"(?<!\\)(\\*)(\||\Z)")


def joined(names: Iterable[str]) -> str:
    """Any number of labels as one text, which ``parted`` takes apart again."""
    return "|".join(_TO_MARK.sub(lambda found: "\\|" if found[0] == "|" else found[0] * 2, name) for name in names)


def parted(text: str) -> tuple[str, ...]:
    """The labels that ``joined`` made a text of; none of an empty one."""
    names, name, at = list[str](), "", 0
    while at < len(text):
        end = _ENDS.search(text, at)
        assert end is not None  # every text has an end
        marks, sign = len(end[1]), end[2]
        name += text[at : end.start()] + "\\" * (marks // 2)
        at = end.end()
        if marks % 2:
            name += sign or "\\"
        if not (marks % 2 and sign):
            names.append(name)
            name = ""
    return tuple(filter(None, [*names, name]))


def as_text(names: Iterable[str], *, several: bool) -> str:
    """The labels of a picture: joined where pictures may have several, else the one as it is, or ""."""
    return joined(names) if several else next(iter(names), "")


def labels_in(text: str, *, several: bool) -> tuple[str, ...]:
    """What ``as_text`` made a text of."""
    return parted(text) if several else (text,) if text else ()

"""Copies of one photograph that Roboflow has made before the export: img0_jpg.rf.<32 digits>.jpg, three of each."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePath

from frostline.data.manifest import Found, Row
from frostline.data.places.place_options import PlaceOptions
from frostline.data.understood import Understood

_COPY = re.compile(r"(?P<of>.+)\.rf\.[0-9a-f]{32}\.\w+")


def with_copies_together(rows: Iterable[Found]) -> Iterator[Found]:
    """Rows, with a group for the copies of each photograph where nothing else says what belongs together.

    The boxes of one picture are such a group, but a narrower one.
    """
    held = list(rows)
    files: dict[str, set[PurePath]] = {}
    for item in held:
        if isinstance(item, Row) and item.file is not None and (original := _original(item)):
            files.setdefault(original, set()).add(item.file)
    recurring = {original for original, copies in files.items() if len(copies) > 1}
    for item in held:
        original = _original(item) if recurring and isinstance(item, Row) else ""
        yield replace(item, group=original) if isinstance(item, Row) and original in recurring else item
    if recurring:
        yield Understood(group="what stands before .rf. in file names: copies of one photograph")


def together(rows: Callable[..., Iterator[Found]]) -> Callable[..., Iterator[Found]]:
    """A source of tables, with the copies of each photograph as groups unless ``--group none`` says otherwise."""

    def read(place: Path, *, how: PlaceOptions = PlaceOptions()) -> Iterator[Found]:
        found = rows(place, how=how)
        return found if how.group == "none" else with_copies_together(found)

    return read


def _original(row: Row) -> str:
    """The folder of a copy and the name of the photograph it was made of, "" of any other picture."""
    if row.file is None or not (found := _COPY.fullmatch(row.file.name)):
        return ""
    if row.group is not None and not _COPY.fullmatch(PurePath(row.group).name):
        return ""
    return (PurePath(row.name).parent / found["of"]).as_posix()

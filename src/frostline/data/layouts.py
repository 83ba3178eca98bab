"""A folder as a source: labels come from names, from a table that lies in it, or from the folders themselves."""

from collections.abc import Iterator
from pathlib import Path

from frostline.data.folders import by_folders, by_pattern
from frostline.data.manifest import Found
from frostline.data.place_options import PlaceOptions
from frostline.data.tree import survey


def folder(place: Path, *, how: PlaceOptions = PlaceOptions()) -> Iterator[Found]:
    """The pictures of a folder, as ``--label-pattern``, a table in it or its folders say.

    Raises: DataError: what it holds cannot be told, with the option that would settle it; it cannot be read.
    """
    top = survey(place, how.ignore)
    if how.label_pattern is not None:
        yield from by_pattern(top, how.label_pattern)
    else:
        yield from by_folders(top)

"""A pandas DataFrame as a table of pictures: columns path (or image) and label, perhaps split and group.

pandas itself is not asked for: whoever has a DataFrame has it.
"""

from collections.abc import Iterator
from typing import Any

from frostline.data.manifest import Found
from frostline.data.missing import is_nothing
from frostline.data.places.place_options import PlaceOptions
from frostline.data.tables.table import rows_of

_NAME = "DataFrame"


def claims(thing: object) -> bool:
    """Whether it is a DataFrame."""
    return all(hasattr(thing, name) for name in ("columns", "iloc", "itertuples"))


def dataframe(frame: Any, *, how: PlaceOptions = PlaceOptions()) -> Iterator[Found]:
    """One row a record; a cell holds a path, encoded bytes, a PIL picture or pixels. Paths start where one is.

    Raises: DataError: as ``csv_table``.
    """
    yield from rows_of([str(name) for name in frame.columns], _records(frame), _NAME, how=how)


def unlabelled(frame: Any, *, how: PlaceOptions = PlaceOptions()) -> Iterator[Found]:
    """The same pictures, one a record, where a column of labels may be missing.

    Raises: DataError: there is no column of pictures, or a cell holds none.
    """
    yield from rows_of([str(name) for name in frame.columns], _records(frame), _NAME, how=how, labelled=False)


def _records(frame: Any) -> Iterator[tuple[int, list[Any]]]:
    for number, values in enumerate(frame.itertuples(index=False, name=None)):
        yield number, [None if is_nothing(value) else value for value in values]

"""A folder as a source: labels come from names, from a table that lies in it, or from the folders themselves."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from frostline.data.folders.augmented_copies import with_copies_together
from frostline.data.folders.class_folders import by_folders
from frostline.data.folders.folder_tables import table_in
from frostline.data.folders.groups_beside import refuse_groups
from frostline.data.folders.joined_tables import joined
from frostline.data.folders.name_patterns import by_pattern
from frostline.data.folders.parquet_folders import shards_in
from frostline.data.folders.split_lists import said_beside
from frostline.data.manifest import Found
from frostline.data.places.place_options import PlaceOptions, option
from frostline.data.places.tree import survey
from frostline.data.tables.csv_table import csv_records
from frostline.data.tables.lists import lists_in
from frostline.errors import DataError, one_line


def folder(place: Path, *, how: PlaceOptions = PlaceOptions()) -> Iterator[Found]:
    """The pictures of a folder, as ``--label-pattern``, a table in it or its folders say.

    Raises: DataError: what it holds cannot be told, with the option that would settle it; it cannot be read.
    """
    rows = _rows(place, how)
    return rows if how.group == "none" else with_copies_together(rows)


def _rows(place: Path, how: PlaceOptions) -> Iterator[Found]:
    top = survey(place, how.ignore)
    table = cache(csv_records)  # what lies beside pictures is asked for its groups and for its splits
    idle = [option(name) for name in how.given() if name not in ("ignore", "label_pattern", *how.remembered)]
    if how.label_pattern is not None:
        if idle:
            raise DataError(f"{idle[0]} says nothing beside --label-pattern", where=place, hint="leave one of them out")
        yield from said_beside(top, by_pattern(top, how.label_pattern), table)
    elif not idle and (rows := lists_in(top)) is not None:
        yield from rows
    elif rows := table_in(top, how) or joined(top, how) or shards_in(top, how):
        yield from rows if how.group or how.split_column else said_beside(top, rows, table)
    elif idle:
        columns = f"there are no columns to group by, so none called {one_line(str(how.group))!r}"
        raise DataError(
            columns if idle == ["--group"] else f"{idle[0]} says nothing here: no table names the pictures",
            where=place,
            hint="name the table in place of the folder, or read it with --label-pattern or --ignore alone",
        )
    else:
        yield from said_beside(top, refuse_groups(top, by_folders(top), table), table)

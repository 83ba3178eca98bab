"""A folder as a source: labels come from names, from a table that lies in it, or from the folders themselves."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from frostline.data.folders.augmented_copies import with_copies_together
from frostline.data.folders.class_folders import by_folders
from frostline.data.folders.folder_tables import table_in
from frostline.data.folders.frames import with_names_said, with_splits_said
from frostline.data.folders.groups_beside import refuse_groups
from frostline.data.folders.joined_tables import joined
from frostline.data.folders.name_patterns import by_pattern
from frostline.data.folders.parquet_folders import shards_in
from frostline.data.folders.split_lists import said_beside
from frostline.data.manifest import Found
from frostline.data.places.place_options import PlaceOptions, option
from frostline.data.places.tree import Folder, survey
from frostline.data.tables.csv_table import csv_records
from frostline.data.tables.lists import lists_in
from frostline.errors import DataError, one_line


def folder(place: Path, *, how: PlaceOptions = PlaceOptions()) -> Iterator[Found]:
    """The pictures of a folder, as ``--label-pattern``, a table in it or its folders say.

    Raises: DataError: what it holds cannot be told, with the option that would settle it; it cannot be read.
    """
    rows, of_folders = _rows(survey(place, how.ignore), place, how)
    if how.group != "none":
        rows = with_copies_together(rows)
        rows = rows if of_folders else with_names_said(rows)
    yield from with_splits_said(rows) if how.split_column is None else rows


def _rows(top: Folder, place: Path, how: PlaceOptions) -> tuple[Iterator[Found], bool]:
    """The rows, and whether the folders are their labels, of whose names something was said then."""
    table = cache(csv_records)  # what lies beside pictures is asked for its groups and for its splits
    passed = ("ignore", "label_pattern", *how.remembered, *(("group",) if how.group == "none" else ()))
    idle = [option(name) for name in how.given() if name not in passed]
    if how.label_pattern is not None:
        if idle:
            raise DataError(f"{idle[0]} says nothing beside --label-pattern", where=place, hint="leave one of them out")
        return said_beside(top, by_pattern(top, how.label_pattern), table, how), False
    if not idle and (rows := lists_in(top)) is not None:
        return rows, False
    if rows := table_in(top, how) or joined(top, how) or shards_in(top, how):
        return said_beside(top, rows, table, how), False
    if idle:
        columns = f"there are no columns to group by, so none called {one_line(str(how.group))!r}"
        raise DataError(
            columns if idle == ["--group"] else f"{idle[0]} says nothing here: no table names the pictures",
            where=place,
            hint="name the table in place of the folder, or read it with --label-pattern or --ignore alone",
        )
    return said_beside(top, refuse_groups(top, by_folders(top), table), table, how), True

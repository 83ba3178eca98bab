"""A table beside folders that says what the folders are: patients or users, and not classes."""

from collections.abc import Callable, Iterator
from pathlib import Path

from frostline.data.folders.class_folders import around
from frostline.data.folders.split_lists import rows_beside
from frostline.data.manifest import Found, Row
from frostline.data.places.tree import Folder
from frostline.data.tables.columns import is_of_one
from frostline.data.tables.csv_table import Read
from frostline.errors import DataError, one_line

_ENDINGS = (".csv", ".tsv", ".txt")
_LARGEST = 64 << 20
_NEARLY_ALL = 0.9


def refuse_groups(top: Folder, rows: Iterator[Found], read: Callable[[Path], Read]) -> Iterator[Found]:
    """Rows of folders, unless a table beside them, of no pictures that are there, has their names in a column called as
    one of many is: user_id of Adience, patient_id of a hospital's list. read: ``csv_records``.

    Raises: DataError: one has; as the source of the rows.
    """
    held = list(rows)
    classes = {label for item in held if isinstance(item, Row) for label in item.labels}
    for folder in around(top):
        for name in folder.others:
            table = folder.path / name
            if not name.lower().endswith(_ENDINGS) or not (column := _column_of(table, classes, read)):
                continue
            if rows_beside(table, top, read) is None:  # else it says of each picture by itself what it belongs to
                raise DataError(
                    f"the folders are what {one_line(name)} calls {one_line(column)!r}: groups of pictures, no classes",
                    where=top.path,
                    hint="list the pictures in a CSV with columns path,label,group; if the folders are classes: "
                    f"--ignore {one_line(name)!r}",
                )
    return iter(held)


def _column_of(table: Path, classes: set[str], read: Callable[[Path], Read]) -> str:
    """The column of patients or users that has the names of classes, (nearly) all of them or none but them; "" of none.

    Of classes 1 to 4 the numbers of a hundred patients say nothing.
    """
    try:
        if table.stat().st_size > _LARGEST:
            return ""
        header, records, _ = read(table)
    except (DataError, OSError):
        return ""
    for index, name in enumerate(header):
        if len(header) > 1 and is_of_one(name):
            values = {values[index].strip() for _, values in records if len(values) > index} - {""}
            shared = len(values & classes)
            enough = _NEARLY_ALL * min(len(values), len(classes))
            if all(map(str.isdecimal, values & classes)):
                enough = max(enough, len(values) / 2)
            if shared > 1 and shared >= enough:
                return name
    return ""

"""A table beside folders that says what the folders are: patients, users or clips, and not classes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path

from frostline.data.folders.class_folders import around
from frostline.data.folders.split_lists import rows_beside
from frostline.data.manifest import Found, Row
from frostline.data.places.tree import Folder
from frostline.data.tables.columns import Record, is_of_one, known
from frostline.data.tables.csv_table import Read
from frostline.errors import DataError, one_line

_ENDINGS = (".csv", ".tsv", ".txt")
_LARGEST = 64 << 20
_NEARLY_ALL = 0.9


def refuse_groups(top: Folder, rows: Iterator[Found], read: Callable[[Path], Read]) -> Iterator[Found]:
    """Rows of folders, unless a table beside them, of no pictures that are there, has their names in a column called as
    one of many is (user_id of Adience, patient_id of a hospital's list), or gives each a label (MURA's studies).

    read: ``csv_records``.

    Raises: DataError: one has; as the source of the rows.
    """
    held = list(rows)
    classes = {label for item in held if isinstance(item, Row) for label in item.labels}
    below = cache(partial(_labels_below, held))
    for folder in around(top):
        for name in folder.others:
            table = folder.path / name
            if not name.lower().endswith(_ENDINGS) or (found := _read(table, read)) is None:
                continue
            header, records = found
            if label := _column_of_labels(header, records, below()):
                what = f"{one_line(name)} has another label for each folder than its name: {one_line(label)!r}"
            elif column := _column_of(header, records, classes):
                what = (
                    f"the folders are what {one_line(name)} calls {one_line(column)!r}: groups of pictures, no classes"
                )
            else:
                continue
            if rows_beside(table, top, read) is None:  # else it says of each picture by itself what it belongs to
                raise DataError(
                    what,
                    where=top.path,
                    hint="list the pictures in a CSV with columns path,label,group; if the folders are classes: "
                    f"--ignore {one_line(name)!r}",
                )
    return iter(held)


def _read(table: Path, read: Callable[[Path], Read]) -> tuple[Sequence[str], Sequence[Record]] | None:
    try:
        return None if table.stat().st_size > _LARGEST else read(table)[:2]
    except (DataError, OSError):
        return None


def _column_of(header: Sequence[str], records: Sequence[Record], classes: set[str]) -> str:
    """The column of patients or users that has the names of classes, (nearly) all of them or none but them; "" of none.

    Of classes 1 to 4 the numbers of a hundred patients say nothing.
    """
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


def _labels_below(rows: Sequence[Found]) -> Mapping[str, set[str]]:
    """The labels of the pictures below each folder, by its path and by its name."""
    found: dict[str, set[str]] = {}
    for row in rows:
        if isinstance(row, Row):
            *folders, _ = row.name.split("/")
            for depth, base in enumerate(folders, start=1):
                for name in {base, "/".join(folders[:depth])}:
                    found.setdefault(name, set()).update(row.labels)
    return found


def _column_of_labels(header: Sequence[str], records: Sequence[Record], below: Mapping[str, set[str]]) -> str:
    """The column of labels of a table of folders, if it says the same of many and parts them otherwise than their names
    do; "" of none. Without a header it has two columns, and the first row is of a path of folders too."""

    def of(cell: object) -> set[str]:
        path = str(cell).strip().replace("\\", "/").strip("/")
        return below.get(path) or below.get(path.partition("/")[2]) or set()

    for index, named in enumerate(header):
        bare = len(header) == 2 and "/" in named and bool(of(named))
        cells = [values for _, values in records if len(values) == len(header)] + [header] * bare
        of_folders = [(of(values[index]), values) for values in cells]
        if sum(bool(own) for own, _ in of_folders) < max(2, _NEARLY_ALL * len(cells)):
            continue
        for other, name in enumerate(header):
            if other == index or not (bare or known(name) == "label"):
                continue
            pairs = {(own, values[other]) for owns, values in of_folders for own in owns}
            said = {label for _, label in pairs}
            if 1 < len(said) <= len(cells) / 2 and not len(pairs) == len({own for own, _ in pairs}) == len(said):
                return name
    return ""

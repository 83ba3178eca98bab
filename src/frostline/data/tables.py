"""Tables of pictures: CSV and TSV as they come out of spreadsheets, and what all tables have in common."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from frostline.data.decode import Item, Picture
from frostline.data.manifest import Row
from frostline.data.picture import refuse_sparse
from frostline.data.split_names import SPLIT_NAMES
from frostline.data.to_picture import picture_of
from frostline.errors import DataError, DecodeError, one_line

COLUMNS = {
    "path": ("path", "image", "file", "filename", "file_name", "filepath", "image_path"),
    "label": ("label", "class", "target", "labels"),
    "split": ("split",),
    "group": ("group",),
}
_LONGEST_LINE = 4 << 20
_AT_MOST = 5  # faults that one message lists


def csv_table(place: Path, *, group: str | None = None) -> Iterator[Row]:
    """Columns path and label, perhaps split and group; ``a|b`` are two labels. Paths start at the table's folder.

    group: the column to group by, if it is not called "group".

    Raises: DataError: a column is missing; rows that lack a value or name no split; not UTF-8, or not a table.
    """
    try:
        with place.open(newline="", encoding="utf-8-sig") as source:
            refuse_sparse(place, place.stat())
            delimiter = _delimiter(place, source.readline(_LONGEST_LINE))
            source.seek(0)
            reader = csv.reader(_lines(source, place), delimiter=delimiter)
            header = next(reader, [])
            filled = ((reader.line_num, values) for values in reader if any(values))
            yield from rows_of(header, filled, place, group=group)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"not a table: {one_line(str(error))}", where=place, hint="save it as CSV in UTF-8") from None
    except OSError as error:
        raise DataError(f"the table cannot be read: {error.strerror}", where=place, hint="check permissions") from None


def _lines(source: TextIO, place: Path) -> Iterator[str]:
    while line := source.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise DataError(f"a line of more than {_LONGEST_LINE:,} characters", where=place, hint="is it a table?")
        yield line


def rows_of(
    header: Sequence[str],
    records: Iterable[tuple[int, Sequence[Any]]],
    place: Path | str,
    *,
    group: str | None = None,
    labelled: bool = True,
) -> Iterator[Row]:
    """Rows from numbered records; faults are gathered, and what is wrong with the table comes as one error at its end.

    A record without a label is one that shows none of the classes where others have several, else a fault.
    place: the table's file, or what to call it. group: the column to group by. labelled: whether there must be labels.

    Raises: DataError: as ``csv_table``.
    """
    where = _places(header, place, group, ("path", "label") if labelled else ("path",))
    faults: list[str] = []
    several, bare = False, list[str]()
    for line, values in records:
        try:
            row = _row({kind: values[index] for kind, index in where.items()}, line, place)
            several |= len(row.labels) > 1
            if not row.labels:
                bare.append(f"row {line}: no label")
            yield row
        except IndexError:
            faults.append(f"row {line} has {len(values)} of {len(header)} columns")
        except DecodeError as error:
            faults.append(f"row {line}: {error.what}")
        except ValueError as error:
            faults.append(f"row {line}: {error}")
    if labelled and not several:
        faults += bare
    if faults:
        shown = "; ".join(faults[:_AT_MOST])
        more = f"; and {len(faults) - _AT_MOST} more" if len(faults) > _AT_MOST else ""
        raise DataError(f"{len(faults)} rows are wrong: {one_line(shown)}{more}", where=place, hint="correct the table")


def _delimiter(place: Path, first: str) -> str:
    if place.suffix.lower() == ".tsv":
        return "\t"
    return max(",;\t", key=first.count)  # spreadsheets of half the world write semicolons


def known(column: str) -> str | None:
    """Which of ``COLUMNS`` a column is, by its name."""
    plain = column.strip().lower()
    return next((kind for kind, names in COLUMNS.items() if plain in names), None)


def _places(header: Sequence[str], place: Path | str, group: str | None, needed: Sequence[str]) -> Mapping[str, int]:
    where: dict[str, int] = {}
    for index, column in enumerate(header):
        if (kind := known(column)) is not None:
            where.setdefault(kind, index)
    there = f"there are: {one_line(', '.join(header)) or 'none'}"
    for kind in needed:
        if kind not in where:
            raise DataError(
                f"there is no column {kind!r}", where=place, hint=f"name it {' or '.join(COLUMNS[kind])}; {there}"
            )
    if group is not None:
        if group not in header:
            raise DataError(f"there is no column {one_line(group)!r} to group by", where=place, hint=there)
        where["group"] = header.index(group)
    return where


def _row(values: Mapping[str, Any], line: int, place: Path | str) -> Row:
    picture, name = _picture(values["path"], line, place)
    split = str(values.get("split") or "").strip()
    if split and split.lower() not in SPLIT_NAMES:
        raise ValueError(f"{split!r} is no split (train, val or test)")
    group = values.get("group")
    return Row(
        picture,
        labels_of(values.get("label")),
        SPLIT_NAMES[split.lower()] if split else None,
        None if group is None or group == "" else str(group).strip(),
        name,
    )


def _picture(value: Any, line: int, place: Path | str) -> tuple[Picture, str]:
    if isinstance(value, Mapping):
        content, name = value.get("bytes"), value.get("path")
        return (content, f"row {line}" + (f" ({name})" if name else "")) if content else _picture(name, line, place)
    if isinstance(value, Item | bytes):
        return value, f"row {line}"
    if not isinstance(value, str | Path | None):
        return picture_of(value), f"row {line}"
    text = str(value or "").strip()
    if not text:
        raise ValueError("no path")
    if "\0" in text:
        raise ValueError(f"{text!r} is no path")
    return (place.parent / text if isinstance(place, Path) else Path(text)), text


def labels_of(value: Any) -> tuple[str, ...]:
    """Labels as text, in their order, each once: of a list, of ``a|b``, or the one there is."""
    listed = isinstance(value, list | tuple | np.ndarray)
    several = value if listed else str("" if value is None else value).split("|")
    return tuple(dict.fromkeys(text for label in several if (text := str(label).strip())))

"""Tables of pictures: CSV and TSV as they come out of spreadsheets, and what all tables have in common."""

import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from frostline.data.columns import chosen, known
from frostline.data.decode import Item, Picture
from frostline.data.locate import Finder, finder
from frostline.data.manifest import Found, Row
from frostline.data.picture import refuse_sparse
from frostline.data.place_options import PlaceOptions
from frostline.data.several import one_hot, parted
from frostline.data.split_names import split_of
from frostline.data.to_picture import picture_of
from frostline.data.tree import SUFFIXES
from frostline.data.understood import Understood
from frostline.errors import DataError, DecodeError, one_line

_LONGEST_LINE = 4 << 20
_MISSING = frozenset(("", "nan", "NaN", "NAN", "NA", "N/A", "None", "null", "NULL", "<NA>"))
_WHOLE = re.compile(r"-?(?:0|[1-9]\d*)(?:\.0+)?")
_AT_MOST = 5  # faults that one message lists


def csv_table(place: Path, *, how: PlaceOptions = PlaceOptions()) -> Iterator[Found]:
    """Columns path and label, perhaps split and group; ``a|b`` are two labels. Paths start at its folder.

    Raises: DataError: a column is missing; rows that lack a value or name no split; not UTF-8, or not a table.
    """
    try:
        with place.open(newline="", encoding="utf-8-sig") as source:
            refuse_sparse(place, place.stat())
            delimiter = _delimiter(place, source.readline(_LONGEST_LINE))
            source.seek(0)
            reader = csv.reader(_lines(source, place), delimiter=delimiter)
            header = next(reader, [])
            filled: Iterator[tuple[int, list[str]]] = ((reader.line_num, values) for values in reader if any(values))
            if (named := _headless(header, place, how)) is not None:
                yield Understood(warnings=(f"{one_line(place.name)} has no header: its first row names a picture",))
                filled, (header, how) = chain([(1, header)], filled), named
            yield from rows_of(header, filled, place, how=how)
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
    how: PlaceOptions = PlaceOptions(),
    labelled: bool = True,
) -> Iterator[Found]:
    """Rows from numbered records; faults are gathered, and what is wrong with the table comes as one error at its end.

    A record without a label is one that shows none of the classes where others have several, else a fault.
    place: the table's file, or what to call it. how: what is said of it. labelled: whether there must be labels.

    Raises: DataError: as ``csv_table``.
    """
    records = list(records)
    written = header
    header, records, binary = one_hot(header, records, place, how) if labelled else (header, records, ())
    where = chosen(header, place, how, ("path", "label") if labelled else ("path",))
    part, part_said = parted(records, where.get("label"), _MISSING, place, how)
    where, warnings = _worth(where, header, records, how)
    find, added = _finder(records, where["path"], place, how)
    whole = _whole_numbers(records, where.get("label"))
    faults: list[str] = []
    several, bare = False, list[str]()
    for line, values in records:
        try:
            if len(values) > len(header) and any(values[len(header) :]):
                raise IndexError
            cells = {kind: values[index] for kind, index in where.items()}
            cells["label"] = part(cells.get("label"))
            row = _row(cells, line, place, find, whole)
            several |= len(row.labels) > 1
            if not row.labels:
                said = values[where["label"]] if labelled else ""
                bare.append(f"row {line}: no label" + (f" ({said})" if said not in (None, "") else ""))
            yield row
        except IndexError:
            faults.append(f"row {line} has {len(values)} of {len(written)} columns")
        except DecodeError as error:
            faults.append(f"row {line}: {error.what}")
        except ValueError as error:
            faults.append(f"row {line}: {error}")
    if labelled and not several:
        faults += bare
    if faults:
        raise _wrong(faults, place)
    columns = _said_of(header, where, binary, part_said)
    unused = tuple(f"column `{name}`" for n, name in enumerate(header) if n not in (*where.values(), *binary))
    read = place.name if isinstance(place, Path) else str(place)
    yield Understood(
        read,
        columns["path"] + added,
        columns.get("label", ""),
        columns.get("split", ""),
        columns.get("group", ""),
        unused=unused,
        warnings=warnings,
    )


def _finder(
    records: Sequence[tuple[int, Sequence[Any]]], index: int, place: Path | str, how: PlaceOptions
) -> tuple[Finder, str]:
    """What turns a cell into a path, and how to say it; only a file's table of nothing but names is looked after."""
    cells = [values[index] for _, values in records if len(values) > index]
    if not isinstance(place, Path) or not all(isinstance(cell, str) for cell in cells):
        return (place.parent if isinstance(place, Path) else Path()).joinpath, ""
    return finder((text for cell in cells if (text := cell.strip()) and "\0" not in text), place, how)


def _wrong(faults: Sequence[str], place: Path | str) -> DataError:
    shown = "; ".join(faults[:_AT_MOST])
    more = f"; and {len(faults) - _AT_MOST} more" if len(faults) > _AT_MOST else ""
    return DataError(f"{len(faults)} rows are wrong: {one_line(shown)}{more}", where=place, hint="correct the table")


def _said_of(header: Sequence[str], where: Mapping[str, int], binary: Sequence[int], part_said: str) -> dict[str, str]:
    """How to say which column is what, by kind."""
    columns = {kind: f"`{header[index]}`" for kind, index in where.items()}
    if binary:
        columns["label"] = f"the columns {', '.join(f'`{header[n]}`' for n in binary[:_AT_MOST])}"
        columns["label"] += f" and {len(binary) - _AT_MOST} more" if len(binary) > _AT_MOST else ""
    elif part_said:
        columns["label"] += f" ({part_said})"
    return columns


def _worth(
    where: Mapping[str, int], header: Sequence[str], records: Sequence[tuple[int, Sequence[Any]]], how: PlaceOptions
) -> tuple[Mapping[str, int], tuple[str, ...]]:
    """The columns less a split or group that only its name speaks for, and what to say of those."""
    kept, warnings = dict(where), list[str]()
    for kind, field in (("split", "split_column"), ("group", "group")):
        index = where.get(kind)
        if index is None or getattr(how, field) is not None or header[index].strip().lower() == kind:
            continue
        values = {str(v[index]).strip() for _, v in records if len(v) > index and v[index] not in (None, "")}
        name = one_line(header[index])
        if kind == "split" and not (values and all(map(split_of, values))):
            warnings.append(f"the column {name!r} may be a split or a group: --split-column or --group says so")
            del kept[kind]
        elif kind == "group" and len(values) < 2:
            del kept[kind]
    return kept, tuple(warnings)


def _whole_numbers(records: Sequence[tuple[int, Sequence[Any]]], index: int | None) -> bool:
    """Whether all labels are whole numbers, however they are written: then 0 and 0.0 are one."""
    if index is None:
        return False
    labels = {str(values[index]).strip() for _, values in records if len(values) > index} - _MISSING
    return bool(labels) and all(_WHOLE.fullmatch(label) for label in labels)


def _headless(header: Sequence[str], place: Path, how: PlaceOptions) -> tuple[list[str], PlaceOptions] | None:
    """A header, and which column is what, where the first row is one of a picture and its label.

    Raises: DataError: the first row names a picture, but which cell is the label cannot be told.
    """
    pictures = [n for n, cell in enumerate(header) if os.path.splitext(cell.strip())[1].lower() in SUFFIXES]  # noqa: PTH122
    if not pictures or how.image_column or how.label_column or any(known(cell) for cell in header):
        return None
    if len(header) != 2 or len(pictures) != 1:
        raise DataError(
            "the table has no header, and not just a picture and a label in each row",
            where=place,
            hint="put one above: path,label, and perhaps split or group; other names as you like",
        )
    names = ["column 1", "column 2"]
    return names, replace(how, image_column=names[pictures[0]], label_column=names[1 - pictures[0]])


def _delimiter(place: Path, first: str) -> str:
    if place.suffix.lower() == ".tsv":
        return "\t"
    return max(",;\t", key=first.count)  # spreadsheets of half the world write semicolons


def _row(values: Mapping[str, Any], line: int, place: Path | str, find: Finder, whole: bool) -> Row:
    picture, name = _picture(values["path"], line, place, find)
    split = str(values.get("split") or "").strip()
    if split and split_of(split) is None:
        raise ValueError(f"{split!r} is no split (train, val or test)")
    group = values.get("group")
    return Row(
        picture,
        _labels(values.get("label"), whole),
        split_of(split) if split else None,
        None if group is None or group == "" else str(group).strip(),
        name,
    )


def _labels(value: Any, whole: bool) -> tuple[str, ...]:
    found = labels_of(value)
    if len(found) == 1 and found[0] in _MISSING:
        return ()
    if whole and len(found) == 1:
        number = found[0].partition(".")[0]
        return () if number == "-1" and not isinstance(value, list) else (number,)
    return found


def _picture(value: Any, line: int, place: Path | str, find: Finder) -> tuple[Picture, str]:
    if isinstance(value, Mapping):
        content, name = value.get("bytes"), value.get("path")
        return (
            (content, f"row {line}" + (f" ({name})" if name else "")) if content else _picture(name, line, place, find)
        )
    if isinstance(value, Item | bytes):
        return value, f"row {line}"
    if not isinstance(value, str | Path | None):
        return picture_of(value), f"row {line}"
    text = str(value or "").strip()
    if not text:
        raise ValueError("no path")
    if "\0" in text:
        raise ValueError(f"{text!r} is no path")
    return find(text), text


def labels_of(value: Any) -> tuple[str, ...]:
    """Labels as text, in their order, each once: of a list, of ``a|b``, or the one there is."""
    listed = isinstance(value, list | tuple | np.ndarray)
    several = value if listed else str("" if value is None else value).split("|")
    return tuple(dict.fromkeys(text for label in several if (text := str(label).strip())))

"""Tables of pictures: CSV and TSV as they come out of spreadsheets, and what all tables have in common."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from frostline.data import csv_files, encodings
from frostline.data.manifest import Found
from frostline.data.missing import MISSING, are_signs
from frostline.data.pictures.picture import refuse_sparse
from frostline.data.places.place_options import PlaceOptions
from frostline.data.places.tree import ends_as_picture
from frostline.data.split_names import split_in, split_of
from frostline.data.tables.boxes import boxes
from frostline.data.tables.columns import NO, YES, Columns, Record, chosen, known, says_whether
from frostline.data.tables.locate import Finder, NotThere, finder
from frostline.data.tables.several import one_hot, parted
from frostline.data.tables.split_flags import one_split
from frostline.data.tables.table_rows import Reader
from frostline.data.understood import Understood
from frostline.errors import DataError, DecodeError, one_line

Read = tuple[list[str], list[Record], tuple[str, ...]]
"""A table: its header, its rows with their numbers in the file, and what to say of it."""

_LONGEST_LINE = 4 << 20
_NUMBER = re.compile(r"-?\d*\.?\d+(?:[eE][-+]?\d+)?")
_WHOLE = re.compile(r"-?(?:0|[1-9]\d*)(?:\.0+)?")
_FORMULA = re.compile(r'="([^"]*)"')
_AT_MOST = 5  # faults that one message lists


def csv_table(place: Path, *, how: PlaceOptions = PlaceOptions()) -> Iterator[Found]:
    """Columns path and label, perhaps split and group; ``a|b`` are two labels. Paths start at its folder.

    Raises: DataError: a column is missing; rows that lack a value or name no split; not UTF-8, or not a table.
    """
    header, records, warned = csv_records(place)
    if warned:
        yield Understood(warnings=warned)
    first = header[0] if header else ""
    again = {n for n, row in records if row[0].strip() == first and [cell.strip() for cell in row] == header}
    if again:
        yield Understood(unused=tuple(f"row {line} (the header again)" for line in sorted(again)))
        records = [record for record in records if record[0] not in again]
    if (named := _headless(header, records, place, how)) is not None:
        yield Understood(warnings=(f"{one_line(place.name)} has no header: its first row names a picture",))
        records, (header, how) = [(1, header), *records], named
    yield from rows_of(header, records, place, how=how)


def csv_records(place: Path) -> Read:
    """A table as it stands in its file; empty rows are left out.

    Raises: DataError: not UTF-8, or not a table.
    """
    try:
        refuse_sparse(place, place.stat())
        encoding = encodings.encoding_of(place)
        # a mask as text is one long cell
        with place.open(newline="", encoding=encoding) as source, csv_files.cells_up_to(_LONGEST_LINE):
            delimiter, above = _delimiter(source)
            reader = csv.reader(_lines(source, place), delimiter=delimiter, skipinitialspace=True)
            header = [_shown(name).strip() for name in next(reader, [])]
            rows = ((reader.line_num + above, values) for values in reader if any(values))
            records: list[Record] = [
                (line, [*map(_shown, v)] if any("=" in cell for cell in v) else v) for line, v in rows
            ]
            return header, records, encodings.said(place, encoding)
    except UnicodeError:
        if encodings.is_spreadsheet(place):
            raise DataError(
                f"{one_line(place.name)!r} is a spreadsheet", where=place, hint="save it as CSV in UTF-8"
            ) from None
        raise DataError(
            "the table is not in UTF-8, and nothing says in which encoding it is",
            where=place,
            hint="save it as CSV in UTF-8; iconv -f GB18030 -t UTF-8 makes it so, or -f BIG5, CP949, CP1252",
        ) from None
    except csv.Error as error:
        raise DataError(f"not a table: {one_line(str(error))}", where=place, hint="save it as CSV in UTF-8") from None
    except OSError as error:
        raise DataError(f"the table cannot be read: {error.strerror}", where=place, hint="check permissions") from None


def _shown(cell: str) -> str:
    """What a spreadsheet shows of ="007", by which people keep it from making a number of it."""
    found = _FORMULA.fullmatch(cell)
    return found[1] if found else cell


def _delimiter(source: TextIO) -> tuple[str, int]:
    """What stands between cells, and how many lines stand above the header, where the source is left.

    Those are empty lines, comments, and the ``sep=;`` by which spreadsheets tell each other.
    """
    above, said, start = 0, "", source.tell()
    while line := source.readline(_LONGEST_LINE):
        text = line.strip()
        if text.lower().startswith("sep=") and len(text) == 5:
            said = text[4]
        elif text and not (text.startswith("#") and not any(map(known, re.split(r"[,;\t|]", text)))):
            break
        above, start = above + 1, source.tell()
    source.seek(start)
    found = max(",;\t", key=line.count)  # spreadsheets of half the world write semicolons
    return said or ("|" if found not in line and "|" in line else found), above


def _lines(source: TextIO, place: Path) -> Iterator[str]:
    while line := source.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise DataError(f"a line of more than {_LONGEST_LINE:,} characters", where=place, hint="is it a table?")
        yield line


def rows_of(
    header: Sequence[str],
    records: Iterable[Record],
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
    how = how.among(header)
    header, records, flags = one_split(written := header, list(records), how)
    header, records, binary = one_hot(header, records, place, how) if labelled else (header, records, ())
    columns = chosen(header, records, place, _less_labels(how, binary), ("path", "label") if labelled else ("path",))
    where, warnings = _worth(columns, header, records, how)
    records, denied, sure = _less_denied(header, records, where)
    part, part_said = parted(header, records, where.get("label"), MISSING, place, how)
    find, added, absent = _finder(records, where["path"], place, how)
    boxed = boxes(header, records, where, place, how, _files(records, where["path"], find))
    splits = split_in if where.get("split") == where["path"] else columns.split
    numbers = _numbers(records, where.get("label"), place)
    read, faults = Reader(len(header), where, part, splits, find, numbers), list[str]()
    for line, values in records:
        try:
            row = read.row(values, line, place)
            found = read.once(row if boxed is None else boxed.crop(row, values, line), row.labels, line)
            if found is not None:
                yield found
        except IndexError:
            faults.append(f"row {line} has {len(values)} of {len(written)} columns")
        except DecodeError as error:
            faults.append(f"row {line}: {error.what}")
        except ValueError as error:
            faults.append(f"row {line}: {error}")
    if labelled and not (how.several or read.several):
        faults += read.bare
    if faults:
        raise _wrong(faults, place, header[binary[0]] if binary and read.bare else "")
    if absent is not None:
        raise absent
    read.check_all_seen(place)
    names = [*written, *header[len(written) :]]
    said_of = _said_of(names, where, binary, part_said, flags)
    if columns.split_said and "split" in said_of:
        said_of["split"] += f" ({columns.split_said})"
    used = (*where.values(), *binary, *flags, *sure, *(() if boxed is None else boxed.columns))
    yield Understood(
        place.name if isinstance(place, Path) else str(place),
        said_of["path"] + added + ("" if boxed is None else boxed.said(header)),
        said_of.get("label", ""),
        said_of.get("split", ""),
        said_of.get("group", "the pictures of the boxes" if boxed is not None and boxed.grouped else ""),
        unused=(*denied, *read.repeated(), *(f"column `{name}`" for n, name in enumerate(names) if n not in used)),
        warnings=(*columns.warnings, *warnings),
    )


def rows_of_objects(
    objects: Iterable[tuple[int, Mapping[str, object]]], place: Path, *, how: PlaceOptions
) -> Iterator[Found]:
    """As ``rows_of``, of numbered objects of JSON: their keys are the columns.

    Raises: DataError: as ``csv_table``.
    """
    held = list(objects)
    names = list(dict.fromkeys(name for _, one in held for name in one))
    yield from rows_of(names, ((n, [one.get(name) for name in names]) for n, one in held), place, how=how)


def _say_splits(records: Sequence[Record], where: Mapping[str, int], how: PlaceOptions) -> bool:
    """Whether no column is the split, but every path leads through a folder called as one is: train/0.png."""
    if "split" in where or how.split_column is not None:
        return False
    index, found = where["path"], set[str | None]()
    for _, values in records:
        found.add(split_in(values[index]) if len(values) > index and isinstance(values[index], str) else None)
        if None in found:
            return False
    return "train" in found and len(found) > 1


def _less_labels(how: PlaceOptions, binary: Sequence[int]) -> PlaceOptions:
    """``--label-column a,b`` has become one column."""
    return replace(how, label_column=None) if binary else how


def _files(records: Sequence[Record], index: int, find: Finder) -> Iterator[Path]:
    cells = (values[index] if len(values) > index else "" for _, values in records)
    found = (find(cell.strip()) if isinstance(cell, str) and "\0" not in cell else Path() for cell in cells)
    return (file if isinstance(file, Path) else Path() for file in found)


def _finder(
    records: Sequence[Record], index: int, place: Path | str, how: PlaceOptions
) -> tuple[Finder, str, NotThere | None]:
    """What turns a cell into a path, and how to say it; only a file's table of nothing but names is looked after."""
    cells = [values[index] for _, values in records if len(values) > index]
    if not isinstance(place, Path) or not all(isinstance(cell, str) for cell in cells):
        return (place.parent if isinstance(place, Path) else Path()).joinpath, "", None
    return finder((text for cell in cells if (text := cell.strip()) and "\0" not in text), place, how)


def _wrong(faults: Sequence[str], place: Path | str, binary: str) -> DataError:
    """binary: one of the columns of yes and no where some rows say no in all of them."""
    shown = "; ".join(faults[:_AT_MOST])
    more = f"; and {len(faults) - _AT_MOST} more" if len(faults) > _AT_MOST else ""
    hint = "correct the table"
    if binary:
        hint += f": a column for what none of the others is; or one of them alone: --label-column {one_line(binary)!r}"
    if any(" is no split " in fault for fault in faults):
        hint += "; --split-column none if that column says no split"
    if any(" is in two groups, " in fault for fault in faults):
        hint += "; --group none if that column says no group"
    what = "1 row is wrong" if len(faults) == 1 else f"{len(faults)} rows are wrong"
    return DataError(f"{what}: {one_line(shown)}{more}", where=place, hint=hint)


def _said_of(
    header: Sequence[str], where: Mapping[str, int], binary: Sequence[int], part_said: str, flags: Sequence[int]
) -> dict[str, str]:
    """How to say which column is what, by kind."""
    columns = {kind: f"`{header[index]}`" for kind, index in where.items()}
    if where.get("split") == where["path"]:
        columns["split"] = f"the folders in {columns['path']}"
    for kind, several in (("label", binary), ("split", flags)):
        if several and kind in columns:
            columns[kind] = f"the columns {', '.join(f'`{header[n]}`' for n in several[:_AT_MOST])}"
            columns[kind] += f" and {len(several) - _AT_MOST} more" if len(several) > _AT_MOST else ""
    if part_said and not binary:
        columns["label"] += f" ({part_said})"
    return columns


def _worth(
    columns: Columns, header: Sequence[str], records: Sequence[Record], how: PlaceOptions
) -> tuple[Mapping[str, int], tuple[str, ...]]:
    """The columns less a split or group that only its name speaks for, and what to say of those.

    The column of pictures is that of the split, too, where the folders in it say that.
    """
    kept, warnings = dict(columns.where), list[str]()
    for kind, field in (("split", "split_column"), ("group", "group")):
        index = kept.get(kind)
        if index is None or getattr(how, field) is not None:
            continue
        values = {str(v[index]).strip() for _, v in records if len(v) > index and v[index] not in (None, "")}
        values -= MISSING if kind == "group" else set()
        if header[index].strip().lower() == kind and values:
            continue
        name = one_line(header[index])
        if kind == "split" and values and not all(map(columns.split, values)):
            warnings.append(f"the column {name!r} may be a split or a group: --split-column or --group says so")
            del kept[kind]
        elif len(values) < (2 if kind == "group" else 1):
            del kept[kind]
    if "label" in kept and _say_splits(records, kept, how):
        kept["split"] = kept["path"]
    return kept, tuple(warnings)


def _less_denied(
    header: Sequence[str], records: Sequence[Record], where: Mapping[str, int]
) -> tuple[Sequence[Record], tuple[str, ...], tuple[int, ...]]:
    """The rows whose label is there, where a column says how sure that is (0: it is not); what to say of the others,
    and the place of that column.

    Open Images lists what somebody looked for and did not find, too: Confidence 0.
    """
    column = next((n for n, name in enumerate(header) if says_whether(name) and n not in where.values()), None)
    if column is None or "label" not in where:
        return records, (), ()
    said = {line: _sure(values[column]) if len(values) > column else None for line, values in records}
    if None in said.values() or not any(said.values()) or all(said.values()):
        return records, (), ()
    kept = [(line, values) for line, values in records if said[line]]
    left_out = f"{len(records) - len(kept):,} rows in which `{header[column]}` is 0 (the label is not there)"
    return kept, (left_out,), (column,)


def _sure(cell: object) -> bool | None:
    """Whether a cell says more than 0 or no; None if it says neither a number nor yes or no."""
    text = str(cell).strip().lower()
    if text in YES | NO:
        return text in YES
    return float(text) != 0 if _NUMBER.fullmatch(text) and not text.startswith("-") else None


def _numbers(records: Sequence[Record], index: int | None, place: Path | str) -> str:
    """ "whole" if all labels are whole numbers, however they are written, so that 0 and 0.0 are one; "signs" if they
    are 1 and -1, which then means no label nowhere; else "".

    Raises: DataError: they are numbers with a fraction, and hardly any comes again.
    """
    if index is None:
        return ""
    labels = {str(values[index]).strip() for _, values in records if len(values) > index} - MISSING
    if bool(labels) and all(_WHOLE.fullmatch(label) for label in labels):
        return "signs" if are_signs(labels) else "whole"
    if len(labels) > max(10, 0.2 * len(records)) and all(map(_NUMBER.fullmatch, labels)) and "." in "".join(labels):
        raise DataError(
            f"labels are {len(labels):,} numbers with a fraction, such as {sorted(labels)[0]}: a quantity is no class",
            where=place,
            hint="--label-column names the column of classes; or put the numbers into a few classes",
        )
    return ""


def _headless(
    header: Sequence[str], records: Sequence[Record], place: Path, how: PlaceOptions
) -> tuple[list[str], PlaceOptions] | None:
    """A header, and which column is what, where the first row is one of a picture, its label and perhaps its split.

    Raises: DataError: the first row names a picture, but which cell is the label cannot be told.
    """
    if how.image_column or how.label_column or any(known(cell) for cell in header):
        return None
    pictures = [n for n, cell in enumerate(header) if ends_as_picture(cell.strip())]
    if not pictures and len(header) == 2:  # ISIC_0000000,benign: a label comes again, as no name of a column does
        again = [n for n in (0, 1) if any(len(row) > n and row[n].strip() == header[n] for _, row in records)]
        pictures = [1 - n for n in again if header[n]] if len(again) == 1 else []
    if not pictures:
        return None
    rows = [header, *(values for _, values in records)]
    splits = [n for n in range(len(header)) if all(len(row) > n and split_of(row[n]) for row in rows)]
    labels = [n for n in range(len(header)) if n not in (*pictures, *splits)]
    if len(pictures) != 1 or len(splits) > 1 or len(labels) != 1:
        raise DataError(
            "the table has no header, and not just a picture and a label in each row",
            where=place,
            hint="put one above: path,label, and perhaps split or group; other names as you like",
        )
    names = [f"column {n + 1}" for n in range(len(header))]
    how = replace(how, image_column=names[pictures[0]], label_column=names[labels[0]])
    return names, replace(how, split_column=how.split_column or names[splits[0]]) if splits else how

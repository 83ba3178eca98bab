"""Tables as text, CSV and TSV, as they come out of spreadsheets."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from frostline.data import csv_files, encodings
from frostline.data.manifest import Found
from frostline.data.pictures.picture import refuse_sparse
from frostline.data.places.place_options import PlaceOptions
from frostline.data.places.tree import ends_as_picture
from frostline.data.split_names import split_of
from frostline.data.tables.columns import Record, known
from frostline.data.tables.table import rows_of
from frostline.data.understood import Understood
from frostline.errors import DataError, one_line

Read = tuple[list[str], list[Record], tuple[str, ...]]
"""A table: its header, its rows with their numbers in the file, and what to say of it."""

_LONGEST_LINE = 4 << 20
_FORMULA = re.compile(r'="([^"]*)"')


def csv_table(place: Path, *, how: PlaceOptions = PlaceOptions()) -> Iterator[Found]:
    """Columns path and label, perhaps split and group; ``a|b`` are two labels. Paths start at its folder.

    Raises: DataError: a column is missing; rows that lack a value or name no split; not UTF-8, or not a table.
    """
    header, records, warned = csv_records(place)
    if warned:
        yield Understood(warnings=warned)
    first = header[0] if header else ""
    marks = " \ufeff"  # of an encoding, where one file was written on behind another
    again = {n for n, row in records if row[0].strip(marks) == first and [cell.strip(marks) for cell in row] == header}
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

"""Tables of pictures: CSV and TSV as they come out of spreadsheets, Parquet as it comes out of data tools."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from frostline.data.decode import Picture
from frostline.data.folders import SPLIT_NAMES
from frostline.data.manifest import Row
from frostline.errors import DataError, MissingExtra, one_line

COLUMNS = {
    "path": ("path", "image", "file", "filename", "file_name", "filepath", "image_path"),
    "label": ("label", "class", "target", "labels"),
    "split": ("split",),
    "group": ("group",),
}
_AT_MOST = 5  # faults that one message lists


def csv_table(place: Path) -> Iterator[Row]:
    """Columns path and label, perhaps split and group; ``a|b`` are two labels. Paths start at the table's folder.

    Raises: DataError: a column is missing; rows that lack a value or name no split; not UTF-8, or not a table.
    """
    try:
        with place.open(newline="", encoding="utf-8-sig") as source:
            delimiter = _delimiter(place, source.readline())
            source.seek(0)
            reader = csv.reader(source, delimiter=delimiter)
            header = next(reader, [])
            filled = ((reader.line_num, values) for values in reader if any(values))
            yield from rows_of(header, filled, place)
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"not a table: {one_line(str(error))}", where=place, hint="save it as CSV in UTF-8") from None
    except OSError as error:
        raise DataError(f"the table cannot be read: {error.strerror}", where=place, hint="check permissions") from None


def parquet_table(place: Path) -> Iterator[Row]:
    """As ``csv_table``; the picture may be a path, encoded bytes, or Hugging Face's {bytes, path}; labels may be lists.

    Raises: DataError: as ``csv_table``, or not a Parquet file. MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtra(
            "reading Parquet needs pyarrow", where=place, hint="pip install 'frostline[parquet]'"
        ) from None
    try:
        with pyarrow.parquet.ParquetFile(place) as file:
            header = list(file.schema_arrow.names)
            wanted = [name for name in header if _known(name) is not None]
            yield from rows_of(header, _records(file, header, wanted), place)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(
            f"not a Parquet file that can be read: {one_line(str(error))}", where=place, hint="write it again"
        ) from None


def rows_of(header: Sequence[str], records: Iterable[tuple[int, Sequence[Any]]], place: Path) -> Iterator[Row]:
    """Rows from numbered records; faults are gathered, and what is wrong with the table comes as one error at its end.

    Raises: DataError: as ``csv_table``.
    """
    where = _places(header, place)
    faults: list[str] = []
    for line, values in records:
        try:
            yield _row({kind: values[index] for kind, index in where.items()}, line, place)
        except IndexError:
            faults.append(f"row {line} has {len(values)} of {len(header)} columns")
        except ValueError as error:
            faults.append(f"row {line}: {error}")
    if faults:
        shown = "; ".join(faults[:_AT_MOST])
        more = f"; and {len(faults) - _AT_MOST} more" if len(faults) > _AT_MOST else ""
        raise DataError(f"{len(faults)} rows are wrong: {one_line(shown)}{more}", where=place, hint="correct the table")


def _records(file: Any, header: list[str], wanted: list[str]) -> Iterator[tuple[int, Sequence[Any]]]:
    line = 0
    for batch in file.iter_batches(batch_size=256, columns=wanted):
        for record in batch.to_pylist():
            line += 1
            yield line, [record.get(name) for name in header]


def _delimiter(place: Path, first: str) -> str:
    if place.suffix.lower() == ".tsv":
        return "\t"
    return max(",;\t", key=first.count)  # spreadsheets of half the world write semicolons


def _known(column: str) -> str | None:
    plain = column.strip().lower()
    return next((kind for kind, names in COLUMNS.items() if plain in names), None)


def _places(header: Sequence[str], place: Path) -> Mapping[str, int]:
    where: dict[str, int] = {}
    for index, column in enumerate(header):
        if (kind := _known(column)) is not None:
            where.setdefault(kind, index)
    for kind in ("path", "label"):
        if kind not in where:
            raise DataError(
                f"there is no column {kind!r}",
                where=place,
                hint=f"name it {' or '.join(COLUMNS[kind])}; there are: {one_line(', '.join(header)) or 'none'}",
            )
    return where


def _row(values: Mapping[str, Any], line: int, place: Path) -> Row:
    picture, name = _picture(values["path"], line, place)
    labels = _labels(values["label"])
    if not labels:
        raise ValueError("no label")
    split = str(values.get("split") or "").strip()
    if split and split.lower() not in SPLIT_NAMES:
        raise ValueError(f"{split!r} is no split (train, val or test)")
    group = values.get("group")
    return Row(
        picture,
        labels,
        SPLIT_NAMES[split.lower()] if split else None,
        None if group is None or group == "" else str(group).strip(),
        name,
    )


def _picture(value: Any, line: int, place: Path) -> tuple[Picture, str]:
    if isinstance(value, Mapping):
        content, name = value.get("bytes"), value.get("path")
        return (content, f"row {line}" + (f" ({name})" if name else "")) if content else _picture(name, line, place)
    if isinstance(value, bytes):
        return value, f"row {line}"
    text = str(value or "").strip()
    if not text:
        raise ValueError("no path")
    if "\0" in text:
        raise ValueError(f"{text!r} is no path")
    return place.parent / text, text


def _labels(value: Any) -> tuple[str, ...]:
    several = value if isinstance(value, list) else str("" if value is None else value).split("|")
    return tuple(dict.fromkeys(text for label in several if (text := str(label).strip())))


TABLES: Mapping[str, Callable[[Path], Iterator[Row]]] = {
    ".csv": csv_table,
    ".tsv": csv_table,
    ".parquet": parquet_table,
}

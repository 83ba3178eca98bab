"""Parquet as data tools write it: paths, or the encoded pictures themselves, which stay in the file until needed."""

import bisect
import itertools
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from frostline.data.manifest import Found
from frostline.data.pictures.picture import Item
from frostline.data.places.place_options import PlaceOptions
from frostline.data.tables.columns import known
from frostline.data.tables.table import rows_of
from frostline.errors import DataError, DecodeError, MissingExtra, one_line
from frostline.ordinary_file import ordinary

_HELD = 2  # row groups whose pictures are in memory at a time: pictures are read in order, by some threads at once


def parquet_table(place: Path, *, how: PlaceOptions = PlaceOptions(), labelled: bool = True) -> Iterator[Found]:
    """As ``csv_table``; the picture may be a path, encoded bytes, or Hugging Face's {bytes, path}; labels may be lists.

    labelled: False asks for no labels.

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
        with pyarrow.parquet.ParquetFile(ordinary(place)) as file:
            schema = file.schema_arrow
            header = list(schema.names)
            how = how.among(header)
            held = _columns_of_pictures(schema, how)
            wanted = [name for name in header if name not in held and _is_said(schema.field(name).type)]
            pictures = {name: ParquetColumn(place, name) for name in held}
            if how.image_column is None and len(held) == 1 and known(held[0]) != "path":
                how = replace(how, image_column=held[0])
            names = _class_names(schema.metadata)
            if (
                labelled
                and how.label_column is None
                and len(names) == 1
                and not any(known(n) == "label" for n in header)
            ):
                how = replace(how, label_column=next(iter(names)))
            records = _records(file, header, wanted, pictures, names)
            yield from rows_of(header, records, place, how=how, labelled=labelled)
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:  # text that is no UTF-8, no such date
        raise DataError(
            f"not a Parquet file that can be read: {one_line(str(error))}", where=place, hint="write it again"
        ) from None


def _columns_of_pictures(schema: Any, how: PlaceOptions) -> list[str]:
    """Those that are called as such, or asked for; else the one that holds bytes."""
    found = [name for name in schema.names if _is_picture(schema.field(name).type)]
    called = [name for name in found if known(name) == "path" or name == how.image_column]
    paths = any(known(name) == "path" for name in schema.names)
    return called if called or paths or how.image_column is not None else found[:1] if len(found) == 1 else []


def _is_said(kind: Any) -> bool:
    """Whether cells are text, numbers or lists of a few: no bytes, no features."""
    import pyarrow.types as types

    listed = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    inner = kind.value_type if listed or types.is_dictionary(kind) else kind
    if listed and types.is_floating(inner):
        return False
    return not types.is_nested(inner) and not types.is_binary(inner) and not types.is_large_binary(inner)


def _is_picture(kind: Any) -> bool:
    import pyarrow.types as types

    return bool(types.is_struct(kind) or types.is_binary(kind) or types.is_large_binary(kind))


def _records(
    file: Any,
    header: Sequence[str],
    wanted: list[str],
    pictures: dict[str, "ParquetColumn"],
    named: Mapping[str, list[str]],
) -> Iterator[tuple[int, Sequence[Any]]]:
    lines = itertools.count()
    for batch in file.iter_batches(batch_size=4096, columns=wanted):
        for record in batch.to_pylist() if wanted else [{}] * batch.num_rows:
            for column in named.keys() & record.keys():
                record[column] = _by_name(record[column], named[column])
            line = next(lines)
            yield (line + 1, [Item(pictures[name], line) if name in pictures else record.get(name) for name in header])


def _class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """The names of a ClassLabel of Hugging Face, by column: numbers mean nothing beside another file's."""
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"].items()
        kinds = {name: _inner(feature) for name, feature in features}
        return {
            name: list(map(str, kind["names"])) for name, kind in kinds.items() if kind.get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _inner(feature: Any) -> Mapping[str, Any]:
    """A feature, or that of a list's items, however the list is written; {} of what is neither."""
    if isinstance(feature, dict):
        feature = feature.get("feature", feature)
    if isinstance(feature, list) and len(feature) == 1:
        feature = feature[0]
    return feature if isinstance(feature, dict) else {}


def _by_name(cell: Any, names: Sequence[str]) -> Any:
    """A number of a ClassLabel, or a list of them, as names; -1 is none."""
    if isinstance(cell, list):
        return [_by_name(number, names) for number in cell if number is not None and number >= 0]
    if not isinstance(cell, int) or cell < 0:
        return None
    if cell >= len(names):
        raise ValueError(f"there is a label {cell} among {len(names)} classes")
    return names[cell]


class ParquetColumn:
    """The pictures of one column, by row; row groups are read whole, as the format wants it, and few are kept."""

    def __init__(self, place: Path, column: str) -> None:
        import pyarrow.parquet

        self.place = place
        self.column = column
        self._file = pyarrow.parquet.ParquetFile(place, memory_map=True)
        sizes = (self._file.metadata.row_group(number).num_rows for number in range(self._file.num_row_groups))
        self._starts = [0, *itertools.accumulate(sizes)]
        self._held: OrderedDict[int, Any] = OrderedDict()
        self._lock = threading.Lock()

    def __getitem__(self, index: int, /) -> bytes | Path:
        number = bisect.bisect_right(self._starts, index) - 1
        with self._lock:
            if number not in self._held:
                while len(self._held) >= _HELD:
                    self._held.popitem(last=False)
                self._held[number] = self._file.read_row_group(number, columns=[self.column]).column(0)
            self._held.move_to_end(number)
            value = self._held[number][index - self._starts[number]].as_py()
        content, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
        if isinstance(content, bytes) and content:
            return content
        if isinstance(path, str) and path.strip():
            return self.place.parent / path.strip()
        raise DecodeError("there is neither a picture nor a path in the cell", hint="remove the row")


@lru_cache(maxsize=2)
def parquet_column(place: Path, column: str) -> ParquetColumn:
    """The one that was asked for a moment ago, with what it holds, or a new one: for pictures named one by one."""
    return ParquetColumn(place, column)

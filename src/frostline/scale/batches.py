"""Batches of columns: which one holds the pictures, and how many cores there are for them. torch-free."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count, groupby
from pathlib import Path
from typing import Any

from frostline.data.manifest import Row
from frostline.data.pictures.picture import Item, Picture, Slice, described
from frostline.data.pictures.to_picture import picture_of
from frostline.data.places.remote import Remote, url_of
from frostline.data.tables.parquet import ParquetColumn, parquet_column
from frostline.errors import DataError, DecodeError, PlanError
from frostline.processors import limit_processors, processors
from frostline.scale.fetch_ahead import FetchAhead

SLICE, CELL = "slice", "cell"
"""Columns of {path, offset, length} and {path, column, row}: pictures within larger files, shards and Parquet."""

COLUMNS = (SLICE, CELL, "bytes", "image", "path")
"""Columns that may hold the pictures; the first one that a batch has is read."""

Batch = Mapping[str, Any]


def column_of(batch: Batch, asked: str | None) -> str:
    """The column with the pictures. asked: its name, if it is none of `COLUMNS`.

    Raises: DataError: the batch has no such column.
    """
    found = next((name for name in ((asked,) if asked else COLUMNS) if name in batch), None)
    if found is None:
        wanted = asked or " or ".join(COLUMNS)
        raise DataError(f"the batch has no column {wanted}", where=", ".join(batch), hint="name it: column=")
    return found


def named(row: Row) -> dict[str, Any]:
    """Columns by which another process finds a picture, and "path", which no two have in common.

    Raises: PlanError: it lies in this process's memory, or is a part of a picture.
    """
    picture = row.picture
    if isinstance(picture, Path):
        return {"path": str(picture.absolute())}
    if isinstance(picture, Slice):
        place = {"path": str(picture.path.absolute()), "offset": picture.offset, "length": picture.length}
        return {"path": row.name, SLICE: place}
    if isinstance(picture, Item) and isinstance(picture.of, ParquetColumn):
        file = str(picture.of.place.absolute())
        return {"path": f"{file}, {row.name}", CELL: {"path": file, "column": picture.of.column, "row": picture.index}}
    if isinstance(picture, Item) and isinstance(picture.of, Remote):
        return {"path": picture.of.url(picture.index)}
    raise PlanError(
        "only pictures in files or at a URL can be named to other machines",
        where=row.name or described(picture),
        hint="write files, WebDataset shards or Parquet, or leave out --on ray",
    )


def alike(rows: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, list[Any]]]:
    """Batches of rows that are neighbours and have the same columns: files have others than pictures in shards."""
    for names, some in groupby(rows, key=tuple):
        columns = zip(*(row.values() for row in some), strict=True)
        yield {name: list(column) for name, column in zip(names, columns, strict=True)}


def rows_of(values: Sequence[Any]) -> Iterator[Row | str]:
    """A row for each picture, or why it is none."""
    urls = [url for value in values if isinstance(value, str) and (url := url_of(value))]
    elsewhere = map(partial(Item, FetchAhead(urls)), count())
    for number, value in enumerate(values):
        try:
            there = isinstance(value, str) and url_of(value)
            yield Row(next(elsewhere) if there else _picture(value), name=str(number))
        except DecodeError as error:
            yield error.what


def _picture(value: Any) -> Picture:
    if isinstance(value, Mapping):
        if "offset" in value:
            return Slice(Path(value["path"]), int(value["offset"]), int(value["length"]))
        if "row" in value:
            return Item(parquet_column(Path(value["path"]), str(value["column"])), int(value["row"]))
        value = value.get("bytes") or value.get("path")  # as Hugging Face datasets store an image that is not decoded
    if value is None:
        raise DecodeError("there is no picture")
    return picture_of(str(value) if isinstance(value, str) else value)


def use_given_cores(threads: int | None) -> None:
    """Use as many cores as were asked for, or as Ray gave to this worker."""
    if given := threads or _of_ray():
        limit_processors(given)


def _of_ray() -> int:
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return 0
    given = ray.get_runtime_context().get_assigned_resources().get("CPU", 0)
    return min(processors(), max(1, int(given))) if given else 0

"""Batches of columns: which one holds the pictures, and how many cores there are for them. torch-free."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from frostline.data.manifest import Row
from frostline.data.picture import Slice
from frostline.data.to_picture import picture_of
from frostline.errors import DataError, DecodeError
from frostline.processors import limit_processors, processors

SLICE = "slice"
"""A column of {path, offset, length}: pictures within larger files, such as shards."""

COLUMNS = (SLICE, "bytes", "image", "path")
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


def rows_of(values: Sequence[Any]) -> Iterator[Row | str]:
    """A row for each picture, or why it is none."""
    for number, value in enumerate(values):
        if isinstance(value, Mapping) and "offset" in value:
            yield Row(Slice(Path(value["path"]), int(value["offset"]), int(value["length"])), name=str(number))
            continue
        if isinstance(value, Mapping):  # as Hugging Face datasets store an image that is not decoded
            value = value.get("bytes") or value.get("path")
        if value is None:
            yield "there is no picture"
            continue
        try:
            yield Row(picture_of(str(value) if isinstance(value, str) else value), name=str(number))
        except DecodeError as error:
            yield error.what


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

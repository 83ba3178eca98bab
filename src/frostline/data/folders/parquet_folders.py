"""Folders of Parquet files, as clones of a hub's repository are: shards of splits, each named after its split."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath

from frostline.data.folders.class_folders import in_split
from frostline.data.manifest import Found, Skipped
from frostline.data.places.place_options import PlaceOptions
from frostline.data.places.tree import Folder
from frostline.data.split_names import split_of
from frostline.data.tables.parquet import parquet_table
from frostline.data.understood import Understood
from frostline.errors import DataError, one_line

_SHARD = re.compile(r"[-_.]?\d+(?:-of-\d+)?$")
_MOST_SHOWN = 4


def shards_in(top: Folder, how: PlaceOptions) -> Iterator[Found] | None:
    """The rows of the Parquet files below a folder, or None: there are none, or its pictures are what is meant.

    Raises: DataError: files of several folders that are no splits; some files name a split and some do not.
    """
    found = [(folder, name) for folder in top.walk() for name in folder.others if name.lower().endswith(".parquet")]
    if not found:
        return None
    splits = [split_of(_SHARD.sub("", PurePath(name).stem)) or split_of(folder.base) for folder, name in found]
    if top.count and not all(splits):
        return None
    homes = {folder.name for folder, _ in found if split_of(folder.base) is None}
    homes |= {folder.name.rpartition("/")[0] for folder, _ in found if split_of(folder.base) is not None}
    if len(homes) > 1:
        raise DataError(
            f"several folders hold Parquet files: {one_line(', '.join(sorted(homes)[:_MOST_SHOWN]))}",
            where=top.path,
            hint=f"name one of them, or leave the others out: --ignore {one_line(max(homes).rpartition('/')[2])!r}",
        )
    if any(splits) and not all(splits):
        odd = next(name for (_, name), split in zip(found, splits, strict=True) if split is None)
        raise DataError(
            f"{one_line(odd)} names no split, and others do",
            where=top.path,
            hint=f"rename it, or leave it out: --ignore {one_line(odd)!r}",
        )
    return _rows(top, found, splits, replace(how, ignore=(), label_pattern=None))


def _rows(top: Folder, found: list[tuple[Folder, str]], splits: list[str | None], how: PlaceOptions) -> Iterator[Found]:
    yield from top.left_out()
    for folder in top.walk():
        yield from (Skipped(folder.named(name), "beside the Parquet files") for name in folder.pictures)
    names = f"{len(found):,} Parquet files" if len(found) > 1 else found[0][1]
    for (folder, name), split in zip(found, splits, strict=True):
        rows = parquet_table(folder.path / name, how=how)
        for item in rows if split is None else in_split(split, rows):
            yield replace(item, source="") if isinstance(item, Understood) else item
    yield Understood(names, split="the files' names" if any(splits) else "")

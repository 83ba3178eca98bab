"""Pictures without labels, as a person names them: files, folders, globs, addresses, shards, names on stdin."""

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from frostline.data import webdataset
from frostline.data.cache_folder import default_cache
from frostline.data.manifest import Row
from frostline.data.places import remote
from frostline.data.places.place_options import PlaceOptions
from frostline.data.places.tree import maybe_picture, readable, walk
from frostline.data.tables.parquet import parquet_table
from frostline.errors import DataError


def pictures(
    places: Sequence[str], stdin: Iterable[str] | None = None, *, how: PlaceOptions = PlaceOptions()
) -> Iterator[Row]:
    """Pictures without labels, as they come: files, folders (with all below them), globs, and ``-`` for names on stdin;
    of WebDataset shards (.tar) and Parquet files the pictures in them.

    how: how Parquet files are read.

    A file that is missing or broken is a row all the same: decoding it says what is wrong, and the others go on.

    Raises: DataError: at once, before the first row: a glob that matches nothing, or a folder without pictures. While
        rows come: a shard or a Parquet file that is damaged.
    """
    for place in places:
        if place == "-" or os.path.isfile(place):  # noqa: PTH113 (pathlib raises on a name that no file can have)
            continue
        if os.path.isdir(place):  # noqa: PTH112
            if next(_below(place), None) is None:
                raise DataError("there is no picture in the folder", where=place, hint="name another, or the files")
        elif remote.url_of(place) is None and glob.has_magic(place) and next(_matching(place), None) is None:
            raise DataError("no file matches the pattern", where=place, hint="quote it, and try it with ls")
    return _pictures(places, sys.stdin if stdin is None else stdin, how)


def _pictures(places: Sequence[str], stdin: Iterable[str], how: PlaceOptions) -> Iterator[Row]:
    for place in places:
        if place == "-":
            for line in stdin:
                if name := line.rstrip("\r\n"):
                    yield from _at(name, how)
        elif remote.url_of(place) is None and glob.has_magic(place) and not os.path.exists(place):  # noqa: PTH110
            for found in sorted(_matching(place)):
                yield from _at(found, how)
        else:
            yield from _at(place, how)


def _matching(pattern: str) -> Iterator[str]:
    return glob.iglob(pattern, recursive=True)  # noqa: PTH207 (pathlib refuses absolute patterns)


def _at(place: str, how: PlaceOptions) -> Iterator[Row]:
    if os.path.isdir(place):  # noqa: PTH112
        yield from _below(place)
    elif (url := remote.url_of(place)) is not None:
        yield Row(remote.Remote(default_cache()).picture(url), name=url)
    elif place.lower().endswith((".tar", ".parquet")):
        shard = place.lower().endswith(".tar")
        found = webdataset.shards(Path(place)) if shard else parquet_table(Path(place), labelled=False, how=how)
        yield from (row for row in found if isinstance(row, Row))
    else:
        yield Row(Path(place), name=readable(place))


def _below(place: str) -> Iterator[Row]:
    for found in walk(Path(place)):
        if maybe_picture(found.name):
            yield Row(found, name=readable(str(found)))

"""Where pictures come from: one generator a source, one registry, and ``read``, which asks who claims a place.

A source of one's own is a generator of rows and an entry point in the group ``frostline.sources``:

    @source("coco-folder", claims=lambda place: (place / "annotations.json").is_file())
    def coco_folder(place: Path) -> Iterator[Row]: ...

A built-in one is a module here and a line below. An archive is unpacked, and read as a folder. The Manifest checks.
"""

import difflib
import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from frostline.data import arrays, huggingface, torch_datasets, webdataset
from frostline.data.cache_folder import default_cache, expanded
from frostline.data.digests import DigestCache
from frostline.data.folders.augmented_copies import together
from frostline.data.folders.class_folders import in_split
from frostline.data.folders.folder_tables import json_lines
from frostline.data.folders.layouts import folder
from frostline.data.loose_pictures import pictures
from frostline.data.manifest import Found, Manifest, Row, Skipped, digested
from frostline.data.pictures.picture import Item, Picture
from frostline.data.places import remote
from frostline.data.places.archives import is_archive, unpacked
from frostline.data.places.inventory import Inventory
from frostline.data.places.place_options import PlaceOptions, option
from frostline.data.places.tree import readable, single_inner
from frostline.data.places.unread import LAYOUTS, advice
from frostline.data.split_names import SPLIT_NAMES
from frostline.data.tables import coco, dataframe
from frostline.data.tables.csv_table import csv_table
from frostline.data.tables.lists import text_list
from frostline.data.tables.parquet import parquet_table
from frostline.data.understood import Understood
from frostline.errors import DataError, DecodeError, one_line
from frostline.ordinary_file import SAID, is_special
from frostline.registry import Registry

Rows = Callable[..., Iterator[Found]]

_COLUMNS = ("image_column", "label_column", "label_separator", "split_column", "group")
_BOXES = ("box_format", "box_margin")
_TABLE = (*_COLUMNS, "images", "suffix", *_BOXES)
_COCO = ("images", "suffix", "split_column", "group", *_BOXES)


@dataclass(frozen=True, slots=True)
class Source:
    """claims: whether it can read a place. rows: what lies there; it may raise DataError.

    ``rows`` takes the place and, if it knows columns, ``group``: the name of the one to group by. One with ``options``
    takes ``how``, a `PlaceOptions`, in place of that.
    of: the kind of place that it is asked about: a Path (of something on disk, or any text), or a type of Python's.
    options: the fields of `PlaceOptions` that it heeds; whoever gives another is told.
    unlabelled: the same rows whatever is said of labels, where that is not simply ``rows``.
    """

    claims: Callable[[Any], bool]
    rows: Rows
    of: type = Path
    options: tuple[str, ...] = ()
    unlabelled: Rows | None = None


sources: Registry[Source] = Registry("source", "frostline.sources")


def source(name: str, *, claims: Callable[[Any], bool], of: type = Path) -> Callable[[Rows], Source]:
    """``@source("name", claims=...)`` above a generator of rows makes it a source and registers it."""
    return lambda rows: sources.register(name, Source(claims, rows, of))


@source(
    "splits", claims=lambda parts: bool(parts) and all(str(name).lower() in SPLIT_NAMES for name in parts), of=Mapping
)
def by_split(parts: Mapping[str, object], *, how: PlaceOptions) -> Iterator[Found]:
    """``{"train": …, "val": …, "test": …}`` of whatever other sources read.

    Raises: DataError: no source reads a part, and as these do.
    """
    for name, part in parts.items():
        here = expanded(part) if isinstance(part, str) else part
        if (found := _claiming(here)) is None:
            raise _unread(here)
        yield from in_split(SPLIT_NAMES[name.lower()], found.rows(here, **_asked(found, here, how)))
    yield Understood(split=", ".join(parts))


def _is_file(place: Path, *endings: str) -> bool:
    """Whether a place is called so; a folder may be called anything."""
    return place.suffix.lower() in endings and not place.is_dir()


sources.register("folder", Source(Path.is_dir, folder, options=("label_pattern", "ignore", *_TABLE)))
sources.register("table", Source(lambda place: _is_file(place, ".csv", ".tsv"), together(csv_table), options=_TABLE))
sources.register("json-lines", Source(lambda place: _is_file(place, ".jsonl"), together(json_lines), options=_TABLE))
sources.register("text-list", Source(lambda place: _is_file(place, ".txt"), together(text_list), options=_TABLE))
sources.register("arrays", Source(lambda place: _is_file(place, ".npz"), arrays.arrays))
sources.register("coco", Source(coco.claims, together(coco.coco), options=_COCO))
sources.register("parquet", Source(lambda place: _is_file(place, ".parquet"), parquet_table, options=_TABLE))
sources.register("webdataset", Source(webdataset.claims, webdataset.shards))
sources.register("huggingface", Source(huggingface.claims, huggingface.by_place))
sources.register(
    "torch-dataset",
    Source(torch_datasets.claims, torch_datasets.torch_dataset, object, unlabelled=torch_datasets.unlabelled),
)
sources.register(
    "huggingface-dataset",
    Source(huggingface.is_dataset, huggingface.in_memory, object, unlabelled=huggingface.unlabelled),
)
sources.register(
    "dataframe",
    Source(dataframe.claims, dataframe.dataframe, object, (*_COLUMNS, *_BOXES), unlabelled=dataframe.unlabelled),
)


def read(
    place: object,
    *,
    classes: Sequence[str] | None = None,
    group: str | None = None,
    how: PlaceOptions | None = None,
    keep_splits: bool = True,
    several: bool = False,
    cache: Path | None = None,
    digest: Callable[[Picture], str] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Manifest:
    """The pictures of a folder, a table, an archive, or whatever else a source claims.

    place: a path or other text; or a DataFrame, a data set of torch or Hugging Face, ...
    classes: the classes there may be; by default those that occur.
    group: the column whose equal values belong together; by default the one called as groups are, if there is one.
    how: what else is said of how to read it. keep_splits: False drops the splits that it names.
    several: whether a picture may have several labels, or none, as for a model of such; by default the data tells.
    cache: where digests are remembered and archives unpacked; by default ``default_cache()``.
    digest: in place of the remembered ones. progress: called with the number of files seen so far.

    Raises: DataError: no such place, no source claims it, it has no such column, or what it holds cannot be used (see
        ``Manifest.of``).
    """
    how = how or PlaceOptions()
    how = replace(how, several=several or how.several, group=group or how.group)
    with _opened(place, cache, digest, how) as (rows, source, digest):
        return Manifest.of(
            rows,
            source=source,
            classes=classes,
            keep_splits=keep_splits,
            several=how.several,
            digest=digest,
            progress=progress,
        )


def as_found(
    place: str | Path,
    *,
    how: PlaceOptions | None = None,
    cache: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Inventory:
    """As ``read``, but nothing is refused because of its labels, splits or bytes: that is for the audit to say.

    Raises: DataError: no such place, no source claims it, or nothing that could be a picture lies there.
    """
    rows: list[Row] = []
    faults: list[str] = []
    passed_over: list[Skipped] = []
    understood = Understood()
    with _opened(place, cache, None, how or PlaceOptions()) as (found, source, digest):
        for seen, item in enumerate(digested(found, digest), start=1):
            if isinstance(item, Skipped):
                passed_over.append(item)
            elif isinstance(item, Understood):
                understood += item
            else:
                rows.append(item[0])
                faults.append(item[1] or "")
            progress(seen)
    if not rows:
        raise DataError("there is no picture", where=source, hint="the place is empty: is it the right one?")
    return Inventory(tuple(rows), tuple(faults), tuple(passed_over), source, understood=understood)


@contextmanager
def _opened(
    place: object, cache: Path | None, digest: Callable[[Picture], str] | None, how: PlaceOptions
) -> Iterator[tuple[Iterator[Found], str, Callable[[Picture], str]]]:
    cache = cache or default_cache()
    asked = expanded(place) if isinstance(place, str | Path) else place
    how = replace(how, cache=cache)
    if (url := remote.url_of(place)) is not None:
        asked, how = _fetched(url, how, cache)
    with ExitStack() as stack:
        if digest is None:
            digest = stack.enter_context(DigestCache(cache / "digests.sqlite"))
        found, here = _claiming(asked), asked
        if found is None and isinstance(asked, Path) and is_archive(asked):
            here = single_inner(unpacked(asked, digest(asked), cache))
            found = _claiming(here)
        if found is None:
            raise _unread(here)
        name = readable(str(asked)) if isinstance(asked, Path) else ""
        yield found.rows(here, **_asked(found, here, how)), name, digest


def _fetched(url: str, how: PlaceOptions, cache: Path) -> tuple[Path, PlaceOptions]:
    """A place elsewhere as one on this machine; the pictures of a table are fetched when they are needed.

    Raises: DataError: as ``remote.mirrored``.
    """
    here = remote.mirrored(url, cache)
    if how.images is None and here.is_file() and not is_archive(here) and here.suffix.lower() != ".tar":
        how = replace(how, images=url.rpartition("/")[0])
    return here, how


def claimed(place: object) -> bool:
    """Whether some source says that a thing of Python's is its own."""
    return _claiming(place) is not None


def each(thing: object, how: PlaceOptions = PlaceOptions()) -> Iterator[Picture]:
    """A picture for each record of a thing that is `claimed`, in its order, whatever is said of labels.

    how: what is said of how to read it.

    Raises: DataError: no source claims it, it has no such column, or nothing that holds pictures.
    """
    found = _claiming(thing)
    if found is None:
        raise _unread(thing)
    rows = (found.unlabelled or found.rows)(thing, **_asked(found, thing, how))
    items = (item for item in rows if not isinstance(item, Understood))
    return (Item(_Missing(one.reason), 0) if isinstance(one, Skipped) else one.picture for one in items)


@dataclass(frozen=True, slots=True)
class _Missing:
    """Stands where a record has no picture, so that there are as many pictures as records."""

    why: str

    def __getitem__(self, index: int, /) -> Picture:
        raise DecodeError(self.why)


def unlabelled(place: str | Path, *, cache: Path | None = None) -> Manifest:
    """All ``pictures`` of a place with their digests, whatever folders and tables say of labels.

    Raises: DataError: as ``pictures``; none of them can be read.
    """
    rows: list[Row] = []
    skipped: list[Skipped] = []
    with DigestCache((cache or default_cache()) / "digests.sqlite") as digest:
        for item in digested(pictures([str(place)]), digest):
            if isinstance(item, tuple):
                row, reason = item
                if reason:
                    skipped.append(Skipped(row.name, reason))
                else:
                    rows.append(row)
    if not rows:
        hint = skipped[0].reason if skipped else "name a folder, shards or Parquet"
        raise DataError("there is no usable picture", where=str(place), hint=hint)
    return Manifest(tuple(rows), (), tuple(skipped), str(place))


def _claiming(place: object) -> Source | None:
    _refuse_special(place)
    # Strangers first, then the narrower of ours: a folder with annotations in it is theirs, and any folder is ours.
    of_its_kind = (found for _, found in reversed(list(sources)) if isinstance(place, found.of))
    try:
        return next((found for found in of_its_kind if found.claims(place)), None)
    except OSError as error:  # a name that no file can have, or a folder above that may not be looked into
        raise DataError(
            f"the place cannot be read: {error.strerror}",
            where=place if isinstance(place, Path) else None,
            hint="check its name and permissions",
        ) from None


def _refuse_special(place: object) -> None:
    """Raises: DataError: a pipe or a device: nothing in it can be looked at twice."""
    try:
        special = isinstance(place, Path) and is_special(place.stat().st_mode)
    except (OSError, ValueError):  # there is nothing, or a name that no file can have
        return
    if special:
        raise DataError(SAID, where=place, hint="write what comes out of it into a file, and name that")


def _asked(found: Source, place: object, how: PlaceOptions) -> dict[str, object]:
    """The arguments of a source's rows; an option that it does not heed is refused.

    Raises: DataError: it is given one.
    """
    takes = inspect.signature(found.rows).parameters
    heeded = found.options or (("group",) if "group" in takes else ())
    where = place if isinstance(place, Path) else None
    for name in how.given():
        if "how" in takes and not found.options:
            continue  # a source of others, which ask in their turn
        if name in how.remembered and name not in heeded:
            how = how.without(name)
            continue
        if name == "group" and name not in heeded:
            raise DataError(
                f"there are no columns to group by, so none called {one_line(str(how.group))!r}",
                where=where,
                hint="list the pictures in a CSV with columns path,label and that one",
            )
        if name not in heeded:
            here = ", ".join(map(option, heeded)) or "none"
            raise DataError(f"{option(name)} says nothing here", where=where, hint=f"options of this source: {here}")
    if "how" in takes:
        return {"how": how}
    return {} if how.group is None else {"group": how.group}


def _unread(place: object) -> DataError:
    if not isinstance(place, Path):
        return DataError(f"no source reads {type(place).__name__}", hint=f"sources: {', '.join(sources.names())}")
    if place.suffix.lower() in (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers", ".gsheet"):
        return DataError(f"{one_line(place.name)!r} is a spreadsheet", where=place, hint="save it as CSV in UTF-8")
    if place.exists():
        return DataError(
            f"no source reads {one_line(place.name)!r}",
            where=place,
            hint=advice([place])
            or f"expected: {LAYOUTS}, or an archive of such a folder; sources: {', '.join(sources.names())}",
        )
    near = difflib.get_close_matches(place.name, _names(place.parent), n=1)
    hint = f"did you mean {one_line(str(place.parent / near[0]))}?" if near else "check the spelling, and where you are"
    return DataError("there is no such file or folder", where=place, hint=hint)


def _names(parent: Path) -> list[str]:
    try:
        return os.listdir(parent)  # noqa: PTH208 (names are all that is needed)
    except OSError:
        return []

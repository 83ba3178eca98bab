"""Two tables of a folder that say together what one says elsewhere: one names the pictures, the other their labels."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from pathlib import Path

from frostline.data.folders.class_folders import around
from frostline.data.manifest import Found
from frostline.data.places.place_options import PlaceOptions
from frostline.data.places.tree import Folder, maybe_picture, with_unused
from frostline.data.places.unread import SUBMISSION
from frostline.data.tables.columns import Record, known, plain
from frostline.data.tables.csv_table import csv_records
from frostline.data.tables.table import rows_of
from frostline.data.understood import Understood
from frostline.errors import DataError, one_line

_ENDINGS = (".csv", ".tsv")
_MOST_TABLES = 6
_MOST_SHOWN = 3

_Table = tuple[Path, Sequence[str], Sequence[Record], tuple[str, ...]]


def joined(top: Folder, how: PlaceOptions) -> Iterator[Found] | None:
    """The rows of a table of labels and one of pictures, joined by the one column that both have; None: no such pair.

    Raises: DataError: several pairs would do; a key stands twice among the pictures; a label has no picture.
    """
    return next((rows for here in around(top) if (rows := _joined(here, how))), None)


def _joined(top: Folder, how: PlaceOptions) -> Iterator[Found] | None:
    names = [name for name in top.others if name.lower().endswith(_ENDINGS) and not SUBMISSION.search(name)]
    places = [top.path / name for name in names]
    if not 2 <= len(places) <= _MOST_TABLES:
        return None
    try:
        tables = [(place, *csv_records(place)) for place in places]
    except DataError:
        return None
    pairs = [(one, other, key) for one, other in permutations(tables, 2) if (key := _key(one, other))]
    if len(pairs) > 1:
        shown = " or ".join(f"{one[0].name} with {other[0].name}" for one, other, _ in pairs[:_MOST_SHOWN])
        raise DataError(
            f"several tables could be joined: {one_line(shown)}",
            where=top.path,
            hint=f"leave one out: --ignore {one_line(pairs[-1][0][0].name)!r}",
        )
    if not pairs:
        return None
    labels, pictures, key = pairs[0]
    rows = _rows(labels, pictures, key, replace(how, ignore=(), label_pattern=None))
    return with_unused(top, [labels[0], pictures[0]], rows)


def _key(labels: _Table, pictures: _Table) -> str:
    """The one column that a table of labels (without files) shares with one of files (without labels); "" if not so."""
    shared = {plain(name) for name in labels[1]} & {plain(name) for name in pictures[1]} - {""}
    files = [n for n in range(len(pictures[1])) if _are_files(pictures[2], n)]
    says = any(known(name) == "label" for name in labels[1]) and not any(known(name) == "label" for name in pictures[1])
    named = any(_are_files(labels[2], n) for n in range(len(labels[1])))
    return shared.pop() if len(shared) == 1 and says and not named and len(files) == 1 else ""


def _full(header: Sequence[str], records: Sequence[Record], place: Path) -> Sequence[Record]:
    """Rows of as many cells as there are columns, so that those of another table may stand beside them.

    Raises: DataError: one has fewer, or more.
    """
    columns = len(header)
    for line, values in records:
        if len(values) < columns or any(values[columns:]):
            raise DataError(f"row {line} has {len(values)} of {columns} columns", where=place, hint="correct the table")
    return [(line, values[:columns]) for line, values in records]


def _are_files(records: Sequence[Record], index: int) -> bool:
    cells = [values[index] for _, values in records[:20] if len(values) > index]
    return bool(cells) and all(isinstance(cell, str) and "." in cell and maybe_picture(cell) for cell in cells)


def _rows(labels: _Table, pictures: _Table, key: str, how: PlaceOptions) -> Iterator[Found]:
    (place, header, records, said), (other, header_of_pictures, of_pictures, said_of_pictures) = labels, pictures
    yield Understood(warnings=(*said, *said_of_pictures))
    records, of_pictures = _full(header, records, place), _full(header_of_pictures, of_pictures, other)
    own = next(n for n, name in enumerate(header) if plain(name) == key)
    theirs = next(n for n, name in enumerate(header_of_pictures) if plain(name) == key)
    found: dict[str, list[object]] = {}
    for line, values in of_pictures:
        cell = str(values[theirs]).strip()
        if cell in found:
            raise DataError(
                f"{cell!r} stands twice in {one_line(header_of_pictures[theirs])!r}, again in row {line}",
                where=other,
                hint=f"one row a picture; or leave the table out: --ignore {one_line(other.name)!r}",
            )
        found[cell] = [value for n, value in enumerate(values) if n != theirs]
    lost = [line for line, values in records if str(values[own]).strip() not in found]
    if lost:
        raise DataError(
            f"{len(lost):,} rows name no picture of {one_line(other.name)}, first: row {lost[0]}",
            where=place,
            hint="correct the tables, or leave one out with --ignore",
        )
    both = [*header, *(name for n, name in enumerate(header_of_pictures) if n != theirs)]
    together = ((line, [*values, *found[str(values[own]).strip()]]) for line, values in records)
    for item in rows_of(both, together, place, how=how):
        if isinstance(item, Understood):
            source = f"{place.name} and {other.name}, joined by `{header[own]}`"
            unused = tuple(name for name in item.unused if name != f"column `{header[own]}`")
            yield replace(item, source=source, unused=unused)
        else:
            yield item

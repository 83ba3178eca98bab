"""Tables that lie in a folder beside its pictures: Kaggle's train.csv, metadata.csv or .jsonl of Hugging Face."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path, PurePosixPath

from frostline.data import encodings
from frostline.data.folders.class_folders import around, by_folders, in_split, named_splits, unwrapped
from frostline.data.manifest import Found, Row, Skipped
from frostline.data.places.folder_names import PICTURES
from frostline.data.places.place_options import PlaceOptions
from frostline.data.places.tree import Folder, ends_as_picture, with_unused
from frostline.data.places.unread import SUBMISSION
from frostline.data.split_names import says_splits, split_of, splits_of, words_of
from frostline.data.tables.coco import NotCoco, coco, looks_like_coco
from frostline.data.tables.columns import Record, known
from frostline.data.tables.csv_table import csv_records, csv_table
from frostline.data.tables.lists import NoList, names_of_classes, text_list
from frostline.data.tables.locate import NotThere
from frostline.data.tables.table import rows_of, rows_of_objects
from frostline.data.understood import Understood
from frostline.errors import DataError, one_line

_ENDINGS = (".csv", ".tsv", ".jsonl", ".txt")
_METADATA = ("metadata.csv", "metadata.jsonl")
_SYNSETS = ("synsets.txt", "synset_words.txt", "wnids.txt")  # which number is which folder
_LOOKED_AT = 20  # rows of a table by which it is known whether it names pictures that are there
_SEVERAL = "several columns may be the path"
_DEPTH = 3  # folders from the top in which a table is looked for


def table_in(top: Folder, how: PlaceOptions) -> Iterator[Found] | None:
    """The rows of the folder's own table, or None: it has none that names its pictures, or its folders are classes.

    Raises: DataError: several tables name the pictures; the table and the folders say different labels.
    """
    return next((rows for here in around(top) if (rows := _table_in(here, how))), None)


def _table_in(top: Folder, how: PlaceOptions) -> Iterator[Found] | None:
    opened, of_another_form = dict[Path, Iterator[Found]](), list[NotCoco]()
    for table in _tables(top):
        try:
            rows = _rows_of_pictures(top, table, how)
        except NotCoco as error:
            of_another_form.append(error)
            continue
        if rows is not None:
            opened[table] = rows
    found = list(opened)
    if not found:
        if of_another_form and not _labels_of_folders(top):
            raise of_another_form[0]
        return None
    if of_folders := _labels_of_folders(top):
        return _beside_classes(top, found, of_folders, how)
    one = found[0] if len(found) == 1 else None
    names = {table: table.parent.name if _own_table(table, top) else table.stem for table in found}
    said = splits_of(names.values())
    splits = {table: said[name] for table, name in names.items() if name in said}
    if one is not None and not _own_table(one, top):
        return _read(top, {one: None}, opened)
    if len(splits) == len(found) and len(set(splits.values())) == len(found):
        return _read(top, splits, opened)
    if one is not None:
        return _read(top, {one: None}, opened)
    shown = ", ".join(str(table.relative_to(top.path)) for table in found[:5])
    raise DataError(
        f"several tables name the pictures: {one_line(shown)}",
        where=top.path,
        hint=f"name one of them, or leave one out: --ignore {one_line(_told_apart(found, top))!r}",
    )


def json_lines(place: Path, *, how: PlaceOptions = PlaceOptions()) -> Iterator[Found]:
    """A table of one JSON object a line, as Hugging Face's metadata.jsonl is.

    Raises: DataError: as ``csv_table``, or a line is no JSON object.
    """
    records: list[tuple[int, dict[str, object]]] = []
    try:
        encoding = encodings.encoding_of(place)
        with place.open(encoding=encoding) as source:
            for line, text in enumerate(source, start=1):
                if not text.strip():
                    continue
                record = json.loads(text)
                if not isinstance(record, dict):
                    raise ValueError("no object")
                records.append((line, record))
    except (ValueError, RecursionError):
        hint = 'one {"file_name": …, "label": …} a line, in UTF-8'
        raise DataError("not JSON lines", where=place, hint=hint) from None
    except OSError as error:
        raise DataError(f"the table cannot be read: {error.strerror}", where=place, hint="check permissions") from None
    yield from rows_of_objects(records, place, how=how)
    yield Understood(warnings=encodings.said(place, encoding))


def _told_apart(tables: Sequence[Path], top: Folder) -> str:
    """The last of some tables, by its name, or where another is called so by its path: fold-2/train.csv."""
    last = tables[-1]
    alone = [table.name for table in tables].count(last.name) == 1
    return last.name if alone else top.named(last.relative_to(top.path).as_posix())


def _own_table(table: Path, top: Folder) -> bool:
    """Whether a table belongs to the folder that it lies in: that says what it is, not the table's name."""
    return table.name in _METADATA or (table.parent != top.path and split_of(table.parent.name) is not None)


def _rows(table: Path, how: PlaceOptions) -> Iterator[Found]:
    kind = {".jsonl": json_lines, ".json": coco, ".txt": text_list}.get(table.suffix.lower(), csv_table)
    return kind(table, how=how)


def _tables(top: Folder) -> list[Path]:
    folders = [folder for folder in top.walk() if folder.name.count("/") < _DEPTH]
    splits = _places_of_splits(top)
    tables, jsons = list[Path](), list[Path]()
    for folder in folders:
        stems = {name.rpartition(".")[0] for name in folder.pictures}
        beside = folder is top or not folder.count or folder.name in splits
        for name in folder.others:
            table, kind = folder.path / name, os.path.splitext(name)[1].lower()  # noqa: PTH122
            # A text called as a picture is says something of that one alone.
            of_one = kind == ".txt" and (says_splits(name) or name[:-4] in stems)
            if kind in _ENDINGS and not SUBMISSION.search(name) and not of_one and (beside or name in _METADATA):
                tables.append(table)
            elif kind == ".json" and name[:-5] not in stems and looks_like_coco(table):
                jsons.append(table)
    return [*tables, *jsons]


def _places_of_splits(top: Folder) -> set[str]:
    """Folders called as splits are, and those of pictures within them: in val/images/ a table may lie, too."""
    splits = {folder.name for folder in top.walk() if split_of(folder.base)} | named_splits(unwrapped(top)).keys()
    within = {f.name for f in top.walk() if f.base.lower() in PICTURES and f.name.rpartition("/")[0] in splits}
    return splits | within


def _for_table(top: Folder, table: Path, how: PlaceOptions) -> PlaceOptions:
    """The options for a table: those of folders say nothing of it, and its pictures may lie beside its own folder."""
    options = replace(how, ignore=(), label_pattern=None)
    if how.images is not None:
        return options
    if table.parent == top.path or not next(f for f in top.walk() if f.path == table.parent).count:
        home = _home(top, table)
        away = top.path if table.parent != top.path else None
        images = home.path if home is not None else away
        return options if images is None else replace(options, images=images)
    return options


def _rows_of_pictures(top: Folder, table: Path, how: PlaceOptions) -> Iterator[Found] | None:
    """Its rows, if its header has a column of pictures and one of labels, and its first pictures are there.

    Raises: NotCoco: JSON that names pictures in another form.
    """
    options = _for_table(top, table, how)
    rows = _rows(table, options)
    try:
        first = list(islice(rows, _LOOKED_AT))
    except (NotThere, NoList):
        return None
    except NotCoco:
        if _has_picture_column(table):
            raise
        return None
    except DataError as error:
        # A table with a column of pictures and another fault is meant; without one, or without labels, it is not.
        meant = "no column" not in error.what and (_SEVERAL in error.what or _has_picture_column(table))
        return _rows(table, options) if meant else None
    there = any(isinstance(item, Row) and item.file is not None and item.file.is_file() for item in first)
    return chain(first, rows) if there else None


def _has_picture_column(table: Path) -> bool:
    if table.suffix.lower() == ".txt":
        return True
    try:
        with table.open(encoding=encodings.encoding_of(table)) as source:
            first = source.readline(1 << 16)
    except (OSError, UnicodeError):
        return False
    return any(known(name.strip('"{ \r\n')) == "path" for name in re.split(r"[,;\t:]", first))


def _labels_of_folders(top: Folder) -> dict[Path, str]:
    """The label of each picture as the folders say it, {} where they say none."""
    try:
        rows = [item for item in by_folders(top) if isinstance(item, Row)]
    except DataError:
        return {}
    labels = {Path(row.picture): row.labels[0] for row in rows if isinstance(row.picture, Path)}
    return labels if len(set(labels.values())) > 1 else {}


def _beside_classes(
    top: Folder, tables: Sequence[Path], of_folders: Mapping[Path, str], how: PlaceOptions
) -> Iterator[Found] | None:
    """Rows of class folders and of the tables beside them; None: the folders say it all.

    Such a table may label a split whose pictures lie in no class folders (val_annotations.txt), by numbers that another
    one has for the folders or a list of their names; COCO's JSON may say splits (train2018.json, val2018.json), or
    words where folders have numbers, also within those of superclasses.

    Raises: DataError: one says other labels than the folders; it cannot be read.
    """
    splits = named_splits(unwrapped(top))
    whole = replace(how, ignore=(), label_pattern=None, box_format="none", box_margin=None)
    agreeing, loose, finer, words = list[Path](), dict[Path, list[Found]](), list[Path](), set[tuple[str, str]]()
    for table in tables:
        try:
            items = list(_rows(table, _for_table(top, table, whole)))
        except DataError as error:
            if _is_about_others(of_folders, table, whole):
                continue
            raise DataError(
                f"{one_line(table.name)} names pictures, and may say other labels than the folders: {error.what}",
                where=top.path,
                hint=f"{error.hint}; or leave it out: --ignore {one_line(table.name)!r}",
            ) from None
        rows = [item for item in items if isinstance(item, Row) and isinstance(item.picture, Path)]
        pairs = {(of_folders.get(row.picture), row.labels) for row in rows if isinstance(row.picture, Path)}
        if {label for label, _ in pairs} == {None}:
            loose[table] = items
        elif _one_to_one(pairs):
            agreeing.append(table)
            words |= {(other[0], one) for one, other in pairs if one is not None and len(other) == 1}
        elif looks_like_coco(table) and _one_to_one({(str(row.file.parent), row.labels) for row in rows if row.file}):
            finer.append(table)
        else:
            raise _other_labels(top, table)
    said = Counter(word for word, _ in words)  # not what two tables say of different folders
    ours = {word: one for word, one in words if said[word] == 1} | {name: name for name in of_folders.values()}
    adding = [item for table, items in loose.items() for item in _of_split(top, table, items, splits, ours)]
    if finer and (adding or splits):
        raise _other_labels(top, finer[0])
    if adding:
        return _with_folders(top, adding)
    agreeing += finer
    jsons = [table for table in agreeing if looks_like_coco(table)]
    named = splits_of(table.stem for table in jsons)
    parted = {table: named[table.stem] for table in jsons if table.stem in named}
    if not finer and (splits or not jsons):
        return None
    if len(jsons) > 1 and len(set(parted.values())) == len(parted) == len(jsons):
        return _read(top, parted, _opened(top, jsons, how))
    numbers = all(label.isdecimal() for label in of_folders.values())
    if len(jsons) == 1 and (numbers or finer):
        return _read(top, {jsons[0]: None}, _opened(top, jsons, how))
    if finer:
        raise _other_labels(top, finer[0])
    return None


def _one_to_one(pairs: Set[tuple[str | None, tuple[str, ...]]]) -> bool:
    """Whether a table's labels are the folders' in other words, and not the same words for others."""
    ours, theirs = {one for one, _ in pairs}, {other for _, other in pairs}
    same = theirs == {(label,) for label in ours}
    return len(pairs) == len(ours) == len(theirs) and (not same or all((one,) == other for one, other in pairs))


def _opened(top: Folder, tables: Sequence[Path], how: PlaceOptions) -> dict[Path, Iterator[Found]]:
    return {table: _rows(table, _for_table(top, table, how)) for table in tables}


def _is_about_others(of_folders: Mapping[Path, str], table: Path, how: PlaceOptions) -> bool:
    """Whether a table that cannot be read whole says nothing against the folders.

    Its pictures cannot be told, or are not theirs; or some column of it parts them as the folders do.
    """
    header, records = list[str](), list[Record]()
    try:
        header, records, _ = csv_records(table)
        found = [row for row in rows_of(header, records, table, how=how, labelled=False) if isinstance(row, Row)]
    except DataError:
        several = [name for n, name in enumerate(header) if how.image_column is None and _is_of_pictures(records, n)]
        return all(_is_about_others(of_folders, table, replace(how, image_column=name)) for name in several)
    labels = [of_folders.get(row.picture) if isinstance(row.picture, Path) else None for row in found]
    if None in labels or len(found) != len(records):
        return not any(labels)
    others = (n for n, name in enumerate(header) if known(name) != "path" and not _is_of_pictures(records, n))
    columns = ([values[n] for _, values in records] for n in others)
    return any(len(set(labels)) == len(set(cells)) == len(set(zip(labels, cells, strict=True))) for cells in columns)


def _is_of_pictures(records: Sequence[Record], index: int) -> bool:
    return any(len(values) > index and ends_as_picture(str(values[index])) for _, values in records[:1])


def _of_split(
    top: Folder, table: Path, items: Sequence[Found], splits: Mapping[str, str], words: Mapping[str, str]
) -> list[Found]:
    """Rows of a table that labels a split of loose pictures, as the folders call the classes; [] of no split at all.

    words: what tables and the folders themselves call the classes, and what the folders do.
    """
    found = list[Found]()
    classes = sorted(set(words.values()))
    said_of = {label for item in items if isinstance(item, Row) for label in item.labels}
    named = names_of_classes(top.path, said_of - words.keys(), _SYNSETS)
    of_lines = {str(n): name.split()[0] for n, name in enumerate(named[0] if named else ())}
    words = {**{n: name for n, name in of_lines.items() if name in classes}, **words}
    for item in items:
        if isinstance(item, Row) and isinstance(item.picture, Path):
            inside = item.picture.is_relative_to(top.path)
            name = top.named(item.picture.relative_to(top.path).as_posix()) if inside else ""
            split = next((said for folder, said in splits.items() if name.startswith(f"{folder}/")), None)
            label = item.labels[0] if len(item.labels) == 1 else ""
            if label not in words:  # 1 in the table is 00001 in the folders
                same = [own for own in classes if own.isdecimal() and label.isdecimal() and int(own) == int(label)]
                label = same[0] if len(same) == 1 else ""
            label = words.get(label, "")
            if split is None and splits:
                continue
            if split is None or not label:
                raise _other_labels(top, table)
            found.append(replace(item, name=name, labels=(label,), split=split))
    said = top.named(table.relative_to(top.path).as_posix())
    return found and [*found, Understood(labels=said, split=said)]


def _other_labels(top: Folder, table: Path) -> DataError:
    return DataError(
        f"{one_line(table.name)} and the folders say different labels",
        where=top.path,
        hint=f"name the table to read it, or leave it out: --ignore {one_line(table.name)!r}",
    )


def _with_folders(top: Folder, adding: Sequence[Found]) -> Iterator[Found]:
    """The rows of class folders, and those of tables, whose pictures the folders pass over."""
    names = {item.name for item in adding if isinstance(item, Row)}
    tables = {item.labels for item in adding if isinstance(item, Understood)}
    used = names | tables | {f"{folder}/" for name in names for folder in map(str, PurePosixPath(name).parents)}
    passed = list[str]()
    for item in by_folders(top):
        if isinstance(item, Skipped) and item.name in used:
            passed += [item.name] if item.name.endswith("/") else []
        else:
            yield item
    yield from adding
    for folder in top.walk():
        if any(f"{folder.name}/".startswith(name) for name in passed):
            idle = (called for file in folder.pictures if (called := folder.named(file)) not in names)
            yield from (Skipped(called, "no row of the table names it") for called in idle)


def _read(top: Folder, tables: Mapping[Path, str | None], opened: Mapping[Path, Iterator[Found]]) -> Iterator[Found]:
    rows = [opened[table] if split is None else in_split(split, opened[table]) for table, split in tables.items()]
    if any(tables.values()):
        rows.append(iter([Understood(split=", ".join(str(table.relative_to(top.path)) for table in tables))]))
    return with_unused(top, list(tables), chain(*rows))


def _home(top: Folder, table: Path) -> Folder | None:
    """train_images/ of train.csv, where test_images/ beside it may hold pictures of the same names."""
    said = [split for word in words_of(table.stem) if (split := split_of(word))]
    split = said[0] if len(said) == 1 else split_of(table.stem)
    if split is None:
        return None
    for filled in (top.filled(), [folder for folder in top.walk() if folder.pictures]):
        named = splits_of(folder.base for folder in filled)
        homes = [folder for folder in filled if named.get(folder.base) == split]
        if len(filled) > 1 and homes:
            return homes[0] if len(homes) == 1 else None
    return None

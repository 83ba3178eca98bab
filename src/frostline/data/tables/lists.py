"""Text lists of pictures: ``path label`` a line, and the lists that lie in the folders of CUB and of Food-101."""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path

from frostline.data import encodings
from frostline.data.manifest import Found
from frostline.data.places.place_options import PlaceOptions
from frostline.data.places.tree import SUFFIXES, Folder, ends_as_picture, with_unused
from frostline.data.split_names import SPLIT_NAMES
from frostline.data.tables.columns import known
from frostline.data.tables.csv_table import csv_table
from frostline.data.tables.table import rows_of
from frostline.data.understood import Understood
from frostline.errors import DataError, one_line

_CUB = ("images.txt", "image_class_labels.txt")
_CLASSES, _PARTS = "classes.txt", "train_test_split.txt"
_NAMES = ("labels.txt", "label_list.txt", "classes.txt", "class_names.txt")
_DEPTH = 2
_A_ROW = 10  # lines that count up are no chance
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_Records = list[tuple[int, Sequence[str | None]]]


class NoList(DataError):
    """A text file that is no list of pictures and labels."""


def text_list(place: Path, *, how: PlaceOptions = PlaceOptions()) -> Iterator[Found]:
    """A picture and its label a line, parted by a tab or by the last space; after tabs, numbers may follow. With a
    header and commas or tabs it is a table, and with the number of its rows above a header.

    Raises: NoList: a line is no such pair. DataError: as ``rows_of``.
    """
    lines, warned = _read_lines(place)
    cells = re.split(r"[,;\t]", lines[0][1]) if lines else []
    header = {known(cell) for cell in cells} - ({"label"} if any(map(ends_as_picture, cells)) else set())
    if len(cells) > 1 and not header.isdisjoint(("path", "label")):
        yield from csv_table(place, how=how)
        return
    if lines and all(_parted(text) for _, text in lines):  # and no header
        yield from csv_table(place, how=how)
        return
    if (table := _counted(lines)) is not None:
        yield from rows_of(*table, place, how=how)
        return
    records, of_label = _pairs(lines, place)
    first = records[0][1][1] or "" if len(records) >= _A_ROW else ""
    if first.isdecimal() and all(label == str(int(first) + n) for n, (_, (_, label)) in enumerate(records)):
        raise NoList(
            f"what stands behind each picture counts up from {first}, and is no label",
            where=place,
            hint="name the list of labels; or put each picture into a folder of its own, if it is a class",
        )
    if place.name in _NAMES and not any(ends_as_picture(path or "") for _, (path, _) in records):
        raise NoList("names of classes", where=place, hint="name the list of pictures beside it")
    if (named := names_of_classes(place.parent, {label or "" for _, (_, label) in records})) is not None:
        names, file = named
        records = [(line, [path, names[int(label or "")]]) for line, (path, label) in records]
        of_label += f" with the names in {one_line(file)}"
    if warned:
        yield Understood(warnings=warned)
    more = any(text.count("\t") > 1 for _, text in lines)
    said = Understood(place.name, "the first part of each line", of_label, unused=("what stands behind it",) * more)
    yield from _said(rows_of(["path", "label"], records, place, how=how), said)


def list_of_splits(place: Path) -> tuple[list[str], _Records]:
    """Header and rows of a list of pictures and their splits, or of one with the number of its rows and a header above.

    Raises: NoList: it is none.
    """
    lines = _lines(place)
    return _counted(lines) or (["path", "split"], _pairs(lines, place)[0])


def _pairs(lines: list[tuple[int, str]], place: Path) -> tuple[_Records, str]:
    """A picture and its label of each line, and where the label stands in it.

    Raises: NoList: a line is no such pair.
    """
    if lines and [known(word) for word in lines[0][1].split()] == ["path", "label"]:
        lines = lines[1:]
    tabs = all("\t" in text for _, text in lines)
    spaced = not tabs and _labels_have_spaces([text for _, text in lines])
    records: _Records = []
    for line, text in lines:
        if tabs:
            path, label, *more = text.split("\t")
            pair = all(_NUMBER.fullmatch(cell.strip()) for cell in more)
        elif spaced:
            path, label = text.split(None, 1)
            pair = True
        else:
            path, _, label = text.replace("\t", " ").rpartition(" ")
            pair = len(text.split()) < 3 or (ends_as_picture(path) and not _names_two(path))
        if not path.strip() or not pair:
            raise NoList(
                f"line {line} is not a picture and its label: {one_line(text[:80])}",
                where=place,
                hint="expected: path label; or make it a CSV with columns path,label",
            )
        records.append((line, [path.strip(), label]))
    return records, "its second part" if tabs else "the rest of it" if spaced else "its last word"


def _names_two(path: str) -> bool:
    """Whether a path with blanks is of two pictures: of lists of pairs, which say whether both show the same."""
    return any(ends_as_picture(word) for word in path.split()[:-1])


def _counted(lines: list[tuple[int, str]]) -> tuple[list[str], _Records] | None:
    """Header and rows of CelebA's and DeepFashion's lists: how many rows there are, names of columns, and the rows.

    The column of pictures may have no name.
    """
    if len(lines) < 3 or lines[0][1] != str(len(lines) - 2):
        return None
    header, records = lines[1][1].split(), [(line, text.split()) for line, text in lines[2:]]
    columns = len(records[0][1])
    header = ["image", *header] if columns == len(header) + 1 else header
    return (header, list(records)) if columns == len(header) > 1 else None


def _parted(text: str) -> bool:
    """Whether a line is a picture and one more word, in any order, with a comma or a semicolon between."""
    cells = re.split("[,;]", text)
    return len(cells) == 2 and any(ends_as_picture(cell.strip()) for cell in cells)


def names_of_classes(folder: Path, labels: Set[str], files: Sequence[str] = _NAMES) -> tuple[list[str], str] | None:
    """Names of the numbers from 0 on, and in which file of a folder they stand; None: labels have names already.

    Paddle's tools write one name a line (labels.txt), or the number and the name. Of lines without numbers, where no
    label is 0, the first may as well be of 1: then labels stay numbers.
    """
    if not labels or not all(label.isdecimal() for label in labels):
        return None
    for file in files:
        try:
            lines = [text for _, text in _lines(folder / file)]
        except DataError:
            continue
        numbered = [re.match(rf"{n}[\s:,]+(?=\S)", text) for n, text in enumerate(lines)]
        if not all(numbered) and 0 not in map(int, labels):
            continue
        if lines and all(numbered):
            lines = [text[len(match[0]) :] for text, match in zip(lines, numbered, strict=True) if match is not None]
        pictures = any(ends_as_picture(word) for text in lines for word in text.split())
        if len(set(lines)) == len(lines) > max(map(int, labels)) and not pictures:
            return lines, file
    return None


def _labels_have_spaces(lines: Sequence[str]) -> bool:
    """Whether the first word of each line is the picture and all others the label: 1025794 A300 B4.

    Not if some line could end in a one-word label (its path has blanks), or a label is numbers: those are columns.
    """
    parts = [line.split(None, 1) for line in lines]
    if not any(len(line.split()) > 2 for line in lines) or any(len(part) < 2 for part in parts):
        return False
    if any(
        ends_as_picture(line.rpartition(" ")[0]) and not ends_as_picture(part[0])
        for line, part in zip(lines, parts, strict=True)
    ):
        return False
    numbers = [all(map(_NUMBER.fullmatch, part[1].split())) for part in parts if len(part[1].split()) > 1]
    return not any(numbers) and len({part[1] for part in parts}) <= 0.5 * len(parts)


def lists_in(top: Folder) -> Iterator[Found] | None:
    """What the lists of CUB or of Food-101 in a folder say, or None: there are none.

    Raises: DataError: as ``text_list``.
    """
    for here in top.walk():
        if here.name.count("/") >= _DEPTH:
            continue
        if set(_CUB) <= set(here.others):
            return _read(top, here, *_cub(here))
        meta = next((folder for folder in here.folders if folder.base == "meta"), None)
        if meta is not None and "train.txt" in meta.others and (here.path / "images").is_dir():
            found = {name: SPLIT_NAMES[name[:-4]] for name in meta.others if name[:-4] in SPLIT_NAMES}
            return _read(top, here, *_food(meta, found))
    return None


def _cub(here: Folder) -> tuple[_Records, list[Path], Understood]:
    """images.txt (number, path), image_class_labels.txt (number, class), classes.txt and train_test_split.txt."""
    paths, labels = (_numbered(here.path / name) for name in _CUB)
    names = _numbered(here.path / _CLASSES) if _CLASSES in here.others else {}
    parts = _numbered(here.path / _PARTS) if _PARTS in here.others else {}
    if odd := set(parts.values()) - {"0", "1"}:
        raise DataError(
            f"{one_line(sorted(odd)[0])!r} is neither 1 (train) nor 0 (test)",
            where=here.path / _PARTS,
            hint=f"correct it, or leave it out: --ignore {_PARTS}",
        )
    split = {"1": "train", "0": "test"}
    records: _Records = []
    for line, (number, path) in enumerate(paths.items(), start=1):
        label = labels.get(number)
        records.append((line, [path, names.get(label or "", label), split.get(parts.get(number, ""))]))
    used = [here.path / name for name in (*_CUB, _CLASSES, _PARTS) if name in here.others]
    said = Understood(_CUB[0], _CUB[0], f"{_CUB[1]}{f' and {_CLASSES}' if names else ''}", _PARTS if parts else "")
    return records, used, said


def _food(meta: Folder, files: Mapping[str, str]) -> tuple[_Records, list[Path], Understood]:
    """train.txt and test.txt in meta/: class/name a line, without an ending."""
    records: _Records = []
    for name, split in files.items():
        for line, text in _lines(meta.path / name):
            label, slash, _ = text.partition("/")
            if not slash:
                raise DataError(
                    f"line {line} is not class/picture: {one_line(text[:80])}",
                    where=meta.path / name,
                    hint=f"correct it, or leave it out: --ignore {name}",
                )
            records.append((line, [text, label, split]))
    lists = ", ".join(f"meta/{name}" for name in files)
    return records, [meta.path / name for name in files], Understood("", lists, "the folders in them", lists)


def _read(top: Folder, here: Folder, records: _Records, lists: list[Path], said: Understood) -> Iterator[Found]:
    images = here.path / "images" if (here.path / "images").is_dir() else here.path
    first = next((record[0] or "" for _, record in records), "")
    endings = ("", *sorted(SUFFIXES))
    suffix = next((ending for ending in endings if (images / f"{first}{ending}").is_file()), "")
    rows = rows_of(["path", "label", "split"], records, lists[0], how=PlaceOptions(images=images, suffix=suffix))
    return with_unused(top, lists, _said(rows, said))


def _said(rows: Iterator[Found], said: Understood) -> Iterator[Found]:
    for item in rows:
        yield replace(said, warnings=item.warnings) if isinstance(item, Understood) else item


def _numbered(place: Path) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for line, text in _lines(place):
        number, _, value = text.partition(" ")
        if not value.strip() or number in pairs:
            raise DataError(
                f"line {line} is not a number of its own and a value: {one_line(text[:80])}",
                where=place,
                hint=f"correct it, or read the folders alone: --ignore {_CUB[0]}",
            )
        pairs[number] = value.strip()
    return pairs


def _lines(place: Path) -> list[tuple[int, str]]:
    return _read_lines(place)[0]


def _read_lines(place: Path) -> tuple[list[tuple[int, str]], tuple[str, ...]]:
    """The lines of a file that are not empty, with their numbers, and what to say of it."""
    try:
        encoding = encodings.encoding_of(place)
        texts = place.read_text(encoding=encoding).splitlines()
    except UnicodeError:
        raise NoList("not a list in UTF-8", where=place, hint="save it as UTF-8") from None
    except OSError as error:
        raise DataError(f"the list cannot be read: {error.strerror}", where=place, hint="check permissions") from None
    lines = [(n, text.strip()) for n, text in enumerate(texts, start=1) if text.strip()]
    return lines, encodings.said(place, encoding)

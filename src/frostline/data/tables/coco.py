"""Annotations of COCO as labels: of each box, or, where there are none, the one category of each picture."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from frostline.data import encodings
from frostline.data.manifest import Found, Skipped
from frostline.data.pictures.picture import refuse_sparse
from frostline.data.places.place_options import PlaceOptions
from frostline.data.places.tree import ends_as_picture
from frostline.data.tables.columns import known, may_be_group
from frostline.data.tables.table import rows_of, rows_of_objects
from frostline.data.understood import Understood
from frostline.errors import DataError, one_line

_HEAD = 1 << 16  # bytes by which a file is known to be COCO's


class NotCoco(DataError):
    """JSON of another form."""


def claims(place: Path) -> bool:
    """Whether it is called as a file of JSON is."""
    return place.suffix.lower() == ".json" and not place.is_dir()


def looks_like_coco(place: Path) -> bool:
    """Whether a file begins as COCO's annotations do, with one of their lists; or as a list of objects, or an object of
    pictures' names, which are tables.
    """
    try:
        with place.open("rb") as source:
            head = source.read(_HEAD)
    except OSError:
        return False
    table = re.match(rb'(?:\xef\xbb\xbf)?\s*(?:\[\s*\{|\{\s*"[^"]*\.(?:jpe?g|png)")', head, re.IGNORECASE)
    return table is not None or any(f'"{name}"'.encode() in head for name in ("images", "annotations", "categories"))


def coco(place: Path, *, how: PlaceOptions = PlaceOptions()) -> Iterator[Found]:
    """One row a box, labelled by its category; one a picture, where there are no boxes or they are not to be used.

    A list of objects is a table of them, and an object whose keys are names of pictures is one of their labels.

    Raises: NotCoco: not COCO's JSON. DataError: a whole picture with annotations of several categories; as ``rows_of``.
    """
    found, warned = _loaded(place)
    if warned:
        yield Understood(warnings=warned)
    if (objects := _objects(found)) is not None:
        yield from rows_of_objects(enumerate(objects, start=1), place, how=how)
        return
    try:
        names = _by_id(((one["id"], str(one["name"])) for one in found["categories"]), place)
        files = _by_id(((one["id"], _file_of(one)) for one in found["images"]), place)
        facts = _facts(found["images"], how)
        marked = [(one["image_id"], names[one["category_id"]], one.get("bbox")) for one in found["annotations"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _not_coco(place) from None
    there = {key for key, _, _ in marked}
    yield from (Skipped(name, "without an annotation") for key, name in files.items() if key not in there)
    boxes = any(box for _, _, box in marked)
    if boxes and not how.whole:
        how = replace(how, box_format=how.box_format or "size")
        cells = ([files[key], name, *facts.of[key], box or None] for key, name, box in marked if key in files)
        header = ["file_name", "category", *facts.names, "bbox"]
        yield from rows_of(header, enumerate(cells, start=1), place, how=how)
        return
    labels = _labels([(key, name) for key, name, _ in marked], files, place)
    named = enumerate(files.items(), start=1)
    records = ((n, [name, labels[key], *facts.of[key]]) for n, (key, name) in named if key in labels)
    header = ["file_name", "category", *facts.names]
    yield from rows_of(header, records, place, how=replace(how, box_format=None))
    if boxes:
        yield Understood(unused=("boxes: the whole picture is read",))


def _by_id(named: Iterable[tuple[Any, str]], place: Path) -> dict[Any, str]:
    """Raises: DataError: one id is of two names, as where files were joined; annotations say ids alone."""
    found: dict[Any, str] = {}
    for key, name in named:
        if found.setdefault(key, name) != name:
            raise DataError(
                f"the id {one_line(str(key))} is of two names, {one_line(found[key])} and {one_line(name)}",
                where=place,
                hint="where files were joined, give each image and category an id of its own; or read them one by one",
            )
    return found


def _file_of(image: dict[str, Any]) -> str:
    """Its name; of LVIS, which only says where COCO has it, the folder and the file at the end of that."""
    return str(image["file_name"]) if "file_name" in image else "/".join(image["coco_url"].split("/")[-2:])


def _loaded(place: Path) -> tuple[Any, tuple[str, ...]]:
    """What a file of JSON says, and what to say of it."""
    try:
        refuse_sparse(place, place.stat())
        encoding = encodings.encoding_of(place)
        return json.loads(place.read_text(encoding=encoding)), encodings.said(place, encoding)
    except (ValueError, RecursionError):
        raise _not_coco(place) from None
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}", where=place, hint="check permissions") from None


def _not_coco(place: Path) -> NotCoco:
    return NotCoco(
        "not annotations of COCO",
        where=place,
        hint="expected: images (id, file_name), categories (id, name) and annotations (image_id, category_id); "
        "or a list of objects with a picture and a label in each",
    )


def _objects(found: Any) -> list[dict[str, Any]] | None:
    """Objects of a table, if it is one; None: it is not."""
    if isinstance(found, dict) and found and all(map(ends_as_picture, found)):
        return [{"path": name, "label": label} for name, label in found.items()]
    return found if isinstance(found, list) and found and all(isinstance(one, dict) for one in found) else None


@dataclass(frozen=True)
class _Facts:
    """What images say of themselves beside their file: the names of facts, and the facts of each image by its id."""

    names: list[str]
    of: dict[Any, list[Any]]


def _facts(images: list[dict[str, Any]], how: PlaceOptions) -> _Facts:
    """Facts by which pictures may belong together, or to a split: seq_id and location of camera traps."""
    asked = (how.group, how.split_column)
    keys = dict.fromkeys(key for one in images for key in one if key not in ("id", "file_name"))
    names = [key for key in keys if known(key) in ("group", "split") or may_be_group(key) or key in asked]
    return _Facts(names, {one["id"]: [one.get(name) for name in names] for one in images})


def _labels(pairs: list[tuple[Any, str]], files: Mapping[Any, str], place: Path) -> dict[Any, list[str]]:
    labels: dict[Any, list[str]] = {}
    for key, name in pairs:
        if name not in labels.setdefault(key, []):
            labels[key].append(name)
    several = [key for key, names in labels.items() if len(names) > 1 and key in files]
    if several:
        shown = f"{files[several[0]]} ({', '.join(labels[several[0]][:5])})"
        raise DataError(
            f"{len(several):,} pictures have annotations of several categories, such as {one_line(shown)}",
            where=place,
            hint="which is the label? list them in a CSV with columns path,label; a|b are two labels",
        )
    return labels

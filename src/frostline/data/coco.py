"""Annotations of COCO as labels: the one category that is annotated in each picture; boxes are not used."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from frostline.data.manifest import Found, Skipped
from frostline.data.picture import refuse_sparse
from frostline.data.place_options import PlaceOptions
from frostline.data.tables import rows_of
from frostline.data.understood import Understood
from frostline.errors import DataError, one_line


def claims(place: Path) -> bool:
    """Whether it is called as a file of JSON is."""
    return place.suffix.lower() == ".json"


def coco(place: Path, *, how: PlaceOptions = PlaceOptions()) -> Iterator[Found]:
    """One row a picture with annotations, labelled by the name of its category.

    Raises: DataError: not COCO's JSON; a picture with annotations of several categories; as ``rows_of``.
    """
    try:
        refuse_sparse(place, place.stat())
        found = json.loads(place.read_text(encoding="utf-8-sig"))
        names = {one["id"]: str(one["name"]) for one in found["categories"]}
        files = {one["id"]: str(one["file_name"]) for one in found["images"]}
        pairs = [(one["image_id"], names[one["category_id"]]) for one in found["annotations"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DataError(
            "not annotations of COCO",
            where=place,
            hint="expected: images (id, file_name), categories (id, name) and annotations (image_id, category_id)",
        ) from None
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror}", where=place, hint="check permissions") from None
    labels = _labels(pairs, files, place)
    records = ((n, [name, labels[key]]) for n, (key, name) in enumerate(files.items(), start=1) if key in labels)
    yield from (Skipped(name, "without an annotation") for key, name in files.items() if key not in labels)
    yield from rows_of(["file_name", "category"], records, place, how=how)
    if any("bbox" in one for one in found["annotations"]):
        yield Understood(unused=("boxes: the whole picture is read",))


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

"""Boxes in a table: each row is a part of a picture, as a detector or a person has marked it."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from frostline.data.manifest import Row, Skipped
from frostline.data.pictures.formats import pillow
from frostline.data.pictures.picture import Box, Crop, source
from frostline.data.pictures.pillow_settings import strict_and_silent
from frostline.data.pictures.upright import orientation
from frostline.data.places.place_options import MOST_MARGIN, PlaceOptions
from frostline.data.tables.columns import Record, plain
from frostline.errors import DataError, PlanError, one_line

FORMATS = ("corners", "size", "none")
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("left", "top", "right", "bottom"),
)
_SIZES = (
    ("x", "y", "w", "h"),
    ("x", "y", "width", "height"),
    ("left", "top", "width", "height"),
    ("xmin", "ymin", "width", "height"),
    ("xmin", "ymin", "w", "h"),
)
_SIDES = frozenset(name for form in (*_CORNERS, *_SIZES) for name in form)
_ONE = frozenset(("bbox", "box", "boundingbox"))
_PREFIX = re.compile(r"(?:bounding)?b?box|roi")
_LOOKED_INTO = 20  # pictures whose size tells what four numbers mean


@dataclass(frozen=True, slots=True)
class Boxes:
    """Which columns are boxes (one or four), and whether they give corners or a corner and a size.

    grouped: whether the boxes of one picture are a group where nothing else says what belongs together.
    """

    columns: tuple[int, ...]
    corners: bool
    margin: float
    grouped: bool

    def said(self, header: Sequence[str]) -> str:
        """How to say it."""
        names = ", ".join(f"`{header[n]}`" for n in self.columns)
        form = "left, top, right, bottom" if self.corners else "left, top, width, height"
        margin = f", {self.margin:.0%} more on each side" if self.margin else ""
        return f", cropped to {names} ({form}{margin})"

    def crop(self, row: Row, values: Sequence[Any], line: int) -> Row | Skipped:
        """A row's part of its picture.

        Raises: ValueError: its box is not four numbers.
        """
        numbers = _numbers([values[n] for n in self.columns])
        if numbers is None:
            return Skipped(f"{row.name} (row {line})", "without a box")
        left, top, third, fourth = numbers
        box: Box = (left, top, third, fourth) if self.corners else (left, top, left + third, top + fourth)
        name = f"{row.name} box {','.join(f'{side:g}' for side in box)}"
        if box[0] >= box[2] or box[1] >= box[3]:
            return Skipped(f"{name} (row {line})", "its box is empty")
        assert not isinstance(row.picture, Crop)
        group = row.name if self.grouped and row.group is None else row.group
        return replace(row, picture=Crop(row.picture, box, self.margin), name=name, group=group)


def boxes(
    header: Sequence[str],
    records: Sequence[Record],
    where: Mapping[str, int],
    place: Path | str,
    how: PlaceOptions,
    pictures: Iterator[Path],
) -> Boxes | None:
    """The boxes of a table, or None: it has none, or a person says that they are not to be used.

    pictures: of the rows, in their order, where they are files.

    Raises: DataError: four numbers of which nobody knows what they mean; shares of the picture in place of pixels.
        PlanError: no such format; a margin below 0 or above 10.
    """
    check_box_options(how.box_format, how.box_margin)
    if how.whole:
        return None
    found = _columns(header, where, place)
    margin = how.usual_margin if how.box_margin is None else how.box_margin
    if found is None:
        if how.box_format is not None or how.box_margin is not None:
            said = "--box-format" if how.box_format is not None else "--box-margin"
            raise DataError(f"{said} says nothing here: no columns are boxes", where=place, hint=_EXPECTED)
        return None
    columns, corners = found
    rows = [_numbers([v[n] for n in columns], strict=False) for _, v in records if len(v) > max(columns)]
    numbers = [row for row in rows if row is not None]
    if numbers and all(-1 < number < 2 for row in numbers for number in row):  # shares may be a little beyond 0 and 1
        raise DataError(
            "the boxes are shares of the picture, not pixels",
            where=place,
            hint="multiply them by its width and height; --box-format none looks at whole pictures",
        )
    if how.box_format is not None:
        corners = how.box_format == "corners"
    if corners is None:
        corners = _told_by_values(rows, pictures)
    if corners is None:
        raise DataError(
            f"the boxes in {one_line(header[columns[0]])!r} may be left, top, right, bottom or left, top, width, "
            "height",
            where=place,
            hint="--box-format corners, or --box-format size; --box-format none looks at whole pictures",
        )
    return Boxes(columns, corners, margin, how.group is None or "group" in where)


_EXPECTED = "expected: columns xmin, ymin, xmax, ymax, or x, y, w, h, or one called bbox"


def check_box_options(form: str | None, margin: float | None) -> None:
    """Raises: PlanError: no such format; a margin below 0 or above 10."""
    if form is not None and form not in FORMATS:
        raise PlanError(f"{one_line(form)!r} is no form of boxes", where="--box-format", hint=", ".join(FORMATS))
    if margin is not None and not 0 <= margin <= MOST_MARGIN:
        raise PlanError(f"a margin of {margin:g} of the box", where="--box-margin", hint="0.1 is a tenth on each side")


def is_side(column: str) -> bool:
    """Whether a column is called as a side of a box is: xmin, bbox_width."""
    return plain(column) in _SIDES or _PREFIX.sub("", plain(column)) in _SIDES


def _columns(
    header: Sequence[str], where: Mapping[str, int], place: Path | str
) -> tuple[tuple[int, ...], bool | None] | None:
    names = {plain(name): n for n, name in enumerate(header) if n not in where.values()}
    if {"xcenter", "ycenter"} <= names.keys() or {"cx", "cy"} <= names.keys():
        raise DataError(
            "boxes are given by their centres, which are not read",
            where=place,
            hint="give left, top, width, height in pixels; --box-format none looks at whole pictures",
        )
    short = {_PREFIX.sub("", name): n for name, n in names.items() if _PREFIX.match(name) and name not in _ONE}
    for named in (short, names):
        for corners, forms in ((True, _CORNERS), (False, _SIZES)):
            for form in forms:
                if all(name in named for name in form):
                    return tuple(named[name] for name in form), corners
    one = [n for name, n in names.items() if name in _ONE]
    return ((one[0],), None) if len(one) == 1 else None


def _numbers(cells: Sequence[Any], *, strict: bool = True) -> tuple[float, float, float, float] | None:
    """Four numbers, or None where there are none.

    Raises: ValueError: other than four numbers, if that is asked for.
    """
    given: Any = cells[0] if len(cells) == 1 else cells
    if isinstance(given, str):
        text = given.strip().strip("[](){}")
        given = [part for part in re.split(r"[\s,;]+", text) if part]
    if given is None or not len(given) or all(cell in (None, "") or cell != cell for cell in given):
        return None
    try:
        left, top, third, fourth = (float(cell) for cell in given)
    except (TypeError, ValueError):
        if not strict:
            return None
        raise ValueError(f"the box {one_line(json.dumps(list(given), default=str))[:60]} is not four numbers") from None
    found = (left, top, third, fourth)
    if strict and not all(map(math.isfinite, found)):
        raise ValueError(f"the box {found} is not four numbers")
    return found


def _told_by_values(rows: Sequence[tuple[float, float, float, float] | None], pictures: Iterator[Path]) -> bool | None:
    """True if four numbers must be corners, False if they must be a corner and a size; None if both may be."""
    if any(row is not None and (row[2] <= row[0] or row[3] <= row[1]) for row in rows):
        return False
    for row, picture in islice(zip(rows, pictures, strict=False), _LOOKED_INTO):
        try:
            with strict_and_silent(), source(picture) as encoded, pillow.opened(encoded) as opened:
                width, height = opened.size if orientation(opened) < 5 else opened.size[::-1]  # boxes are of it upright
        except Exception:  # Pillow raises anything on foreign bytes; decoding says what is wrong with them
            continue
        if row is not None and (row[0] + row[2] > width + 1 or row[1] + row[3] > height + 1):
            return True
    return None

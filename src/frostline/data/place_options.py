"""What a person said of how their data is to be read; whatever they left out, the data itself has to say."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

_INNER = ("several", "cache", "usual_margin")  # what is known without being said


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOptions:
    """The options of ``fit``, ``check`` and ``evaluate`` by which data is read, each None where nothing was said.

    image_column, label_column, split_column, group: columns of a table; "none" says that there is none.
    images: the folder in which a table's pictures lie. suffix: what a table's names of pictures lack (".jpg").
    label_separator: what stands between labels in one cell (" ", ","); "none": a cell is one label.
    box_format: what four numbers of a box are: "corners" (left, top, right, bottom), "size" (left, top, width, height),
        or "none": whole pictures are looked at. box_margin: how much more is taken on each side, as a share of the box.
    label_pattern: a regular expression whose first group, or the one called ``label``, is the label in a file's name.
    ignore: patterns of files and folders that are left out.
    several: whether a picture may have several labels, or none, whatever the data looks like (a model's labels are so).
    cache: where what is fetched is kept. usual_margin: ``box_margin`` where none is given (a model's).
    """

    image_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    group: str | None = None
    images: str | Path | None = None
    suffix: str | None = None
    label_separator: str | None = None
    box_format: str | None = None
    box_margin: float | None = None
    label_pattern: str | None = None
    ignore: tuple[str, ...] = ()
    several: bool = False
    cache: Path | None = None
    usual_margin: float = 0.0

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """What options of ``fit`` say of it; ``ignore`` is text there, patterns joined by commas."""
        given = {field.name: options[field.name] for field in fields(cls) if options.get(field.name) is not None}
        ignore = given.get("ignore", ())
        patterns = ignore.split(",") if isinstance(ignore, str) else ignore
        return cls(**{**given, "ignore": tuple(text for pattern in patterns if (text := str(pattern).strip()))})

    def given(self) -> dict[str, Any]:
        """What was said, by name."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self) if field.name not in _INNER)
        return {name: value for name, value in values if value not in (None, ())}


def option(name: str) -> str:
    """How a field is written as an option: ``--image-column``."""
    return f"--{name.replace('_', '-')}"

"""What a person said of how their data is to be read; whatever they left out, the data itself has to say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

MOST_MARGIN = 10.0
"""Of a box, as a share of it on each side."""

_INNER = ("several", "cache", "usual_margin", "usual_whole", "remembered")  # what is known without being said


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
    cache: where what is fetched is kept.
    usual_margin: ``box_margin`` where none is given (a model's).
    usual_whole: whether whole pictures are looked at where no ``box_format`` is given.
    remembered: names of those that were said of a fit's data, and not of the place that is read: what means nothing
        there is passed over.
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
    usual_whole: bool = False
    remembered: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """What options of ``fit`` say of it; ``ignore`` is text there, patterns joined by commas."""
        given = {field.name: options[field.name] for field in fields(cls) if options.get(field.name) is not None}
        ignore = given.get("ignore", ())
        patterns = ignore.split(",") if isinstance(ignore, str) else ignore
        return cls(**{**given, "ignore": tuple(text for pattern in patterns if (text := str(pattern).strip()))})

    def looking_as(self, given: object) -> Self:
        """The same, of as much of each picture as a model looks at, by the options of its fit, as its folder has them.

        given: a mapping of them; whatever else stands there is passed over.
        """
        options = given if isinstance(given, Mapping) else {}
        margin = options.get("box_margin")
        if not isinstance(margin, int | float) or not 0 <= margin <= MOST_MARGIN:
            margin = 0.0
        return replace(self, usual_margin=float(margin), usual_whole=options.get("box_format") == "none")

    def recalling(self, options: Mapping[str, Any]) -> Self:
        """What the options of a fit say of data that comes later, where nothing else is said: as `looking_as`, which
        columns are meant, and what is left out. Where pictures lie, and how a table writes things, each place says
        itself.
        """
        silent = {"image_column", "label_column", "ignore"} - set(self.given())
        fit = self.of({name: options.get(name) for name in silent}).given()
        return replace(self, **fit, remembered=tuple(fit)).looking_as(options)

    @property
    def whole(self) -> bool:
        """Whether whole pictures are looked at, boxes or not."""
        return self.box_format == "none" or (self.usual_whole and self.box_format is None)

    def among(self, header: Sequence[str]) -> Self:
        """Without the columns that a table of that header lacks, if they are only remembered."""
        said = {name: getattr(self, name) for name in ("image_column", "label_column")}
        known = {name: column for name, column in said.items() if column and name in self.remembered}
        return self.without(*(n for n, column in known.items() if not {column, *column.split(",")} & set(header)))

    def without(self, *names: str) -> Self:
        """As if nothing had been said of these."""
        nothing: dict[str, Any] = {field.name: field.default for field in fields(self) if field.name in names}
        return replace(self, **nothing)

    def given(self) -> dict[str, Any]:
        """What was said, by name."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self) if field.name not in _INNER)
        return {name: value for name, value in values if value not in (None, ())}


def option(name: str) -> str:
    """How a field is written as an option: ``--image-column``."""
    return f"--{name.replace('_', '-')}"

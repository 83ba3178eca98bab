"""What a person said of how their data is to be read; whatever they left out, the data itself has to say."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from frostline.errors import PlanError


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOptions:
    """The options of ``fit``, ``check`` and ``evaluate`` by which data is read, each None where nothing was said.

    image_column, label_column, split_column, group: columns of a table; "none" says that there is none.
        ``label_column`` may name several columns of 0 and 1, joined by commas.
    images: the folder in which a table's pictures lie. suffix: what a table's names of pictures lack (".jpg").
    label_pattern: a regular expression whose first group, or the one called ``label``, is the label in a file's name.
    ignore: patterns of files and folders, or ``COLUMN=VALUE`` of rows, that are left out.
    box_margin: how far around its box a picture is cut out, as a share of the box's sides.
    """

    image_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    group: str | None = None
    images: str | Path | None = None
    suffix: str | None = None
    label_pattern: str | None = None
    ignore: tuple[str, ...] = ()
    box_margin: float | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """What options of ``fit`` say of it; ``ignore`` is text there, patterns joined by commas.

        Raises: PlanError: ``box_margin`` is below 0.
        """
        given = {field.name: options[field.name] for field in fields(cls) if options.get(field.name) is not None}
        ignore = given.get("ignore", ())
        patterns = ignore.split(",") if isinstance(ignore, str) else ignore
        margin = given.get("box_margin")
        if margin is not None and not margin >= 0:
            raise PlanError(f"the margin around a box is 0 or more, not {margin}", where="--box-margin")
        return cls(**{**given, "ignore": tuple(text for pattern in patterns if (text := str(pattern).strip()))})

    def given(self) -> dict[str, Any]:
        """What was said, by name."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in values if value not in (None, ())}


def option(name: str) -> str:
    """How a field is written as an option: ``--image-column``."""
    return f"--{name.replace('_', '-')}"

"""Rows of a table: cells become a picture, labels, a split and a group; rows that contradict each other are refused."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np

from frostline.data.label_text import parted
from frostline.data.manifest import Row, Skipped
from frostline.data.missing import MISSING, is_none
from frostline.data.pictures.picture import Crop, Item, Picture
from frostline.data.pictures.to_picture import picture_of
from frostline.data.tables.locate import Finder
from frostline.errors import DataError, one_line

_UNSEEN = "\u200b\u200c\u200d\u2060\ufeff"  # what spreadsheets and web pages leave around a word, and nobody sees


class Reader:
    """What makes rows of a table's records; it knows those that have no label, and whether any has several."""

    def __init__(
        self,
        columns: int,
        where: Mapping[str, int],
        part: Callable[[Any], Any],
        splits: Callable[[str], str | None],
        find: Finder,
        numbers: str,
    ) -> None:
        self._where, self._part, self._splits, self._find, self._numbers = where, part, splits, find, numbers
        self._seen: dict[Path | Crop, tuple[int, Row]] = {}
        self._columns, self.several, self.bare = columns, False, list[str]()
        self._shown, self._without_box, self._again = set[str](), set[str](), 0

    def row(self, values: Sequence[Any], line: int, place: Path | str) -> Row:
        """Raises: ValueError, IndexError: a cell means nothing, or is not there."""
        if len(values) > self._columns and any(values[self._columns :]):
            raise IndexError
        cells = {kind: values[index] for kind, index in self._where.items()}
        picture, name = _picture(cells["path"], line, place, self._find)
        split = str("" if cells.get("split") is None else cells["split"]).strip()
        if split and self._splits(split) is None:
            raise ValueError(f"{split!r} is no split (train, val or test)")
        group = _text("" if cells.get("group") is None else cells["group"])
        labels = self._labels(self._part(cells.get("label")))
        self.several |= len(labels) > 1
        if not labels:
            said = cells.get("label")
            self.bare.append(f"row {line}: no label" + (f" ({said})" if said not in (None, "", []) else ""))
        return Row(picture, labels, self._splits(split) if split else None, None if group in MISSING else group, name)

    def _labels(self, value: Any) -> tuple[str, ...]:
        if isinstance(value, Mapping):
            raise ValueError(f"its label is an object with {one_line(', '.join(map(str, value)))}, and no text")
        found = labels_of(value)
        if len(found) != 1 or isinstance(value, list):
            return found
        if is_none(found[0], self._numbers == "signs"):
            return ()
        return (found[0].partition(".")[0],) if self._numbers else found

    def once(self, found: Row | Skipped, labels: tuple[str, ...], line: int) -> Row | Skipped | None:
        """What a row gives, None if an earlier one says the same.

        Raises: ValueError: an earlier row says something else of the same picture.
        """
        if isinstance(found, Skipped):
            self._without_box |= set(labels)
            return found
        self._shown |= set(labels)
        if not (found.file is not None and isinstance(found.picture, Path | Crop) and "label" in self._where):
            return found
        first, row = self._seen.setdefault(found.picture, (line, found))
        if row is found:
            return found
        if row.labels != found.labels:
            both = f"{', '.join(row.labels)} in row {first}, {', '.join(found.labels)} here"
            raise ValueError(f"{found.name} has two labels, {both}: in one row, a|b are several labels")
        for kind, one, other in (("splits", row.split, found.split), ("groups", row.group, found.group)):
            if one != other:
                raise ValueError(f"{found.name} is in two {kind}, {one} in row {first}, {other} here")
        self._again += 1
        return None

    def repeated(self) -> tuple[str, ...]:
        """How many rows name a picture once more, if there are any."""
        return (f"{self._again:,} rows that say again what an earlier one says",) if self._again else ()

    def check_all_seen(self, place: Path | str) -> None:
        """Notice a class of which no row has a box.

        Raises: DataError: there is one.
        """
        if lost := sorted(self._without_box - self._shown):
            raise DataError(
                f"no row of {one_line(repr(lost[0]))} has a box, so that this class would be lost",
                where=place,
                hint="--box-format none looks at whole pictures; or leave its rows out of the table",
            )


def _picture(value: Any, line: int, place: Path | str, find: Finder) -> tuple[Picture, str]:
    if isinstance(value, Mapping):
        content, name = value.get("bytes"), value.get("path")
        return (
            (content, f"row {line}" + (f" ({name})" if name else "")) if content else _picture(name, line, place, find)
        )
    if isinstance(value, Item | bytes):
        return value, f"row {line}"
    if not isinstance(value, str | Path | None):
        return picture_of(value), f"row {line}"
    text = str(value or "").strip()
    if not text:
        raise ValueError("no path")
    if "\0" in text:
        raise ValueError(f"{text!r} is no path")
    return find(text), text


def labels_of(value: Any) -> tuple[str, ...]:
    """Labels as text, in their order, each once: of a list, of ``a|b``, or the one there is."""
    listed = isinstance(value, list | tuple | np.ndarray)
    several = value if listed else parted(str("" if value is None else value))
    return tuple(dict.fromkeys(text for label in several if (text := _text(label))))


def _text(value: Any) -> str:
    text = str(value).strip()
    return text if text.isascii() else normalize("NFC", text).strip(_UNSEEN).strip()

"""Several labels of a picture as tables write them: lists, words with a separator, or a column of 0 and 1 a class."""

import ast
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from frostline.data.columns import known
from frostline.data.place_options import PlaceOptions
from frostline.data.split_names import split_of
from frostline.errors import DataError, one_line

Record = tuple[int, Sequence[Any]]
Parted = Callable[[Any], Any]

_SEPARATORS = {"|": "`|`", ",": "commas", ";": "semicolons", " ": "spaces"}
_YES = frozenset(("1", "1.0", "True", "true", "TRUE"))
_NO = frozenset(("0", "0.0", "False", "false", "FALSE"))
_MOST_SHOWN = 3


def parted(
    records: Sequence[Record], index: int | None, missing: frozenset[str], place: Path | str, how: PlaceOptions
) -> tuple[Parted, str]:
    """What turns a cell of the column of labels into its labels, and how to say it; "" where a cell is one label.

    Words with a separator are several labels only if each also stands alone somewhere, or all are whole numbers.

    Raises: DataError: words stand in several cells, but never alone: cells may be several labels each, or one.
    """
    if how.label_separator is not None:
        return _by(how.label_separator)
    cells = () if index is None else (v[index] for _, v in records if len(v) > index and isinstance(v[index], str))
    texts = Counter(text for cell in cells if (text := cell.strip()) not in missing)
    if texts and all(text[0] == "[" and text[-1] == "]" and _listed(text) is not None for text in texts):
        return (lambda cell: _listed(cell.strip()) if isinstance(cell, str) and cell.strip() else cell), "lists"
    if any("|" in text for text in texts):
        return (lambda cell: cell), ""  # as everywhere
    for separator in ",; ":
        several = [text for text in texts if separator in text]
        words = {word for text in several for word in _words(text, separator)}
        if not several:
            continue
        if words <= texts.keys() or all(word.isdecimal() for text in texts for word in _words(text, separator)):
            return _by(separator)
        uses = Counter(word for text in texts for word in set(_words(text, separator)))
        shared = [word for word in words if uses[word] > 1]
        if shared if separator != " " else len(several) > 2 and len(shared) == len(words):
            shown = ", ".join(sorted(several)[:_MOST_SHOWN])
            raise DataError(
                f"labels may be several each or one of several words: {one_line(shown)}",
                where=place,
                hint=f"several: --label-separator {separator!r}; one: --label-separator none",
            )
    return (lambda cell: cell), ""


def one_hot(
    header: Sequence[str], records: Sequence[Record], place: Path | str, how: PlaceOptions
) -> tuple[Sequence[str], Sequence[Record], tuple[int, ...]]:
    """The table with one more column `label`, of lists, if columns of 0 and 1 stand where none of labels does.

    Returns: header, records and the places of the columns that are labels now, none if there are no such.

    Raises: DataError: a column of 0 and 1 is called as a split is.
    """
    if how.label_column is not None or any(known(name) == "label" for name in header):
        return header, records, ()
    said = set(how.given().values()) if how.group or how.image_column or how.split_column else set()
    columns = [n for n, name in enumerate(header) if known(name) is None and name not in said and name.strip()]
    binary = tuple(n for n in columns if _is_binary(records, n))
    if len(binary) < 2:
        return header, records, ()
    odd = [header[n] for n in binary if split_of(header[n].lower().removeprefix("is_")) is not None]
    if odd:
        raise DataError(
            f"the column {one_line(odd[0])!r} of 0 and 1 may be a split or a class",
            where=place,
            hint="--label-column names the column of labels; a split has one column of names",
        )
    made: list[Record] = []
    for line, values in records:
        labels = [header[n] for n in binary if len(values) > n and str(values[n]).strip() in _YES]
        full = len(values) >= len(header)
        made.append((line, [*values[: len(header)], labels, *values[len(header) :]] if full else values))
    return [*header, "label"], made, binary


def _is_binary(records: Sequence[Record], index: int) -> bool:
    texts = {str(values[index]).strip() for _, values in records if len(values) > index}
    return bool(texts & _YES) and texts <= _YES | _NO


def _by(separator: str) -> tuple[Parted, str]:
    separator = " " if separator in ("space", "") else separator
    if separator == "none":
        return (lambda cell: [cell] if isinstance(cell, str) and "|" in cell else cell), ""
    said = f"parted by {_SEPARATORS.get(separator, repr(separator))}"
    return (lambda cell: _words(cell, separator) if isinstance(cell, str) else cell), said


def _words(text: str, separator: str) -> list[str]:
    return [word.strip() for word in text.split(separator) if word.strip()]


def _listed(text: str) -> list[str] | None:
    for reads in (json.loads, ast.literal_eval):
        try:
            found = reads(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(found, list) and all(isinstance(label, str | int) for label in found):
            return [str(label) for label in found]
    return None

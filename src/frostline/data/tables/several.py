"""Several labels in one cell of a table: lists, or words with a separator."""

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from frostline.data.places.place_options import PlaceOptions
from frostline.data.tables.columns import Record, plain
from frostline.errors import DataError, one_line

Parted = Callable[[Any], Any]

_SEPARATORS = {"|": "`|`", ",": "commas", ";": "semicolons", " ": "spaces"}
_SIGNS = "+&/＋＆／"  # also within one name: "a/b" is never taken for two unasked
_DECIMAL_COMMA = re.compile(r"\d+,(?:0{1,2}|0{4,})")  # 1,000 may be a thousand
_ONE_COMMA = re.compile(r"\d+,\d+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WITH_BOX = (5, 6)  # words of a class, perhaps how sure it is, and the sides of its box
_PLURAL = frozenset(("labels", "tags", "classes", "categories", "findinglabels", "attributes"))
_BRACKETS = {"[": "]", "(": ")", "{": "}"}
_IN_QUOTES = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_MOST_SHOWN = 3


def parted(
    header: Sequence[str],
    records: Sequence[Record],
    index: int | None,
    missing: frozenset[str],
    place: Path | str,
    how: PlaceOptions,
) -> tuple[Parted, str]:
    """What turns a cell of the column of labels into its labels, and how to say it; "" where a cell is one label.

    Words with a separator are several labels only if each also stands alone somewhere, or all are whole numbers.

    Raises: DataError: words stand in several cells, but never alone: cells may be several labels each, or one; boxes
        beside them; lists of 0 and 1, of which nobody says the names.
    """
    if how.label_separator is not None:
        return _by(how.label_separator)
    cells = () if index is None else (v[index] for _, v in records if len(v) > index and isinstance(v[index], str))
    texts = Counter(text for cell in cells if (text := cell.strip()) not in missing)
    if texts and all(map(_DECIMAL_COMMA.fullmatch, texts)):
        return (lambda cell: cell.strip().partition(",")[0] if isinstance(cell, str) else cell), "decimal commas"
    if texts and all(map(_ONE_COMMA.fullmatch, texts)):
        shown = "; ".join(sorted(texts)[:_MOST_SHOWN])
        raise DataError(
            f"labels may be numbers with a decimal comma, or two each: {one_line(shown)}",
            where=place,
            hint="two: --label-separator ','; one, as it is written: --label-separator none; "
            "a quantity is no class: put the numbers into a few classes",
        )
    if texts and any(all(_are_boxes(text, words) for text in texts) for words in _WITH_BOX):
        raise DataError(
            f"labels hold boxes, such as {one_line(next(iter(texts))[:60])}: a name or number and four or five numbers",
            where=place,
            hint="give the class a column of its own, and the box four: xmin,ymin,xmax,ymax; "
            "they are labels as they are written: --label-separator none",
        )
    if objects := _objects(texts, place):
        return (lambda cell: objects.get(cell.strip(), cell) if isinstance(cell, str) else cell), "choices"
    if texts and all(_BRACKETS.get(text[0]) == text[-1] for text in texts):
        _refuse_vectors([_listed(text) for text in texts], place)
        return (lambda cell: _listed(cell.strip()) if isinstance(cell, str) and cell.strip() else cell), "lists"
    if any("|" in text for text in texts):
        return (lambda cell: cell), ""  # as everywhere
    separator = _separator(texts, index is not None and plain(header[index]) in _PLURAL, place)
    return _by(separator) if separator else ((lambda cell: cell), "")


def _separator(texts: Counter[str], plural: bool, place: Path | str) -> str:
    """What stands between the labels of a cell, or "": a cell is one. plural: whether the column's name says several.

    Raises: DataError: as ``parted``.
    """
    for separator in f",;，；、｜{_SIGNS} \u3000":  # of full width, as Chinese is written, too
        several = [text for text in texts if separator in text]
        words = {word for text in several for word in _words(text, separator)}
        if not several or len(words) < 2:
            continue
        alone = words <= texts.keys()
        if separator in _SIGNS:
            if alone:
                raise _doubtful(several, separator, place)
            continue
        if alone or all(word.isdecimal() for text in texts for word in _words(text, separator)):
            return separator
        uses = Counter(word for text in texts for word in set(_words(text, separator)))
        shared = [word for word in words if uses[word] > 1]
        if shared if separator != " " or plural else len(several) > 2 and len(shared) == len(words):
            raise _doubtful(several, separator, place)
    return ""


def _by(separator: str) -> tuple[Parted, str]:
    separator = " " if separator in ("space", "") else separator
    if separator == "none":
        return (lambda cell: [cell] if isinstance(cell, str) and "|" in cell else cell), ""
    said = f"parted by {_SEPARATORS.get(separator, repr(separator))}"
    if separator == "|":
        return (lambda cell: cell), said  # as everywhere
    return (lambda cell: _words(cell, separator) if isinstance(cell, str) else cell), said


def _are_boxes(text: str, words: int) -> bool:
    """Whether a cell is a class and numbers, so many words, once or more often: a PredictionString, as of ImageNet."""
    parts = text.split()
    return len(parts) % words == 0 and all(_NUMBER.fullmatch(part) for n, part in enumerate(parts) if n % words)


def _doubtful(several: Sequence[str], separator: str, place: Path | str) -> DataError:
    shown = ", ".join(sorted(several)[:_MOST_SHOWN])
    return DataError(
        f"labels may be several each or one of several words: {one_line(shown)}",
        where=place,
        hint=f"several: --label-separator {separator!r}; one: --label-separator none",
    )


def _words(text: str, separator: str) -> list[str]:
    return [word.strip() for word in text.split(separator) if word.strip()]


def _objects(texts: Iterable[str], place: Path | str) -> dict[str, list[str]]:
    """Labels of cells that are objects of JSON or Python with one text or list in them, by the cell; {} where none is.

    Label Studio writes {"choices": ["a", "b"]} beside single words, VIA {"class": "a"}.

    Raises: DataError: an object holds more, or another key than the others.
    """
    labels, keys = dict[str, list[str]](), set[str]()
    for text in texts:
        found = _object(text) if text.startswith("{") else None
        if not isinstance(found, dict):
            continue
        keys |= found.keys()
        values = next(iter(found.values()), None)
        labels[text] = [values] if isinstance(values, str) else values if isinstance(values, list) else []
        if len(keys) != 1 or not labels[text] or not all(isinstance(one, str) for one in labels[text]):
            named = one_line(", ".join(sorted(keys)))
            raise DataError(
                f"labels are objects, such as {one_line(text)[:60]}: which of {named} is it?",
                where=place,
                hint="give the label a column of its own, of names",
            )
    return labels


def _object(text: str) -> object:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return None


def _listed(text: str) -> list[str]:
    """What stands within brackets: of Python, JSON, NumPy (without commas), or with no quotes at all."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list) and all(isinstance(label, str | int) for label in found):
        return [str(label) for label in found]
    inner = text[1:-1]
    if quoted := _IN_QUOTES.findall(inner):
        return [re.sub(r"\\(.)", r"\1", one or other) for one, other in quoted]
    numbers = re.fullmatch(r"[-\d.\s]+", inner)  # of NumPy, without commas
    return inner.split() if numbers else _words(inner, ",")


def _refuse_vectors(lists: Sequence[Sequence[str]], place: Path | str) -> None:
    """Lists of 0 and 1, all of one length: a place in them is a class without a name."""
    lengths = {len(labels) for labels in lists}
    values = {label.removesuffix(".0") for labels in lists for label in labels}
    if len(lengths) == 1 and lengths.pop() > 1 and values <= {"0", "1"}:
        raise DataError(
            "labels are lists of 0 and 1, and nothing says which class is at which place",
            where=place,
            hint="give a column of 0 and 1 for each class, called as the class is, or lists of names",
        )

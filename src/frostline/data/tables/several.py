"""Several labels of a picture as tables write them: lists, words with a separator, or a column of 0 and 1 a class."""

import ast
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.data.missing import MISSING
from frostline.data.places.place_options import PlaceOptions
from frostline.data.split_names import words_of
from frostline.data.tables.boxes import is_side
from frostline.data.tables.columns import flag_of, is_no_label, known, may_be_group, plain
from frostline.errors import DataError, one_line

Record = tuple[int, Sequence[Any]]
Parted = Callable[[Any], Any]

_SEPARATORS = {"|": "`|`", ",": "commas", ";": "semicolons", " ": "spaces"}
_SIGNS = "+&/＋＆／"  # also within one name: "a/b" is never taken for two unasked
_DECIMAL_COMMA = re.compile(r"\d+,(?:0{1,2}|0{4,})")  # 1,000 may be a thousand
_ONE_COMMA = re.compile(r"\d+,\d+")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_WITH_BOX = (5, 6)  # words of a class, perhaps how sure it is, and the sides of its box
_PLURAL = frozenset(("labels", "tags", "classes", "categories", "findinglabels", "attributes"))
_PAIRS = (("1", "0"), ("1", "-1"), ("true", "false"), ("yes", "no"), ("y", "n"), ("是", "否"), ("有", "无"))
_BRACKETS = {"[": "]", "(": ")", "{": "}"}
_IN_QUOTES = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
_MOST_SHOWN, _MOST_NAMED = 3, 5
_FACTS = frozenset(  # that end the names of columns which say something else of a picture than what it shows
    (
        *("age", "sex", "gender", "race", "ethnicity", "view", "position", "projection", "frontal", "lateral", "pa"),
        *("laterality", "side", "eye", "index", "idx", "count", "number", "frame", "slice", "page", "width", "height"),
        *("depth", "size", "weight", "length", "area", "angle", "distance", "score", "confidence", "time", "timestamp"),
        *("year", "month", "hour", "bmi", "dose", "x", "y", "lat", "lon"),
    )
)
_SIDES_OF_A_BOX = 4
_MOST_BARE = 0.1  # of the rows: a column of labels stands in nearly all
_SAMPLED = 100  # rows by which most columns are known not to be of yes and no


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
    plural = index is not None and plain(header[index]) in _PLURAL
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
            return _by(separator)
        uses = Counter(word for text in texts for word in set(_words(text, separator)))
        shared = [word for word in words if uses[word] > 1]
        if shared if separator != " " or plural else len(several) > 2 and len(shared) == len(words):
            raise _doubtful(several, separator, place)
    return (lambda cell: cell), ""


def one_hot(
    header: Sequence[str], records: Sequence[Record], place: Path | str, how: PlaceOptions
) -> tuple[Sequence[str], Sequence[Record], tuple[int, ...]]:
    """The table with one more column `label`, of lists, if columns of 0 and 1 stand where none of labels does.

    ``--label-column ants,bees`` names the columns.

    Returns: header, records and the places of the columns that are labels now, none if there are no such.

    Raises: DataError: a column of 0 and 1 is called as a split is; one of them beside columns that are one-hot; a
        column that is named holds other values.
    """
    if how.label_column is not None and ("," not in how.label_column or how.label_column in header):
        return header, records, ()
    if how.label_column is not None:
        binary = _asked(how.label_column, header, records, place)
    elif any(known(name) == "label" for name in header):
        return header, records, ()
    else:
        said = set(how.given().values()) if how.group or how.image_column or how.split_column else set()
        columns = [n for n, name in enumerate(header) if known(name) is None and name not in said and name.strip()]
        binary = _binary(header, records, columns)
        splits = [n for n in binary if flag_of(header[n]) is not None]
        unknown = [n for n in columns if n not in binary and _unknown(records, n)]
        _refuse_unknown(header, unknown, [n for n in binary if n not in splits], place)
        if len(binary) < 2:
            return header, records, ()
        if splits:
            raise DataError(
                f"the column {one_line(header[splits[0]])!r} of 0 and 1 may be a split or a class",
                where=place,
                hint="--label-column names the column of labels, or columns of 0 and 1 joined by commas",
            )
        if not _one_each(marks := _marks(records, binary)):
            _refuse_beside(header, marks, binary, place)
            _refuse_facts(header, records, columns, binary, place)
    yes = {n: _cells_of_yes(records, n) for n in binary}
    made: list[Record] = []
    for line, values in records:
        labels = [header[n] for n in binary if len(values) > n and values[n] in yes[n]]
        full = len(values) >= len(header)
        made.append((line, [*values[: len(header)], labels, *values[len(header) :]] if full else values))
    return [*header, "label"], made, binary


def _asked(text: str, header: Sequence[str], records: Sequence[Record], place: Path | str) -> tuple[int, ...]:
    names = [name.strip() for name in text.split(",")]
    if strange := [name for name in names if name not in header]:
        there = one_line(", ".join(header))
        raise DataError(f"there is no column {strange[0]!r}", where=place, hint=f"there are: {there}")
    found = tuple(header.index(name) for name in names)
    unknown = [n for n in found if _unknown(records, n)]
    _refuse_unknown(header, unknown, [n for n in found if n not in unknown], place)
    if other := [header[n] for n in found if _yes_of(records, n) is None]:
        raise DataError(
            f"the column {one_line(other[0])!r} holds other values than 0 and 1",
            where=place,
            hint="--label-column names one column of labels, or columns of 0 and 1, joined by commas",
        )
    return found


def _unknown(records: Sequence[Record], index: int) -> bool:
    """Whether a column of 1 and 0 also says -1, or nothing: of CheXpert, "uncertain" and "not mentioned"."""
    some = {_text(cell) for cell in _distinct(records[:_SAMPLED], index)}
    if not some <= {"1", "0", "-1", ""}:
        return False
    texts = {_text(cell) for cell in _distinct(records, index)}
    return texts <= {"1", "0", "-1", ""} and "1" in texts and ("" in texts or {"0", "-1"} <= texts)


def _refuse_unknown(header: Sequence[str], unknown: Sequence[int], classes: Sequence[int], place: Path | str) -> None:
    """Raises: DataError: of columns of 1 and 0, two or more, some say a third thing; nobody knows whether that is a no.

    unknown: the columns that do. classes: the others.
    """
    if unknown and len(unknown) + len(classes) > 1:
        raise DataError(
            f"the column {one_line(header[unknown[0]])!r} holds 1, and also -1 or nothing: no, or not known?",
            where=place,
            hint="write 0 or 1 there, or leave the rows out; --label-column names the columns of 0 and 1, with commas",
        )


def _binary(header: Sequence[str], records: Sequence[Record], columns: Sequence[int]) -> tuple[int, ...]:
    """The columns of yes and no; what is called as no label is (an age, the sides of a box) only if all are one-hot."""
    found = tuple(n for n in columns if _yes_of(records, n) is not None)
    boxed = sum(map(is_side, header)) >= _SIDES_OF_A_BOX
    classes = tuple(n for n in found if not is_no_label(header[n]) and not (boxed and is_side(header[n])))
    return found if len(classes) == len(found) or _one_each(_marks(records, found)) else classes


def _marks(records: Sequence[Record], binary: Sequence[int]) -> NDArray[np.bool_]:
    """(N, K): whether a row says yes in a column; rows that are too short are left out."""
    yes = {n: _cells_of_yes(records, n) for n in binary}
    rows = [[values[n] in yes[n] for n in binary] for _, values in records if len(values) > max(binary, default=0)]
    return np.array(rows, bool).reshape(len(rows), len(binary))


def _one_each(marks: NDArray[np.bool_]) -> bool:
    return bool((marks.sum(1) == 1).all())


def _refuse_beside(header: Sequence[str], marks: NDArray[np.bool_], binary: Sequence[int], place: Path | str) -> None:
    """Columns beside one-hot ones (male, blurred) may be something else than classes.

    Raises: DataError: all columns but one are one-hot, or three and more that stand side by side.
    """
    if len(binary) < 3:
        return
    every = range(len(binary))
    but_one = ([k for k in every if k != n] for n in every)
    found = next((left for left in but_one if _one_each(marks[:, left])), None) or _run_of_one_each(marks)
    if not found:
        return
    beside = next(header[binary[k]] for k in every if k not in found)
    others = ",".join(header[binary[k]] for k in found)
    raise DataError(
        f"the column {one_line(beside)!r} of 0 and 1 may be a class, or something else beside the others, "
        "of which each row has one",
        where=place,
        hint=f"--label-column {one_line(repr(others))} names the columns of classes",
    )


def _run_of_one_each(marks: NDArray[np.bool_]) -> Sequence[int]:
    """The longest run of three or more columns of which each row has one; empty where there is none."""
    sums = np.zeros((marks.shape[1] + 1, len(marks)), np.int32)
    np.cumsum(marks.T, axis=0, out=sums[1:])
    ends = {one.tobytes(): n for n, one in enumerate(sums)}
    runs = [range(n, ends.get((one + 1).tobytes(), 0)) for n, one in enumerate(sums)]
    return max((run for run in runs if len(run) > 2), key=len, default=())


def _refuse_facts(
    header: Sequence[str], records: Sequence[Record], columns: Sequence[int], binary: Sequence[int], place: Path | str
) -> None:
    """Columns of yes and no that do not exclude each other may be facts beside the label: survival, intubated.

    Raises: DataError: another column may be the label as well.
    """
    rival = next((n for n in columns if n not in binary and _may_be_label(header[n], records, n, len(binary))), None)
    if rival is None:
        return
    all_of = ",".join(header[k] for k in binary)
    some = ",".join(header[k] for k in binary[:_MOST_NAMED]) + (",…" if len(binary) > _MOST_NAMED else "")
    raise DataError(
        f"the label may be {one_line(header[rival])!r}, or the columns {one_line(some)} of yes and no",
        where=place,
        hint=f"--label-column {one_line(header[rival])!r}, or --label-column {one_line(repr(all_of))}",
    )


def _may_be_label(name: str, records: Sequence[Record], index: int, facts: int) -> bool:
    """Whether a column beside some of yes and no may be the label: words, or three and more whole numbers, come again.

    facts: how many of yes and no there are. Beside more than two, words that are a person's sex or a picture's view are
        no label, nor what may be a group: tables of many classes have such columns.
    """
    texts = Counter(str(values[index]).strip() for _, values in records if len(values) > index)
    bare = sum(texts.pop(text, 0) for text in MISSING)
    if not 1 < len(texts) <= len(records) / 2 or bare > _MOST_BARE * len(records):
        return False
    other = bool(_FACTS & set(words_of(name)[-1:])) or is_no_label(name) or may_be_group(name) or is_side(name)
    if not any(text[0].isdecimal() for text in texts):
        return not other or facts == 2
    return not other and len(texts) > 2 and all(text.removesuffix(".0").isdecimal() for text in texts)


def _yes_of(records: Sequence[Record], index: int) -> str | None:
    """What stands for yes in a column of yes and no, or None: it is no such column."""
    for some in (records[:_SAMPLED], records):
        texts = {_text(cell) for cell in _distinct(some, index)}
        fitting = [yes for yes, no in _PAIRS if texts <= {yes, no} and (yes in texts or some is not records)]
        if not texts or not fitting:
            return None
    return fitting[0]


def _cells_of_yes(records: Sequence[Record], index: int) -> set[Any]:
    yes = _yes_of(records, index)
    return {cell for cell in _distinct(records, index) if _text(cell) == yes}


def _distinct(records: Sequence[Record], index: int) -> set[Any]:
    """What stands in a column; lists and the like, which are no yes or no, as text."""
    try:
        return {values[index] for _, values in records if len(values) > index}
    except TypeError:
        return {str(values[index]) for _, values in records if len(values) > index}


def _text(cell: Any) -> str:
    return str(cell).strip().lower().removesuffix(".0")


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

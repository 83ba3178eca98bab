"""Several labels of a picture as columns of yes and no (0 and 1), one a class."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.data.missing import MISSING
from frostline.data.places.place_options import PlaceOptions
from frostline.data.split_names import words_of
from frostline.data.tables.boxes import is_side
from frostline.data.tables.columns import Record, flag_of, is_no_label, known, may_be_group
from frostline.errors import DataError, one_line

_PAIRS = (("1", "0"), ("1", "-1"), ("true", "false"), ("yes", "no"), ("y", "n"), ("是", "否"), ("有", "无"))
_MOST_NAMED = 5
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

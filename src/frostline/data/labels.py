"""Labels as Python programs hold them: numbers, booleans or text, in lists, arrays, Series and tensors.

A model knows its classes by name, and a program knows them by value. Here values become names, and names become values
of the type that they had. pandas and torch are not asked for: things are told by what they can do.
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.data.missing import is_nothing
from frostline.errors import LabelError, one_line

_FORMS = "text, whole numbers or booleans: one for each picture, or a list of several"
_SEVERAL = (list, tuple, set, frozenset)
TYPES = ("bool", "object", "str", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
FLOATS = ("float16", "float32", "float64")


@dataclass(frozen=True, eq=False)
class Labels:
    """names: of each picture, one or (with `several`) any number. dtype: of the values, as NumPy calls it, or "str".

    columns: names of all classes, where an indicator matrix has a column for each; else None.
    """

    names: tuple[tuple[str, ...], ...]
    dtype: str = "str"
    several: bool = False
    columns: tuple[str, ...] | None = None


def labels_of(y: Any) -> Labels:
    """What a program's labels mean.

    y: (N,) or (N, 1) of text, whole numbers or booleans; an indicator matrix (N, K) of 0 and 1, or N lists of labels,
        for several labels a picture.

    Raises: LabelError: a missing label (None, NaN, empty text), numbers with a fraction, bytes, a mixture of text and
        numbers, or a matrix of one-hot rows, which may mean one label a picture or several.
    """
    if hasattr(y, "detach") and hasattr(y, "numpy"):
        y = y.detach().cpu().numpy()
    if hasattr(y, "toarray"):  # SciPy's sparse matrices
        y = y.toarray()
    if isinstance(y, np.ma.MaskedArray) and y.size:
        _refuse_missing(np.ma.getmaskarray(y).reshape(len(y), -1).any(1))
    if hasattr(y, "__array__") and not hasattr(y, "iloc"):
        y = np.asarray(y)
    if isinstance(y, str | bytes | Mapping | set | frozenset) or not isinstance(y, Iterable):
        raise LabelError(f"labels are {one_line(repr(y))[:80]}", hint=f"{_FORMS}, in the pictures' order")
    columns = getattr(y, "columns", ())  # of a DataFrame
    if len(columns) > 1:
        return _indicators(np.asarray(y), tuple(str(name) for name in columns))
    if not isinstance(y, np.ndarray) and not hasattr(y, "iloc"):
        y = list(y)
        if y and all(isinstance(one, _SEVERAL) for one in y):
            return _indicators(np.array(y), None) if _is_matrix(y) else _lists(y)
        y = [one.item() if hasattr(one, "detach") else one for one in y]
        _refuse_mixture(y)
    values = np.asarray(y)
    if values.ndim == 2 and values.shape[1] == 1:
        warnings.warn(
            "A column-vector y was passed when a 1d array was expected: it is taken as (n_samples,)",
            _conversion_warning(),
            stacklevel=3,
        )
        values = values[:, 0]
    if values.dtype.kind == "O" and values.ndim == 1 and len(values):
        if all(isinstance(one, _SEVERAL) for one in values):
            return _lists(list(values))
        _refuse_mixture(list(values))
        if not isinstance(values[0], str):
            values = np.asarray(list(values))
    if values.ndim == 2:
        return _indicators(values, None)
    if values.ndim != 1:
        raise LabelError(f"labels have the shape {values.shape}", hint=_FORMS)
    return Labels(tuple((name,) for name in _names(values)), _type_of(values))


def values_of(names: Sequence[str], dtype: str) -> NDArray[Any]:
    """Class names as the values that they were, in the same order; text where they are not what `dtype` says."""
    try:
        if dtype == "bool" and set(names) <= {"True", "False"}:
            return np.array([name == "True" for name in names])
        if dtype == "object":
            return np.array(names, dtype=object)
        if dtype in TYPES[3:] or dtype in FLOATS:
            return np.array([int(name) for name in names], dtype=dtype)  # of its own type: uint64 beside 5 is a float
    except (ValueError, OverflowError):
        pass
    return np.array(names, dtype=np.str_)


def names_known(labels: Labels, classes: Sequence[str]) -> Labels:
    """The same labels for a model of those classes: True and 1 are one where the model knows only one of them."""
    known = set(classes)
    other = {"True": "1", "False": "0", "1": "True", "0": "False"}
    there = {name for row in labels.names for name in row}
    if there <= known or not all(name in known or other.get(name) in known for name in there):
        return labels
    same = tuple(tuple(name if name in known else other[name] for name in row) for row in labels.names)
    return Labels(same, labels.dtype, labels.several, labels.columns)


def _type_of(values: NDArray[Any]) -> str:
    if values.dtype.kind == "f" and values.dtype.name not in FLOATS:  # longer ones, which are not on every machine
        return "float64"
    return "str" if values.dtype.kind in "UT" else values.dtype.name


def _names(values: NDArray[Any]) -> list[str]:
    kind = values.dtype.kind
    if kind in "biu":
        return [str(value) for value in values.tolist()]
    if kind in "UT" or (kind == "O" and all(isinstance(value, str) for value in values)):
        names = [str(value) for value in values.tolist()]
        _refuse_missing([not name.strip() for name in names])
        return names
    if kind == "f":
        _refuse_missing(~np.isfinite(values))
        if not (values == np.round(values)).all():
            raise LabelError(
                f"Unknown label type: continuous. Labels are numbers with a fraction, first: {values[0]}",
                hint=f"classes are {_FORMS}; a quantity is no class",
            )
        return [str(int(value)) for value in values.tolist()]
    told = type(values[0]).__name__ if kind == "O" else values.dtype.name
    told = "bytes: decode them" if kind == "S" else f"of type {told}"
    raise LabelError(f"labels are {told}", hint=f"{_FORMS}; [str(label) for label in y] makes text of anything")


def _is_matrix(rows: list[Any]) -> bool:
    """Whether lists of labels are the rows of an indicator matrix: of one length, and 0 and 1 throughout."""
    if len({len(row) for row in rows}) != 1 or len(rows[0]) < 2 or any(isinstance(r, set | frozenset) for r in rows):
        return False
    return all(isinstance(one, int | np.integer) and one in (0, 1) for row in rows for one in row)


def _lists(rows: list[Any]) -> Labels:
    for row in rows:
        _refuse_missing([is_nothing(one) for one in row])
    flat = [one for row in rows for one in row]
    _refuse_mixture(flat)
    if not flat:
        raise LabelError("no picture has a label", hint=_FORMS)
    values = np.asarray(flat)
    names = iter(_names(values))
    several = any(len(row) != 1 for row in rows)
    ordered = [list(row) for row in rows]
    return Labels(tuple(tuple(next(names) for _ in row) for row in ordered), _type_of(values), several)


def _indicators(values: NDArray[Any], columns: tuple[str, ...] | None) -> Labels:
    flags = values.astype(np.float64) if values.dtype.kind in "biuf" else np.full(values.shape, np.nan)
    if not np.isin(flags, (0, 1)).all():
        raise LabelError(
            f"labels are a matrix {values.shape} of other values than 0 and 1",
            hint="one column of labels, or a column of 0 and 1 for each class",
        )
    if len(flags) and (flags.sum(1) == 1).all():
        raise LabelError(
            f"labels are one-hot: in each of the {len(flags)} rows one of {flags.shape[1]} columns is 1",
            hint="for one label a picture pass y.argmax(1); where a picture may have several, pass lists of labels",
        )
    names = columns or tuple(str(number) for number in range(flags.shape[1]))
    rows = tuple(tuple(names[k] for k in np.flatnonzero(row)) for row in flags)
    return Labels(rows, "int64" if columns is None else "str", True, names)


def _refuse_missing(missing: Any) -> None:
    gone = [number for number, one in enumerate(missing) if one]
    if gone:
        raise LabelError(
            f"{len(gone)} of {len(missing)} pictures have no label (None, NaN or empty), first: #{gone[0]}",
            hint="leave these pictures out, or label them",
        )


def _refuse_mixture(values: list[Any]) -> None:
    _refuse_missing([is_nothing(one) for one in values])
    text = sum(isinstance(one, str) for one in values)
    if 0 < text < len(values):
        other = next(one for one in values if not isinstance(one, str))
        raise LabelError(
            f"{text} of {len(values)} labels are text, and others not, first: {one_line(repr(other))[:40]}",
            hint="make all of them text: [str(label) for label in y]",
        )


def _conversion_warning() -> type[Warning]:
    from sklearn.exceptions import DataConversionWarning

    return DataConversionWarning  # type: ignore[no-any-return]

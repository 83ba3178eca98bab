"""What stands where there is nothing: nan, NA, #N/A; and -1, which is no label unless labels are 1 and -1."""

import re
from collections.abc import Collection
from numbers import Real
from typing import Any

MISSING = frozenset(  # as pandas reads it, too
    (
        *("", "nan", "NaN", "NAN", "-nan", "-NaN", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "None", "null"),
        *("NULL", "<NA>", "NaT", "1.#IND", "1.#QNAN", "-1.#IND", "-1.#QNAN"),
        *("#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!"),
    )
)
_NONE = frozenset(("-1", "-1.0"))
_SIGN = re.compile(r"-?1(?:\.0+)?")


def all_signs(labels: Collection[str]) -> bool:
    """Whether all labels are 1 or -1, so that -1 may be one of two classes."""
    return all(map(_SIGN.fullmatch, labels))


def are_signs(labels: Collection[str]) -> bool:
    """Whether labels are 1 and -1, both: there -1 is a class.

    >>> are_signs({"1", "-1.0"}), are_signs({"0", "1", "-1"}), are_signs({"-1"})
    (True, False, False)
    """
    return all_signs(labels) and {label.partition(".")[0] for label in labels} == {"1", "-1"}


def is_none(label: str, signs: bool) -> bool:
    """Whether a label says that there is none. signs: whether labels are 1 and -1."""
    return label in MISSING or (label in _NONE and not signs)


def is_nothing(value: Any) -> bool:
    """Whether a value of Python's stands where there is none: None, NaN, NaT and pandas' NA."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, Real) and value != value

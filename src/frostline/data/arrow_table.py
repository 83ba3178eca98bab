"""Columns as an Arrow table, for Parquet that every reader reads: the one way our results become one. torch-free."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from frostline.errors import MissingExtra

_YES_OR_NO = ("novel",)


def arrow_table(columns: Mapping[str, Any]) -> Any:
    """The ``pyarrow.Table`` of columns of equal length; an array (n, D) becomes lists of D numbers, and whatever is no
    number is text, also where a part has nothing but None: all parts of a result have one schema.

    Raises: MissingExtra: pyarrow is not installed.
    """
    try:
        import pyarrow
    except ImportError:
        raise MissingExtra("Parquet needs pyarrow", hint="pip install 'frostline[parquet]', or name it .npz") from None

    def column(name: str, values: Any) -> Any:
        if isinstance(values, np.ndarray) and values.ndim == 2:
            return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(values.reshape(-1)), values.shape[1])
        if isinstance(values, np.ndarray) and values.dtype != object:
            return pyarrow.array(values)
        return pyarrow.array(values, pyarrow.bool_() if name in _YES_OR_NO else pyarrow.string())

    return pyarrow.table({name: column(name, values) for name, values in columns.items()})

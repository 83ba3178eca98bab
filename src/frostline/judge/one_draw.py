"""Pictures that belong together, duplicates or those of a group, are one draw: which of them stands for the others.

Rows are read class by class, so the first picture of a patient with two classes is always one of the class that comes
first in the alphabet: drawn at random, each stands for all of its unit.
"""

import numpy as np
from numpy.typing import NDArray

Units = NDArray[np.integer]
"""(N,) which unit each picture belongs to: those of one are one draw."""


def one_of_each(units: Units, *, seed: int = 0) -> NDArray[np.int64]:
    """The row of one picture a unit, drawn at random, units in rising order."""
    drawn = np.random.default_rng(seed).permutation(len(units))
    return np.asarray(drawn[np.unique(units[drawn], return_index=True)[1]])


def within_class(kind: NDArray[np.integer], units: Units | None) -> Units:
    """Units (N,) that are of one class each: the pictures of each class in each unit by themselves."""
    if units is None:
        return np.arange(len(kind))
    place = np.unique(units, return_inverse=True)[1]
    pairs = np.asarray(kind, np.int64) * (place.max(initial=0) + 1) + place
    return np.asarray(np.unique(pairs, return_inverse=True)[1])


def counted(kind: NDArray[np.integer], units: Units | None, classes: int) -> NDArray[np.int64]:
    """How many units (K,) have pictures of each class; one of several classes counts for each of them."""
    one = np.unique(within_class(kind, units), return_index=True)[1]
    return np.bincount(kind[one], minlength=classes)

"""Whether pictures whose names count up are more alike the nearer they stand: frames of a video, cells of one module.

Parted at random, a model learns from neighbours of what it is judged by. Compared are names of one class, one folder
and one form, equal but for their numbers: kinds that a class is made of are sorted by name too.
"""

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frostline.data.manifest import Row
from frostline.errors import FrostlineError
from frostline.judge.neighbours import unit
from frostline.run.phase_context import PhaseContext
from frostline.run.uncertainty import features_of

_FEWEST, _EACH, _LISTS = 8, 100, 10  # pictures of a list, at least and at most, and lists
_MUCH = 0.1  # solar cells cut from modules 0.12 to 0.27, five sets of single pictures 0; each in 30 draws of 20 a class


def said_of(context: PhaseContext) -> str:
    """What is to be said of the training pictures, or ""; nothing where groups are known."""
    rows = context.train.rows
    lists = [] if any(row.group is not None for row in rows) else counting_up(rows)
    try:
        x = features_of(context, context.train, np.concatenate(lists)) if lists else None
    except FrostlineError:  # the head does not read one vector a picture
        return ""
    if x is None or not (apart := more_alike(x, [len(places) for places in lists])):
        return ""
    return (
        f"nearer names have more alike pictures (mean cosine {apart:.2f} above others of the class): if some are of one"
        " source, as frames of a video are, held-out figures are too good for new sources; --group says which belong"
        " together"
    )


def counting_up(rows: Sequence[Row]) -> list[NDArray[np.int64]]:
    """Places of rows whose names differ by numbers alone, in the order of these; the longest lists, some of each."""
    found = defaultdict(list)
    for place in {row.digest or place: place for place, row in enumerate(rows)}.values():
        folder, _, name = rows[place].name.replace("\\", "/").rpartition("/")
        numbers = [(len(digits), digits) for digits in re.findall("0*([0-9]+)", name)]
        found[rows[place].labels, folder, re.sub("[0-9]+", "#", name)].append((numbers, place))
    lists = sorted((sorted(some) for some in found.values() if len(some) >= _FEWEST), key=len, reverse=True)
    return [np.array([place for _, place in some[:_EACH]]) for some in lists[:_LISTS]]


def more_alike(x: NDArray[np.floating], lengths: Sequence[int], *, seed: int = 0) -> float:
    """The mean cosine of neighbours less that of any order, of features (N, D) of one list behind the other,
    standardised and about the mean of their list; 0 where it is little, or one of 999 random orders has as much."""
    own, rng = np.repeat(np.arange(len(lengths)), lengths), np.random.default_rng(seed)
    z = (x - x.mean(0)) / np.maximum(x.std(0), 1e-6)
    about = unit(np.concatenate([z[own == k] - z[own == k].mean(0) for k in range(len(lengths))]))
    cosines, beside = about @ about.T, own[1:] == own[:-1]
    orders = (np.lexsort((rng.random(len(own)), own)) if draw else np.arange(len(own)) for draw in range(1000))
    drawn = (float(cosines[order[:-1], order[1:]][beside].mean()) for order in orders)
    first, pairs = next(drawn), [(cosines[own == k][:, own == k].sum() - n) / n for k, n in enumerate(lengths)]
    apart = first - float(np.sum(pairs)) / int(beside.sum())
    return apart if apart >= _MUCH and first > max(drawn) else 0.0

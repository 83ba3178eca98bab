"""Pictures unlike the training data: how far their features lie from the nearest that the model has learnt from.

The distance is one less the cosine to the 5th nearest of at most 1,000 training pictures (Sun et al. 2022,
arXiv:2204.06507). On the default backbone, ants and bees against solar cells and noise pictures and the other way
round, it found every strange one at a false-alarm rate of 1 %; Mahalanobis distance to the nearest class mean found
17 % of the noise. Of defective solar cells, knowing functional ones only, it found 30 %, class means 4 %. NumPy alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from frostline.errors import JudgementError, one_line
from frostline.judge.neighbours import nearest, unit
from frostline.judge.one_draw import Units, one_of_each

RATE = 0.01
"""False alarms that are aimed at: the share of pictures like the training data that are taken for strange ones."""

NEIGHBOURS = 5
MOST = 1000
"""Training pictures that are remembered, and held-out ones that are measured."""

FEWEST = 19  # held-out pictures: below, more than one in twenty good pictures would be called strange


@dataclass(frozen=True, eq=False)
class TrainingFeatures:
    """What is remembered of the training pictures.

    vectors: (M, D) float16, features of length 1. held_out: (n,) float32, rising, distances of pictures like them that
        are not among them.
    """

    vectors: NDArray[np.float16]
    held_out: NDArray[np.float32]

    @cached_property
    def single(self) -> NDArray[np.float32]:
        """The vectors as they are computed with."""
        return self.vectors.astype(np.float32)


@dataclass(frozen=True, slots=True)
class Novelty:
    """From which distance on a picture is unlike the training data.

    threshold: pictures farther than that are. false_alarms: the probability that a picture like the training data is,
        as n held-out pictures tell (a bound, by the argument of conformal prediction). past: held-out pictures that
        are. neighbours: which nearest one counts. head: path of the module that the features go into.
    known: not in ``to_dict``; a model folder keeps it in a file of its own. None: it has not been read.

    Raises: JudgementError: numbers that cannot be so.
    """

    threshold: float
    false_alarms: float
    n: int
    past: int
    neighbours: int
    head: str
    known: TrainingFeatures | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        whole = all(isinstance(count, int) for count in (self.n, self.past, self.neighbours))
        if not whole or not (0 <= self.threshold <= 3 and 0 < self.false_alarms < 1 and self.neighbours > 0):
            raise JudgementError("a threshold of novelty that cannot be so", hint="fit again")
        if not 0 <= self.past <= self.n:
            raise JudgementError(f"{self.past} of {self.n} held-out pictures cannot be strange", hint="fit again")

    def distances(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """How far each picture lies from the training data, (N,) in [0, 2], of features (N, D) in front of the head.

        Raises: JudgementError: what is known has not been read, or is of another width.
        """
        if self.known is None or features.shape[1:] != self.known.vectors.shape[1:]:
            raise JudgementError(
                f"features {features.shape} cannot be compared with what is known", hint="copy the model folder again"
            )
        return _nearest(self.known.single, features, self.neighbours)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        names = ("threshold", "false_alarms", "n", "past", "neighbours", "head")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_dict`` gave.

        Raises: JudgementError: it is something else.
        """
        try:
            n, past, neighbours = (values[name] for name in ("n", "past", "neighbours"))
            return cls(
                float(values["threshold"]), float(values["false_alarms"]), n, past, neighbours, str(values["head"])
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise JudgementError(f"no threshold of novelty: {one_line(str(error))[:100]}", hint="fit again") from None

    def with_known(self, tensors: Mapping[str, NDArray[Any]]) -> Self:
        """The same with what is known, from the tensors "vectors" and "held_out".

        Raises: JudgementError: they are missing, or not what they should be.
        """
        vectors, held_out = tensors.get("vectors"), tensors.get("held_out")
        if vectors is None or held_out is None or vectors.ndim != 2 or held_out.ndim != 1 or not vectors.size:
            raise JudgementError("what is known of the training pictures is damaged", hint="copy the folder again")
        if vectors.dtype != np.float16 or not (np.isfinite(vectors).all() and np.isfinite(held_out).all()):
            raise JudgementError("what is known of the training pictures is damaged", hint="copy the folder again")
        return replace(self, known=TrainingFeatures(vectors, held_out.astype(np.float32)))


def remembered(y: NDArray[np.generic], *, most: int = MOST, seed: int = 0) -> NDArray[np.int64]:
    """Which training pictures are remembered: at most so many, class by class in turn, so that none goes missing.

    y: (N,) classes, or (N, K) of 0 and 1.
    """
    kind = np.asarray(y) if np.ndim(y) == 1 else np.asarray(y).argmax(1)
    drawn = np.random.default_rng(seed).permutation(len(kind))
    turn = np.empty(len(kind), np.int64)
    for label in np.unique(kind):
        members = drawn[kind[drawn] == label]
        turn[members] = np.arange(len(members))
    place = np.empty(len(kind), np.int64)
    place[drawn] = np.arange(len(kind))
    return np.sort(np.lexsort((place, turn))[:most])


def measured(n: int, *, most: int = MOST, seed: int = 0) -> NDArray[np.int64]:
    """Which of n held-out pictures are measured: at most so many, at random.

    Class by class in turn, as the remembered ones, rare classes would count for more than among new pictures, and what
    is said of those would be another rate.
    """
    return np.sort(np.random.default_rng(seed).permutation(n)[:most])


def distances(known: NDArray[np.floating], features: NDArray[np.floating]) -> NDArray[np.float32]:
    """How far pictures (n, D) lie from known ones (M, D), (n,) in [0, 2]."""
    return _nearest(unit(known).astype(np.float16), features, NEIGHBOURS)


def from_distances(
    features: NDArray[np.floating], far: NDArray[np.floating], *, head: str, units: Units | None = None
) -> Novelty | None:
    """The threshold of training pictures (M, D), by how far (n,) held-out ones are; None if those are fewer than 19.

    units: (n,) which unit each held-out picture belongs to (duplicates, a group): of each one counts, drawn at
        random.
    """
    far = far.astype(np.float32)
    if units is not None:
        far = far[one_of_each(units)]
    n = len(far)
    if n < FEWEST or not np.isfinite(far).all():
        return None
    far = np.sort(far)
    rank = min(n, ceil(round((n + 1) * (1 - RATE), 9)))
    # rounded up, so that the picture that sets the threshold is not past it
    threshold = float(np.ceil(far[rank - 1] * 1e6) / 1e6)
    past = int((far > threshold).sum())
    known = TrainingFeatures(unit(features).astype(np.float16), far)
    return Novelty(threshold, (n + 1 - rank) / (n + 1), n, past, NEIGHBOURS, head, known)


def from_folds(
    features: NDArray[np.floating],
    fold: NDArray[np.integer],
    *,
    head: str,
    units: Units | None = None,
    drawn: tuple[NDArray[np.floating], NDArray[np.integer]] | None = None,
) -> Novelty | None:
    """The same where training pictures (M, D) are all there is: the distance of each to those of other folds.

    fold: (M,). drawn: features (n, D) and folds (n,) of training pictures that are measured in place of these. units:
        of those that are measured. Only for features that have not learnt from these pictures: a frozen trunk's.
    """
    held_out, out_of = (features, fold) if drawn is None else drawn
    far = np.empty(len(held_out), np.float32)
    for number in np.unique(out_of):
        inside, known = out_of == number, fold != number
        if not known.any():
            return None
        far[inside] = distances(features[known], held_out[inside])
    return from_distances(features, far, head=head, units=units)


def _nearest(vectors: NDArray[np.floating], features: NDArray[np.floating], neighbours: int) -> NDArray[np.float32]:
    """(N,): the distance to the so-manieth nearest. What is not finite is as far away as can be."""
    if not len(features):
        return np.zeros(0, np.float32)
    far = nearest(features, vectors, neighbours)[1][:, -1]
    return np.where(np.isfinite(far), np.clip(far, 0, 2), np.float32(2)).astype(np.float32)

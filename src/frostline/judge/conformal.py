"""PredictionSets of classes that hold the right one as often as promised: conformal prediction, of NumPy alone.

The score of a class is the probability of all classes before it, and a little for each rank past the first: RAPS
(Angelopoulos et al. 2021, arXiv:2009.14193) without its random part, so that one picture always gets one set. The first
class scores 0 and is in every set. A set is all classes whose score is at most that of the right class of enough
held-out pictures: with n of them, the ceil((n + 1) * coverage)-th smallest. Then a new picture of the same kind has its
class in its set with at least that probability (Vovk et al. 2005), whatever the model. Held-out pictures that chose
between epochs or phases are seen a little too well; `metrics.json` has what the sets covered.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import ceil, isfinite
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from frostline.errors import JudgementError, one_line
from frostline.judge.metrics import wilson

LEVELS = (0.8, 0.9, 0.95, 0.99)
"""Coverages that a run measures."""

PENALTY = 0.01
"""What each rank past the first adds to a score, so that long tails of improbable classes stay out."""

HALVES = 100
_MOST_SCORES = 2000
_MOST_MEASURED = 4000


@dataclass(frozen=True, slots=True)
class PredictionSets:
    """What held-out pictures have taught: enough to make sets of any coverage.

    scores: of the right classes of held-out pictures, rising; of more than 2,000 pictures evenly spaced ranks.
    n: how many pictures there were. source: what they were: "val", or "cross-validation" (by heads that had not learnt
        from them).

    Raises: JudgementError: no scores, more than pictures, or none that rise within [0, inf).
    """

    scores: tuple[float, ...]
    n: int
    source: str = "val"

    def __post_init__(self) -> None:
        steps = zip(self.scores, self.scores[1:], strict=False)
        if not 0 < len(self.scores) <= self.n or self.scores[0] < 0 or not isfinite(self.scores[-1]):
            raise JudgementError(f"{len(self.scores)} scores of {self.n} pictures make no sets", hint="fit again")
        if not all(low <= high for low, high in steps):
            raise JudgementError("the scores of prediction sets do not rise", hint="fit again")

    @property
    def highest(self) -> float:
        """The highest coverage that so many pictures can promise; above it every set is all classes."""
        return self.n / (self.n + 1)

    def threshold(self, coverage: float) -> float:
        """The score up to which classes are in a set; infinite where the coverage is above ``highest``.

        Raises: JudgementError: the coverage does not lie between 0 and 1.
        """
        if not 0 < coverage < 1:
            raise JudgementError(
                f"a coverage of {coverage:g} cannot be promised", where="--coverage", hint="between 0 and 1: 0.95"
            )
        rank = ceil(round((self.n + 1) * coverage, 9))  # 0.9 * 10 is 9, whatever its last bit says
        if rank > self.n:
            return float("inf")
        return self.scores[ceil(rank * len(self.scores) / self.n) - 1]

    def members(self, probabilities: NDArray[np.floating], coverage: float) -> NDArray[np.bool_]:
        """Which classes (N, K) are in the set of each picture, of calibrated probabilities (N, K).

        The most probable class always is.

        Raises: JudgementError: as ``threshold``.
        """
        return np.asarray(scores(probabilities) <= self.threshold(coverage) + 1e-9)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"scores": list(self.scores), "n": self.n, "source": self.source}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_dict`` gave.

        Raises: JudgementError: it is something else.
        """
        try:
            return cls(tuple(float(score) for score in values["scores"]), int(values["n"]), str(values["source"]))
        except (KeyError, TypeError, ValueError) as error:
            raise JudgementError(f"no prediction sets: {one_line(str(error))[:100]}", hint="fit again") from None


@dataclass(frozen=True, slots=True)
class CoverageResult:
    """What sets of one promised coverage came to.

    share: of pictures whose set holds their class. size: classes in a set, mean. single: share of sets of one class.
    n: pictures that were judged at once. low, high: where 95 % of shares lie: the Wilson interval on "test"; else of
        100 random halves, each half judged by sets that the other one made (how: "halves").
    """

    coverage: float
    share: float
    low: float
    high: float
    size: float
    single: float
    n: int
    how: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def scores(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """The score (N, K) of each class: 0 for the most probable; of equal ones the first counts as more probable."""
    p = np.asarray(probabilities, dtype=np.float64)
    order = np.argsort(-p, axis=1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=1)
    before = np.cumsum(ranked, axis=1) - ranked + PENALTY * np.arange(p.shape[1])
    before[:, 0] = 0.0
    found = np.empty_like(before)
    np.put_along_axis(found, order, before, axis=1)
    return found


def calibrated(probabilities: NDArray[np.floating], y: NDArray[np.integer], *, source: str = "val") -> PredictionSets:
    """PredictionSets from held-out pictures: calibrated probabilities (N, K) and classes y (N,).

    Raises: JudgementError: no pictures, or shapes that do not agree.
    """
    own = np.sort(_own(probabilities, y))
    kept = min(len(own), _MOST_SCORES)
    ranks = (len(own) * np.arange(1, kept + 1) + kept - 1) // kept  # the next larger score stands for those between
    upwards = (
        np.ceil(own[ranks - 1] * 1e6 - 1e-6) / 1e6
    )  # six digits in the file; rounded down, a set would lose its own
    return PredictionSets(tuple(upwards.tolist()), len(own), source)


def measured_on_test(
    sets: PredictionSets,
    probabilities: NDArray[np.floating],
    y: NDArray[np.integer],
    *,
    levels: Iterable[float] = LEVELS,
) -> tuple[CoverageResult, ...]:
    """What sets cover on pictures (N, K), (N,) that have had no part in anything.

    Raises: JudgementError: no pictures, or shapes that do not agree.
    """
    own, of_all = _own(probabilities, y), scores(probabilities)
    found = []
    for level in levels:
        limit = sets.threshold(level) + 1e-9
        share, sizes = wilson(int((own <= limit).sum()), len(own)), (of_all <= limit).sum(1)
        single = float((sizes == 1).mean())
        found.append(
            CoverageResult(level, share.value, share.low, share.high, float(sizes.mean()), single, len(own), how="test")
        )
    return tuple(found)


def measured_on_halves(
    probabilities: NDArray[np.floating], y: NDArray[np.integer], *, levels: Iterable[float] = LEVELS, seed: int = 0
) -> tuple[CoverageResult, ...]:
    """What sets cover where the pictures (N, K), (N,) that make them are all there is.

    Counting the very pictures that set the threshold gives what was promised whatever the model, and so does leaving
    out one at a time. So random halves make sets for each other, 100 times; what this shows is the spread. The
    temperature is of all pictures: one number, which does not change the order of two classes' scores at all. Levels
    that half the pictures cannot promise are left out.

    Raises: JudgementError: fewer than two pictures, or shapes that do not agree.
    """
    own, of_all = _own(probabilities, y), scores(probabilities)
    if len(own) < 2:
        raise JudgementError("one picture has no halves", hint="judge at least two")
    rng = np.random.default_rng(seed)
    half = min(len(own), _MOST_MEASURED) // 2
    draws = [rng.permutation(len(own))[: 2 * half] for _ in range(HALVES)]
    found = []
    for level in levels:
        if level > half / (half + 1):
            continue
        shares, sizes, singles = [], [], []
        for drawn in draws:
            limit = PredictionSets(tuple(np.sort(own[drawn[:half]]).tolist()), half).threshold(level) + 1e-9
            judged = drawn[half:]
            members = (of_all[judged] <= limit).sum(1)
            shares.append((own[judged] <= limit).mean())
            sizes.append(members.mean())
            singles.append((members == 1).mean())
        low, high = np.percentile(shares, (2.5, 97.5))
        means = [float(np.mean(values)) for values in (shares, sizes, singles)]
        found.append(CoverageResult(level, means[0], float(low), float(high), means[1], means[2], half, how="halves"))
    return tuple(found)


def _own(probabilities: NDArray[np.floating], y: NDArray[np.integer]) -> NDArray[np.float64]:
    """The score (N,) of each picture's own class."""
    if probabilities.ndim != 2 or np.shape(y) != (len(probabilities),) or not len(probabilities):
        raise JudgementError(
            f"probabilities {probabilities.shape} must be (N, K), classes {np.shape(y)} must be (N,), N above 0",
            hint="sets are for one class a picture",
        )
    return np.asarray(np.take_along_axis(scores(probabilities), np.asarray(y)[:, None], axis=1)[:, 0])

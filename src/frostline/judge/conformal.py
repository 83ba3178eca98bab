"""PredictionSets of classes that hold the right one as often as promised: conformal prediction, of NumPy alone.

The score of a class is the probability of all classes before it, and a little for each rank past the first: RAPS
(Angelopoulos et al. 2021, arXiv:2009.14193) without its random part, so that one picture always gets one set. The first
class scores 0 and is in every set. A set is all classes whose score is at most that of the right class of enough
held-out pictures: with n of them, the ceil((n + 1) * coverage)-th smallest. Then a new picture of the same kind has its
class in its set with at least that probability (Vovk et al. 2005), whatever the model. Held-out pictures that chose
between epochs or phases are seen a little too well; `metrics.json` has what the sets covered on a test split.

That promise is one over all classes: a rare one may be covered far less. Where coverage would differ by class, each
class has a threshold of its own (Mondrian: Vovk 2012). Classes with few pictures, where there are many of them, share
one by clusters of alike scores (Ding et al. 2023, arXiv:2306.09335); what is rarer than that, one together. A class of
m pictures can promise m / (m + 1) by itself: where that is less than what is asked for, its threshold is the highest
that its pictures know, and at least that of all, so that the promise over all classes stays.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import ceil, isfinite
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from frostline.errors import JudgementError, one_line
from frostline.judge.class_groups import differs, grouped
from frostline.judge.intervals import share
from frostline.judge.one_draw import counted, one_of_each, within_class

LEVELS = (0.8, 0.9, 0.95, 0.99)
"""Coverages that a run measures."""

PENALTY = 0.01
"""What each rank past the first adds to a score, so that long tails of improbable classes stay out."""

_MOST_SCORES = 2000
_DRAWS = 4000


@dataclass(frozen=True, slots=True)
class PredictionSets:
    """What held-out pictures have taught: enough to make sets of any coverage.

    scores: of the right classes of held-out pictures, rising; of more than 2,000 pictures evenly spaced ranks.
    n: how many pictures there were. groups: for each class which list of `own` is its, or empty where one threshold is
        enough. own: scores of the right classes of pictures of one class, or of several rare ones together, rising.
    held: how many of the pictures each class has, where there are groups; empty in model folders that do not say so.
    source: what they were: "val", or "cross-validation" (by heads that had not learnt
        from them).

    Raises: JudgementError: no scores, more than pictures, or none that rise within [0, inf).
    """

    scores: tuple[float, ...]
    n: int
    source: str = "val"
    groups: tuple[int, ...] = ()
    own: tuple[tuple[float, ...], ...] = ()
    held: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        steps = zip(self.scores, self.scores[1:], strict=False)
        if not 0 < len(self.scores) <= self.n or self.scores[0] < 0 or not isfinite(self.scores[-1]):
            raise JudgementError(f"{len(self.scores)} scores of {self.n} pictures make no sets", hint="fit again")
        if not all(low <= high for low, high in steps):
            raise JudgementError("the scores of prediction sets do not rise", hint="fit again")
        for found in self.own:
            if not found or found[0] < 0 or not isfinite(found[-1]) or list(found) != sorted(found):
                raise JudgementError("the scores of a class make no sets", hint="fit again")
        if not all(0 <= group < len(self.own) for group in self.groups):
            raise JudgementError("a class has no scores of its own", hint="fit again")
        if self.held and (len(self.held) != len(self.groups) or not all(0 <= count <= self.n for count in self.held)):
            raise JudgementError("the held-out pictures of each class cannot be so many", hint="fit again")

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
        rank = _rank(self.n, coverage)
        if rank > self.n:
            return float("inf")
        return self.scores[ceil(rank * len(self.scores) / self.n) - 1]

    def thresholds(self, coverage: float) -> NDArray[np.float64] | float:
        """The same of each class (K,), or one for all.

        Raises: JudgementError: as ``threshold``.
        """
        if not self.groups:
            return self.threshold(coverage)
        limits = self.limits(coverage)
        return np.array([limits[group] for group in self.groups])

    def limits(self, coverage: float) -> list[float]:
        """The threshold of each list of scores in `own`.

        Raises: JudgementError: as ``threshold``.
        """
        shared = self.threshold(coverage)
        ranks = [_rank(len(found), coverage) for found in self.own]
        return [
            found[rank - 1] if rank <= len(found) else max(shared, found[-1])
            for found, rank in zip(self.own, ranks, strict=True)
        ]

    def promises(self, coverage: float) -> dict[int, tuple[float, int]]:
        """Of each class that can be promised less than that by itself: what can be, and by how many pictures."""
        sizes = self.held or [len(self.own[group]) for group in self.groups]
        return {k: (m / (m + 1), m) for k, m in enumerate(sizes) if m / (m + 1) < coverage - 1e-9}

    def members(self, probabilities: NDArray[np.floating], coverage: float) -> NDArray[np.bool_]:
        """Which classes (N, K) are in the set of each picture, of calibrated probabilities (N, K).

        The most probable class always is.

        Raises: JudgementError: as ``threshold``.
        """
        return self.within(scores(probabilities), coverage)

    def within(self, scored: NDArray[np.float64], coverage: float) -> NDArray[np.bool_]:
        """The same of scores (N, K), which are one for all coverages.

        Raises: JudgementError: as ``threshold``.
        """
        return np.asarray(scored <= self.thresholds(coverage) + 1e-9)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain = {"scores": list(self.scores), "n": self.n, "source": self.source}
        if not self.groups:
            return plain
        own = {"groups": list(self.groups), "own": [list(found) for found in self.own]}
        return plain | own | ({"held": list(self.held)} if self.held else {})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_dict`` gave.

        Raises: JudgementError: it is something else.
        """
        try:
            own = tuple(tuple(float(score) for score in found) for found in values.get("own", ()))
            groups = tuple(int(group) for group in values.get("groups", ()))
            every = tuple(float(score) for score in values["scores"])
            held = tuple(int(count) for count in values.get("held", ()))
            return cls(every, int(values["n"]), str(values["source"]), groups, own, held)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise JudgementError(f"no prediction sets: {one_line(str(error))[:100]}", hint="fit again") from None


@dataclass(frozen=True, slots=True)
class CoverageResult:
    """What sets of one promised coverage came to.

    share: of pictures whose set holds their class, or None where nothing but the pictures that made the sets is there:
        those are covered as promised whatever the model, so counting them would tell nothing.
    low, high: on "test" the 95 % interval of the share; else (how: "promised") where the true coverage lies in 95 % of
        draws of n pictures to make sets of, or more.
    size: classes in a set, mean. single: share of sets of one class. n: pictures, of the test split or that made them
        (those of a group, and duplicates, are one then: pictures says how many there were).
    by_class: on "test" the share of each class with its count; else what can be promised of classes that have too few
        pictures for more, with how many they have.
    """

    coverage: float
    share: float | None
    low: float
    high: float
    size: float
    single: float
    n: int
    how: str
    by_class: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    pictures: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_dict`` gave, read back from JSON."""
        by_class = {name: (float(share), int(n)) for name, (share, n) in values.get("by_class", {}).items()}
        return cls(**{**values, "by_class": by_class})


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


def calibrated(
    probabilities: NDArray[np.floating],
    y: NDArray[np.integer],
    *,
    source: str = "val",
    units: NDArray[np.integer] | None = None,
    by_class: bool | None = None,
) -> PredictionSets:
    """PredictionSets from held-out pictures: calibrated probabilities (N, K) and classes y (N,).

    units: (N,) which unit each picture belongs to (duplicates, a group): a unit then counts as one picture (Lee, Barber
        & Willett 2023, arXiv:2306.06342). by_class: thresholds of classes too; None: where coverage would differ.

    Raises: JudgementError: no pictures, or shapes that do not agree.
    """
    own = _own(probabilities, y)
    ranked = _of_units(own, units)
    found = PredictionSets(_kept(ranked), len(ranked), source)
    kind = np.asarray(y)
    one = one_of_each(within_class(kind, units))  # a unit of several classes tells of each of them
    limits = [limit for limit in map(found.threshold, (0.9, 0.95)) if isfinite(limit)]
    if by_class is False or (by_class is None and not differs(limits, own[one], kind[one])):
        return found
    groups, members = grouped(own, kind, probabilities.shape[1], units)
    lists = [_of_units(own[rows], None if units is None else units[rows]) for rows in members]
    kept = tuple(_kept(ranks) if len(ranks) else found.scores for ranks in lists)
    held = tuple(counted(kind, units, probabilities.shape[1]).tolist())
    return PredictionSets(found.scores, found.n, source, tuple(groups.tolist()), kept, held)


def from_folds(
    probabilities: NDArray[np.floating],
    y: NDArray[np.integer],
    fold: NDArray[np.integer],
    *,
    units: NDArray[np.integer] | None = None,
    by_class: bool | None = None,
) -> PredictionSets:
    """The same of out-of-fold probabilities: of each picture (N, K) by a head that has not learnt from its fold (N,).

    CV+ (Romano, Sesia & Candès 2020, arXiv:2006.02544; Barber et al. 2021): a class is in the set of a new picture if
    its score there is at most that of the right class of enough pictures. CV+ scores the new picture by each fold's
    head; the one head that is shipped has learnt from all folds and stands for them, which is the same where a fold
    more changes little. CV+ promises 1 - 2 (1 - coverage) for certain and the coverage nearly always.

    Raises: JudgementError: as ``calibrated``, or one fold only, which leaves nothing out.
    """
    if np.shape(fold) != np.shape(y) or len(np.unique(fold)) < 2:
        raise JudgementError("out-of-fold probabilities need two folds or more", hint="give the fold of each picture")
    if units is not None and len(np.unique(within_class(np.asarray(fold), units))) > len(np.unique(units)):
        raise JudgementError("a group or duplicates lie in two folds", hint="see data.split.fold_numbers")
    return calibrated(probabilities, y, source="cross-validation", units=units, by_class=by_class)


def measured_on_test(
    sets: PredictionSets,
    probabilities: NDArray[np.floating],
    y: NDArray[np.integer],
    *,
    classes: Sequence[str] = (),
    units: NDArray[np.integer] | None = None,
    levels: Iterable[float] = LEVELS,
) -> tuple[CoverageResult, ...]:
    """What sets cover on pictures (N, K), (N,) that have had no part in anything; classes: K names, for each by itself.

    Raises: JudgementError: no pictures, or shapes that do not agree.
    """
    _own(probabilities, y)
    kind, found, scored = np.asarray(y), [], scores(probabilities)
    there, counts = np.unique(kind, return_counts=True)
    for level in levels:
        members = sets.within(scored, level)
        hit, sizes = members[np.arange(len(kind)), kind], members.sum(axis=1)
        figure = share(hit, units)
        hits = np.bincount(kind, weights=hit, minlength=len(classes))
        by_class = {
            classes[k]: (float(hits[k] / n), int(n)) for k, n in zip(there, counts, strict=True) if k < len(classes)
        }
        size, single = float(sizes.mean()), float((sizes == 1).mean())
        found.append(
            CoverageResult(
                level, figure.value, figure.low, figure.high, size, single, len(kind), how="test", by_class=by_class
            )
        )
    return tuple(found)


def promised(
    sets: PredictionSets,
    probabilities: NDArray[np.floating],
    *,
    classes: Sequence[str] = (),
    pictures: int = 0,
    levels: Iterable[float] = LEVELS,
) -> tuple[CoverageResult, ...]:
    """What can be said of sets where only pictures (N, K) are there that made them: their sizes, and how far the
    true coverage may lie from the promise.

    classes: K names. pictures: that made them, if more than these. Levels that n pictures cannot promise are left out.
    """
    found, scored = [], scores(probabilities)
    for level in levels:
        if _rank(sets.n, level) > sets.n:
            continue
        sizes = sets.within(scored, level).sum(axis=1)
        low, high = _reach(sets, level)
        size, single = float(sizes.mean()), float((sizes == 1).mean())
        few = {classes[k]: held for k, held in sets.promises(level).items()} if classes else {}
        made_of = max(pictures, len(probabilities))
        found.append(CoverageResult(level, None, low, high, size, single, sets.n, "promised", few, made_of))
    return tuple(found)


def _rank(n: int, coverage: float) -> int:
    """Which of n rising scores promises a coverage; above n where none does."""
    return ceil(round((n + 1) * coverage, 9))  # 0.9 * 10 is 9, whatever its last bit says


def _reach(sets: PredictionSets, level: float) -> tuple[float, float]:
    """Where the true coverage of sets lies in 95 % of draws of the pictures that made them.

    Of one threshold it is Beta distributed (Vovk 2012); of several, each for its share of the pictures, the sum is. A
    class that cannot be promised as much has a threshold that is no lower than that of all, which then says the least.
    """
    from scipy.stats import beta

    rank = _rank(sets.n, level)
    low = float(beta.ppf(0.025, rank, sets.n + 1 - rank))
    if not sets.groups:
        most = _at_most(sets.scores, sets.n, rank, sets.threshold(level))
        return low, 1.0 if most is None else float(beta.ppf(0.975, *most))
    sizes = [len(found) for found in sets.own]
    ranks = [_rank(size, level) for size in sizes]
    held = np.bincount(sets.groups, sets.held, len(sizes)) if sets.held else np.array(sizes, np.float64)
    rng, lows, highs = np.random.default_rng(0), np.zeros(_DRAWS), np.zeros(_DRAWS)
    weights = held / max(1.0, held.sum())
    for weight, found, rank, limit in zip(weights, sets.own, ranks, sets.limits(level), strict=True):
        most = _at_most(found, len(found), rank, limit)
        lows += weight * rng.beta(rank, max(1, len(found) + 1 - rank), _DRAWS)
        highs += weight * (1.0 if most is None else rng.beta(*most, _DRAWS))
    short = any(rank > size for rank, size in zip(ranks, sizes, strict=True))
    return low if short else float(np.quantile(lows, 0.025)), float(np.quantile(highs, 0.975))


def _at_most(found: Sequence[float], n: int, rank: int, limit: float) -> tuple[int, int] | None:
    """The Beta distribution that bounds the coverage of a threshold from above; None: it may be 1.

    found: rising scores of n pictures, `_kept` of them. Where more of them than the rank are no higher, as of all whose
    class comes first, the coverage is that of one more than these at most.
    """
    upto = int(np.searchsorted(found, limit + 1e-9, side="right"))
    held = n if upto == len(found) else ceil(n * (upto + 1) / len(found)) - 1
    if held == rank and limit > 0:
        return rank, n + 1 - rank
    return None if held == n else (held + 1, n - held)


def _kept(rising: NDArray[np.float64]) -> tuple[float, ...]:
    """At most 2,000 of the scores, evenly spaced ranks; the next larger one stands for those between."""
    kept = min(len(rising), _MOST_SCORES)
    ranks = (len(rising) * np.arange(1, kept + 1) + kept - 1) // kept
    # six digits in the file; rounded down, a set would lose its own
    return tuple((np.ceil(rising[ranks - 1] * 1e6 - 1e-6) / 1e6).tolist())


def _of_units(own: NDArray[np.float64], units: NDArray[np.integer] | None) -> NDArray[np.float64]:
    """Scores, rising, one a unit: the j-th is that below which the weight of j units lies, each spread over its own."""
    if units is None:
        return np.sort(own)
    place = np.unique(units, return_inverse=True)[1]
    weight, order = 1 / np.bincount(place)[place], np.argsort(own, kind="stable")
    upto = np.cumsum(weight[order])
    found = np.searchsorted(upto, np.arange(1, place.max() + 2) - 1e-9)
    return np.asarray(own[order][np.minimum(found, len(own) - 1)])


def _own(probabilities: NDArray[np.floating], y: NDArray[np.integer]) -> NDArray[np.float64]:
    """The score (N,) of each picture's own class."""
    if probabilities.ndim != 2 or np.shape(y) != (len(probabilities),) or not len(probabilities):
        raise JudgementError(
            f"probabilities {probabilities.shape} must be (N, K), classes {np.shape(y)} must be (N,), N above 0",
            hint="sets are for one class a picture",
        )
    return np.asarray(np.take_along_axis(scores(probabilities), np.asarray(y)[:, None], axis=1)[:, 0])

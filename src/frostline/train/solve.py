"""A head that is solved, not stepped: logistic regression, its strength chosen by cross-validation.

`likelihood` says what is fitted, `logistic` fits it at one strength, `standardise` prepares the features, `strength`
chooses, and how far the logits are spread. scikit-learn's C is 1 / (strength * sum of the pictures' weights). Large
features are never copied: what is done to them is folded into the weights, and one fold is enough to choose by.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from frostline import blas
from frostline.errors import DataError, PlanError
from frostline.train import standardise, strength
from frostline.train.likelihood import AnyFloats, Floats, Indices, Likelihood, inverse_frequency, likelihood_of
from frostline.train.logistic import Problem
from frostline.train.standardise import Design, Head, Moments, chunks
from frostline.train.strength import Judge, Trial

_LARGE = 5 * 10**7  # pictures x features x classes from which one fold, one floor and fewer digits are enough
_FEW = 512  # pictures or features up to which one thread is enough
_EVERYONE = -1  # the fold of pictures that every fold learns from


@dataclass(frozen=True)
class Solved:
    """A linear head over features as they are (standardisation is folded in).

    weight: (K, D) float32. bias: (K,) float32. strength, floor, spread: those chosen; what the features say is
        multiplied by spread, and the logits of the mean picture are not. at_end: the strength is the weakest that may
        be chosen. converged: whether the steps of the last fit reached its minimum.
    judged: (N,), whether a picture can be held out: not where all pictures of its class are in one fold, as the only
        one is. Those are learned from by all.
    first: (N,), those that were held out while the strength was chosen: all judged ones, or a fold of them if the
        problem is large. Their logits, ``out_of_first_fold``, take no time.
    out_of_fold: logits (N, K) float32, of each judged picture by a head that has learned nothing from it: neither its
        weights, nor the means and deviations of features, nor its strength, floor and spread. Of the others, by the
        head. Where the problem is large this takes about as long again as the head did.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    strength: float
    floor: float
    spread: float
    at_end: bool
    converged: bool
    judged: NDArray[np.bool_]
    first: NDArray[np.bool_]
    out_of_fold: Callable[[], NDArray[np.float32]]
    out_of_first_fold: Callable[[], NDArray[np.float32]]


def solve(
    x: AnyFloats,
    y: Indices | AnyFloats,
    *,
    classes: int,
    balanced: bool = False,
    seed: int = 0,
    folds: int | Indices = 5,
    ends: tuple[int, ...] = (),
    tell: Callable[[int], None] | None = None,
) -> Solved:
    """Solve a head for features.

    x: (N, D) finite. y: (N,) in [0, classes), or (N, classes) of 0 and 1 where a picture may have
        several classes or none. balanced: weigh pictures by the inverse frequency of their class.
    folds: how many, or (N,) the fold of each picture, where duplicates and groups must stay together.
    ends: where groups of features end, if each is to have a scale of its own (Evci et al. 2022, arXiv:2201.03529).
    tell: is told how many fits are done; there are some dozens, and how many is not known before.

    Deterministic: equal input gives equal output on one machine. Memory beside x: some (N, K) arrays, 20 of (K, D),
    some of (D, D), and at most 500 MB.

    Raises: DataError: x is not finite, x and y disagree, or y has fewer than two classes. PlanError: classes are to be
        balanced where a picture may have several.
    """
    likelihood = likelihood_of(y, classes)
    _check(x, likelihood.y, classes)
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float32)  # products of whole or half numbers would stay such
    if balanced and y.ndim == 2:
        raise PlanError(
            "classes are balanced by the one label of each picture",
            where="multi-label data",
            hint="leave --balance out",
        )
    importance = inverse_frequency(likelihood.kinds()) if balanced else np.ones(len(y))
    fold = stratified(likelihood.kinds(), folds, seed) if isinstance(folds, int) else np.asarray(folds, np.int64)
    fold = np.where(likelihood.alone(fold), _EVERYONE, fold)
    with _threads(x):
        return _solved(_Pictures.of(x, likelihood, importance, fold, ends), tell)


def out_of_fold_losses(solved: Solved, y: Indices | AnyFloats, classes: int) -> Floats:
    """Log loss (n,) in nats, out of fold, of the pictures ``solved.first``; of several labels the mean over them all.

    y, classes: as for ``solve``.
    """
    losses = likelihood_of(y, classes).losses(solved.out_of_first_fold())[solved.first]
    return losses if y.ndim == 1 else losses / classes


@dataclass(frozen=True)
class _Pictures:
    """What a head is solved from.

    fold: (N,), or `_EVERYONE`. parts: the moments of each fold. whole: the design of all pictures at floor 1.
    axes: features as they came, with the principal axes of all; None where a fold is turned into its own.
    """

    x: AnyFloats
    likelihood: Likelihood
    importance: Floats
    fold: Indices
    parts: dict[int, Moments]
    whole: Design
    axes: Design | None

    @classmethod
    def of(
        cls, x: AnyFloats, likelihood: Likelihood, importance: Floats, fold: Indices, ends: tuple[int, ...] = ()
    ) -> "_Pictures":
        parts = standardise.moments_by_fold(x, fold, ends)
        known = standardise.together(parts.values())
        if x.size * 8 > standardise.SMALL:
            whole = standardise.unturned(x, known, strength.FLOORS[0])
            return cls(x, likelihood, importance, fold, parts, whole, whole.rough())
        whole = standardise.turned(x, known, strength.FLOORS[0])
        axes = Design(x, False, whole.mean, whole.scale, whole.axes, whole.variances) if len(x) > x.shape[1] else None
        return cls(x, likelihood, importance, fold, parts, whole, axes)

    @property
    def numbers(self) -> list[int]:
        """Of the folds that are held out."""
        return [number for number in sorted(self.parts) if number != _EVERYONE]

    @property
    def large(self) -> bool:
        return self.x.size * self.likelihood.classes >= _LARGE

    def without(self, number: int, floor: float) -> Problem:
        """The problem of all pictures but those of one fold; it knows nothing of these."""
        known = standardise.together(moments for one, moments in self.parts.items() if one != number)
        learn = self.fold != number
        if self.axes is not None:
            return Problem(
                self.axes.rough().standardised(known, floor), self.likelihood, np.where(learn, self.importance, 0.0)
            )
        design = standardise.turned(self.x[learn], known, floor).rough()
        return Problem(design, self.likelihood.of(learn), self.importance[learn])

    def everything(self, floor: float) -> Problem:
        """The problem of all pictures."""
        design = self.whole
        if floor != strength.FLOORS[0]:
            known = standardise.together(self.parts.values())
            design = standardise.turned(self.x, known, floor) if design.turned else design.standardised(known, floor)
        return Problem(design.rough() if self.large else design, self.likelihood, self.importance)


def _solved(pictures: _Pictures, tell: Callable[[int], None] | None) -> Solved:
    asked = pictures.numbers[:1] if pictures.large else pictures.numbers
    loose, final = (1e-4, 1e-7) if pictures.large else (1e-5, 1e-9)
    held = np.isin(pictures.fold, asked)
    searching = _Search(pictures, tuple(asked), held, loose, tell)
    found: list[strength.Judged] = []
    number, floor, spread, start = strength.IN_DOUBT, strength.FLOORS[0], 1.0, None
    if asked:
        floors = strength.FLOORS[:1] if pictures.large else strength.FLOORS
        found = strength.searched(searching.tried, searching.judge, floors=floors)
        best = strength.chosen(found, searching.judge)
        number, floor, spread, start = best.trial.number, best.trial.floor, best.spread, best.trial.heads[0]
    problem = pictures.everything(floor)
    head = problem.solve(strength.STRENGTHS[number], problem.design.head_of(*start) if start else None, final)
    weight, bias = problem.design.folded_in(_spread(head, spread))
    known = (weight.astype(np.float32), bias.astype(np.float32))

    def out_of_first_fold() -> NDArray[np.float32]:
        logits = (pictures.x @ known[0].T + known[1]).astype(np.float32)
        of_held = logits[held]
        for one in asked:
            # By the setting that the pictures of the other folds choose, whatever its own say.
            own = pictures.fold[held] == one
            others = searching.judge.without(own)
            again = found if others is searching.judge else [others(seen.trial) for seen in found]
            chosen = strength.chosen(again, others)
            of_held[own] = chosen.trial.spread(chosen.spread)[own]
        logits[held] = of_held
        return logits

    def out_of_fold() -> NDArray[np.float32]:
        logits = out_of_first_fold()
        with _threads(pictures.x):
            for one in pictures.numbers[len(asked) :]:
                rest = pictures.without(one, floor)
                near = _spread(rest.design.head_of(weight, bias), 1 / spread)
                part = rest.design.folded_in(_spread(rest.solve(strength.STRENGTHS[number], near, loose), spread))
                logits[pictures.fold == one] = _logits(pictures.x[pictures.fold == one], *part)
        return logits

    at_end = number == len(strength.STRENGTHS) - 1
    judged = pictures.fold != _EVERYONE
    return Solved(
        *known,
        strength.STRENGTHS[number],
        floor,
        spread,
        at_end,
        head.converged,
        judged,
        held & judged,
        out_of_fold,
        out_of_first_fold,
    )


class _Search:
    """Tries settings on the folds that are asked; what it has prepared for a floor is kept."""

    def __init__(
        self,
        pictures: _Pictures,
        asked: tuple[int, ...],
        held: NDArray[np.bool_],
        tolerance: float,
        tell: Callable[[int], None] | None,
    ) -> None:
        self.pictures, self.asked, self.held, self.tolerance = pictures, asked, held, tolerance
        self.tell, self.done = tell, 0
        self.fold = pictures.fold[held]
        weight = pictures.importance[held] / max(pictures.importance[held].sum(), 1e-300)
        unjudged = (pictures.fold == _EVERYONE).any()
        self.judge = Judge(pictures.likelihood.of(held), weight, (1.0, 1.0) if unjudged else strength.SPREADS)
        self._problems: dict[float, list[Problem]] = {}

    def tried(self, floor: float, number: int, near: Trial | None) -> Trial:
        if floor not in self._problems:
            self._problems[floor] = [self.pictures.without(one, floor) for one in self.asked]
        logits = np.zeros((len(self.fold), self.judge.likelihood.classes), np.float32)
        centre, heads = np.zeros_like(logits), []
        for place, (one, problem) in enumerate(zip(self.asked, self._problems[floor], strict=True)):
            start = None if near is None else problem.design.head_of(*near.heads[place])
            head = problem.solve(strength.STRENGTHS[number], start, self.tolerance)
            heads.append(problem.design.folded_in(head))
            logits[self.fold == one] = _logits(self.pictures.x[self.pictures.fold == one], *heads[-1])
            centre[self.fold == one] = head.bias
            self.done += 1
            if self.tell is not None:
                self.tell(self.done)
        return Trial(floor, number, logits, centre, tuple(heads))


def _spread(head: Head, by: float) -> Head:
    """Along a design's axes, whose inputs are 0 for the mean picture: its logits, the bias, stay."""
    return replace(head, weight=head.weight * by)


def _threads(x: AnyFloats) -> AbstractContextManager[None]:
    """Threads wait for each other longer than small products take."""
    return blas.one_thread() if min(x.shape) <= _FEW else blas.one_library()


def _logits(x: AnyFloats, weight: Floats, bias: Floats) -> NDArray[np.float32]:
    return np.concatenate([(part @ weight.T + bias).astype(np.float32) for part in chunks(x)])


def stratified(y: Indices, folds: int, seed: int) -> Indices:
    """The fold (N,) of each picture; each class goes to the folds in turn, going on where the one before ended."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(y), np.int64)
    done = 0
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        fold[members] = (done + np.arange(len(members))) % folds
        done += len(members)
    return fold


def _check(x: AnyFloats, y: Indices | AnyFloats, classes: int) -> None:
    if x.ndim != 2 or y.shape not in (x.shape[:1], (len(x), classes)):
        raise DataError(f"features of shape {x.shape} do not go with labels of shape {y.shape}")
    if not all(np.isfinite(part).all() for part in chunks(x)):
        broken = int((~np.isfinite(x).all(1)).sum())
        raise DataError(
            f"the features of {broken} of {len(x)} pictures are not finite",
            hint="are the weights whole? --engine torch --precision fp32 rules the engine out",
        )
    if y.ndim == 2:
        if not np.isin(y, (0, 1)).all() or not ((y.min(0) == 0) & (y.max(0) == 1)).any():
            raise DataError("no class is there in some pictures and not in others; a head needs one")
        return
    if len(y) and (y.min() < 0 or y.max() >= classes):
        raise DataError(f"labels from {y.min()} to {y.max()} for {classes} classes")
    if len(np.unique(y)) < 2:
        raise DataError(f"{len(np.unique(y))} classes among {len(y)} pictures; a head needs two")

"""A head that is solved, not stepped: logistic regression, its strength chosen by cross-validation.

What is minimised, over weights W (K, D) and biases b (K,) of standardised features z, is

    sum_i w_i * -log softmax(W z_i + b)[y_i] / sum_i w_i  +  strength / 2 * ||W||^2

where a picture has one class; where it may have several, the first term is the sum over classes of the binary log loss:
one regression for each class against the rest. Both are convex: there is one answer, and L-BFGS finds it.
scikit-learn's C is 1 / (strength * sum_i w_i). Two changes of coordinates leave the answer what it is. With fewer
pictures than features every answer lies in the span of the pictures, so the problem is turned into that span (a QR
decomposition). And steps are taken along the principal axes of the features, each as long as the bound of the loss's
curvature there allows (Böhning 1992, Multinomial logistic regression algorithm): a fraction of the steps that
features as they come need. Large features are never copied: what is done to them is folded into the weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import eye_array
from scipy.special import expit

from frostline import blas
from frostline.errors import DataError, PlanError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
AnyFloats = NDArray[np.floating[Any]]

STRENGTHS = tuple(10.0 ** (power / 2) for power in range(4, -11, -1))
"""The strengths that may be chosen, strongest first, 100 to 1e-5."""

_SMALL = 64 << 20  # bytes of float64 up to which features are copied and turned
_LARGE = 5 * 10**7  # pictures x features x classes from which one fold and fewer digits are enough
_CHUNK = 4096  # rows at a time where statistics are taken
_MOST_AXES = 2048  # features up to which principal axes are worth their price, and about the rows to find them by
_MOST_STEPS = 300


@dataclass(frozen=True)
class Solved:
    """A linear head over features as they are (standardisation is folded in).

    weight: (K, D) float32. bias: (K,) float32. strength: the one chosen.
    out_of_fold: logits (N, K) float32, each picture's by a head that has not learnt from it, which takes about as long
        again as the head did. A picture that is alone in its class is learnt from by all; its logits are those of the
        head itself.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    strength: float
    out_of_fold: Callable[[], NDArray[np.float32]]


def solve(
    x: AnyFloats,
    y: Indices | AnyFloats,
    *,
    classes: int,
    balanced: bool = False,
    seed: int = 0,
    folds: int | Indices = 5,
) -> Solved:
    """Solve a head for features.

    The features' means and deviations are those of all pictures, also for the folds; labels are not used for them.

    x: (N, D) finite. y: (N,) in [0, classes), or (N, classes) of 0 and 1 where a picture may have
        several classes or none. balanced: weigh pictures by the inverse frequency of their class.
    folds: how many, or (N,) the fold of each picture, where duplicates and groups must stay together.

    Deterministic: equal input gives equal output on one machine. Memory beside x: some (N, K) arrays, 20 of (K, D),
    some of (D, D), and at most 200 MB.

    Raises: DataError: x is not finite, x and y disagree, or y has fewer than two classes. PlanError: classes are to be
        balanced where a picture may have several.
    """
    several = y.ndim == 2
    task = _AnyOf(y.astype(np.float64)) if several else _OneOf(y.astype(np.int64), classes)
    _check(x, task.y, classes)
    if balanced and several:
        raise PlanError(
            "classes are balanced by the one label of each picture",
            where="multi-label data",
            hint="leave --balance out",
        )
    importance = _inverse_frequency(task.kinds()) if balanced else np.ones(len(y))
    design = _design(x)
    fold = _stratified(task.kinds(), folds, seed) if isinstance(folds, int) else np.asarray(folds, np.int64)
    alone = task.alone()
    unseen = [held for number in np.unique(fold) if (held := (fold == number) & ~alone).any()]
    learnt_from = [np.where(held, 0.0, importance) for held in unseen]
    if unseen and not any(
        (held & task.judgeable(others)).any() for held, others in zip(unseen, learnt_from, strict=True)
    ):
        raise DataError(
            "no class has two different pictures, so none can be held out while another is learnt from",
            hint="copies of one picture count as one: add pictures that differ",
        )
    rough = replace(design, rows=design.rows.astype(np.float32, copy=False))
    problems = [_Problem(rough, task, others) for others in learnt_from]
    large = design.rows.size * classes >= _LARGE
    searched, final = (1e-4, 1e-7) if large else (1e-5, 1e-9)
    whole = _Problem(rough if large else design, task, importance)

    with blas.one_library():
        strength, heads = _best(problems[:1] if large else problems, unseen, importance, searched)
        head = whole.solve(strength, heads[0] if heads else None, final)

    def out_of_fold() -> NDArray[np.float32]:
        logits = design.logits(head)
        with blas.one_library():
            # Not from the head: it knows the held-out pictures, and some of that would be left.
            others = [problem.solve(strength, None, searched) for problem in problems[len(heads) :]]
        for part, held in zip([*heads, *others], unseen, strict=True):
            logits[held] = design.logits(part)[held]
        return logits.astype(np.float32)

    weight, bias = design.folded_in(head)
    return Solved(weight.astype(np.float32), bias.astype(np.float32), strength, out_of_fold)


@dataclass(frozen=True)
class _Head:
    weight: Floats  # (K, M) along the design's axes
    bias: Floats  # (K,)


@dataclass(frozen=True)
class _Design:
    """Features x (N, D) with the axes along which a head is sought: its inputs are ((x - mean) / scale) @ axes.T.

    rows: these inputs (N, M) if they were turned, and x itself if not. axes: (M, D), orthonormal.
    variances: (M,), of the inputs.
    """

    rows: AnyFloats
    turned: bool
    mean: Floats
    scale: Floats
    axes: Any
    variances: Floats

    def logits(self, head: _Head) -> AnyFloats:
        """(N, K), in the precision of the rows."""
        weight, bias = (head.weight, head.bias) if self.turned else self.folded_in(head)
        found: AnyFloats = self.rows @ weight.T.astype(self.rows.dtype)
        found += bias.astype(self.rows.dtype)
        return found

    def gradient(self, slopes: AnyFloats) -> tuple[Floats, Floats]:
        """Of weight (K, M) and bias (K,), from slopes (N, K) of the logits."""
        by_weight, by_bias = (slopes.T @ self.rows).astype(np.float64), slopes.sum(0, dtype=np.float64)
        if not self.turned:
            by_weight = (by_weight - np.outer(by_bias, self.mean)) / self.scale @ self.axes.T
        return by_weight, by_bias

    def folded_in(self, head: _Head) -> tuple[Floats, Floats]:
        """Weight (K, D) and bias over the features as they came."""
        weight = head.weight @ self.axes / self.scale
        return weight, head.bias - weight @ self.mean


def _design(x: AnyFloats) -> _Design:
    pictures, features = x.shape
    mean = sum((part.sum(0, dtype=np.float64) for part in _chunks(x)), np.zeros(features)) / pictures
    variance = sum((((part - mean) ** 2).sum(0) for part in _chunks(x)), np.zeros(features)) / pictures
    scale = np.sqrt(variance)
    scale[scale <= 1e-6 * np.abs(mean)] = 1.0  # a constant: rounding is all that varies
    scale[scale == 0] = 1.0
    if x.size * 8 > _SMALL:
        if features > _MOST_AXES:
            return _Design(x, False, mean, scale, eye_array(features), np.ones(features))
        some = x[:: max(1, pictures // (4 * _MOST_AXES))]
        together = sum(
            (standard.T @ standard for part in _chunks(some) for standard in [(part - mean) / scale]),
            np.zeros((features, features)),
        )
        variances, directions = np.linalg.eigh(together / len(some))
        return _Design(x, False, mean, scale, np.ascontiguousarray(directions.T), np.maximum(variances, 0))
    standard, axes = (x - mean) / scale, np.eye(features)
    if pictures < features:
        basis, inside = np.linalg.qr(standard.T)
        standard, axes = inside.T, basis.T
    variances, directions = np.linalg.eigh(standard.T @ standard / pictures)
    return _Design(standard @ directions, True, mean, scale, directions.T @ axes, np.maximum(variances, 0))


@dataclass(frozen=True)
class _OneOf:
    """One class a picture: softmax. y: (N,) in [0, classes)."""

    y: Indices
    classes: int

    @property
    def curvature(self) -> float:
        """Of the log loss in each logit: the bound for two classes, and what it is at equal odds for more."""
        return min(0.5, 2 / self.classes)

    def kinds(self) -> Indices:
        """(N,): what is to be spread evenly over folds."""
        return self.y

    def alone(self) -> NDArray[np.bool_]:
        """(N,): the only picture of its class."""
        return np.asarray(np.bincount(self.y, minlength=self.classes)[self.y] == 1)

    def learnable(self, importance: Floats) -> NDArray[np.bool_]:
        """(K,): the pictures that count say something of this class."""
        return np.asarray(np.bincount(self.y, weights=importance, minlength=self.classes) > 0)

    def start(self, importance: Floats) -> Floats:
        """(K,): biases that give every class its frequency."""
        share = np.bincount(self.y, weights=importance, minlength=self.classes) / importance.sum()
        return np.log(np.where(share > 0, share, 1.0))

    def unlearnt(self, bias: Floats, learnable: NDArray[np.bool_], importance: Floats) -> Floats:
        """The biases (K,), with those of classes of which nothing was seen below all others: they come last."""
        return np.where(learnable, bias, bias[learnable].min() - np.log(len(self.y)))

    def slopes(self, logits: AnyFloats, share: Floats, learnable: NDArray[np.bool_]) -> float:
        """The weighted log loss; ``logits`` (N, K) become its derivative."""
        everyone = np.arange(len(self.y))
        logits[:, ~learnable] = -np.inf
        logits -= logits.max(1, keepdims=True)
        right = logits[everyone, self.y]
        np.exp(logits, out=logits)
        total = logits.sum(1, keepdims=True)
        counted = share > 0
        loss = float(share[counted] @ (np.log(total[counted, 0], dtype=np.float64) - right[counted]))
        logits /= total
        logits[everyone, self.y] -= 1
        logits *= share.astype(logits.dtype)[:, None]
        return loss

    def judgeable(self, importance: Floats) -> NDArray[np.bool_]:
        """(N,): its class was among the pictures that count."""
        return self.learnable(importance)[self.y]

    def losses(self, logits: AnyFloats) -> Floats:
        """Log loss (N,) of each picture, in nats."""
        shifted = logits.astype(np.float64)
        shifted -= shifted.max(1, keepdims=True)
        right = shifted[np.arange(len(self.y)), self.y]
        losses: Floats = np.log(np.exp(shifted, out=shifted).sum(1)) - right
        return losses


@dataclass(frozen=True)
class _AnyOf:
    """Any number of classes a picture: a sigmoid for each. y: (N, K) of 0 and 1. Methods as ``_OneOf``'s."""

    y: Floats

    @property
    def classes(self) -> int:
        return int(self.y.shape[1])

    @property
    def curvature(self) -> float:
        return 0.5

    def kinds(self) -> Indices:
        return np.unique(self.y, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    def alone(self) -> NDArray[np.bool_]:
        return np.zeros(len(self.y), np.bool_)

    def learnable(self, importance: Floats) -> NDArray[np.bool_]:
        seen = self.y[importance > 0]
        return np.asarray((seen.min(0) == 0) & (seen.max(0) == 1))

    def start(self, importance: Floats) -> Floats:
        have = importance @ self.y
        return np.asarray(np.log((have + 0.5) / (importance.sum() - have + 0.5)))

    def unlearnt(self, bias: Floats, learnable: NDArray[np.bool_], importance: Floats) -> Floats:
        return np.where(learnable, bias, self.start(importance))

    def slopes(self, logits: AnyFloats, share: Floats, learnable: NDArray[np.bool_]) -> float:
        y = self.y.astype(logits.dtype)
        counted = share > 0
        binary = np.logaddexp(0, logits[counted], dtype=np.float64) - y[counted] * logits[counted]
        loss = float(share[counted] @ binary[:, learnable].sum(1))
        expit(logits, out=logits)
        logits -= y
        logits *= share.astype(logits.dtype)[:, None]
        logits[:, ~learnable] = 0
        return loss

    def judgeable(self, importance: Floats) -> NDArray[np.bool_]:
        return np.ones(len(self.y), np.bool_)

    def losses(self, logits: AnyFloats) -> Floats:
        losses: Floats = (np.logaddexp(0, logits, dtype=np.float64) - self.y * logits).sum(1)
        return losses


@dataclass(frozen=True)
class _Problem:
    """One fit: which pictures count how much. importance: (N,), 0 for those held out."""

    design: _Design
    task: _OneOf | _AnyOf
    importance: Floats

    def solve(self, strength: float, start: _Head | None, tolerance: float) -> _Head:
        """The answer at one strength.

        start: a nearby answer. tolerance: the share of the loss by which a step must better it, or it is the last.
        """
        share = self.importance / self.importance.sum()
        learnable = self.task.learnable(self.importance)
        if start is None:
            bias = self.task.start(self.importance)
            start = _Head(np.zeros((len(bias), self.design.rows.shape[1])), bias)
        shape = start.weight.shape
        cut = start.weight.size
        unit = 1 / np.sqrt(self.task.curvature * self.design.variances + strength)  # along each axis, of a step

        def objective(flat: Floats) -> tuple[float, Floats]:
            head = _Head(flat[:cut].reshape(shape) * unit, flat[cut:])
            logits = self.design.logits(head)
            loss = self.task.slopes(logits, share, learnable) + 0.5 * strength * float((head.weight**2).sum())
            by_weight, by_bias = self.design.gradient(logits)
            by_weight += strength * head.weight
            return loss / scale, np.concatenate([(by_weight * unit).ravel(), by_bias]) / scale

        options = {
            "ftol": tolerance,
            "gtol": 1e-6,
            "maxcor": 5,  # past it the steps get no better by as much as they get dearer
            "maxiter": _MOST_STEPS,
            "maxfun": 2 * _MOST_STEPS,
        }
        begin = np.concatenate([(start.weight / unit).ravel(), start.bias])
        scale = 1.0
        scale = objective(begin)[0] or 1.0  # the tolerances are shares of it, however small it is; 0: of one class
        found = minimize(objective, begin, jac=True, method="L-BFGS-B", options=options).x
        weight, bias = found[:cut].reshape(shape) * unit, found[cut:].copy()
        if not learnable.all():
            weight[~learnable], bias = 0.0, self.task.unlearnt(bias, learnable, self.importance)
        return _Head(weight, bias)


def _best(
    asked: Sequence[_Problem], unseen: Sequence[NDArray[np.bool_]], importance: Floats, tolerance: float
) -> tuple[float, list[_Head]]:
    """The strength with the least log loss of held-out pictures, and the heads of the folds that were asked, at it.

    Decade by decade until the loss rises, then the two strengths beside the best.
    """
    if not asked:
        return 1.0, []

    def tried(strength: float, starts: Sequence[_Head | None]) -> tuple[float, list[_Head]]:
        total, weight, heads = 0.0, 0.0, []
        for problem, held_out, start in zip(asked, unseen, starts, strict=False):
            head = problem.solve(strength, start, tolerance)
            held = held_out & problem.task.judgeable(problem.importance)
            total += float(importance[held] @ problem.task.losses(problem.design.logits(head))[held])
            weight += float(importance[held].sum())
            heads.append(head)
        return total / max(weight, 1e-300), heads

    best = 0
    least, found = tried(STRENGTHS[0], [None] * len(asked))
    for number in range(2, len(STRENGTHS), 2):
        loss, heads = tried(STRENGTHS[number], found)
        if loss >= least:
            break
        best, least, found = number, loss, heads
    between = [
        (number, *tried(STRENGTHS[number], found)) for number in (best - 1, best + 1) if 0 <= number < len(STRENGTHS)
    ]
    for number, loss, heads in between:
        if loss < least:
            best, least, found = number, loss, heads
    return STRENGTHS[best], found


def _stratified(y: Indices, folds: int, seed: int) -> Indices:
    """The fold (N,) of each picture; each class is dealt out in turn, going on where the one before ended."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(y), np.int64)
    dealt = 0
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        fold[members] = (dealt + np.arange(len(members))) % folds
        dealt += len(members)
    return fold


def _inverse_frequency(y: Indices) -> Floats:
    counts = np.bincount(y)
    importance: Floats = len(y) / (np.count_nonzero(counts) * counts[y])
    return importance


def _chunks(x: AnyFloats) -> list[AnyFloats]:
    return [x[start : start + _CHUNK] for start in range(0, len(x), _CHUNK)]


def _check(x: AnyFloats, y: Indices | AnyFloats, classes: int) -> None:
    if x.ndim != 2 or y.shape not in (x.shape[:1], (len(x), classes)):
        raise DataError(f"features of shape {x.shape} do not go with labels of shape {y.shape}")
    if not all(np.isfinite(part).all() for part in _chunks(x)):
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

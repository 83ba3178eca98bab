"""How good a classifier is: arrays in, figures out, each with its count and a 95 % interval.

Values are scikit-learn's wherever it has them; what it leaves to a warning is settled here: a class that neither
occurs nor is predicted takes no part in a mean, and a figure that the pictures do not define (ROC-AUC of one class) is
left out. Shares (accuracy, top-k) have Wilson intervals, everything else the percentile bootstrap of ``bootstrap``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from frostline.errors import JudgementError
from frostline.judge import bootstrap
from frostline.judge.bootstrap import Statistic

_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and how sure it is.

    low, high: the 95 % interval. n: how many pictures it rests on.
    """

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}], n = {self.n:,}"


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class by itself. None: undefined (never predicted: no precision; never there: no recall)."""

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True, eq=False)
class Report:
    """All figures of one set of pictures.

    figures: by name, in the order in which they are to be read, ``accuracy`` first; what is undefined is not in it.
    confusion: counts (K, K), truth by row; for several labels a picture (K, 2, 2), scikit-learn's
        multilabel_confusion_matrix.
    """

    n: int
    figures: Mapping[str, Interval]
    per_class: tuple[ClassFigures, ...]
    confusion: NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "n": self.n,
            **{name: asdict(figure) for name, figure in self.figures.items()},
            "per_class": [asdict(figures) for figures in self.per_class],
            "confusion": self.confusion.tolist(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_dict`` gave, read back from JSON."""
        figures = {name: Interval(**figure) for name, figure in values.items() if isinstance(figure, dict)}
        per_class = tuple(ClassFigures(**row) for row in values["per_class"])
        return cls(values["n"], figures, per_class, np.array(values["confusion"], dtype=np.int64))


def wilson(correct: int, n: int) -> Interval:
    """The share correct / n with its 95 % score interval (Wilson 1927).

    Raises: JudgementError: n is 0, or ``correct`` does not lie within [0, n].
    """
    if not 0 <= correct <= n or n == 0:
        raise JudgementError(f"{correct} of {n} pictures is no share", hint="at least one picture must be judged")
    share, spread = correct / n, _Z95**2 / n
    middle = (share + spread / 2) / (1 + spread)
    half = _Z95 * np.sqrt(share * (1 - share) / n + spread / (4 * n)) / (1 + spread)
    low = 0.0 if correct == 0 else float(middle - half)
    high = 1.0 if correct == n else float(middle + half)
    return Interval(share, low, high, n)


def accuracy(scores: NDArray[np.floating], y: NDArray[np.integer]) -> Interval:
    """Share of pictures whose highest score is that of their class; of equal scores the first counts.

    scores: (N, K) logits or probabilities, any scale. y: (N,) in [0, K).

    Raises: JudgementError: no pictures, shapes that do not agree, a class outside [0, K), or a NaN.
    """
    _check(scores, y)
    return wilson(int((scores.argmax(axis=1) == y).sum()), len(y))


def top_k(scores: NDArray[np.floating], y: NDArray[np.integer], k: int) -> Interval:
    """Share of pictures whose class is among the k highest scores; of equal scores the first count, as in ``accuracy``.

    Raises: JudgementError: as ``accuracy``, or k is not in [1, K].
    """
    _check(scores, y)
    if not 1 <= k <= scores.shape[1]:
        raise JudgementError(f"there is no top {k} of {scores.shape[1]} classes", hint="k runs from 1 to that number")
    highest = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return wilson(int((highest == np.asarray(y)[:, None]).any(axis=1).sum()), len(y))


def report(
    probabilities: NDArray[np.floating],
    y: NDArray[np.integer],
    classes: Sequence[str],
    *,
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
) -> Report:
    """All figures where each picture has one class.

    probabilities: (N, K), rows that sum to 1. y: (N,) in [0, K). classes: K names. resamples, seed: of the bootstrap.
    Figures: accuracy, top_5 (of more than 5 classes), balanced_accuracy, macro_f1, weighted_f1, roc_auc and
    average_precision (one class against the rest, mean over classes), log_loss (nats), brier (Brier 1950: summed over
    classes, in [0, 2]).

    Raises: JudgementError: as ``accuracy``, or rows that do not sum to 1.
    """
    _check(probabilities, y)
    _check_names(classes, probabilities.shape[1])
    p = probabilities.astype(np.float64)
    if p.min() < 0 or np.abs(p.sum(axis=1) - 1).max() > 1e-3:
        raise JudgementError("probabilities must not be negative, and each row must sum to 1", hint="are they logits?")
    truth = _one_hot(y, p.shape[1])
    predicted = _one_hot(p.argmax(axis=1), p.shape[1])
    figures = {"accuracy": accuracy(p, y)}
    if p.shape[1] > 5:
        figures["top_5"] = top_k(p, y, 5)
    rows = np.arange(len(y))
    losses = -np.log(np.clip(p, np.finfo(np.float64).eps, 1)[rows, y] / p.sum(axis=1))
    per_class = _per_class(truth, predicted, classes)
    sure = _Bootstrap(len(y), resamples, seed)
    figures["balanced_accuracy"] = sure.of(
        _mean(row.recall for row in per_class), bootstrap.from_counts(truth, predicted, bootstrap.mean_recall)
    )
    figures |= _shared(truth, predicted, p, per_class, sure)
    figures["log_loss"] = sure.of(float(losses.mean()), bootstrap.mean(losses))
    squares = ((p - truth) ** 2).sum(axis=1)
    figures["brier"] = sure.of(float(squares.mean()), bootstrap.mean(squares))
    from sklearn.metrics import confusion_matrix

    confusion = confusion_matrix(y, p.argmax(axis=1), labels=np.arange(p.shape[1]))
    return Report(len(y), _defined(figures), per_class, confusion.astype(np.int64))


def report_multilabel(
    probabilities: NDArray[np.floating],
    y: NDArray[np.generic],
    classes: Sequence[str],
    *,
    threshold: float = 0.5,
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
) -> Report:
    """All figures where each picture has any number of classes.

    probabilities: (N, K) in [0, 1]. y: (N, K) of 0 and 1. classes: K names. A class holds from ``threshold`` on.
    Figures: accuracy (all K of a picture right), hamming (share of single decisions that are right), micro_f1,
    macro_f1, weighted_f1, roc_auc, average_precision (mean over classes: mAP), log_loss and brier (means over single
    decisions).

    Raises: JudgementError: no pictures, shapes that do not agree, values outside [0, 1], or y of more than 0 and 1.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or p.shape != np.shape(y) or not p.size:
        raise JudgementError(
            f"probabilities {p.shape} and labels {np.shape(y)} must both be (N, K), N and K above 0",
            hint="for one class a picture there is report()",
        )
    _check_names(classes, p.shape[1])
    if not (np.isfinite(p).all() and p.min() >= 0 and p.max() <= 1 and np.isin(y, (0, 1)).all()):
        raise JudgementError("probabilities must lie in [0, 1], labels must be 0 or 1", hint="are they logits?")
    truth, predicted = np.asarray(y, dtype=bool), p >= threshold
    right = (truth == predicted).mean(axis=1)
    clipped = np.clip(p, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    losses = -np.where(truth, np.log(clipped), np.log1p(-clipped)).mean(axis=1)
    squares = ((p - truth) ** 2).mean(axis=1)
    per_class = _per_class(truth, predicted, classes)
    sure = _Bootstrap(len(p), resamples, seed)
    micro = bootstrap.from_counts(truth, predicted, bootstrap.micro_f1)
    figures = {
        "accuracy": wilson(int((right == 1).sum()), len(p)),
        "hamming": sure.of(float(right.mean()), bootstrap.mean(right)),
        "micro_f1": sure.of(float(micro(np.ones((1, len(p)), dtype=np.float32))[0]), micro),
        **_shared(truth, predicted, p, per_class, sure),
        "log_loss": sure.of(float(losses.mean()), bootstrap.mean(losses)),
        "brier": sure.of(float(squares.mean()), bootstrap.mean(squares)),
    }
    from sklearn.metrics import multilabel_confusion_matrix

    confusion = multilabel_confusion_matrix(*_two_columns(truth, predicted)).astype(np.int64)[: p.shape[1]]
    return Report(len(p), _defined(figures), per_class, confusion)


@dataclass(frozen=True)
class _Bootstrap:
    n: int
    resamples: int
    seed: int

    def of(self, value: float, statistic: Statistic, cost: int = 1) -> Interval:
        low, high = bootstrap.interval(statistic, self.n, cost=cost, resamples=self.resamples, seed=self.seed)
        return Interval(value, low, high, self.n)


def _shared(
    truth: NDArray[np.bool_],
    predicted: NDArray[np.bool_],
    scores: NDArray[np.float64],
    per_class: Sequence[ClassFigures],
    sure: _Bootstrap,
) -> dict[str, Interval]:
    """What one label and several have in common. Areas are means over classes that have pictures of both kinds."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    both = [k for k in range(truth.shape[1]) if 0 < truth[:, k].sum() < len(truth)]
    some = [k for k in range(truth.shape[1]) if truth[:, k].any()]
    support = np.array([row.support for row in per_class])
    f1 = np.array([row.f1 or 0.0 for row in per_class])
    cost = truth.shape[1]
    return {
        "macro_f1": sure.of(
            _mean(row.f1 for row in per_class), bootstrap.from_counts(truth, predicted, bootstrap.macro_f1)
        ),
        "weighted_f1": sure.of(
            float((f1 * support).sum() / support.sum()) if support.any() else float("nan"),
            bootstrap.from_counts(truth, predicted, bootstrap.weighted_f1),
        ),
        "roc_auc": sure.of(
            _mean(float(roc_auc_score(truth[:, k], scores[:, k])) for k in both),
            bootstrap.ranked(truth, scores, bootstrap.roc_area),
            cost,
        ),
        "average_precision": sure.of(
            _mean(float(average_precision_score(truth[:, k], scores[:, k])) for k in some),
            bootstrap.ranked(truth, scores, bootstrap.precision_area),
            cost,
        ),
    }


def _per_class(
    truth: NDArray[np.bool_], predicted: NDArray[np.bool_], classes: Sequence[str]
) -> tuple[ClassFigures, ...]:
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(*_two_columns(truth, predicted), average=None, zero_division=np.nan)
    return tuple(
        ClassFigures(name, _or_none(p), _or_none(r), _or_none(f), int(s))
        for name, p, r, f, s in zip(classes, *columns, strict=False)
    )


def _two_columns(*matrices: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """One column more: scikit-learn would take (N, 1) for class numbers."""
    return [np.hstack([matrix, np.zeros((len(matrix), 1))]).astype(np.int64) for matrix in matrices]


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _check(scores: NDArray[np.floating], y: NDArray[np.integer]) -> None:
    if scores.ndim != 2 or np.shape(y) != (len(scores),) or not scores.size:
        raise JudgementError(
            f"scores {scores.shape} must be (N, K), classes {np.shape(y)} must be (N,), N and K above 0",
            hint="judge at least one picture",
        )
    if not np.issubdtype(np.asarray(y).dtype, np.integer) or np.min(y) < 0 or np.max(y) >= scores.shape[1]:
        raise JudgementError(
            f"classes must be whole numbers from 0 to {scores.shape[1] - 1}", hint="see Manifest.targets"
        )
    if not np.isfinite(scores).all():
        raise JudgementError("a score is not a finite number", hint="the network has diverged, or a picture is damaged")


def _check_names(classes: Sequence[str], k: int) -> None:
    if len(classes) != k:
        raise JudgementError(
            f"{len(classes)} names for {k} classes", hint="give the manifest's classes, in their order"
        )


def _one_hot(y: NDArray[np.integer], k: int) -> NDArray[np.bool_]:
    return np.asarray(np.asarray(y)[:, None] == np.arange(k))


def _mean(values: Any) -> float:
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else float("nan")


def _defined(figures: Mapping[str, Interval]) -> dict[str, Interval]:
    return {
        name: figure for name, figure in figures.items() if np.isfinite([figure.value, figure.low, figure.high]).all()
    }

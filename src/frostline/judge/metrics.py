"""How good a classifier is: arrays in, figures out, each with its count and a 95 % interval.

Values are scikit-learn's wherever it has them; what it leaves to a warning is settled here: a class that neither
occurs nor is predicted takes no part in a mean, and a figure that the pictures do not define (ROC-AUC of one class) is
left out. Shares have Wilson's interval; everything else the wider of a formula's (``intervals``) and the bootstrap's
(``bootstrap``). Pictures of one unit (duplicates, a group) count as one draw for both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from frostline.errors import JudgementError
from frostline.judge import bootstrap, intervals
from frostline.judge.bootstrap import Statistic
from frostline.judge.intervals import Bounds, Interval, wilson

__all__ = [
    "Baseline",
    "ClassFigures",
    "Interval",
    "Report",
    "accuracy",
    "in_words",
    "report",
    "report_multilabel",
    "top_k",
    "wilson",
]

WORDS = {
    "accuracy": "accuracy",
    "top_5": "top-5 accuracy",
    "balanced_accuracy": "balanced accuracy",
    "hamming": "single decisions right",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "roc_auc": "ROC-AUC, one against the rest",
    "average_precision": "average precision",
    "log_loss": "log loss (nats)",
    "brier": "Brier score",
}
"""What people read in place of a figure's name in `metrics.json`."""

Units = NDArray[np.integer]
"""(N,) which unit each picture belongs to: those of one (duplicates, a group) are one draw."""


def in_words(name: str) -> str:
    """A figure's name for people; of one that has no words of its own, its parts."""
    return WORDS.get(name, name.replace("_", " "))


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class by itself. None: undefined (never predicted: no precision; never there: no recall).

    intervals: the 95 % interval (low, high) of each of "precision", "recall" and "f1" that is defined.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    intervals: Mapping[str, Bounds] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What answers without a look at the pictures come to: an accuracy means nothing but beside these.

    share: of pictures that always giving the commonest answer (``answer``) would have right. chance: of a blind draw of
        one of the K classes; with several labels a picture, of a coin for each. n: pictures.
    """

    answer: str
    share: float
    chance: float
    n: int

    def compared(self, accuracy: Interval) -> str:
        """What is to be said where a model is not measurably better, or ""."""
        if accuracy.low > self.share:
            return ""
        how = "no better than" if accuracy.value <= self.share else "not measurably better than"
        return f"{how} always answering {self.answer!r}, which is right for {self.share:.1%}"


@dataclass(frozen=True, eq=False)
class Report:
    """All figures of one set of pictures.

    figures: by name, in the order in which they are to be read, ``accuracy`` first; what is undefined is not in it.
    confusion: counts (K, K), truth by row; for several labels a picture (K, 2, 2), scikit-learn's
        multilabel_confusion_matrix.
    baseline: what no model at all would come to. units: how many of the n pictures are draws by themselves (fewer than
        n where there are duplicates or groups).
    """

    n: int
    figures: Mapping[str, Interval]
    per_class: tuple[ClassFigures, ...]
    confusion: NDArray[np.int64]
    baseline: Baseline | None = None
    units: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "n": self.n,
            "units": self.units or self.n,
            "baseline": None if self.baseline is None else asdict(self.baseline),
            **{name: asdict(figure) for name, figure in self.figures.items()},
            "per_class": [asdict(figures) for figures in self.per_class],
            "confusion": self.confusion.tolist(),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_dict`` gave, read back from JSON."""
        figures = {
            name: Interval(**figure) for name, figure in values.items() if isinstance(figure, dict) and "low" in figure
        }
        rows = [
            {**row, "intervals": {name: tuple(found) for name, found in row.get("intervals", {}).items()}}
            for row in values["per_class"]
        ]
        base = values.get("baseline")
        return cls(
            values["n"],
            figures,
            tuple(ClassFigures(**row) for row in rows),
            np.array(values["confusion"], dtype=np.int64),
            Baseline(**base) if base else None,
            int(values.get("units") or values["n"]),
        )


def accuracy(scores: NDArray[np.floating], y: NDArray[np.integer], units: Units | None = None) -> Interval:
    """Share of pictures whose highest score is that of their class; of equal scores the first counts.

    scores: (N, K) logits or probabilities, any scale. y: (N,) in [0, K). units: see `Units`.

    Raises: JudgementError: no pictures, shapes that do not agree, a class outside [0, K), or a NaN.
    """
    _check(scores, y)
    return intervals.share(scores.argmax(axis=1) == y, units)


def top_k(scores: NDArray[np.floating], y: NDArray[np.integer], k: int, units: Units | None = None) -> Interval:
    """Share of pictures whose class is among the k highest scores; of equal scores the first count, as in ``accuracy``.

    Raises: JudgementError: as ``accuracy``, or k is not in [1, K].
    """
    _check(scores, y)
    if not 1 <= k <= scores.shape[1]:
        raise JudgementError(f"there is no top {k} of {scores.shape[1]} classes", hint="k runs from 1 to that number")
    highest = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return intervals.share((highest == np.asarray(y)[:, None]).any(axis=1), units)


def report(
    probabilities: NDArray[np.floating],
    y: NDArray[np.integer],
    classes: Sequence[str],
    *,
    units: Units | None = None,
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
) -> Report:
    """All figures where each picture has one class.

    probabilities: (N, K), rows that sum to 1. y: (N,) in [0, K). classes: K names. units: see `Units`. resamples, seed:
        of the bootstrap.
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
    rows, first = np.arange(len(y)), p.argmax(axis=1)
    judged = _Judged(_one_hot(y, p.shape[1]), _one_hot(first, p.shape[1]), p, units)
    per_class = _per_class(judged, classes)
    sure = _Bootstrap(len(y), resamples, seed, units)
    figures = {"accuracy": accuracy(p, y, units)}
    if p.shape[1] > 5:
        figures["top_5"] = top_k(p, y, 5, units)
    figures["balanced_accuracy"] = sure.of(
        _mean(row.recall for row in per_class),
        bootstrap.from_counts(judged.truth, judged.predicted, bootstrap.mean_recall),
        _over_classes(per_class, "recall", correlation=0.0),
    )
    figures |= _shared(judged, per_class, sure)
    clipped = np.clip(p, np.finfo(np.float64).eps, 1) / p.sum(axis=1, keepdims=True)
    of_class = {"log_loss": -np.log(clipped), "brier": (p**2).sum(axis=1, keepdims=True) - 2 * p + 1}
    right, draws = first == y, intervals.effective(1.0 * (first == y), np.ones(len(y)), units)
    for name, costs in of_class.items():
        own = costs[rows, y]
        bounds = intervals.loss_bounds(own, right, _cost_when_wrong(costs, p, first), draws)
        figures[name] = sure.of(float(own.mean()), bootstrap.mean(own), bounds, most=np.inf)
    from sklearn.metrics import confusion_matrix

    confusion = confusion_matrix(y, first, labels=np.arange(p.shape[1]))
    counts = judged.truth.sum(axis=0)
    base = Baseline(classes[int(counts.argmax())], float(counts.max() / len(y)), 1 / p.shape[1], len(y))
    return Report(len(y), _defined(figures), per_class, confusion.astype(np.int64), base, sure.units_count)


def _cost_when_wrong(costs: NDArray[np.float64], p: NDArray[np.float64], first: NDArray[np.integer]) -> float:
    """What an error costs if probabilities mean what they say: costs (N, K) of the classes that were not answered."""
    others = p.copy()
    others[np.arange(len(p)), first] = 0
    total = others.sum()
    return float((others * costs).sum() / total) if total > 0 else float(costs.max())


def report_multilabel(
    probabilities: NDArray[np.floating],
    y: NDArray[np.generic],
    classes: Sequence[str],
    *,
    threshold: float = 0.5,
    units: Units | None = None,
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
) -> Report:
    """All figures where each picture has any number of classes.

    probabilities: (N, K) in [0, 1]. y: (N, K) of 0 and 1. classes: K names. A class holds from ``threshold`` on.
    units: see `Units`; without, each picture is one draw and its K decisions are not K.
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
    truth = np.asarray(y, dtype=bool)
    judged = _Judged(truth, p >= threshold, p, units)
    right = truth == judged.predicted
    per_class = _per_class(judged, classes)
    sure = _Bootstrap(len(p), resamples, seed, units)
    micro = bootstrap.from_counts(truth, judged.predicted, bootstrap.micro_f1)
    hits, either = 1.0 * (truth & judged.predicted).sum(axis=1), 1.0 * (truth | judged.predicted).sum(axis=1)
    figures = {
        "accuracy": intervals.share(right.all(axis=1), units),
        "hamming": sure.of(
            float(right.mean()), bootstrap.mean(right.mean(axis=1)), _bounds_of(intervals.share(right, units))
        ),
        "micro_f1": sure.of(
            float(micro(np.ones((1, len(p)), dtype=np.float32))[0]),
            micro,
            intervals.f1_bounds(intervals.ratio_bounds(hits, either, units)),
        ),
        **_shared(judged, per_class, sure),
    }
    clipped = np.clip(p, np.finfo(np.float64).eps, 1 - np.finfo(np.float64).eps)
    q = np.where(judged.predicted, 1 - clipped, clipped)  # of the answer that was not given
    lost = {
        "log_loss": (-np.where(truth, np.log(clipped), np.log1p(-clipped)), -np.log(q)),
        "brier": ((p - truth) ** 2, (1 - q) ** 2),
    }
    whole = right.all(axis=1)
    draws = intervals.effective(1.0 * whole, np.ones(len(p)), units)
    for name, (costs, if_wrong) in lost.items():
        # a picture that is wrong has one wrong decision at least: its K costs are taken together
        expected = float((q * (if_wrong - costs * right)).sum() / q.sum()) / p.shape[1] + float(costs[right].mean())
        bounds = intervals.loss_bounds(costs.mean(axis=1), whole, expected, draws)
        figures[name] = sure.of(float(costs.mean()), bootstrap.mean(costs.mean(axis=1)), bounds, most=np.inf)
    from sklearn.metrics import multilabel_confusion_matrix

    confusion = multilabel_confusion_matrix(*_two_columns(truth, judged.predicted)).astype(np.int64)[: p.shape[1]]
    return Report(len(p), _defined(figures), per_class, confusion, _commonest_labels(truth, classes), sure.units_count)


def _commonest_labels(truth: NDArray[np.bool_], classes: Sequence[str]) -> Baseline:
    kinds, counts = np.unique(truth, axis=0, return_counts=True)
    held = kinds[int(counts.argmax())]
    named = "|".join(name for name, on in zip(classes, held, strict=True) if on) or "no class"
    return Baseline(named, float(counts.max() / len(truth)), 0.5 ** truth.shape[1], len(truth))


def _bounds_of(figure: Interval) -> Bounds:
    return figure.low, figure.high


@dataclass(frozen=True)
class _Judged:
    """What is (N, K), what was answered (N, K), how sure (N, K), and which pictures are one draw."""

    truth: NDArray[np.bool_]
    predicted: NDArray[np.bool_]
    scores: NDArray[np.float64]
    units: Units | None


@dataclass(frozen=True)
class _Bootstrap:
    n: int
    resamples: int
    seed: int
    units: Units | None = None

    @property
    def units_count(self) -> int:
        return self.n if self.units is None else len(np.unique(self.units))

    def of(self, value: float, statistic: Statistic, formula: Bounds, cost: int = 1, most: float = 1.0) -> Interval:
        """The wider of the bootstrap's interval and a formula's."""
        drawn = bootstrap.interval(
            statistic, self.n, cost=cost, resamples=self.resamples, seed=self.seed, units=self.units
        )
        if not np.isfinite(value):
            return Interval(value, *drawn, self.n)
        return Interval(value, *intervals.wider(value, drawn, formula, within=(0.0, most)), self.n)


def _over_classes(
    per_class: Sequence[ClassFigures], name: str, *, correlation: float, weights: Sequence[float] | None = None
) -> Bounds:
    """Of the mean over classes of a figure that each has with its interval."""
    found = [
        (getattr(row, name), row.intervals[name], 1.0 if weights is None else weights[k])
        for k, row in enumerate(per_class)
        if getattr(row, name) is not None
    ]
    total = sum(weight for *_, weight in found)
    if not total:
        return float("nan"), float("nan")
    values, bounds, given = zip(*found, strict=True)
    return intervals.mover(values, bounds, weights=[weight / total for weight in given], correlation=correlation)


def _shared(judged: _Judged, per_class: Sequence[ClassFigures], sure: _Bootstrap) -> dict[str, Interval]:
    """What one label and several have in common. macro_f1 is a mean over classes that have pictures, areas over those
    that have pictures of both kinds."""
    truth, predicted, scores = judged.truth, judged.predicted, judged.scores
    support = [float(row.support) for row in per_class]
    f1 = np.array([row.f1 or 0.0 for row in per_class])
    present = [row for row in per_class if row.support]
    together = _together(len(present))
    areas, precisions = _areas(judged)
    cost = truth.shape[1]
    return {
        "macro_f1": sure.of(
            _mean(row.f1 for row in present),
            bootstrap.from_counts(truth, predicted, bootstrap.macro_f1),
            _over_classes(present, "f1", correlation=together),
        ),
        "weighted_f1": sure.of(
            float((f1 * support).sum() / sum(support)) if any(support) else float("nan"),
            bootstrap.from_counts(truth, predicted, bootstrap.weighted_f1),
            _over_classes(per_class, "f1", correlation=together, weights=support),
        ),
        "roc_auc": sure.of(
            _mean(value for value, _ in areas),
            bootstrap.ranked(truth, scores, bootstrap.roc_area),
            _mean_bounds(areas),
            cost,
        ),
        "average_precision": sure.of(
            _mean(value for value, _ in precisions),
            bootstrap.ranked(truth, scores, bootstrap.precision_area),
            _mean_bounds(precisions),
            cost,
        ),
    }


def _areas(judged: _Judged) -> tuple[list[tuple[float, Bounds]], list[tuple[float, Bounds]]]:
    """Of each class that has pictures of both kinds its area under the ROC curve, of each that has any its average
    precision, with intervals: Newcombe's, and the score interval by the number of positives (Boyd et al. 2013)."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    areas, precisions = [], []
    for k in range(judged.truth.shape[1]):
        there, sure = judged.truth[:, k], judged.scores[:, k]
        count = int(there.sum())
        if not count:
            continue
        worth = 1.0
        if judged.units is not None:
            answered = 1.0 * (judged.predicted[:, k] == there)
            worth = intervals.effective(answered, np.ones(len(there)), judged.units) / len(there)
        precision = float(average_precision_score(there, sure))
        precisions.append((precision, intervals.score_bounds(precision, max(1.0, count * worth))))
        if count < len(there):
            area = float(roc_auc_score(there, sure))
            areas.append(
                (area, intervals.roc_bounds(area, max(1.0, count * worth), max(1.0, (len(there) - count) * worth)))
            )
    return areas, precisions


def _together(count: int) -> float:
    """How figures of classes go together: of two, what one loses the other does; of many, hardly (1 / (K - 1))."""
    return 1 / max(1, count - 1)


def _mean_bounds(found: Sequence[tuple[float, Bounds]]) -> Bounds:
    if not found:
        return float("nan"), float("nan")
    values, bounds = zip(*found, strict=True)
    return intervals.mover(values, bounds, weights=[1 / len(found)] * len(found), correlation=_together(len(found)))


def _per_class(judged: _Judged, classes: Sequence[str]) -> tuple[ClassFigures, ...]:
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(
        *_two_columns(judged.truth, judged.predicted), average=None, zero_division=np.nan
    )
    found = []
    for k, (name, *values, support) in enumerate(zip(classes, *columns, strict=False)):
        there, said = judged.truth[:, k], judged.predicted[:, k]
        hits, units = (there & said).astype(np.float64), judged.units
        of = {"precision": said, "recall": there, "f1": there | said}
        bounds = {what: intervals.ratio_bounds(hits, trials.astype(np.float64), units) for what, trials in of.items()}
        bounds["f1"] = intervals.f1_bounds(bounds["f1"])
        own = dict(zip(of, map(_or_none, values), strict=True))
        known = {what: bounds[what] for what, value in own.items() if value is not None}
        found.append(ClassFigures(name, own["precision"], own["recall"], own["f1"], int(support), known))
    return tuple(found)


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

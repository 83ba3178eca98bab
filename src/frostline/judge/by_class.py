"""Figures that are made class by class, and means over them: what one label a picture and several have in common."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frostline.judge import bootstrap, intervals
from frostline.judge.bootstrap import Statistic
from frostline.judge.figures import ClassFigures
from frostline.judge.intervals import Bounds, Interval

Units = NDArray[np.integer]
"""(N,) which unit each picture belongs to: those of one (duplicates, a group) are one draw."""


@dataclass(frozen=True)
class Judged:
    """What is (N, K), what was answered (N, K), how sure (N, K), and which pictures are one draw."""

    truth: NDArray[np.bool_]
    predicted: NDArray[np.bool_]
    scores: NDArray[np.float64]
    units: Units | None


@dataclass(frozen=True)
class Bootstrap:
    """Intervals of n pictures: the bootstrap's beside a formula's. units: see `Units`; seed, resamples: as there."""

    n: int
    resamples: int
    seed: int
    units: Units | None = None

    @property
    def units_count(self) -> int:
        """How many draws the pictures are."""
        return self.n if self.units is None else len(np.unique(self.units))

    def of(self, value: float, statistic: Statistic, formula: Bounds, cost: int = 1, most: float = 1.0) -> Interval:
        """The wider of the bootstrap's interval and a formula's."""
        drawn = bootstrap.interval(
            statistic, self.n, cost=cost, resamples=self.resamples, seed=self.seed, units=self.units
        )
        if not np.isfinite(value):
            return Interval(value, *drawn, self.n)
        return Interval(value, *intervals.wider(value, drawn, formula, within=(0.0, most)), self.n)


def over_classes(
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


def shared(judged: Judged, per_class: Sequence[ClassFigures], sure: Bootstrap) -> dict[str, Interval]:
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
            mean_of(row.f1 for row in present),
            bootstrap.from_counts(truth, predicted, bootstrap.macro_f1),
            over_classes(present, "f1", correlation=together),
        ),
        "weighted_f1": sure.of(
            float((f1 * support).sum() / sum(support)) if any(support) else float("nan"),
            bootstrap.from_counts(truth, predicted, bootstrap.weighted_f1),
            over_classes(per_class, "f1", correlation=together, weights=support),
        ),
        "roc_auc": sure.of(
            mean_of(value for value, _ in areas),
            bootstrap.ranked(truth, scores, bootstrap.roc_area),
            _mean_bounds(areas),
            cost,
        ),
        "average_precision": sure.of(
            mean_of(value for value, _ in precisions),
            bootstrap.ranked(truth, scores, bootstrap.precision_area),
            _mean_bounds(precisions),
            cost,
        ),
    }


def _areas(judged: Judged) -> tuple[list[tuple[float, Bounds]], list[tuple[float, Bounds]]]:
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


def per_class_figures(judged: Judged, classes: Sequence[str]) -> tuple[ClassFigures, ...]:
    """Precision, recall and F1 of each class, with intervals by the units; scikit-learn's values."""
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(
        *two_columns(judged.truth, judged.predicted), average=None, zero_division=np.nan
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


def two_columns(*matrices: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """One column more: scikit-learn would take (N, 1) for class numbers."""
    return [np.hstack([matrix, np.zeros((len(matrix), 1))]).astype(np.int64) for matrix in matrices]


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def mean_of(values: Iterable[float | None]) -> float:
    """Over what is defined; NaN of nothing."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else float("nan")

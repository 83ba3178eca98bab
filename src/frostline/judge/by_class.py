"""Figures that are made class by class, and means over them: what one label a picture and several have in common."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frostline.judge import intervals
from frostline.judge.bootstrap import Ladder
from frostline.judge.figures import ClassFigures
from frostline.judge.intervals import Bounds, Interval
from frostline.judge.one_draw import Units


@dataclass(frozen=True)
class Judged:
    """What is (N, K), what was answered (N, K), how sure (N, K), and which pictures are one draw."""

    truth: NDArray[np.bool_]
    predicted: NDArray[np.bool_]
    scores: NDArray[np.float64]
    units: Units | None


@dataclass(frozen=True)
class Drawn:
    """What the bootstrap says of figures of n pictures, by name: their intervals, to stand beside a formula's."""

    n: int
    bounds: Mapping[str, Bounds]

    def of(self, name: str, value: float, formula: Bounds, most: float = 1.0) -> Interval:
        """The wider of the bootstrap's interval and a formula's."""
        drawn = self.bounds[name]
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


def shared(
    judged: Judged, per_class: Sequence[ClassFigures], ladders: Mapping[int, Ladder], sure: Drawn
) -> dict[str, Interval]:
    """What one label and several have in common. macro_f1 is a mean over classes that have pictures, areas over those
    that have pictures of both kinds. ladders: see `ladders_of`."""
    support = [float(row.support) for row in per_class]
    f1 = np.array([row.f1 or 0.0 for row in per_class])
    present = [row for row in per_class if row.support]
    together = _together(len(present))
    areas, precisions = _areas(judged, ladders)
    weighted = float((f1 * support).sum() / sum(support)) if any(support) else float("nan")
    return {
        "macro_f1": sure.of(
            "macro_f1", mean_of(row.f1 for row in present), over_classes(present, "f1", correlation=together)
        ),
        "weighted_f1": sure.of(
            "weighted_f1", weighted, over_classes(per_class, "f1", correlation=together, weights=support)
        ),
        "roc_auc": sure.of("roc_auc", mean_of(value for value, _ in areas), _mean_bounds(areas)),
        "average_precision": sure.of(
            "average_precision", mean_of(value for value, _ in precisions), _mean_bounds(precisions)
        ),
    }


def ladders_of(judged: Judged) -> dict[int, Ladder]:
    """The ladder of each class that has pictures, by its number."""
    there = np.flatnonzero(judged.truth.any(axis=0)).tolist()
    return {k: Ladder.of(judged.truth[:, k], judged.scores[:, k]) for k in there}


def _areas(
    judged: Judged, ladders: Mapping[int, Ladder]
) -> tuple[list[tuple[float, Bounds]], list[tuple[float, Bounds]]]:
    """Of each class that has pictures of both kinds its area under the ROC curve, of each that has any its average
    precision, with intervals: Newcombe's, and the score interval by the number of positives (Boyd et al. 2013)."""
    areas, precisions = [], []
    everyone = np.ones((len(judged.truth), 1), np.float32)
    for k, ladder in ladders.items():
        there = judged.truth[:, k]
        count = int(there.sum())
        worth = 1.0
        if judged.units is not None:
            answered = 1.0 * (judged.predicted[:, k] == there)
            worth = intervals.effective(answered, np.ones(len(there)), judged.units) / len(there)
        area, precision = (float(found[0]) for found in ladder.areas(everyone))
        precisions.append((precision, intervals.score_bounds(precision, max(1.0, count * worth))))
        if count < len(there):
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
    found = []
    for k, name in enumerate(classes):
        rows = np.flatnonzero(judged.truth[:, k] | judged.predicted[:, k])  # the others say nothing of it
        there, said = judged.truth[rows, k], judged.predicted[rows, k]
        hits, units = (there & said).astype(np.float64), None if judged.units is None else judged.units[rows]
        of = {"precision": said, "recall": there, "f1": there | said}
        bounds = {
            what: intervals.ratio_bounds(hits, trials.astype(np.float64), units)
            for what, trials in of.items()
            if trials.any()
        }
        own = {what: float(hits.sum() / of[what].sum()) for what in bounds}
        if "f1" in own:
            own["f1"] = float(2 * hits.sum() / (there.sum() + said.sum()))
            bounds["f1"] = intervals.f1_bounds(bounds["f1"])
        found.append(
            ClassFigures(name, own.get("precision"), own.get("recall"), own.get("f1"), int(there.sum()), bounds)
        )
    return tuple(found)


def mean_of(values: Iterable[float | None]) -> float:
    """Over what is defined; NaN of nothing."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else float("nan")

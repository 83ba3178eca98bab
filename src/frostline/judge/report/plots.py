"""The plots of answers: how sure they were, and what a threshold would trade (ROC, precision and recall)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from frostline.judge.intervals import Bounds, roc_bounds
from frostline.judge.pages.translations import Say
from frostline.judge.predictions import Outcome
from frostline.judge.report import svg

BINS = 20
_SIDE, _LEFT, _TOP = 250, 48, 12
_MOST_CURVES = 6
_TITLES = {"hist-right": "{n} right, {low} to {high} sure", "hist-wrong": "{n} wrong, {low} to {high} sure"}
_MOST_POINTS = 160


@dataclass(frozen=True, eq=False)
class Ranking:
    """How well the probability of one class tells its pictures from all others.

    x, y: points of the curve, each in [0, 1]. area: under the ROC curve, or average precision; reach: the 95 % interval
        of the former.
    """

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    area: float
    reach: Bounds = (0.0, 1.0)


def histogram(outcomes: Sequence[Outcome], say: Say) -> Markup:
    """Answers by how sure they were, wrong ones below right ones in each bar."""
    width, height, left = 400, 190, 48
    sure = np.array([row.probability for row in outcomes])
    right = np.array([row.right for row in outcomes], bool)
    start = min(0.5, math.floor(10 * float(sure.min())) / 10)
    edges = np.linspace(start, 1, BINS + 1)
    bars = [np.histogram(np.clip(sure[mask], start, 1), edges)[0] for mask in (~right, right)]
    most = max(1, int((bars[0] + bars[1]).max()))
    step = (width - left) / BINS
    parts = [svg.rect("plot", left, _TOP, width - left, height)]
    for tick in _counts(most):
        y = _TOP + height * (1 - tick / most)
        parts += [svg.line("grid", left, y, width, y), svg.text("faint end", left - 7, y + 4, f"{tick:,}")]
    for number in range(BINS):
        base = float(_TOP + height)
        for kind, counts in (("hist-wrong", bars[0]), ("hist-right", bars[1])):
            tall = height * counts[number] / most
            if counts[number]:
                low, high = (f"{edge:.0%}" for edge in edges[number : number + 2])
                title = say(_TITLES[kind], n=counts[number], low=low, high=high)
                parts.append(svg.rect(kind, left + step * number + 1, base - tall, step - 2, tall, title))
            base -= tall
    for share in np.arange(0, 1.01, 0.1 if start >= 0.5 else 0.2):
        if share < start - 1e-9:
            continue
        x = left + (width - left) * (share - start) / (1 - start)
        parts.append(svg.text("faint middle", x, _TOP + height + 17, f"{100 * share:.0f}"))
    parts.append(svg.text("label middle", (left + width) / 2, _TOP + height + 38, say("how sure it was, %")))
    title = say("Histogram: how sure the answers were, right and wrong")
    return svg.drawing("histogram", title, (width + 12, _TOP + height + 46), parts)


def _counts(most: int) -> list[int]:
    """A few round numbers up to ``most``."""
    unit = 10 ** math.floor(math.log10(most))
    step = next(max(1, int(unit * factor)) for factor in (0.2, 0.5, 1, 2, 5) if most <= 5 * max(1, int(unit * factor)))
    return list(range(step, most + 1, step))


def rankings(
    probabilities: NDArray[np.floating],
    truth: NDArray[np.int64],
    classes: Sequence[str],
    asked: Sequence[int],
    units: NDArray[np.integer] | None = None,
) -> tuple[list[Ranking], list[Ranking]]:
    """ROC and precision-recall curves, one class against the rest, the least separable first, at most `_MOST_CURVES`.

    probabilities: (N, K). truth: (N,) in [0, K), or (N, K) of 0 and 1. asked: the classes in question. Of two classes
    the second one's curve is drawn alone: the other is its mirror image. Classes without a picture, or with all of
    them, have no curve. units: (N,) which unit each picture belongs to: duplicates and groups count once for intervals.
    """
    from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

    rocs, precisions = [], []
    for number in asked if len(classes) != 2 or truth.ndim == 2 else (1,):
        own = truth[:, number] > 0 if truth.ndim == 2 else truth == number
        if own.all() or not own.any():
            continue
        score = probabilities[:, number]
        false, true, _ = roc_curve(own, score)
        precision, recall, _ = precision_recall_curve(own, score)
        area = float(auc(false, true))
        single = np.arange(len(own)) if units is None else units
        reach = roc_bounds(area, len(np.unique(single[own])), len(np.unique(single[~own])))
        rocs.append(Ranking(classes[number], *_thinned(false, true), area, reach))
        average = float(average_precision_score(own, score))
        precisions.append(Ranking(classes[number], *_thinned(recall[::-1], precision[::-1]), average))
    order = sorted(range(len(rocs)), key=lambda i: rocs[i].area)[:_MOST_CURVES]
    return [rocs[i] for i in order], [precisions[i] for i in order]


def _thinned(x: NDArray[np.floating], y: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    chosen = np.unique(np.linspace(0, len(x) - 1, min(len(x), _MOST_POINTS)).round().astype(np.int64))
    return np.asarray(x[chosen], np.float64), np.asarray(y[chosen], np.float64)


def square(curves: Sequence[Ranking], *, title: str, x: str, y: str, diagonal: bool) -> Markup:
    """Curves in the unit square. title, x, y: what the axes are, already translated."""
    parts = [svg.rect("plot", _LEFT, _TOP, _SIDE, _SIDE)]
    for fifth in range(6):
        at = _SIDE * fifth / 5
        parts.append(svg.line("grid", _LEFT, _TOP + _SIDE - at, _LEFT + _SIDE, _TOP + _SIDE - at))
        parts.append(svg.text("faint end", _LEFT - 7, _TOP + _SIDE - at + 4, f"{20 * fifth} %"))
        parts.append(svg.text("faint middle", _LEFT + at, _TOP + _SIDE + 17, f"{20 * fifth}"))
    if diagonal:
        parts.append(svg.line("perfect", _LEFT, _TOP + _SIDE, _LEFT + _SIDE, _TOP))
    for number, curve in enumerate(curves):
        points = " L".join(
            f"{_LEFT + _SIDE * a:.1f},{_TOP + _SIDE * (1 - b):.1f}" for a, b in zip(curve.x, curve.y, strict=True)
        )
        parts.append(svg.path(f"ranking hue-{number}", f"M{points}", "none"))
    parts.append(svg.text("label middle", _LEFT + _SIDE / 2, _TOP + _SIDE + 38, f"{x}, %"))
    edge, kind = (_LEFT + _SIDE - 9, "label end") if diagonal else (_LEFT + 9, "label")
    parts.append(svg.text(kind, edge, _TOP + _SIDE - 11, f"↑ {y}"))
    described = f"{title}: {', '.join(f'{curve.name} {curve.area:.3f}' for curve in curves)}"
    return svg.drawing("square", described, (_LEFT + _SIDE + 14, _TOP + _SIDE + 46), parts)

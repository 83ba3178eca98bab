"""The report of a run or an evaluation as one file that needs nothing else: values in, HTML out.

Nothing is computed here that another module of `judge` does not give. `charts` and `plots` draw, `thumbnails`
chooses and shrinks pictures, `sections` orders; `workflows.report_data` gathers the values from a run's folder.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from frostline.data.manifest import Skipped
from frostline.data.split import joined
from frostline.errors import one_line
from frostline.judge.calibrate import BINS, Bin, error_if_perfect, expected_calibration_error, reliability
from frostline.judge.conformal import CoverageResult
from frostline.judge.intervals import of_new
from frostline.judge.metrics import Interval, Report, in_words
from frostline.judge.ood import Novelty
from frostline.judge.pages.render import rendered
from frostline.judge.pages.translations import Say, speaking
from frostline.judge.predictions import Outcome
from frostline.judge.report import charts, plots
from frostline.judge.report.charts import Curve, Layer
from frostline.judge.report.sections import SECTIONS
from frostline.judge.report.thumbnails import Shown
from frostline.judge.result import PhaseRow

_MOST_CLASSES = 24  # of which a confusion matrix is still a picture; of more, the pairs most often confused are listed
_MOST_PAIRS = 40
_FIRST_PAIRS = 9  # of these that are not folded away
_MOST_NAMED = 3  # classes of a prediction set's promise
_MOST_ROWS = 2_000  # of the table of classes
_MOST_SKIPPED = 100
_MOST_RANKED = 24  # classes whose curves are computed, those of the lowest F1
_MOST_PREDICTIONS = 60_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Page:
    """What a report shows. Whatever is empty is left out of it.

    title: the name of the data. what: "fit" or "evaluation". when: a date and time, for people.
    split: that the figures were measured on: "test", "val", "cross-validation", or "".
    report, outcomes: its figures and its pictures, each with its answer. shown: the pictures that can be seen.
    phases, layers, rates, curves: how it was learnt: closing table, stages from stem to head, the rate of each stage in
        each phase (0 is frozen), and what was noted of each epoch.
    counts: usable pictures by split and class. skipped: what was left out. warnings: sentences.
    cost: seconds in all, peak memory in bytes, pictures a second, each where it is known.
    command: that repeats the run. facts: what was resolved, name and value. versions: of packages.
    coverage, novelty: what prediction sets came to, and the threshold of strange pictures, as ``metrics.json`` has
        them.
    drift: a sentence on how far the pictures are from those it was trained on, or "".
    probabilities: (N, K) of the outcomes, calibrated, or None. places: (N, 2) of the outcomes on a map of the features
        in front of the head, in [0, 1], NaN where a picture is not on it; or None.
    """

    title: str
    what: str
    model: str
    split: str
    report: Report
    classes: tuple[str, ...]
    outcomes: tuple[Outcome, ...] = ()
    shown: Shown = field(default_factory=Shown)
    strategy: str = ""
    when: str = ""
    phases: tuple[PhaseRow, ...] = ()
    layers: tuple[Layer, ...] = ()
    rates: tuple[Mapping[str, float], ...] = ()
    curves: tuple[Curve, ...] = ()
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    skipped: tuple[Skipped, ...] = ()
    warnings: tuple[str, ...] = ()
    temperature: float | None = None
    seconds: float | None = None
    memory: int | None = None
    speed: float | None = None
    engine: str = ""
    command: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    coverage: tuple[CoverageResult, ...] = ()
    novelty: Novelty | None = None
    drift: str = ""
    probabilities: NDArray[np.floating] | None = None
    places: NDArray[np.floating] | None = None

    @property
    def accuracy(self) -> Interval:
        """The headline."""
        return self.report.figures["accuracy"]

    @property
    def right(self) -> int:
        """How many pictures are."""
        return round(self.accuracy.value * self.accuracy.n)

    @property
    def multilabel(self) -> bool:
        """Whether a picture may have several classes."""
        return self.report.confusion.ndim == 3

    @property
    def has_thumbs(self) -> bool:
        """Whether any picture can be seen."""
        return bool(self.shown.thumbs)

    @property
    def is_matrix(self) -> bool:
        """Whether the confusion matrix is small enough to be one."""
        return not self.multilabel and len(self.classes) <= _MOST_CLASSES

    @property
    def pairs(self) -> list[tuple[int, int, int]]:
        """(truth, answer, pictures), of different classes, the most often confused first."""
        if self.multilabel:
            return []
        found = [
            (int(truth), int(answer), int(self.report.confusion[truth, answer]))
            for truth, answer in zip(*self.report.confusion.nonzero(), strict=True)
            if truth != answer
        ]
        return sorted(found, key=lambda pair: -pair[2])[:_MOST_PAIRS]

    @cached_property
    def bins(self) -> tuple[Bin, ...]:
        """The reliability diagram of the pictures, or nothing."""
        if not self.outcomes or self.multilabel:
            return ()
        sure = np.clip([row.probability for row in self.outcomes], 1e-9, 1)
        return reliability(sure, np.array([row.right for row in self.outcomes]), BINS)

    @property
    def calibration_error(self) -> float | None:
        """Expected calibration error in [0, 1]."""
        return expected_calibration_error(self.bins) if self.bins else None

    @cached_property
    def error_if_perfect(self) -> tuple[float, float]:
        """What a perfectly calibrated model would show here: on average, and at most in 95 % of draws."""
        return error_if_perfect(np.array([row.probability for row in self.outcomes]), units=self.units)

    @cached_property
    def units(self) -> NDArray[np.int64] | None:
        """Which unit each outcome belongs to: duplicates and groups are one; None where each is by itself."""
        return joined((row.group or None, row.digest) for row in self.outcomes)

    @cached_property
    def of_new(self) -> tuple[int, int]:
        """How many of 100 new pictures of the same kind would be right."""
        return of_new(self.accuracy)

    @cached_property
    def largest(self) -> tuple[str, float] | None:
        """The class that has the most pictures, and its share: what always guessing it would come to."""
        support = np.array([row.support for row in self.report.per_class])
        if self.multilabel or not support.sum():
            return None
        first = int(support.argmax())
        return self.report.per_class[first].name, float(support[first] / support.sum())

    @cached_property
    def scores(self) -> NDArray[np.floating] | None:
        """Probabilities (N, K) for curves: those that are there, or for two classes those that answers imply."""
        if self.probabilities is not None:
            return self.probabilities
        if len(self.classes) != 2 or self.multilabel or not self.outcomes:
            return None
        second = np.array(
            [row.probability if row.predicted == self.classes[1] else 1 - row.probability for row in self.outcomes]
        )
        return np.column_stack([1 - second, second])

    @cached_property
    def truth(self) -> NDArray[np.int64]:
        """The outcomes' labels as (N,) places in ``classes``; of several labels a picture (N, K) of 0 and 1."""
        place = {name: index for index, name in enumerate(self.classes)}
        if not self.multilabel:
            return np.array([place.get(row.label, -1) for row in self.outcomes], np.int64)
        found = np.zeros((len(self.outcomes), len(self.classes)), np.int64)
        for line, row in zip(found, self.outcomes, strict=True):
            line[[place[name] for name in row.label.split("|") if name in place]] = 1
        return found


@dataclass(frozen=True)
class Drawn:
    """The drawings of a page: profile in two widths, gauge, reliability diagram, histogram, and the two curves."""

    profiles: list[tuple[str, Markup]]
    gauge: Markup
    diagram: Markup | str = ""
    histogram: Markup | str = ""
    roc: Markup | str = ""
    precision: Markup | str = ""
    rankings: tuple[plots.Ranking, ...] = ()


def render(page: Page, *, lang: str = "en") -> str:
    """The page as HTML: one file, no request to any host, at most a few megabytes.

    lang: "en" or "zh".

    Raises: PlanError: there is no such language.
    """
    say = speaking(lang)
    return rendered(
        __package__,
        lang=lang,
        filters={
            "percent": percent,
            "number": number,
            "clock": clock,
            "bytes": in_bytes,
            "plain": one_line,
            "words": in_words,
            "lowest": lowest,
            "confidence": confidence,
            "middle": middle,
        },
        page=page,
        sections=[section for section in SECTIONS if section.shown(page)],
        drawn=_drawn(page, say),
        given=Markup(_given(page)),
        largest=int(page.report.confusion.max(initial=1)),
        most_rows=_MOST_ROWS,
        most_skipped=_MOST_SKIPPED,
        most_named=_MOST_NAMED,
        first_pairs=_FIRST_PAIRS,
        most_predictions=_MOST_PREDICTIONS,
    )


def _drawn(page: Page, say: Say) -> Drawn:
    roc: Markup | str = ""
    precision: Markup | str = ""
    rocs: list[plots.Ranking] = []
    if page.scores is not None:
        worst = sorted(range(len(page.classes)), key=lambda k: page.report.per_class[k].f1 or 0.0)[:_MOST_RANKED]
        rocs, precisions = plots.rankings(page.scores, page.truth, page.classes, worst, page.units)
        if rocs:
            false, true = say("false alarms"), say("found")
            roc = plots.square(rocs, title=say("ROC curve"), x=false, y=true, diagonal=True)
            right = say("of them right")
            precision = plots.square(precisions, title=say("precision and recall"), x=true, y=right, diagonal=False)
    return Drawn(
        profiles=_in_two_widths(
            lambda width: charts.profile(page.phases, page.layers, page.rates, page.curves, say, width)
        ),
        gauge=charts.gauge(page.accuracy),
        diagram=charts.diagram(page.bins, say) if page.bins else "",
        histogram=plots.histogram(page.outcomes, say) if page.bins else "",
        roc=roc,
        precision=precision,
        rankings=tuple(rocs),
    )


def percent(share: float | None, digits: int = 1) -> str:
    """0.948 -> "94.8 %", with a space that does not break; nothing -> a dash."""
    return "–" if share is None else f"{100 * share:.{digits}f}\u202f%"


def confidence(probability: float) -> str:
    """Of one answer, as ``page.js`` writes it of per mille: halves up, and no 100 % for what is not."""
    mille = round(1000 * probability)
    return f"{mille / 10:.1f}\u202f%" if 995 <= mille < 1000 else f"{(mille + 5) // 10}\u202f%"


def number(value: float | None) -> str:
    """Of whatever size, in as many digits as are worth reading."""
    if value is None:
        return "–"
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def lowest(row: CoverageResult) -> list[tuple[str, tuple[float, int]]]:
    """The classes to name beside a prediction set's promise: all of a few, of many those below it, the lowest first."""
    if len(row.by_class) <= _MOST_NAMED:
        return list(row.by_class.items())
    below = [item for item in row.by_class.items() if item[1][0] < row.coverage]
    return sorted(below, key=lambda item: item[1][0])


def middle(text: str, most: int = 36) -> str:
    """A long name without its middle: its ends tell names apart."""
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[len(text) - most // 2 :]}"


def clock(seconds: float) -> str:
    """12.3 -> "12.3 s", 361 -> "6 min 1 s"."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def in_bytes(count: float) -> str:
    """1,234,000 -> "1.2 MB"."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _in_two_widths(draw: Callable[[int], Any]) -> list[tuple[str, Any]]:
    """Text in a drawing shrinks with it, so that a phone is given one of its own."""
    return [("wide", draw(860)), ("narrow", draw(380))]


def _given(page: Page) -> str:
    """What the script draws tables, galleries and the map from, as JSON that no name in it can end.

    rows: [folder, name, label, predicted, probability in per mille, right, x, y], the last two in per mille of the map;
        folders are places in ``folders``, labels and predictions in ``words``, which begins with the classes.
    thumbs: by row. cells: of the confusion matrix, [truth, answer, pictures].
    """
    words = {name: index for index, name in enumerate(page.classes)}
    folders: dict[str, int] = {}
    rows = []
    for index, row in enumerate(page.outcomes[:_MOST_PREDICTIONS]):
        folder, slash, name = one_line(row.name).rpartition("/")
        line: list[Any] = [
            folders.setdefault(folder + slash, len(folders)),
            name,
            words.setdefault(row.label, len(words)),
            words.setdefault(row.predicted, len(words)),
            round(1000 * row.probability),
            int(row.right),
        ]
        if page.places is not None and np.isfinite(page.places[index]).all():
            line += [round(1000 * float(value)) for value in page.places[index]]
        rows.append(line)
    confusion = page.report.confusion
    cells = [] if page.multilabel else [[int(t), int(a), int(confusion[t, a])] for t, a in np.argwhere(confusion)]
    given = {
        "words": [one_line(word) for word in words],
        "classes": len(page.classes),
        "folders": list(folders),
        "rows": rows,
        "thumbs": {str(index): uri for index, uri in page.shown.thumbs.items()},
        "cells": cells,
    }
    text = json.dumps(given, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")

"""What the report of a run or an evaluation shows: values, and what follows from them at once.

`workflows.report_data` gathers the values from a run's folder, `render` makes the page of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from frostline.data.label_text import parted
from frostline.data.manifest import Skipped
from frostline.data.split import joined
from frostline.judge.calibrate import Bin, error_if_perfect, expected_calibration_error, reliability
from frostline.judge.conformal import CoverageResult
from frostline.judge.figures import Report
from frostline.judge.intervals import Interval, of_new
from frostline.judge.ood import Novelty
from frostline.judge.predictions import Outcome
from frostline.judge.report.charts import Curve, Layer
from frostline.judge.report.thumbnails import Shown
from frostline.judge.result import PhaseRow

_MOST_CLASSES = 24  # of which a confusion matrix is still a picture; of more, the pairs most often confused are listed
_MOST_PAIRS = 40


@dataclass(frozen=True, kw_only=True, eq=False)
class Page:
    """What a report shows. Whatever is empty is left out of it.

    title: the name of the data. what: "fit" or "evaluation". when: a date and time, for people.
    split: that the figures were measured on: "test", "val", "cross-validation", or "".
    report, outcomes: its figures and its pictures, each with its answer. shown: the pictures that can be seen.
    unseen: whether it is known that the model has learnt from none of these pictures.
    phases, layers, rates, curves: how it was learnt: closing table, stages from stem to head, the rate of each stage in
        each phase (0 is frozen), and what was noted of each epoch.
    pictures, counts: usable pictures by split, and by split and class. skipped: what was left out. warnings: sentences.
    seconds, memory, speed: in all, at its peak in bytes, pictures a second; each where it is known.
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
    unseen: bool = True
    strategy: str = ""
    when: str = ""
    phases: tuple[PhaseRow, ...] = ()
    layers: tuple[Layer, ...] = ()
    rates: tuple[Mapping[str, float], ...] = ()
    curves: tuple[Curve, ...] = ()
    pictures: Mapping[str, int] = field(default_factory=dict)
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
    def left_out(self) -> str:
        """What is said of how many lines ``skipped`` has: a folder in it is a line, with all its pictures."""
        folders = any(item.name.endswith("/") for item in self.skipped)
        return "{n} files or folders were left out" if folders else "{n} files were left out"

    @property
    def multilabel(self) -> bool:
        """Whether a picture may have several classes."""
        return self.report.confusion.ndim == 3

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
        return reliability(sure, np.array([row.right for row in self.outcomes]))

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
    def ranked(self) -> list[int]:
        """The places of classes of which some pictures are and some are not, those of the lowest F1 first."""
        rows = self.report.per_class
        there = [k for k, row in enumerate(rows) if 0 < row.support < self.report.n]
        return [] if self.scores is None else sorted(there, key=lambda k: rows[k].f1 or 0.0)

    @cached_property
    def truth(self) -> NDArray[np.int64]:
        """The outcomes' labels as (N,) places in ``classes``; of several labels a picture (N, K) of 0 and 1."""
        place = {name: index for index, name in enumerate(self.classes)}
        if not self.multilabel:
            return np.array([place.get(row.label, -1) for row in self.outcomes], np.int64)
        found = np.zeros((len(self.outcomes), len(self.classes)), np.int64)
        for line, row in zip(found, self.outcomes, strict=True):
            line[[place[name] for name in parted(row.label) if name in place]] = 1
        return found

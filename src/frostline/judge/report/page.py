"""The report of a run or an evaluation as one file that needs nothing else: values in, HTML out.

Nothing is computed here that another module of `judge` does not give. ``figures`` draws, ``thumbs`` chooses and shrinks
pictures, ``words`` says it in English or Chinese; `run.pages` gathers the values from a run's folder.
"""

import base64
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from typing import Any

from frostline.data.manifest import Skipped
from frostline.errors import one_line
from frostline.judge.calibrate import BINS, Bin, expected_calibration_error, reliability
from frostline.judge.metrics import Interval, Report
from frostline.judge.pages.translations import LANGUAGES, speaking
from frostline.judge.predictions import Outcome
from frostline.judge.report import charts
from frostline.judge.report.charts import Curve, Layer
from frostline.judge.report.thumbnails import Shown
from frostline.judge.result import PhaseRow

_MOST_CLASSES = 24  # of which a confusion matrix is still a picture; of more, the pairs most often confused are listed
_MOST_PAIRS = 40
_MOST_ROWS = 200  # of the table of classes
_MOST_SKIPPED = 100


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
    drift: a sentence on how far the pictures are from those it learnt from, or "".
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
    coverage: tuple[Mapping[str, Any], ...] = ()
    novelty: Mapping[str, Any] | None = None
    drift: str = ""

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
        import numpy as np

        if not self.outcomes or self.multilabel:
            return ()
        sure = np.clip([row.probability for row in self.outcomes], 1e-9, 1)
        return reliability(sure, np.array([row.right for row in self.outcomes]), BINS)

    @property
    def calibration_error(self) -> float | None:
        """Expected calibration error in [0, 1]."""
        return expected_calibration_error(self.bins) if self.bins else None


def render(page: Page, *, lang: str = "en") -> str:
    """The page as HTML: one file, no request to any host, at most a few megabytes.

    lang: "en" or "zh".

    Raises: PlanError: there is no such language.
    """
    import jinja2

    say = speaking(lang)
    files = resources.files(__package__)
    style, script = (files.joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "number": number, "clock": clock, "bytes": in_bytes, "plain": one_line}
    return environment.get_template("page.html").render(
        page=page,
        t=say,
        lang=LANGUAGES[lang],
        style=style,
        script=script,
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        profiles=_in_two_widths(
            lambda width: charts.profile(page.phases, page.layers, page.rates, page.curves, say, width)
        ),
        diagram=charts.diagram(page.bins, say) if page.bins else "",
        gauge=charts.gauge(page.accuracy),
        pictures=_listed(page),
        largest=int(page.report.confusion.max(initial=1)),
        most_rows=_MOST_ROWS,
        most_skipped=_MOST_SKIPPED,
    )


def percent(share: float | None, digits: int = 1) -> str:
    """0.948 -> "94.8 %", with a space that does not break; nothing -> a dash."""
    return "–" if share is None else f"{100 * share:.{digits}f}\u202f%"


def number(value: float | None) -> str:
    """Of whatever size, in as many digits as are worth reading."""
    if value is None:
        return "–"
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


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


def _listed(page: Page) -> str:
    """The pictures for the script: by truth and answer, each its name, its probability and what to show."""
    if page.multilabel:
        return "{}"
    place = {name: index for index, name in enumerate(page.classes)}
    cells: dict[str, list[list[Any]]] = defaultdict(list)
    for index in page.shown.listed:
        row = page.outcomes[index]
        if row.label in place and row.predicted in place:
            cell = cells[f"{place[row.label]}-{place[row.predicted]}"]
            cell.append([one_line(row.name), round(100 * row.probability, 1), page.shown.thumbs.get(index, "")])
    return json.dumps(cells, ensure_ascii=True, separators=(",", ":"))

"""The parts of a report, as values in the order of the page: a new one is a line here and a template beside it.

A section's template (``sections/NAME.html``) sees ``page`` (a `Page`), ``t`` (what it says) and ``drawn`` (a `Drawn`).
"""

from collections.abc import Callable
from dataclasses import dataclass

from frostline.judge.report.page import Page


@dataclass(frozen=True, slots=True)
class Section:
    """name: of its template and its anchor. title: in the table of contents. shown: whether a page has it."""

    name: str
    title: str
    shown: Callable[[Page], bool]


SECTIONS: tuple[Section, ...] = (
    Section(
        "samples", "What the pictures are", lambda page: any(page.shown.samples.values()) and bool(page.shown.thumbs)
    ),
    Section("training", "How it was trained", lambda page: bool(page.phases)),
    Section("errors", "Where it errs", lambda page: True),
    Section("confidence", "Does 90 % mean 90 %?", lambda page: bool(page.bins or page.coverage)),
    Section("novelty", "Unlike the training data", lambda page: bool(page.novelty or page.drift)),
    Section("thresholds", "What a threshold would trade", lambda page: bool(page.ranked)),
    Section("map", "How pictures lie beside each other", lambda page: page.places is not None),
    Section("classes", "Each class", lambda page: True),
    Section("predictions", "Every prediction", lambda page: bool(page.outcomes)),
    Section("data", "The pictures", lambda page: bool(page.counts or page.skipped)),
    Section("repeat", "What it cost, and how to repeat it", lambda page: True),
)

"""The report as one file that needs nothing else: a `Page` in, HTML out.

Nothing is computed here that another module of `judge` does not give. `charts` and `plots` draw, `thumbnails`
chooses and shrinks pictures, `sections` orders, `text` writes figures.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from markupsafe import Markup

from frostline.errors import one_line
from frostline.judge.figures import in_words
from frostline.judge.pages.render import rendered, shared_folder
from frostline.judge.pages.translations import Say, speaking
from frostline.judge.report import charts, plots, text
from frostline.judge.report.page import Page
from frostline.judge.report.sections import SECTIONS
from frostline.quantities import in_bytes

_FIRST_PAIRS = 9  # of those most often confused that are not folded away
_MOST_ROWS = 2_000  # of the table of classes
_MOST_SKIPPED = 100
_MOST_RANKED = 24  # classes whose curves are computed, those of the lowest F1
_MOST_PREDICTIONS = 60_000


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
    say, page = speaking(lang), _without_folder(page)
    return rendered(
        __package__,
        lang=lang,
        filters={
            "percent": text.percent,
            "number": text.number,
            "clock": text.clock,
            "bytes": in_bytes,
            "plain": one_line,
            "words": in_words,
            "lowest": text.lowest,
            "confidence": text.confidence,
            "middle": text.middle,
            "wrapped": text.wrapped,
        },
        page=page,
        sections=[section for section in SECTIONS if section.shown(page)],
        drawn=_drawn(page, say),
        given=Markup(_given(page)),
        largest=int(page.report.confusion.max(initial=1)),
        most_rows=_MOST_ROWS,
        most_skipped=_MOST_SKIPPED,
        most_named=text.MOST_NAMED,
        first_pairs=_FIRST_PAIRS,
        most_predictions=_MOST_PREDICTIONS,
    )


def _without_folder(page: Page) -> Page:
    """The folder that all names share is said once, at the end."""
    folder = shared_folder([row.name for row in page.outcomes])
    if not folder:
        return page
    outcomes = tuple(replace(row, name=row.name.removeprefix(folder)) for row in page.outcomes)
    return replace(page, outcomes=outcomes, facts={"folder of the pictures": folder, **page.facts})


def _drawn(page: Page, say: Say) -> Drawn:
    roc: Markup | str = ""
    precision: Markup | str = ""
    rocs: list[plots.Ranking] = []
    if page.scores is not None and page.ranked:
        rocs, precisions = plots.rankings(page.scores, page.truth, page.classes, page.ranked[:_MOST_RANKED], page.units)
        if rocs:
            false, true = say("false alarms"), say("found")
            roc = plots.square(rocs, title=say("ROC curve"), x=false, y=true, diagonal=True)
            right = say("of them right")
            precision = plots.square(precisions, title=say("precision and recall"), x=true, y=right, diagonal=False)
    return Drawn(
        profiles=[  # text in a drawing shrinks with it, so that a phone is given one of its own
            (name, charts.profile(page.phases, page.layers, page.rates, page.curves, say, width))
            for name, width in (("wide", 860), ("narrow", 380))
        ],
        gauge=charts.gauge(page.accuracy),
        diagram=charts.diagram(page.bins, say) if page.bins else "",
        histogram=plots.histogram(page.outcomes, say) if page.bins else "",
        roc=roc,
        precision=precision,
        rankings=tuple(rocs),
    )


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
    told = json.dumps(given, ensure_ascii=True, separators=(",", ":"))
    return told.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")

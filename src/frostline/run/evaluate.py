"""Judge a model on labelled pictures that it has not seen."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from frostline.data.manifest import Manifest, Skipped
from frostline.errors import DataError
from frostline.judge import metrics
from frostline.judge.metrics import Report
from frostline.judge.outcomes import Outcome, outcomes
from frostline.ship.stream import Failure, Predictor


@dataclass(frozen=True, eq=False)
class Evaluation:
    """report: the figures. skipped: pictures that could not be read and count nowhere. outcomes: of all others."""

    report: Report
    skipped: tuple[Skipped, ...]
    outcomes: tuple[Outcome, ...] = ()


def evaluate(
    predictor: Predictor, manifest: Manifest, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Evaluation:
    """All figures of a model on a manifest's pictures.

    Raises: DataError: a label that the model does not know, no labels, or no picture that can be read.
    """
    about = predictor.about
    strange = sorted({label for row in manifest.rows for label in row.labels} - set(about.classes))
    if strange or not all(row.labels for row in manifest.rows):
        what = f"the model does not know the class {strange[0]!r}" if strange else "some pictures have no label"
        raise DataError(what, where=manifest.source or None, hint=f"it knows: {', '.join(about.classes)}")
    place = {name: number for number, name in enumerate(about.classes)}
    found, truths, skipped = [], [], []
    for number, (row, answer) in enumerate(zip(manifest.rows, predictor.predict(manifest.rows), strict=True), start=1):
        if isinstance(answer, Failure):
            skipped.append(Skipped(answer.name, answer.reason))
        else:
            found.append(answer.probabilities)
            truths.append([place[label] for label in row.labels])
        progress(number, len(manifest))
    if not found:
        raise DataError("no picture can be read", where=manifest.source or None, hint=skipped[0].reason)
    probabilities = np.stack(found).astype(np.float64)
    if about.multilabel:
        y = np.zeros((len(truths), len(place)), np.int64)
        for line, labels in zip(y, truths, strict=True):
            line[labels] = 1
        report = metrics.report_multilabel(probabilities, y, about.classes)
    else:
        probabilities /= probabilities.sum(1, keepdims=True)
        report = metrics.report(probabilities, np.array([labels[0] for labels in truths]), about.classes)
    rows = outcomes(manifest.without(skipped), probabilities, "evaluation")
    return Evaluation(report, (*manifest.skipped, *skipped), tuple(rows))

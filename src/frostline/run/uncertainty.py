"""What a finished model may promise: sets of classes that hold the right one, and which pictures are none of its kind.

Both rest on pictures that the model has not learnt from: the val split, or the training pictures by folds.
"""

import numpy as np
from numpy.typing import NDArray

from frostline.data.manifest import Manifest
from frostline.data.split import fold_numbers, units
from frostline.data.views import EvaluationView
from frostline.errors import DataError, EngineError, StageError, StoreError
from frostline.events import Note
from frostline.judge import conformal, ood
from frostline.judge.conformal import CoverageResult, PredictionSets
from frostline.judge.ood import Novelty
from frostline.run.phase_context import PhaseContext

_FOLDS = 10

Judged = tuple[Manifest, NDArray[np.float64]]
"""Labelled pictures and their calibrated probabilities (N, K)."""


def sets_of(held_out: Judged | None, source: str) -> PredictionSets | None:
    """Prediction sets, or None where nothing was held out or a picture may have several labels."""
    if held_out is None or held_out[0].multilabel:
        return None
    part, probabilities = held_out
    return conformal.calibrated(probabilities, part.targets().astype(np.int64), source=source, units=units(part))


def covered(sets: PredictionSets | None, held_out: Judged | None, test: Judged | None) -> tuple[CoverageResult, ...]:
    """What the sets cover: on test where there is a test split, else what is promised."""
    if sets is None or held_out is None or (test is None and len(held_out[0]) < 2):
        return ()
    part, probabilities = test or held_out
    y = part.targets().astype(np.int64)
    if test is not None:
        return conformal.measured_on_test(sets, probabilities, y, classes=part.classes, units=units(part))
    return conformal.promised(sets, probabilities, classes=part.classes)


def novelty_of(
    context: PhaseContext, held_out: Manifest | None, distances: NDArray[np.float32] | None = None
) -> Novelty | None:
    """From which distance on a picture is unlike the training data, by the network as it stands.

    held_out: a val split; None takes the training pictures by folds, which is honest for a trunk that was frozen.
    distances: of these pictures, each by a network that has not learnt from it, where the one that stands has:
        (N,) of the training pictures, or as `distances_of` gives them.
    Returns None, having said why, where the head does not read one vector a picture, or too few were held out.
    """
    kept = ood.remembered(context.train.targets(), seed=context.seed)
    of = context.train if held_out is None else held_out
    drawn, together = ood.measured(len(of), seed=context.seed), units(of)
    if together is not None and (distances is None or held_out is not None):
        together = together[drawn]
    try:
        known = features_of(context, context.train, kept)
        if distances is not None:
            found = ood.from_distances(known, distances, head=context.head.path, units=together)
        elif held_out is None:
            fold = fold_numbers(context.train, min(_FOLDS, len(context.train)), seed=context.seed)
            pictures = features_of(context, context.train, drawn), fold[drawn]
            found = ood.from_folds(known, fold[kept], head=context.head.path, units=together, drawn=pictures)
        else:
            far = distances_of(context, known, held_out)
            found = ood.from_distances(known, far, head=context.head.path, units=together)
    except (DataError, EngineError, StageError, StoreError) as error:
        context.listen(Note(f"out-of-distribution detection is not available: {error.what}"))
        return None
    if found is None:
        what = "pictures" if together is None else "groups and single pictures"
        few = f"fewer than {ood.FEWEST} {what} were held out"
        context.listen(Note(f"out-of-distribution detection is not available: {few}"))
    return found


def distances_of(context: PhaseContext, known: NDArray[np.float32], held_out: Manifest) -> NDArray[np.float32]:
    """How far held-out pictures lie from known ones, by the network as it stands; (n,) of those that are measured.

    Raises: as `features_of`.
    """
    drawn = ood.measured(len(held_out), seed=context.seed)
    return ood.distances(known, features_of(context, held_out, drawn))


def features_of(context: PhaseContext, part: Manifest, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
    """What goes into the head, (n, D), of some rows.

    Raises: DataError: it is not one vector a picture. StageError, EngineError, StoreError: see `Activations.at`.
    """
    if context.head.others:
        raise DataError("the network has more than one head")
    rows = [part.rows[number] for number in chosen]
    view = EvaluationView(context.activations.preprocessing)
    read, _ = context.activations.at("head", rows, view, what="pictures for novelty")
    x = read(np.arange(len(rows)))
    if x[0].size != context.head.features:
        raise DataError(f"the head reads {x.shape[1:]} a picture, not one vector")
    return x.reshape(len(x), -1).astype(np.float32)

"""Explain answers: where the evidence lies in each picture, and which training pictures look most like it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frostline.data.label_text import as_text
from frostline.data.manifest import Row
from frostline.data.pictures.picture import content_digest
from frostline.data.views import EvaluationView
from frostline.errors import CheckpointError, DecodeError, FrostlineError, UnknownName
from frostline.events import Listener, Note, quiet
from frostline.features.activations import Activations
from frostline.features.store import Store
from frostline.judge import explain
from frostline.judge.neighbours import nearest, unit
from frostline.judge.report.thumbnails import viewed
from frostline.judge.training_list import run_of, training_list
from frostline.registry import did_you_mean
from frostline.ship.model_info import located
from frostline.ship.open_folder import open_folder
from frostline.ship.open_predictor import of_network
from frostline.ship.predictor import Failure

OVERLAYS = "explained"
SIDE = 448
"""Of an overlay's shorter side, in pixels, unless the network sees more than that."""


@dataclass(frozen=True, slots=True)
class Near:
    """A training picture that looks like another. similarity: cosine of their features, in [-1, 1]."""

    name: str
    label: str
    similarity: float


@dataclass(frozen=True, eq=False)
class Explanation:
    """One picture. label: the class that is explained, probability: what the model gives it.

    overlay: (H, W, 3) uint8, what the network sees, with the evidence over it. near: the most alike first.
    """

    name: str
    label: str
    probability: float
    overlay: NDArray[np.uint8]
    near: tuple[Near, ...]


def overlay_folder(model: Path, out: Path | None) -> Path:
    """The folder for overlays, made if need be: `out`, else ``explained`` in the run's folder (beside a bare model's).

    Raises: CheckpointError: it is a link, or cannot be made.
    """
    inside = located(model)
    run = model if inside != model else run_of(model)
    folder = out or (run / OVERLAYS if run is not None else model.with_name(f"{model.name}-{OVERLAYS}"))
    if out is None and folder.is_symlink():
        raise CheckpointError("the folder for overlays is a link", where=folder, hint="name a folder with --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"overlays cannot be written: {error.strerror}", where=folder, hint="name a folder with --out"
        ) from None
    return folder


def explanations(
    model: Path,
    rows: Sequence[Row],
    *,
    label: str | None = None,
    near: int = 3,
    store: Store,
    cache: Path,
    listen: Listener = quiet,
    trust: str | None = None,
) -> Iterator[Explanation | Failure]:
    """One a row, in their order, as they come; a picture that cannot be read is a Failure, and the others go on.

    model: a model folder, or a run's folder, which also knows the training pictures.
    label: the class to explain, by default the one that the model says. near: how many training pictures to name.
    store, cache: where the features of training pictures are, or are put.
    trust: as ``open_folder``.

    Raises: UnknownName: the model has no such class. CheckpointError, WeightsError: the folder is damaged.
        StageError: no part of the network gives a map of the picture.
    """
    shipped = open_folder(located(model), trust=trust)
    about = shipped.about
    if label is not None and label not in about.classes:
        hint = did_you_mean(label, about.classes) or f"it knows: {', '.join(about.classes)}"
        raise UnknownName(f"the model has no class {label!r}", where="--class", hint=hint)
    activations = Activations(shipped.net, about.name, about.preprocessing, store, cache, "auto", "auto", listen)
    alike = _alike(model, rows, near, activations, listen, several=about.multilabel) if near else {}
    predictor = of_network(shipped.net, about)
    view = EvaluationView(about.preprocessing)
    side = max(SIDE, about.preprocessing.size[0])
    for row in rows:
        try:
            pixels = view(row.picture)
        except DecodeError as error:
            yield Failure(row.name, error.what)
            continue
        probabilities = about.probabilities(predictor.logits(np.stack([pixels])))[0]
        index = about.classes.index(label) if label is not None else int(probabilities.argmax())
        heat = explain.heatmap(shipped.net, about.preprocessing, pixels, index)
        large = viewed(row.picture, about.preprocessing, side)
        assert large is not None  # it was decoded a moment ago
        overlay = explain.overlay(large, explain.resized(heat, large.shape[:2]))
        found = alike.get(row.name, ())
        yield Explanation(row.name, about.classes[index], float(probabilities[index]), overlay, found)


def _alike(
    model: Path, rows: Sequence[Row], count: int, activations: Activations, listen: Listener, *, several: bool
) -> dict[str, tuple[Near, ...]]:
    """The training pictures of a run that look most like each row, by what the trunk makes of them, by the rows' names.

    several: whether they may have several labels. Where they are not known any more, a word why, and none.
    """
    training = training_list(model, several=several)
    if training is None:
        listen(Note("nothing is known of the training pictures: name the run's folder to see which look alike"))
        return {}
    there = [row for row in training if isinstance(row.picture, Path) and row.picture.is_file()]
    if len(there) < len(training):
        listen(Note(f"{len(training) - len(there)} of {len(training)} training pictures are not where they were"))
    asked = [replace(row, digest=digest) for row in rows if (digest := _digest(row))]
    if not there or not asked:
        return {}
    try:
        known, features = _features(activations, there, "training pictures")
        named, own = _features(activations, asked, "pictures")
    except FrostlineError as error:
        listen(Note(f"similar training pictures are not available: {error.what}"))
        return {}
    indices, apart = nearest(own, features, count)
    return {
        row.name: tuple(
            Near(known[i].name, as_text(known[i].labels, several=several), 1 - float(far))
            for i, far in zip(*line, strict=True)
        )
        for row, *line in zip(named, indices, apart, strict=True)
    }


def _digest(row: Row) -> str:
    try:
        return content_digest(row.picture)
    except DecodeError:
        return ""


def _features(activations: Activations, rows: Sequence[Row], what: str) -> tuple[list[Row], NDArray[np.float32]]:
    """Those rows that can be read, and what reaches the head of each, (N, D), of length 1."""
    read, skipped = activations.at("head", rows, EvaluationView(activations.preprocessing), what=what)
    left_out = {item.name for item in skipped}
    usable = [row for row in rows if row.name not in left_out]
    found = read(np.arange(len(usable))).reshape(len(usable), -1).astype(np.float32)
    return usable, unit(found)

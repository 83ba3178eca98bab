"""Rows in, answers out, in order: pictures are decoded ahead while an engine answers batch by batch.

What computes is an engine of `inference`, a function of uint8 pictures; nothing here knows which.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from frostline.data.decode_ahead import FEW, DecodeAhead, Seen
from frostline.data.manifest import Row
from frostline.data.pictures.picture import described
from frostline.data.views import EvaluationView, View
from frostline.errors import CheckpointError, DecodeError, JudgementError, one_line
from frostline.inference.engine import Engine
from frostline.judge.predictions import said
from frostline.processors import processors
from frostline.ship.model_info import ModelInfo

BATCH = 16
"""Pictures an engine is given at once: past it nothing is gained on 2 to 16 cores, and answers come late."""

NOT_FINITE = "the network gives no finite numbers for it"

_MOST_THREADS = 8
_MOST_PIXELS = 1 << 25  # that are given to the network at once


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer.

    name: the row's.
    probabilities: (K,) float32 in the order of the model's classes, after temperature.
    distance: from the training pictures, see ``judge.ood``; None where the model does not know.
    novel: whether that is too far to be one of the classes at all, or None.
    """

    name: str
    probabilities: NDArray[np.float32]
    distance: float | None = None
    novel: bool | None = None


def best(answer: Prediction, about: ModelInfo, top: int) -> list[tuple[str, float]]:
    """The most probable classes, highest first: (name, probability) `top` times.

    top: 1 is the answer; where a picture may have several labels that is each class of a half or more, perhaps none.
    """
    order = _order(answer)
    count = int((answer.probabilities >= 0.5).sum()) if top == 1 and about.multilabel else top
    return [(about.classes[index], float(answer.probabilities[index])) for index in order[:count]]


def label_of(answer: Prediction, about: ModelInfo) -> tuple[str, float]:
    """The answer as one label and its probability, as ``judge.predictions.said`` puts it."""
    return said(answer.probabilities, about.classes, several=about.multilabel)


def members(answer: Prediction, about: ModelInfo, coverage: float) -> list[tuple[str, float]]:
    """The set of classes that holds the right one with a probability of `coverage`, highest first, as ``best``.

    Raises: JudgementError: the model has no prediction sets, or no such coverage can be promised.
    """
    if about.sets is None:
        raise JudgementError("this model has no prediction sets", hint="fit it again, one label a picture")
    held = about.sets.members(answer.probabilities[None], coverage)[0]
    return [item for item, place in zip(best(answer, about, len(held)), _order(answer), strict=True) if held[place]]


def _order(answer: Prediction) -> NDArray[np.int64]:
    return np.argsort(-answer.probabilities, kind="stable")


@dataclass(frozen=True, slots=True)
class Failure:
    """A picture that could not be decoded or answered, and why."""

    name: str
    reason: str


Answer: TypeAlias = Prediction | Failure
Outputs: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32] | None]
"""Logits (N, K), and distances from the training pictures (N,) where the model knows them."""


class Predictor:
    """A model folder, or a network in memory, that answers; `ship.open_predictor` makes it.

    about: what the folder says of its model. engine: what computes, see `inference.engine`.
    """

    def __init__(self, about: ModelInfo, engine: Engine) -> None:
        self.about = about
        self.engine = engine
        self._view = EvaluationView(about.preprocessing)

    def beside(self) -> Self:
        """Another one that shares the compiled network, for another thread; itself where the engine has no such."""
        beside = getattr(self.engine, "beside", None)
        return self if beside is None else type(self)(self.about, beside())

    @property
    def divisible(self) -> bool:
        """Whether ``beside`` gives another one."""
        return hasattr(self.engine, "beside")

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, K) float32 of pictures (N, H, W, 3) uint8 that have been through the evaluation view."""
        return self._outputs(pixels)[0]

    def see(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Logits, and distances from the training pictures; a distance past ``about.novelty.threshold`` is novel."""
        logits, *features = self._outputs(pixels)
        novelty = self.about.novelty
        return logits, None if novelty is None else novelty.distances(features[0])

    def predict(self, rows: Iterable[Row], *, batch: int | None = None) -> Iterator[Answer]:
        """One Prediction or Failure a row, in the rows' order; see ``answers``. Not for two threads at once.

        batch: None is what the engine says it wants ``at_once``, else `BATCH`.
        """
        at_once: int = getattr(self.engine, "at_once", 0)
        wanted = batch or at_once or BATCH
        return answers(rows, self._view, self.see, self.about, wanted, in_processes=bool(at_once) and wanted > 1)

    def _outputs(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        return [np.asarray(rows, dtype=np.float32) for rows in self.engine.run(pixels)]


def answers(
    rows: Iterable[Row],
    view: View,
    see: Callable[[NDArray[np.uint8]], Outputs],
    about: ModelInfo,
    batch: int,
    *,
    in_processes: bool = False,
) -> Iterator[Answer]:
    """One Prediction or Failure a row, in order.

    in_processes: from the `FEW`th on pictures are decoded by processes. At most two batches of rows are held, so rows
    may be endless. With ``batch=1`` each row is answered before the next is asked for, which is what a person or a
    program at the other end of a pipe needs.

    Raises: CheckpointError: as ``refuse_broken``; a picture that alone gives NaN is a Failure.
    """
    source = iter(rows)
    height, width = about.preprocessing.size
    batch = min(batch, max(1, _MOST_PIXELS // (height * width)))
    ahead = 1 if batch == 1 else 2
    waiting: deque[tuple[list[str], Callable[[], list[Seen]]]] = deque()
    begun = 0
    with DecodeAhead(view, min(processors(), _MOST_THREADS, ahead * batch)) as decoders:
        while True:
            while len(waiting) < ahead and (part := list(islice(source, batch))):
                names = [row.name or described(row.picture) for row in part]
                waiting.append((names, decoders.submit(part, in_processes=in_processes and begun >= FEW)))
                begun += len(part)
            if not waiting:
                return
            names, decoded = waiting.popleft()
            yield from _answered(list(zip(names, decoded(), strict=True)), see, about)


def refuse_broken(see: Callable[[NDArray[np.uint8]], Outputs], about: ModelInfo) -> None:
    """Notice a model that answers nothing but NaN: its weights hold one, or numbers that no network can take.

    Raises: CheckpointError: it gives no finite numbers even for a plain grey picture.
    """
    wants = about.preprocessing
    if not np.isfinite(see(np.full((1, *wants.size, wants.channels), 128, np.uint8))[0]).all():
        raise CheckpointError(
            "the model gives numbers that are not finite (NaN or infinity), for a plain grey picture too",
            where=one_line(about.name),
            hint="its weights are damaged: copy the folder again from where it came, or fit again",
        )


def _answered(
    decoded: list[tuple[str, Seen]], see: Callable[[NDArray[np.uint8]], Outputs], about: ModelInfo
) -> Iterator[Answer]:
    pixels = [picture for _, picture in decoded if not isinstance(picture, DecodeError)]
    found = iter(_found(np.stack(pixels), see, about) if pixels else ())
    for name, picture in decoded:
        if isinstance(picture, DecodeError):
            yield Failure(name, picture.what)
            continue
        probabilities, distance, novel = next(found)
        finite = bool(np.isfinite(probabilities).all())
        yield Prediction(name, probabilities, distance, novel) if finite else Failure(name, NOT_FINITE)


def _found(
    pixels: NDArray[np.uint8], see: Callable[[NDArray[np.uint8]], Outputs], about: ModelInfo
) -> Iterator[tuple[NDArray[np.float32], float | None, bool | None]]:
    logits, distances = see(pixels)
    if not np.isfinite(logits).all():
        refuse_broken(see, about)
        logits = np.where(np.isfinite(logits).all(axis=1, keepdims=True), logits, np.nan)
    probabilities = about.probabilities(logits)
    if distances is None or about.novelty is None:
        return ((p, None, None) for p in probabilities)
    limit = about.novelty.threshold
    return ((p, float(far), bool(far > limit)) for p, far in zip(probabilities, distances, strict=True))

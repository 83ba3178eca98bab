"""Rows in, answers out, in order: decoding in a bounded pool of threads while an engine answers batch by batch.

What answers (OpenVINO in ``runtime``, torch in ``eager``) is a function of uint8 pixels; nothing here knows it.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from frostline.data.decode import described
from frostline.data.manifest import Row
from frostline.data.views import View
from frostline.errors import DecodeError
from frostline.ship.about import About

BATCH = 16
"""Pictures an engine is given at once: past it nothing is gained on 2 to 16 cores, and answers come late."""

_MOST_THREADS = 8


@dataclass(frozen=True, slots=True)
class Prediction:
    """An answer.

    name: the row's.
    probabilities: (K,) float32 in the order of the model's classes, after temperature.
    """

    name: str
    probabilities: NDArray[np.float32]


def best(answer: Prediction, about: About, top: int) -> list[tuple[str, float]]:
    """The most probable classes, highest first: (name, probability) `top` times."""
    order = np.argsort(-answer.probabilities, kind="stable")[:top]
    return [(about.classes[index], float(answer.probabilities[index])) for index in order]


@dataclass(frozen=True, slots=True)
class Failure:
    """A picture that could not be decoded, and why."""

    name: str
    reason: str


Answer: TypeAlias = Prediction | Failure


class Predictor(Protocol):
    """A model folder that answers, whatever runs it.

    engine: "openvino" or "torch".
    """

    engine: str

    @property
    def about(self) -> About:
        """What the folder says of its model."""

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, K) of pictures (N, H, W, 3) that have been through the evaluation view."""

    def predict(self, rows: Iterable[Row], *, batch: int = BATCH) -> Iterator[Answer]:
        """One answer a row, in the rows' order; see ``answers``."""


def answers(
    rows: Iterable[Row],
    view: View,
    logits: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    about: About,
    batch: int,
) -> Iterator[Answer]:
    """One Prediction or Failure a row, in order.

    At most two batches of rows are held, so rows may be endless. With ``batch=1`` each row is answered before the next
    is asked for, which is what a person or a program at the other end of a pipe needs.
    """
    source = iter(rows)
    held = batch if batch == 1 else 2 * batch
    with ThreadPoolExecutor(min(_cores(), _MOST_THREADS, held), thread_name_prefix="decode") as pool:
        waiting: deque[tuple[str, Future[NDArray[np.uint8] | Failure]]] = deque()
        try:
            while True:
                for row in islice(source, held - len(waiting)):
                    name = row.name or described(row.picture)
                    waiting.append((name, pool.submit(_viewed, view, row, name)))
                if not waiting:
                    return
                named = [waiting.popleft() for _ in range(min(batch, len(waiting)))]
                yield from _answered([(name, future.result()) for name, future in named], logits, about)
        finally:  # whoever stops listening early does not wait for pictures that nobody asks for
            for _, future in waiting:
                future.cancel()


def _answered(
    decoded: list[tuple[str, NDArray[np.uint8] | Failure]],
    logits: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
    about: About,
) -> Iterator[Answer]:
    pixels = [picture for _, picture in decoded if not isinstance(picture, Failure)]
    probabilities = iter(about.probabilities(logits(np.stack(pixels))) if pixels else ())
    for name, picture in decoded:
        yield picture if isinstance(picture, Failure) else Prediction(name, next(probabilities))


def _viewed(view: View, row: Row, name: str) -> NDArray[np.uint8] | Failure:
    try:
        return view(row.picture, row.digest)
    except DecodeError as error:
        return Failure(name, error.what)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

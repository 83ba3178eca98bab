"""What a model folder says of pictures, one by one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from frostline.ship.stream import Predictor


@dataclass(frozen=True, slots=True)
class Seen:
    """What the network makes of a picture.

    logits: (K,). novel: whether it is unlike the training pictures; None where the model does not know.
    """

    logits: NDArray[np.float32]
    novel: bool | None = None


Engine: TypeAlias = Callable[[NDArray[np.uint8]], Sequence[Seen]]
"""One `Seen` for each of pictures (N, H, W, 3) uint8 that have been through the evaluation view."""


def engine(predictor: Predictor) -> Engine:
    """A predictor as the batcher wants it."""
    novelty = predictor.about.novelty

    def see(pixels: NDArray[np.uint8]) -> Sequence[Seen]:
        logits, distances = predictor.see(pixels)
        if novelty is None or distances is None:
            return [Seen(row) for row in logits]
        return [Seen(row, bool(far > novelty.threshold)) for row, far in zip(logits, distances, strict=True)]

    return see

"""What a model folder says of pictures one by one, and how many batches of them this machine computes at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from frostline.errors import DecodeError
from frostline.processors import processors
from frostline.ship.model_info import identity, refuse_another
from frostline.ship.open_predictor import open_predictor
from frostline.ship.predictor import NOT_FINITE, Predictor

_MOST_STREAMS = 8


@dataclass(frozen=True, slots=True)
class Found:
    """What the network makes of a picture.

    logits: (K,). novel: whether it is unlike the training pictures; None where the model does not know.
    """

    logits: NDArray[np.float32]
    novel: bool | None = None


Engine: TypeAlias = Callable[[NDArray[np.uint8]], Sequence[Found | DecodeError]]
"""One `Found` for each of pictures (N, H, W, 3) uint8 that have been through the evaluation view; an error for one of
which the network makes NaN, which no client could read."""


def engine(answering: Predictor) -> Engine:
    """A predictor as the batcher wants it."""

    def look(pixels: NDArray[np.uint8]) -> Sequence[Found | DecodeError]:
        logits, distances = answering.see(pixels)
        novelty = answering.about.novelty
        new: list[bool | None] = [None] * len(logits)
        if distances is not None and novelty is not None:
            new = [bool(far > novelty.threshold) for far in distances]
        return [
            Found(row, novel) if np.isfinite(row).all() else DecodeError(NOT_FINITE)
            for row, novel in zip(logits, new, strict=True)
        ]

    return look


def opened(
    folder: Path,
    *,
    engine: str = "auto",
    precision: str = "fp32",
    cores: int | None = None,
    trust: str | None = None,
    tta: str | None = None,
) -> tuple[Predictor, Sequence[Predictor]]:
    """A predictor for low latency, which uses all cores, and those for throughput, which share them.

    engine, precision, trust, tta: as ``open_predictor``. cores: to be shared; None is all there are.

    Raises: CheckpointError, WeightsError: the folder is damaged. EngineError: the engine cannot run it. PlanError: the
        engine has no such precision. UnknownName: there is no such engine.
    """
    streams = min(processors() if cores is None else cores, _MOST_STREAMS)
    alone = open_predictor(folder, engine=engine, precision=precision, trust=trust, streams=1, tta=tta)
    if not alone.divisible:
        return alone, [alone]
    name = alone.engine.name
    if streams == 1:
        return alone, [alone.beside()]
    shared = open_predictor(folder, engine=name, precision=precision, streams=streams, tta=tta)
    refuse_another(shared.about, identity(alone.about))  # the folder may have been replaced meanwhile
    return alone, [shared.beside() for _ in range(streams)]

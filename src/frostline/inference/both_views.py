"""Test-time augmentation: an answer from a picture and from its mirror image, the mean of both. No torch is loaded."""

from collections.abc import Callable

import numpy as np

from frostline.errors import PlanError
from frostline.inference.engine import Batch, Engine, Outputs

FLIP = "flip"

SAID = "each answer is the mean over a picture and its mirror image, at twice the time (--tta flip)"


class BothViews:
    """An engine whose every output is the mean of another's for pictures (N, H, W, C) and for them mirrored."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name, self.precision = engine.name, engine.precision
        beside: Callable[[], Engine] | None = getattr(engine, "beside", None)
        if beside is not None:
            self.beside = lambda: BothViews(beside())
        if hasattr(engine, "at_once"):
            self.at_once: int = engine.at_once

    def run(self, pictures: Batch) -> Outputs:
        """Each output (N, ...) float32."""
        seen = self._engine.run(pictures)
        mirrored = self._engine.run(np.ascontiguousarray(pictures[:, :, ::-1]))
        both = ((np.asarray(a, np.float32), np.asarray(b, np.float32)) for a, b in zip(seen, mirrored, strict=True))
        return tuple((a + b) / np.float32(2) for a, b in both)


def with_tta(engine: Engine, tta: str | None) -> Engine:
    """The engine, or with "flip" the one that answers from both views.

    Raises: PlanError: there is no such augmentation.
    """
    if tta is None:
        return engine
    if tta != FLIP:
        raise PlanError(f"there is no test-time augmentation {tta!r}", where="--tta", hint=f"--tta {FLIP}")
    return BothViews(engine)

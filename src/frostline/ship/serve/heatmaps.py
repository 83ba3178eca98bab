"""Heatmaps for the page: the one part of the server that needs torch, which is loaded for the first heatmap."""

import io
import threading
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frostline.ship.model_info import refuse_another

_EXPLAIN = "frostline.judge.explain"


def can_explain() -> bool:
    """Whether this installation can draw heat maps. Nothing heavy is imported to find out."""
    return find_spec("torch") is not None and find_spec(_EXPLAIN) is not None


class Heatmaps:
    """Draws where in a picture the evidence for a class lies. Not for two threads at once: the second one waits.

    trust: as ``open_folder``. digest: of the model that answers; the folder may have been replaced since.
    """

    def __init__(self, folder: Path, *, trust: str | None = None, digest: str = "") -> None:
        self._folder, self._trust, self._digest = folder, trust, digest
        self._lock = threading.Lock()
        self._opened: Any = None

    def drawn(self, pixels: NDArray[np.uint8], label: int | None) -> bytes:
        """A PNG of (H, W, 3) pixels that have been through the evaluation view, with the heat for a class over it.

        label: the class's index; None is the likeliest.

        Raises: CheckpointError, WeightsError: the folder is damaged. StageError: the network gives no map.
        """
        with self._lock:
            explain = import_module(_EXPLAIN)
            if self._opened is None:
                opened = import_module("frostline.ship.open_folder").open_folder(self._folder, trust=self._trust)
                refuse_another(opened.about, self._digest)
                self._opened = opened
            net, about = self._opened.net, self._opened.about
            drawn = explain.overlay(pixels, explain.heatmap(net, about.preprocessing, pixels, label))
        png = io.BytesIO()
        Image.fromarray(drawn).save(png, "PNG")
        return png.getvalue()

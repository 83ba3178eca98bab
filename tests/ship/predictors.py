"""The two engines that answer for a model folder, as the tests open them."""

from pathlib import Path
from typing import Any

from frostline.ship.open_predictor import open_predictor
from frostline.ship.predictor import Predictor


def by_openvino(folder: Path, *, streams: int = 1, **how: Any) -> Predictor:
    return open_predictor(folder, engine="openvino", streams=streams, **how)


def by_torch_of(folder: Path, **how: Any) -> Predictor:
    return open_predictor(folder, engine="torch", **how)

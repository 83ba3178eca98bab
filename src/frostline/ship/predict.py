"""Which engine answers for a model folder: decided here and nowhere else.

Engines come through a registry as ``module:function`` names, so that asking for OpenVINO never imports torch, and so
that another package may announce its own under the entry-point group ``frostline.predictors``.
"""

from collections.abc import Callable
from pathlib import Path

from frostline.errors import EngineError
from frostline.registry import Registry
from frostline.ship.stream import Predictor

predictors: Registry[Callable[[Path], Predictor]] = Registry("prediction engine", "frostline.predictors")
predictors.register("openvino", lambda folder: predictors.get("frostline.ship.runtime:Predictor")(folder))
predictors.register("torch", lambda folder: predictors.get("frostline.ship.eager:Predictor")(folder))


def predictor(folder: str | Path, *, engine: str = "auto") -> Predictor:
    """A model folder that answers.

    engine: "auto" is OpenVINO where the folder has a graph and this machine runs it (no torch is imported then), else
        torch.

    Raises: CheckpointError, WeightsError: the folder is damaged. EngineError: the engine that was asked for cannot run
        it. UnknownName: there is no such engine.
    """
    if engine == "auto":
        try:
            return predictor(folder, engine="openvino")
        except EngineError:
            return predictor(folder, engine="torch")
    return predictors.get(engine)(Path(folder))

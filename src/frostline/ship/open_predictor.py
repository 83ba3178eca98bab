"""Which engine answers for a model folder: decided here and nowhere else.

An engine's module is imported when it is asked for, so that OpenVINO never brings in torch. Other packages may announce
engines of their own under the entry-point group ``frostline.predictors``.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from frostline.errors import EngineError, PlanError
from frostline.processors import processors
from frostline.registry import Registry
from frostline.ship.predictor import BATCH, Predictor

predictors: Registry[Callable[[Path], Predictor]] = Registry("prediction engine", "frostline.predictors")
predictors.register("openvino", lambda folder: _openvino(folder, "f32"))
predictors.register("torch", lambda folder: _torch(folder, None))


def open_predictor(
    folder: str | Path, *, engine: str = "auto", precision: str = "f32", trust: str | None = None
) -> Predictor:
    """A model folder that answers.

    engine: "auto" is OpenVINO where the folder has a graph and this machine runs it (no torch is imported then), else
        torch. precision: "f32", or "bf16", which only OpenVINO has: see ``openvino_predictor.OpenVINOPredictor``.
    trust: the ``package.module:factory`` that may be imported and run, where torch needs it to build the network.

    Raises: CheckpointError, WeightsError: the folder is damaged. EngineError: the engine that was asked for cannot run
        it. PlanError: it has no such precision. UnknownName: there is no such engine.
    """
    if precision != "f32":
        if engine not in ("auto", "openvino"):
            raise PlanError(f"only OpenVINO computes in {precision}", where="--precision", hint="--precision f32")
        return _openvino(Path(folder), precision)
    if engine == "auto":
        try:
            return open_predictor(folder, engine="openvino")
        except EngineError:
            return _torch(Path(folder), trust)
    if engine == "torch":
        return _torch(Path(folder), trust)
    return predictors.get(engine)(Path(folder))


def _openvino(folder: Path, precision: str) -> Predictor:
    how = {"streams": min(processors(), BATCH), "precision": precision}
    return _from("frostline.ship.openvino_predictor", "OpenVINOPredictor", folder, **how)


def _torch(folder: Path, trust: str | None) -> Predictor:
    return _from("frostline.ship.torch_predictor", "TorchPredictor", folder, trust=trust)


def _from(module: str, name: str, folder: Path, **how: Any) -> Predictor:
    opened: Predictor = getattr(import_module(module), name)(folder, **how)
    return opened

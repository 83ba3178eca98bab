"""Features for batches of pictures, as the engines of clusters want them."""

from pathlib import Path
from typing import Any

import numpy as np

from frostline.data.cache_folder import default_cache
from frostline.data.views import EvaluationView
from frostline.errors import PlanError
from frostline.events import quiet
from frostline.features.activations import SAMPLES, Activations
from frostline.features.fill import computed
from frostline.features.store import Store
from frostline.inference.convert import samples
from frostline.inference.engine import Engine
from frostline.net import zoo
from frostline.scale.batches import Batch, column_of, rows_of, use_given_cores
from frostline.ship.model_info import located
from frostline.ship.open_folder import open_folder
from frostline.workflows.embed import pooled


class Embed:
    """Adds a column "features" (D float32 a row; NaN where there is an error) and a column "error" to batches.

    model: a timm name, ``torchvision/NAME`` or a model folder. weights: as in ``fit``. line: "head", or a stage whose
    maps are averaged over their pixels. column, engine, precision, threads: as `Predict`.

    Raises: UnknownName, WeightsError, StageError, EngineError: when the first batch is answered.
    """

    def __init__(
        self,
        model: str | Path = "tf_efficientnet_lite0",
        *,
        weights: str = "auto",
        line: str = "head",
        column: str | None = None,
        engine: str = "auto",
        precision: str = "fp32",
        threads: int | None = None,
    ) -> None:
        self.model, self.weights, self.line, self.column = str(model), weights, line, column
        self.engine, self.precision, self.threads = engine, precision, threads
        self._opened: tuple[Engine, EvaluationView] | None = None
        self._width = 0  # of a row of features

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def job(self) -> dict[str, Any]:
        """What decides the features: those of another job are not these.

        Raises: UnknownName, WeightsError, StageError, PlanError: as the first batch would.
        """
        held = _activations(self.model, self.weights, self.engine, self.precision)
        seen = EvaluationView(held.preprocessing).key
        asked = {"line": self.line, "engine": self.engine, "precision": self.precision}
        return {"answer": "embed", "model": held.digest_of(self.line), "preprocessing": seen, **asked}

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """See the class."""
        engine, view = self._engine()
        rows = list(rows_of(batch[column_of(batch, self.column)]))
        errors: list[str | None] = [row if isinstance(row, str) else None for row in rows]
        features = np.full((len(rows), self._width), np.nan, np.float32)
        for part in computed([row for row in rows if not isinstance(row, str)], view, lambda _: engine):
            for row, reason in part.failed:
                errors[int(row.name)] = reason
            if part.rows:
                features[[int(row.name) for row in part.rows]] = pooled(part.found)
        return {**batch, "features": features, "error": np.array(errors, dtype=object)}

    def _engine(self) -> tuple[Engine, EvaluationView]:
        if self._opened is None:
            use_given_cores(self.threads)
            held = _activations(self.model, self.weights, self.engine, self.precision)
            wants = held.preprocessing
            engine, view = held.engine_at(self.line, samples(wants, SAMPLES)), EvaluationView(wants)
            self._opened = engine, view
            grey = np.full((1, *wants.size, wants.channels), 127, np.uint8)
            self._width = pooled(engine.run(grey)[0]).shape[1]
        return self._opened


def _activations(model: str, weights: str, engine: str, precision: str) -> Activations:
    if Path(model).is_dir():
        shipped = open_folder(located(Path(model)))
        net, wants = shipped.net, shipped.about.preprocessing
    elif weights == "none":
        raise PlanError(
            "random weights are other ones in every process", where="weights", hint="name a file of weights"
        )
    else:
        backbone = zoo.build(model, classes=2, weights=weights)
        net, wants = backbone.net, backbone.preprocessing
    cache = default_cache()
    return Activations(net, model, wants, Store(cache / "store"), cache, engine, precision, quiet)

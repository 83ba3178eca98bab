"""Predictions for batches of pictures, as the engines of clusters want them. No torch where the folder has a graph."""

from pathlib import Path
from typing import Any

import numpy as np

from frostline.data.cache_folder import expanded
from frostline.data.label_text import joined
from frostline.scale.batches import Batch, column_of, rows_of, use_given_cores
from frostline.ship import model_info
from frostline.ship.open_predictor import open_predictor
from frostline.ship.predictor import Failure, Prediction, Predictor, label_of, members


class Predict:
    """Answers batches: a mapping of columns of equal length in, the same with the answers' columns out.

    model: a model folder or a run's folder, on a disk that every worker reaches.
    column: the one with the pictures (paths, encoded bytes, arrays or PIL pictures); None is "bytes", "image" or
        "path", whichever is there.
    coverage: of prediction sets; None leaves the column "set" out.
    engine, precision: as ``open_predictor``. threads: cores to use; None is what Ray gave to the actor, else all.

    Columns that are added, one value a row: label (text; several are joined, see `data.label_text`), probability
    (float; of several labels that of the least sure decision), probabilities (K floats in the order of ``classes``),
    set (classes, joined), novel (bool), error (text). A picture that cannot be read has an error, no label, and NaN
    for numbers; the other rows of its batch are answered.

    Raises: CheckpointError, EngineError: when the first batch is answered. DataError: a batch without pictures.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        column: str | None = None,
        coverage: float | None = None,
        engine: str = "auto",
        precision: str = "fp32",
        threads: int | None = None,
    ) -> None:
        self.model = str(expanded(model).absolute())
        self.column, self.coverage = column, coverage
        self.engine, self.precision, self.threads = engine, precision, threads
        self._opened: Predictor | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the K classes."""
        return self._predictor().about.classes

    def job(self) -> dict[str, Any]:
        """What decides the answers: those of another job are not these.

        Raises: CheckpointError: it is no model folder.
        """
        about = model_info.read(model_info.located(Path(self.model)))
        asked = {"coverage": self.coverage, "engine": self.engine, "precision": self.precision}
        return {"answer": "predict", "model": model_info.identity(about), **asked}

    def __call__(self, batch: Batch) -> dict[str, Any]:
        """See the class."""
        predictor = self._predictor()
        about = predictor.about
        values = batch[column_of(batch, self.column)]
        rows = list(rows_of(values))
        said = iter(predictor.predict(row for row in rows if not isinstance(row, str)))
        answers: list[Prediction | str] = []
        for row in rows:
            answer = row if isinstance(row, str) else next(said)
            answers.append(answer.reason if isinstance(answer, Failure) else answer)
        nothing = np.full(len(about.classes), np.nan, np.float32)
        named = [None if isinstance(answer, str) else label_of(answer, about) for answer in answers]
        found: dict[str, Any] = {
            "label": np.array([None if one is None else one[0] for one in named], dtype=object),
            "probability": np.array([np.nan if one is None else one[1] for one in named], dtype=np.float32),
            "probabilities": np.stack([nothing if isinstance(a, str) else a.probabilities for a in answers])
            if answers
            else np.zeros((0, len(about.classes)), np.float32),
        }
        if self.coverage is not None:
            sets = [None if isinstance(a, str) else [n for n, _ in members(a, about, self.coverage)] for a in answers]
            found["set"] = np.array([None if one is None else joined(one) for one in sets], dtype=object)
        found["novel"] = np.array([None if isinstance(a, str) else a.novel for a in answers], dtype=object)
        found["error"] = np.array([a if isinstance(a, str) else None for a in answers], dtype=object)
        return {**batch, **found}

    def _predictor(self) -> Predictor:
        if self._opened is None:
            use_given_cores(self.threads)
            self._opened = open_predictor(self.model, engine=self.engine, precision=self.precision)
        return self._opened

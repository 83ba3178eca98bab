"""ImageClassifier: the one face of all this, a scikit-learn estimator. Its keyword arguments are the one schema.

The command line repeats this signature and calls these methods; nothing is decided here that `run` does not decide.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError

from frostline.data import dataframe
from frostline.data.decode import Picture
from frostline.data.manifest import Manifest, Row
from frostline.data.sources import claimed, default_cache, pairs, pictures, read
from frostline.data.to_picture import pictures_of
from frostline.errors import DataError, DecodeError, PlanError
from frostline.events import Listener
from frostline.features.store import Store
from frostline.judge.metrics import Report
from frostline.judge.result import RunResult
from frostline.options import OPTIONS, FitOptions, size
from frostline.registry import did_you_mean
from frostline.run.resolve import Settings
from frostline.run.runner import Fitted
from frostline.ship import folder
from frostline.ship.model_info import ModelInfo
from frostline.ship.open_predictor import of_network
from frostline.ship.predictor import Failure, Prediction, Predictor
from frostline.workflows.evaluate import evaluate
from frostline.workflows.fit import fit
from frostline.workflows.notebook import EpochsKept, NotebookMethods
from frostline.workflows.progress import Progress

Pictures = Any
"""What ``fit`` takes: see there."""

P = ParamSpec("P")


def _options_of(schema: Callable[P, Any]) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Give an ``__init__`` of any keywords the arguments of `schema`, for scikit-learn, editors and mypy alike."""

    def decorate(init: Callable[..., None]) -> Callable[Concatenate[Any, P], None]:
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = inspect.signature(schema).parameters.values()
        init.__signature__ = inspect.Signature([own, *parameters], return_annotation=None)  # type: ignore[attr-defined]
        return init

    return decorate


class ImageClassifier(NotebookMethods, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Fine-tunes a pretrained image model on labelled pictures.

    Every argument that is None is chosen by the strategy and the size of the data: see `frostline.options`.
    """

    @_options_of(FitOptions)
    def __init__(self, **options: Any) -> None:
        for name in options:
            if name not in OPTIONS:
                near = did_you_mean(name, OPTIONS) or "see help(ImageClassifier)"
                raise TypeError(f"ImageClassifier() got an unexpected keyword argument {name!r}: {near}")
        for name, option in OPTIONS.items():
            setattr(self, name, options.get(name, option.default))

    def fit(
        self,
        X: Pictures,
        y: Iterable[object] | None = None,
        groups: Iterable[object] | None = None,
        *,
        listen: Listener | None = None,
    ) -> Self:
        """Learn from a place or data set of labelled pictures, or from pictures X with labels y.

        X: whatever `frostline.data.sources` reads (a folder, table, archive or shards, a DataFrame, a data set of torch
            or Hugging Face, a dict of such by split), or a sequence of paths, PIL pictures or uint8 arrays (H, W, 3).
        y: labels beside such a sequence; a list or tuple of labels for a picture that has several.
        groups: beside such a sequence, what never stands on both sides of a split.
        listen: is called with what happens, see `frostline.events`; by default bars are shown where somebody watches,
            and warnings (the same picture in two splits, files left out) are Python's, `FrostlineWarning`.

        Raises: FrostlineError: one of its kinds, saying what is wrong, where, and what to do next.
        """
        manifest = labelled(X, y, groups, group=self.group)
        settings = self._settings()
        out = None if self.out is None else Path(self.out)
        with Progress() as progress:
            kept = EpochsKept(progress if listen is None else listen)
            fitted = fit(manifest, settings, out=out, resume=self.resume, listen=kept)
        self._take(fitted)
        train = fitted.judged and "train" in manifest.splits
        self.data_, self.judged_, self.epochs_ = (
            manifest.part("train") if train else manifest,
            fitted.judged,
            tuple(kept.epochs),
        )
        return self

    def predict_proba(self, X: Pictures) -> NDArray[np.float32]:
        """Calibrated probabilities, (N, K) float32, in the order of ``classes_``.

        Raises: NotFittedError: before ``fit``. DecodeError: a picture cannot be read (the command goes on instead).
        """
        found = []
        for answer in self.answers(_rows(X)):
            if isinstance(answer, Failure):
                raise DecodeError(
                    answer.reason, where=answer.name, hint="leave it out, or use `frostline predict`, which does"
                )
            found.append(answer.probabilities)
        return np.stack(found) if found else np.zeros((0, len(self.classes_)), np.float32)

    def predict(self, X: Pictures) -> NDArray[np.str_]:
        """The most probable class of each picture, (N,) text; for several labels a picture (N, K) of 0 and 1.

        Raises: as ``predict_proba``.
        """
        probabilities = self.predict_proba(X)
        if self.about_.multilabel:
            return (probabilities >= 0.5).astype(np.int64)
        return np.asarray(self.classes_)[probabilities.argmax(1)] if len(probabilities) else np.zeros(0, np.str_)

    def answers(self, X: Iterable[Row]) -> Iterator[Prediction | Failure]:
        """One answer a row, as they come; a picture that cannot be read is a Failure and the others go on.

        Raises: NotFittedError: before ``fit``.
        """
        return self._predictor().predict(X)

    def score(self, X: Pictures, y: Iterable[object] | None = None, sample_weight: object = None) -> float:
        """Accuracy in [0, 1] on labelled pictures.

        Raises: NotFittedError: before ``fit``. DataError: no labels, or labels that the model does not know.
        """
        if sample_weight is None:
            return float(self.evaluate(X, y).figures["accuracy"].value)
        if y is None:
            raise DataError("weights of pictures need their labels beside them", hint="pass y too")
        from sklearn.metrics import accuracy_score

        return float(accuracy_score([str(label) for label in y], self.predict(X), sample_weight=sample_weight))

    def evaluate(self, X: Pictures, y: Iterable[object] | None = None) -> Report:
        """All figures on labelled pictures, with their intervals.

        Raises: as ``score``.
        """
        predictor = self._predictor()
        return evaluate(predictor, labelled(X, y, classes=tuple(self.classes_))).report

    def save(self, place: str | Path) -> Path:
        """Write the model folder, which timm and transformers open too.

        Raises: NotFittedError: before ``fit``. CheckpointError: it cannot be written.
        """
        self._fitted()
        folder.save(Path(place), self.net_, self.about_)
        return Path(place)

    @classmethod
    def load(cls, place: str | Path, *, trust: str | None = None) -> Self:
        """A classifier from a model folder or a run's folder.

        trust: the ``package.module:factory`` that may be imported to build the network, if it is a user's own.

        Raises: CheckpointError, WeightsError: the folder is damaged.
        """
        shipped = folder.open_folder(Path(place), trust=trust)
        made = cls(model=shipped.again)
        made.net_, made.about_ = shipped.net, shipped.about
        made.classes_ = np.asarray(shipped.about.classes)
        return made

    def _labelled(self, X: Pictures, y: Iterable[object] | None) -> Manifest:
        return labelled(X, y, classes=tuple(self.classes_))

    def _rows(self, X: Pictures) -> Iterator[Row]:
        return _rows(X)

    def _settings(self) -> Settings:
        options = {name: getattr(self, name) for name in OPTIONS}
        cache = default_cache()
        return Settings(**options, store=Store(cache / "store", limit=size(self.store_limit)), cache=cache)

    def _take(self, fitted: Fitted) -> None:
        self.net_, self.about_, self.result_ = fitted.net, fitted.about, fitted.result
        self.classes_ = np.asarray(fitted.about.classes)

    def _fitted(self) -> None:
        if not hasattr(self, "net_"):
            raise NotFittedError("this ImageClassifier is not fitted yet: call fit, or ImageClassifier.load(folder)")

    def _predictor(self) -> Predictor:
        self._fitted()
        return of_network(self.net_, self.about_)

    net_: Any
    about_: ModelInfo
    result_: RunResult
    classes_: NDArray[np.str_]


def labelled(
    X: Pictures,
    y: Iterable[object] | None = None,
    groups: Iterable[object] | None = None,
    *,
    group: str | None = None,
    classes: tuple[str, ...] | None = None,
) -> Manifest:
    """A manifest from whatever ``fit`` takes.

    classes: those that the labels may come from, in their order; by default those that occur.

    Raises: DataError: the place cannot be read, y has another length, or a sequence came without y.
    """
    if isinstance(X, str | Path) or (y is None and claimed(X)):
        return read(X, classes=classes, group=group)
    if y is None:
        raise DataError("pictures came without labels", hint="pass y, or a folder with a folder for each class")
    if group is not None:
        raise PlanError(
            f"there is no column {group!r} in a sequence of pictures", where="group", hint="pass groups= to fit"
        )
    return Manifest.of(pairs(_pictures(X), y, groups), classes=classes)


def _rows(X: Pictures) -> Iterator[Row]:
    return pictures([str(X)]) if isinstance(X, str | Path) else pairs(_pictures(X))


def _pictures(X: Pictures) -> Iterator[Picture]:
    if dataframe.claims(X):
        return (row.picture for row in dataframe.unlabelled(X))
    if claimed(X):
        return (row.picture for row in read(X).rows)
    return pictures_of(X)


def _documented() -> str:
    """The arguments and what ``fit`` leaves, for the class's docstring."""
    lines = [f"    {option.name} : default {option.default!r}\n        {option.help}" for option in OPTIONS.values()]
    return "\n".join(("", "    Parameters", "    ----------", *lines, _LEFT))


_LEFT = """
    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    net_ : the network, in eval mode
    about_ : classes, preprocessing, temperature
    result_ : phases, metrics, counts
    """
ImageClassifier.__doc__ = f"{str(ImageClassifier.__doc__).rstrip()}\n{_documented()}"

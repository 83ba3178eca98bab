"""ImageClassifier: the one face of all this, a scikit-learn estimator. Its keyword arguments are the one schema.

The command line repeats this signature and calls these methods; nothing is decided here that `run` does not decide.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError

from frostline.data.cache_folder import default_cache
from frostline.data.labels import labels_of, names_known, values_of
from frostline.data.loose_pictures import pictures
from frostline.data.manifest import Manifest, Row
from frostline.data.pairs import pairs
from frostline.data.pictures.picture import Picture
from frostline.data.pictures.to_picture import pictures_of
from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import claimed, each, read
from frostline.errors import DataError, DecodeError, LabelError, PlanError
from frostline.events import Listener
from frostline.features.store import Store
from frostline.judge.figures import Report
from frostline.judge.result import RunResult
from frostline.options import OPTIONS, FitOptions
from frostline.quantities import size
from frostline.registry import did_you_mean
from frostline.run.check_options import check_options
from frostline.run.resolve import Settings
from frostline.scale.elsewhere import elsewhere
from frostline.ship import folder
from frostline.ship.given_options import given_options, refuse_withheld
from frostline.ship.model_info import ModelInfo, unseen
from frostline.ship.open_folder import open_folder
from frostline.ship.open_predictor import of_network
from frostline.ship.predictor import Failure, Prediction, Predictor
from frostline.workflows.evaluate import held_out_by, learnt_by
from frostline.workflows.fit import fit
from frostline.workflows.notebook import EpochsKept, NotebookMethods
from frostline.workflows.progress import Progress

Pictures = Any
"""What ``fit`` takes: see there."""

OnError = Literal["raise", "skip"]

P = ParamSpec("P")


def _options_of(schema: Callable[P, Any]) -> Callable[[Callable[..., None]], Callable[Concatenate[Any, P], None]]:
    """Give an ``__init__`` of any keywords the arguments of `schema`, for scikit-learn, editors and mypy alike."""

    def decorate(init: Callable[..., None]) -> Callable[Concatenate[Any, P], None]:
        own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = inspect.signature(schema).parameters.values()
        init.__signature__ = inspect.Signature([own, *parameters], return_annotation=None)  # type: ignore[attr-defined]
        return init

    return decorate


if TYPE_CHECKING:  # editors and type checkers know the options as attributes; at run time `__init__` sets them
    _Attributes = FitOptions
else:
    _Attributes = object


class ImageClassifier(NotebookMethods, ClassifierMixin, BaseEstimator, _Attributes):  # type: ignore[misc]
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
        y: labels beside such a sequence: text, whole numbers or booleans, in any form that `frostline.data.labels`
            reads; a list or tuple of labels, or an indicator matrix, where a picture has several.
        groups: beside such a sequence, what never stands on both sides of a split; None and NaN are of no group.
        listen: is called with what happens, see `frostline.events`; by default bars are shown where somebody watches,
            and warnings (the same picture in two splits, files left out) are Python's, `FrostlineWarning`.

        Raises: FrostlineError: one of its kinds, saying what is wrong, where, and what to do next.
        """
        settings = self._settings()
        check_options(settings)
        refuse_withheld(getattr(self, "_withheld", {}), vars(settings))
        manifest = labelled(X, y, groups, how=PlaceOptions.of(vars(settings)), keep_splits=self.split is None)
        out = None if self.out is None else Path(self.out)
        with Progress() as progress:
            kept = EpochsKept(progress if listen is None else listen)
            fitted = fit(manifest, settings, out=out, resume=self.resume, listen=kept)
        self._take(fitted.net, fitted.about)
        self.result_ = fitted.result
        judged = [row for part, _ in fitted.judged for row in part.rows]
        held = {row.digest for row in judged if unseen(fitted.about, row.split or "")}
        self._held_out = frozenset(row.digest for row in judged if row.split != "test")
        self._learnt = frozenset(row.digest for row in manifest.rows if row.split not in ("val", "test")) - held
        self.data_ = manifest.part("train") if fitted.judged and "train" in manifest.splits else manifest
        self.judged_, self.epochs_ = fitted.judged, tuple(kept.epochs)
        return self

    def predict_proba(self, X: Pictures, *, errors: OnError = "raise") -> NDArray[np.float32]:
        """Calibrated probabilities, (N, K) float32, in the order of ``classes_``.

        errors: "skip" gives a row of NaN for a picture that cannot be read.

        Raises: NotFittedError: before ``fit``. DecodeError: pictures cannot be read, after all others were answered.
        """
        found, failed = self._probabilities(X, errors)
        found[list(failed)] = np.nan
        return found

    def predict(self, X: Pictures, *, errors: OnError = "raise") -> NDArray[Any]:
        """The most probable class of each picture, (N,) of the labels' own type; for several labels a picture (N, K)
        of 0 and 1.

        errors: "skip" gives, for a picture that cannot be read, the `Failure` that says why, in an array of objects
            (several labels: a row of -1).

        Raises: as ``predict_proba``.
        """
        probabilities, failed = self._probabilities(X, errors)
        if self.about_.multilabel:
            chosen: NDArray[np.int64] = (probabilities >= 0.5).astype(np.int64)
            chosen[list(failed)] = -1
            return chosen
        answers: NDArray[Any] = self.classes_[probabilities.argmax(1)]
        if not failed:
            return answers
        answers = answers.astype(object)
        for number, failure in failed.items():
            answers[number] = failure
        return answers

    def _probabilities(self, X: Pictures, errors: OnError) -> tuple[NDArray[np.float32], dict[int, Failure]]:
        """(N, K) in the order of ``classes_``, zeros for what cannot be read, which is beside it by its number."""
        if errors not in ("raise", "skip"):
            raise PlanError(f"there is no way {errors!r} to take errors", where="errors", hint='"raise" or "skip"')
        found = self._each(X)
        failed = {number: answer for number, answer in enumerate(found) if isinstance(answer, Failure)}
        if failed and errors == "raise":
            first = next(iter(failed.values()))
            raise DecodeError(
                first.reason if len(found) == 1 else f"{len(failed)} of {len(found)} pictures: {first.reason}",
                where=", ".join(failure.name for failure in list(failed.values())[:3]),
                hint='leave them out, or predict(..., errors="skip"), which names each',
            )
        rows = np.zeros((len(found), len(self.classes_)), np.float32)
        for number, answer in enumerate(found):
            if not isinstance(answer, Failure):
                rows[number] = answer.probabilities[self._columns]
        return rows, failed

    def _each(self, X: Pictures) -> list[Prediction | Failure]:
        """An answer for each of the pictures; what cannot be one is a Failure."""
        failed: dict[int, Failure] = {}
        found = list(self._predictor().predict(_readable(self._rows(X), failed)))
        for number in sorted(failed):
            found.insert(number, failed[number])
        return found

    def answers(self, X: Iterable[Row]) -> Iterator[Prediction | Failure]:
        """One answer a row, as they come; a picture that cannot be read is a Failure and the others go on.

        Raises: NotFittedError: before ``fit``.
        """
        return self._predictor().predict(X)

    def score(self, X: Pictures, y: Iterable[object] | None = None, sample_weight: object = None) -> float:
        """Accuracy in [0, 1] on labelled pictures; those that it was fitted to do not count (see ``evaluate``).

        With ``sample_weight`` all count. A label that the model does not know may be misspelt, and is refused here;
        scikit-learn's scorers (``scoring="accuracy"``) count such a picture as wrong, as where a fold has all pictures
        of a class.

        Raises: NotFittedError: before ``fit``. DataError: no labels, or labels that the model does not know.
        """
        if sample_weight is None:
            return float(self.evaluate(X, y).figures["accuracy"].value)
        if y is None:
            raise DataError("weights of pictures need their labels beside them", hint="pass y too")
        from sklearn.metrics import accuracy_score

        said = names_known(labels_of(y), self.about_.classes).names
        if self.about_.multilabel:
            truth: Any = [[int(name in row) for name in self._names] for row in said]
        else:
            truth = [self._names.index(row[0]) if row[0] in self._names else -1 for row in said]
        answers = self._probabilities(X, "raise")[0]
        answers = (answers >= 0.5).astype(int) if self.about_.multilabel else answers.argmax(1)
        return float(accuracy_score(truth, answers, sample_weight=sample_weight))

    def evaluate(self, X: Pictures, y: Iterable[object] | None = None, *, all: bool = False) -> Report:
        """All figures on labelled pictures, with their intervals.

        all: count pictures that it was fitted to as well, known by content from ``fit`` or the run's `training.csv`.
            Without, they are left out, with a warning that says how many; where there are no others, all count.

        Raises: as ``score``.
        """
        return self._evaluation(X, y, all=all)[1].report

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
        shipped = open_folder(Path(place), trust=trust)
        followed, withheld = given_options(shipped.about)
        made = cls(**{**followed, "model": shipped.again})
        made._withheld = withheld
        made._take(shipped.net, shipped.about)
        made._learnt, made._held_out = learnt_by(Path(place)), held_out_by(Path(place))
        return made

    def _labelled(self, X: Pictures, y: Iterable[object] | None) -> Manifest:
        how = self._recalled()
        return labelled(X, y, how=how, classes=self.about_.classes, several=self.about_.multilabel)

    def _rows(self, X: Pictures) -> Iterator[Row]:
        """Rows without labels; an element that is no picture raises when its turn comes, and the next can be asked for.

        A place and a DataFrame are read as that of the fit was.
        """
        if isinstance(X, str | Path):
            return pictures([str(X)], how=self._recalled())
        return map(_unlabelled, count(), _pictures(X, self._recalled()))

    def _recalled(self) -> PlaceOptions:
        return PlaceOptions().recalling(vars(self))

    def _settings(self) -> Settings:
        given = {name: getattr(self, name) for name in OPTIONS}
        # A grid of NumPy's numbers gives its own kinds of them.
        options = {name: value.item() if isinstance(value, np.generic) else value for name, value in given.items()}
        cache = default_cache()
        store = Store(cache / "store", limit=size(options["store_limit"]))
        return Settings(**options, store=store, cache=cache, elsewhere=elsewhere(self.on, self.address))

    def _take(self, net: Any, about: ModelInfo) -> None:
        """A network whose outputs are in the order of names; scikit-learn has classes in the order of their values,
        and indicators in that of the columns."""
        self.net_, self.about_ = net, about
        values = values_of(about.classes, str(about.facts.get("labels", "str")))
        self._columns = np.arange(len(values)) if about.multilabel else np.argsort(values, kind="stable")
        self._names = [about.classes[column] for column in self._columns]
        self.classes_ = values[self._columns]

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn may expect: pictures are no table of numbers, and labels may be several."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.classifier_tags.multi_label = True
        tags.no_validation = True
        return tags

    def _fitted(self) -> None:
        if not hasattr(self, "net_"):
            raise NotFittedError("this ImageClassifier is not fitted yet: call fit, or ImageClassifier.load(folder)")

    def _predictor(self) -> Predictor:
        self._fitted()
        return of_network(self.net_, self.about_, device=self.device)

    net_: Any
    about_: ModelInfo
    result_: RunResult
    classes_: NDArray[Any]


def labelled(
    X: Pictures,
    y: Iterable[object] | None = None,
    groups: Iterable[object] | None = None,
    *,
    how: PlaceOptions | None = None,
    keep_splits: bool = True,
    classes: tuple[str, ...] | None = None,
    several: bool = False,
) -> Manifest:
    """A manifest from whatever ``fit`` takes.

    how: what is said of how to read a place. keep_splits: False drops the splits that it names.
    classes: those that the labels may come from, in their order; by default those that occur.
    several: whether a picture may have several labels, or none, even if here each has one.

    Raises: DataError: the place cannot be read, y has another length, or a sequence came without y.
    """
    if y is None and (isinstance(X, str | Path) or claimed(X)):
        if groups is not None:
            raise PlanError(
                "groups are given beside a place, which has its own",
                where="groups",
                hint='name its column: group="..."',
            )
        return read(X, classes=classes, how=how, keep_splits=keep_splits, several=several)
    if isinstance(X, str | Path):
        raise LabelError(
            "labels are given beside a place that has its own", where=X, hint="leave y out, or pass a list of pictures"
        )
    if y is None:
        raise DataError("pictures came without labels", hint="pass y, or a folder with a folder for each class")
    how = how or PlaceOptions()
    if how.group is not None:
        raise PlanError(
            f"there is no column {how.group!r} in a sequence of pictures", where="group", hint="pass groups= to fit"
        )
    if not claimed(X) and (idle := [name for name in how.given() if name not in how.remembered]):
        raise PlanError(f"{idle[0]} says nothing of a sequence of pictures", where=idle[0], hint="leave it out")
    labels = labels_of(y)
    if classes is not None:
        labels = names_known(labels, classes)
    if classes is None and not labels.several and len(set(labels.names)) == 1:
        raise LabelError(
            f"there is only one class, {labels.names[0][0]!r}", hint="a classifier needs pictures of two classes"
        )
    several |= labels.several
    rows = pairs(_pictures(X, how), labels.names, groups)
    found = Manifest.of(rows, classes=classes or labels.columns, several=several)
    return replace(found, label_type=labels.dtype)


def _unlabelled(number: int, picture: Picture) -> Row:
    row = next(pairs([picture]))
    return row if isinstance(picture, Path) else replace(row, name=f"#{number}")


def _readable(rows: Iterator[Row], failed: dict[int, Failure]) -> Iterator[Row]:
    """The rows that are pictures; what cannot be one is noted by its number, and the others go on."""
    number = 0
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except DecodeError as error:
            failed[number] = Failure(f"#{number}", error.what)
        else:
            yield row
        number += 1


def _pictures(X: Pictures, how: PlaceOptions) -> Iterator[Picture]:
    return each(X, how) if claimed(X) else pictures_of(X)


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

"""ImageClassifier: the one face of all this, a scikit-learn estimator. Its keyword arguments are the one schema.

The command line repeats this signature and calls these methods; nothing is decided here that `run` does not decide.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import NotFittedError

from frostline.data import dataframe
from frostline.data.decode import Picture
from frostline.data.manifest import Manifest, Row
from frostline.data.sources import claimed, default_cache, pairs, pictures, read
from frostline.data.to_picture import picture_of
from frostline.errors import DataError, DecodeError, PlanError
from frostline.events import Listener, quiet
from frostline.features.store import Store
from frostline.judge.metrics import Report
from frostline.judge.result import RunResult
from frostline.run.resolve import Settings
from frostline.run.runner import Fitted
from frostline.ship import folder, torch_predictor
from frostline.ship.model_info import ModelInfo
from frostline.ship.predictor import Failure, Prediction
from frostline.train.plan import RECIPE_FIELDS
from frostline.workflows.evaluate import evaluate
from frostline.workflows.fit import fit

Pictures = Any
"""What ``fit`` takes: see there."""

_PLAN_OPTIONS = ("lr", "trunk_lr", "decay", "epochs", "rank", *RECIPE_FIELDS)


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Fine-tunes a pretrained image model on labelled pictures.

    Every argument that is None is chosen by the strategy and the size of the data: see `frostline.train.defaults`.

    model: a timm name, ``torchvision/<name>`` or ``package.module:factory``.
    weights: "auto" (an installed package, the local cache, the hub), a checkpoint file, or "none".
    strategy: how to learn: "auto", "probe", "freeze", "discriminative", "layerwise", "gradual", "lp-ft", "full",
        "bitfit", "norm", "lora", a plugin's name or ``module:function``.
    lr, trunk_lr: learning rates of head and trunk; lr="auto" finds them by a range test. decay: per stage, downwards.
    epochs: of each phase that trains (for "gradual": of all together). rank: of low-rank adapters.
    budget: seconds for the whole run, or text such as "5m"; phases are shortened or left out to keep it.
    batch_size ... compile: the fields of `frostline.Recipe`, which says what each is and whose paper it comes from.
    image_size: side of the square that the network sees, in pixels. drop_path: stochastic depth in [0, 1).
    val: the share of pictures set apart to judge by, where the data has no val split.
    split: "80/20" or "70/15/15": deal all pictures anew into train and val, or train, val and test.
    group: the column whose equal values (a patient, a device, a day) never stand on both sides of a split.
    few: how many training pictures of each class to learn from, chosen by the seed; by default all.
    folds: cross-validate with that many folds in place of a val split; the model then learns from every picture.
    seed: of everything random.
    engine: what computes below the frost line: "auto", "openvino" or "torch".
    precision: "auto", "fp32" or "bf16".
    device: "auto", "cpu", "cuda" or "mps".
    store_limit: how large the activation store may grow, in bytes or text such as "20GB".
    out: the run's folder; None writes nothing but the store. resume: go on where a run in `out` was stopped.
    lang: of the run's report.html, "en" or "zh".
    track: trackers of accelerate, joined by commas: "tensorboard", "wandb", "mlflow", ...

    After ``fit``: ``classes_`` (array of K names), ``net_`` (the network, in eval mode), ``about_`` (classes,
    preprocessing, temperature), ``result_`` (phases, figures, counts).
    """

    def __init__(
        self,
        *,
        model: str = "tf_efficientnet_lite0",
        weights: str | Path | None = "auto",
        strategy: str = "auto",
        lr: float | str | None = None,
        trunk_lr: float | None = None,
        decay: float | None = None,
        epochs: int | None = None,
        rank: int | None = None,
        budget: float | str | None = None,
        batch_size: int | None = None,
        optimizer: str | None = None,
        momentum: float | None = None,
        weight_decay: float | None = None,
        schedule: str | None = None,
        warmup: float | None = None,
        step_size: int | None = None,
        gamma: float | None = None,
        label_smoothing: float | None = None,
        mixup: float | None = None,
        cutmix: float | None = None,
        augment: str | None = None,
        erasing: float | None = None,
        views: int | None = None,
        ema: float | None = None,
        l2sp: float | None = None,
        interpolate: float | None = None,
        clip: float | None = None,
        accumulate: int | None = None,
        balance: str | None = None,
        patience: int | None = None,
        keep: str | None = None,
        frozen_norm: str | None = None,
        compile: bool | None = None,
        image_size: int | None = None,
        drop_path: float | None = None,
        val: float = 0.2,
        split: str | None = None,
        group: str | None = None,
        few: int | None = None,
        folds: int | None = None,
        seed: int = 0,
        engine: str = "auto",
        precision: str = "auto",
        device: str = "auto",
        store_limit: int | str = "20GB",
        out: str | Path | None = None,
        resume: bool = False,
        lang: str = "en",
        track: str | None = None,
    ) -> None:
        self.model = model
        self.weights = weights
        self.strategy = strategy
        self.lr = lr
        self.trunk_lr = trunk_lr
        self.decay = decay
        self.epochs = epochs
        self.rank = rank
        self.budget = budget
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.warmup = warmup
        self.step_size = step_size
        self.gamma = gamma
        self.label_smoothing = label_smoothing
        self.mixup = mixup
        self.cutmix = cutmix
        self.augment = augment
        self.erasing = erasing
        self.views = views
        self.ema = ema
        self.l2sp = l2sp
        self.interpolate = interpolate
        self.clip = clip
        self.accumulate = accumulate
        self.balance = balance
        self.patience = patience
        self.keep = keep
        self.frozen_norm = frozen_norm
        self.compile = compile
        self.image_size = image_size
        self.drop_path = drop_path
        self.val = val
        self.split = split
        self.group = group
        self.few = few
        self.folds = folds
        self.seed = seed
        self.engine = engine
        self.precision = precision
        self.device = device
        self.store_limit = store_limit
        self.out = out
        self.resume = resume
        self.lang = lang
        self.track = track

    def fit(
        self,
        X: Pictures,
        y: Iterable[object] | None = None,
        groups: Iterable[object] | None = None,
        *,
        listen: Listener = quiet,
    ) -> Self:
        """Learn from a place or data set of labelled pictures, or from pictures X with labels y.

        X: whatever `frostline.data.sources` reads (a folder, table, archive or shards, a DataFrame, a data set of torch
            or Hugging Face, a dict of such by split), or a sequence of paths, PIL pictures or uint8 arrays (H, W, 3).
        y: labels beside such a sequence; a list or tuple of labels for a picture that has several.
        groups: beside such a sequence, what never stands on both sides of a split.
        listen: is called with what happens, see `frostline.events`.

        Raises: FrostlineError: one of its kinds, saying what is wrong, where, and what to do next.
        """
        manifest = labelled(X, y, groups, group=self.group)
        settings = self._settings()
        out = None if self.out is None else Path(self.out)
        self._take(fit(manifest, settings, out=out, resume=self.resume, listen=listen))
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
        made = cls(model=shipped.about.name)
        made.net_, made.about_ = shipped.net, shipped.about
        made.classes_ = np.asarray(shipped.about.classes)
        return made

    def _settings(self) -> Settings:
        options = {name: getattr(self, name) for name in _PLAN_OPTIONS if hasattr(self, name)}
        if options["lr"] == "auto":
            options |= {"lr": None, "rate_search": True}
        elif isinstance(options["lr"], str):
            raise PlanError(f"the rate {options['lr']!r} is no number", where="--lr", hint='a number, or "auto"')
        cache = default_cache()
        return Settings(
            model=self.model,
            weights=self.weights,
            strategy=self.strategy,
            options=options,
            seed=self.seed,
            image_size=self.image_size,
            drop_path=self.drop_path,
            engine=self.engine,
            precision=self.precision,
            device=self.device,
            budget=duration(self.budget),
            val=self.val,
            split=self.split,
            few=self.few,
            folds=self.folds,
            track=self.track,
            lang=self.lang,
            store=Store(cache / "store", limit=size(self.store_limit)),
            cache=cache,
        )

    def _take(self, fitted: Fitted) -> None:
        self.net_, self.about_, self.result_ = fitted.net, fitted.about, fitted.result
        self.classes_ = np.asarray(fitted.about.classes)

    def _fitted(self) -> None:
        if not hasattr(self, "net_"):
            raise NotFittedError("this ImageClassifier is not fitted yet: call fit, or ImageClassifier.load(folder)")

    def _predictor(self) -> torch_predictor.TorchPredictor:
        self._fitted()
        return torch_predictor.TorchPredictor.of(self.net_, self.about_)

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
    return (picture_of(x) for x in X)


def duration(value: float | str | None) -> float | None:
    """Seconds of 90, "90", "90s", "5m" or "1h".

    Raises: PlanError: it is none of these.
    """
    if value is None:
        return None
    text = str(value).strip().lower()
    factor = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 1)
    try:
        return float(text.rstrip("smh")) * factor
    except ValueError:
        raise PlanError(f"{value!r} is no length of time", where="--budget", hint="write 90s, 5m or 1h") from None


def size(value: int | str) -> int:
    """Bytes of 1000, "500MB" or "20GB" (powers of 1000).

    Raises: PlanError: it is none of these.
    """
    text = str(value).strip().upper().removesuffix("B")
    factor = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}.get(text[-1:], 1)
    try:
        return int(float(text.rstrip("KMGT")) * factor)
    except ValueError:
        raise PlanError(f"{value!r} is no size", where="--store-limit", hint="write 500MB or 20GB") from None

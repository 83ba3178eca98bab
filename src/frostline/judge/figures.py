"""What judging a classifier comes to: every figure with its count and its 95 % interval, as plain values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from frostline.judge.intervals import Bounds, Interval

WORDS = {
    "accuracy": "accuracy",
    "top_5": "top-5 accuracy",
    "balanced_accuracy": "balanced accuracy",
    "hamming": "single decisions right",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "roc_auc": "ROC-AUC, one against the rest",
    "average_precision": "average precision",
    "log_loss": "log loss (nats)",
    "brier": "Brier score",
}
"""What people read in place of a figure's name in `metrics.json`."""


NO_CLASS = "no class"
"""The answer to a picture that has none of several possible labels."""


def in_words(name: str) -> str:
    """A figure's name for people; of one that has no words of its own, its parts."""
    return WORDS.get(name, name.replace("_", " "))


_MOST_DENSE = 100  # classes: of more, a file would hold hardly anything but zeros
_MOST_KNOWN = 20_000  # classes whose matrix is made of cells that a file names: 3 GB
_CELLS = ("truth", "predicted", "pictures")


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class by itself. None: undefined (never predicted: no precision; never there: no recall).

    intervals: the 95 % interval (low, high) of each of "precision", "recall" and "f1" that is defined.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    intervals: Mapping[str, Bounds] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What answers without a look at the pictures come to: an accuracy means nothing but beside these.

    share: of pictures that always giving the commonest answer (``answer``) would have right. chance: of a blind draw of
        one of the K classes; with several labels a picture, of a coin for each. n: pictures.
    """

    answer: str
    share: float
    chance: float
    n: int

    def compared(self, accuracy: Interval) -> str:
        """What is to be said where a model is not measurably better, or ""."""
        if accuracy.low > self.share:
            return ""
        how = "no better than" if accuracy.value <= self.share else "not measurably better than"
        return f"{how} always answering {self.answer!r}, which is right for {self.share:.1%}"


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """All figures of one set of pictures.

    figures: by name, in the order in which they are to be read, ``accuracy`` first; what is undefined is not in it.
    confusion: counts (K, K), truth by row; for several labels a picture (K, 2, 2), scikit-learn's
        multilabel_confusion_matrix.
    baseline: what no model at all would come to. units: how many of the n pictures are draws by themselves (fewer than
        n where there are duplicates or groups).
    """

    n: int
    figures: Mapping[str, Interval]
    per_class: tuple[ClassFigures, ...]
    confusion: NDArray[np.int64]
    baseline: Baseline | None = None
    units: int = 0

    def __repr__(self) -> str:
        said = [f"{in_words(name)} {f.value:.3f} ({f.low:.3f} to {f.high:.3f})" for name, f in self.figures.items()]
        return f"<Report of {self.n:,} pictures, with 95 % intervals: {', '.join(said)}>"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "n": self.n,
            "units": self.units or self.n,
            "baseline": None if self.baseline is None else asdict(self.baseline),
            **{name: asdict(figure) for name, figure in self.figures.items()},
            "per_class": [asdict(figures) for figures in self.per_class],
            "confusion": _plain(self.confusion),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_dict`` gave, read back from JSON."""
        figures = {
            name: Interval(**figure) for name, figure in values.items() if isinstance(figure, dict) and "low" in figure
        }
        rows = [
            {**row, "intervals": {name: tuple(found) for name, found in row.get("intervals", {}).items()}}
            for row in values["per_class"]
        ]
        base = values.get("baseline")
        return cls(
            values["n"],
            figures,
            tuple(ClassFigures(**row) for row in rows),
            _matrix(values["confusion"], len(rows)),
            Baseline(**base) if base else None,
            int(values.get("units") or values["n"]),
        )


def _plain(confusion: NDArray[np.int64]) -> list[Any] | dict[str, list[int]]:
    """The matrix as it is; of many classes the cells that are not 0, as columns of numbers of classes and pictures."""
    if confusion.ndim == 3 or len(confusion) <= _MOST_DENSE:
        return list(confusion.tolist())
    cells = np.nonzero(confusion)
    return {name: column.tolist() for name, column in zip(_CELLS, (*cells, confusion[cells]), strict=True)}


def _matrix(plain: Any, classes: int) -> NDArray[np.int64]:
    if not isinstance(plain, Mapping):
        return np.array(plain, dtype=np.int64)
    if classes > _MOST_KNOWN:
        raise ValueError(f"{classes} classes are too many for a confusion matrix")
    truth, predicted, pictures = (np.array(plain[name], dtype=np.int64) for name in _CELLS)
    confusion = np.zeros((classes, classes), np.int64)
    confusion[truth, predicted] = pictures
    return confusion

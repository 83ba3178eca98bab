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


def in_words(name: str) -> str:
    """A figure's name for people; of one that has no words of its own, its parts."""
    return WORDS.get(name, name.replace("_", " "))


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


@dataclass(frozen=True, eq=False)
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

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "n": self.n,
            "units": self.units or self.n,
            "baseline": None if self.baseline is None else asdict(self.baseline),
            **{name: asdict(figure) for name, figure in self.figures.items()},
            "per_class": [asdict(figures) for figures in self.per_class],
            "confusion": self.confusion.tolist(),
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
            np.array(values["confusion"], dtype=np.int64),
            Baseline(**base) if base else None,
            int(values.get("units") or values["n"]),
        )

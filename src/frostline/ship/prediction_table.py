"""Predictions as lines of a table: the one list of columns for ``predict --csv``, ``--out``, ``merge`` and the engines
that call us. torch-free."""

from collections.abc import Sequence
from dataclasses import dataclass

from frostline.data.label_text import joined
from frostline.errors import one_line
from frostline.ship.model_info import ModelInfo
from frostline.ship.predictor import Failure, Prediction, best, label_of, members


@dataclass(frozen=True)
class Columns:
    """path, label, probability, label_2, probability_2, ..., set, novel, error.

    top: how many classes are named; where a picture may have several labels, 1 is all that it has, joined
        (`data.label_text`), and the probability is that of the least sure decision, as in a run's `pictures.csv`.
    coverage: of the prediction set, whose classes are joined; without, there is no such column.
    errors: whether there is a column for why a picture could not be read.
    """

    top: int = 1
    coverage: float | None = None
    errors: bool = True

    @property
    def header(self) -> list[str]:
        """The names of the columns."""
        more = [f"{name}_{place}" for place in range(2, self.top + 1) for name in ("label", "probability")]
        held = ["set"] if self.coverage is not None else []
        return ["path", "label", "probability", *more, *held, "novel", *(["error"] if self.errors else [])]

    def line(self, answer: Prediction | Failure, about: ModelInfo) -> list[str]:
        """The cells of one answer; "novel" is 1 or 0, or empty where the model does not know.

        Raises: JudgementError: the model has no prediction sets, or no such coverage can be promised.
        """
        if isinstance(answer, Failure):
            return [answer.name, *[""] * (len(self.header) - 2), one_line(answer.reason)]
        named = [label_of(answer, about)] if self.top == 1 else best(answer, about, self.top)
        cells = [text for label, p in named for text in (label, f"{p:.6f}")]
        if self.coverage is not None:
            cells.append(joined(label for label, _ in members(answer, about, self.coverage)))
        cells.append("" if answer.novel is None else str(int(answer.novel)))
        return [answer.name, *cells, *([""] if self.errors else [])]


def failed(line: Sequence[str]) -> bool:
    """Whether a line of a table with errors is of a picture that could not be read."""
    return bool(line[-1])

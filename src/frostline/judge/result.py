"""What a run came to, as one frozen value: the conductor fills it in, the terminal and the report draw it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from frostline.data.manifest import Skipped
from frostline.judge.calibrate import Calibration
from frostline.judge.conformal import CoverageResult
from frostline.judge.figures import Report
from frostline.judge.intervals import Interval
from frostline.judge.ood import Novelty
from frostline.judge.result_html import in_html, in_words

HEADLINES = ("test", "val", "cross-validation")
"""The splits that a model may be judged by, the best judge first."""


REFIT = "refit"
"""What the row is called of a model that learned once more, from the pictures that it was chosen by too."""


@dataclass(frozen=True, slots=True)
class PhaseRow:
    """One phase in the closing table.

    line: its frost line. val: accuracy on the val split after it (out of fold where there is none); None if it was not
        judged. seconds: that it took.
    kept: whether the final model has learnt from it. why: the reason, in a few words.
    epochs: that were run. early: why they ended before their time, or "". trainable: parameters that learnt.
    best_epoch: whose weights were kept, from 1; 0 where there were none.
    """

    name: str
    line: str
    val: Interval | None
    seconds: float
    kept: bool = True
    why: str = ""
    epochs: int = 0
    early: str = ""
    trainable: int = 0
    best_epoch: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_dict`` gave, read back from JSON."""
        return cls(**{**values, "val": Interval(**values["val"]) if values["val"] else None})


@dataclass(frozen=True, eq=False, repr=False)
class RunResult:
    """A finished run.

    phases: in the order in which they were tried.
    metrics: by split, "val" and, if there is one, "test" (read once, at the end); "cross-validation" stands for
        out-of-fold figures of the training pictures where there is no val split.
    folder: the model folder, or None if nothing was written. classes: in the order of the outputs.
    counts: usable pictures by split. skipped: what was left out.
    seconds: from the list of pictures to the judged model, imports and the report left out.
    engine: that ran the frozen prefix. temperature: of the calibration, 1.0 if it did not help.
    calibration: how far probabilities were off, before and after, or None where nothing was held out.
    coverage: what prediction sets of the usual coverages came to. novelty: the threshold of pictures unlike these.
    chosen_on: the split that chose the epoch or the phases that were kept: its figures are a little too good. "" where
        nothing was chosen by pictures that are also judged.
    memory: the most that the process held at once so far, in bytes, 0 where the system does not say.
    interrupted: the plan was not carried out to its end.
    """

    strategy: str
    model: str
    phases: tuple[PhaseRow, ...]
    metrics: Mapping[str, Report]
    folder: Path | None
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    skipped: tuple[Skipped, ...]
    seconds: float
    engine: str
    temperature: float = 1.0
    calibration: Calibration | None = None
    coverage: tuple[CoverageResult, ...] = ()
    novelty: Novelty | None = None
    chosen_on: str = ""
    memory: int = 0
    interrupted: bool = False

    @property
    def headline(self) -> tuple[str, Report] | None:
        """The split that the model is best judged by, and its figures: test, else val, else cross-validation."""
        for split in HEADLINES:
            if split in self.metrics:
                return split, self.metrics[split]
        return None

    def __repr__(self) -> str:
        return f"<{in_words(self)}>"

    def _repr_html_(self) -> str:
        return in_html(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for ``metrics.json`` and ``--json``."""
        return {
            "strategy": self.strategy,
            "model": self.model,
            "classes": list(self.classes),
            "phases": [row.to_dict() for row in self.phases],
            "metrics": {split: report.to_dict() for split, report in self.metrics.items()},
            "counts": dict(self.counts),
            "skipped": len(self.skipped),
            "seconds": round(self.seconds, 2),
            "engine": self.engine,
            "temperature": self.temperature,
            "calibration": None if self.calibration is None else self.calibration.to_dict(),
            "coverage": [row.to_dict() for row in self.coverage],
            "novelty": None if self.novelty is None else self.novelty.to_dict(),
            "chosen_on": self.chosen_on,
            "memory": self.memory,
            "folder": None if self.folder is None else str(self.folder),
            "interrupted": self.interrupted,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], skipped: Sequence[Skipped] = ()) -> Self:
        """What ``to_dict`` gave, read back from JSON. skipped: as the run's ``skipped.csv`` lists them.

        Raises: KeyError, TypeError, ValueError, JudgementError: it is something else.
        """
        calibration, novelty, folder = values.get("calibration"), values.get("novelty"), values.get("folder")
        return cls(
            strategy=str(values["strategy"]),
            model=str(values["model"]),
            phases=tuple(PhaseRow.from_dict(row) for row in values["phases"]),
            metrics={split: Report.from_dict(report) for split, report in values["metrics"].items()},
            folder=None if folder is None else Path(folder),
            classes=tuple(values["classes"]),
            counts=dict(values["counts"]),
            skipped=tuple(skipped),
            seconds=float(values["seconds"]),
            engine=str(values["engine"]),
            temperature=float(values["temperature"]),
            calibration=None if calibration is None else Calibration.from_dict(calibration),
            coverage=tuple(CoverageResult.from_dict(row) for row in values.get("coverage") or ()),
            novelty=None if novelty is None else Novelty.from_dict(novelty),
            chosen_on=str(values.get("chosen_on", "")),
            memory=int(values.get("memory") or 0),
            interrupted=bool(values["interrupted"]),
        )

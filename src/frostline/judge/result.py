"""RunResult: what a run came to. The conductor fills it in, the terminal and the report draw it; nobody computes
here."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from frostline.judge.metrics import Interval, Report


@dataclass(frozen=True, slots=True)
class PhaseRow:
    """One phase in the closing table.

    val: accuracy on the val split after it; None without one. seconds: that it took.
    kept: whether the final model has learnt from it. why: the reason, in a few words.
    """

    name: str
    val: Interval | None
    seconds: float
    kept: bool = True
    why: str = ""


@dataclass(frozen=True, eq=False)
class RunResult:
    """A finished run.

    metrics: by split, "val" and, if there is one, "test" (read once, at the end).
    folder: the model folder. classes: in the order of the outputs.
    counts: pictures by split. skipped: how many were left out. seconds: of the whole run.
    engine: that ran the frozen prefix. temperature: of the calibration, 1.0 if it did not help.
    """

    strategy: str
    phases: tuple[PhaseRow, ...]
    metrics: Mapping[str, Report]
    folder: Path
    classes: tuple[str, ...]
    counts: Mapping[str, int]
    skipped: int
    seconds: float
    engine: str
    temperature: float = 1.0

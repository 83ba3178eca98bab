"""What a section of the benchmark finds: rows for the table, curves for the plot, and plain figures."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from bench.runner import Run, accuracy


@dataclass(frozen=True)
class Side:
    """One side of a comparison, the median of its runs.

    seconds, cpu, peak (bytes): medians. n: runs. accuracy: of the val split, the mean over runs, or None.
    """

    name: str
    seconds: float
    cpu: float
    peak: float
    n: int
    accuracy: float | None = None

    @classmethod
    def of(cls, name: str, runs: Sequence[Run], seconds: Callable[[Run], float]) -> "Side":
        """From runs; seconds: what of a run's time is meant."""
        return cls(
            name,
            median(seconds(run) for run in runs),
            median(run.cpu for run in runs),
            median(run.peak for run in runs),
            len(runs),
            _mean([value for run in runs if (value := accuracy(run)) is not None]),
        )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


@dataclass(frozen=True)
class Row:
    """A line of the table.

    ratio: the median of theirs / ours, pair by pair. target: the ratio wanted, None where none is.
    limit: what bounds it; shown if the target is missed.
    """

    work: str
    ours: Side
    theirs: Side
    ratio: float
    target: float | None = None
    limit: str = ""

    @property
    def reached(self) -> bool:
        """Whether the target was met, and accuracy did not pay for it."""
        fast = self.target is None or self.ratio >= self.target
        if self.ours.accuracy is None or self.theirs.accuracy is None:
            return fast
        return fast and self.ours.accuracy >= self.theirs.accuracy


@dataclass
class Found:
    """All that a section found. facts: name -> text, for the table of single figures. curves: name -> points (x, y)."""

    rows: list[Row] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    misses: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """For results.json."""
        return asdict(self)


def compared(
    work: str,
    runs: dict[str, list[Run]],
    ours: str,
    theirs: str,
    *,
    target: float | None = None,
    limit: str = "",
    seconds: Callable[[Run], float] = lambda run: run.seconds,
) -> Row:
    """A row of two contestants that ran in turn. seconds: what of a run's time is meant, all of it by default."""
    mine, others = runs[ours], runs[theirs]
    ratio = median(seconds(other) / seconds(run) for run, other in zip(mine, others, strict=True))
    return Row(work, Side.of(ours, mine, seconds), Side.of(theirs, others, seconds), ratio, target, limit)


def row_from(values: dict[str, Any]) -> Row:
    """A row out of results.json."""
    sides = {name: Side(**values[name]) for name in ("ours", "theirs")}
    return Row(**{**values, **sides})

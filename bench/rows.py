"""What a section of the benchmark finds: rows for the table, curves for the plot, and plain figures."""

from collections.abc import Sequence
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
    def of(cls, name: str, runs: Sequence[Run], seconds: Sequence[float] | None = None) -> "Side":
        """From runs; seconds: what of their time is meant, if not all of it."""
        times = [run.seconds for run in runs] if seconds is None else list(seconds)
        return cls(
            name,
            median(times),
            median(run.cpu for run in runs),
            median(run.peak for run in runs),
            len(times),
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


def pairwise(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of theirs / ours, round by round; a side that ran fewer rounds stands for all with its median."""
    if len(ours) != len(theirs):
        return median(theirs) / median(ours)
    return median(their / our for our, their in zip(ours, theirs, strict=True))


def compared(
    work: str,
    runs: dict[str, list[Run]],
    ours: str,
    theirs: str,
    *,
    target: float | None = None,
    limit: str = "",
) -> Row:
    """A row of two contestants' whole processes."""
    mine, others = runs[ours], runs[theirs]
    ratio = pairwise([run.seconds for run in mine], [run.seconds for run in others])
    return Row(work, Side.of(ours, mine), Side.of(theirs, others), ratio, target, limit)


def row_from(values: dict[str, Any]) -> Row:
    """A row out of results.json."""
    sides = {name: Side(**values[name]) for name in ("ours", "theirs")}
    return Row(**{**values, **sides})

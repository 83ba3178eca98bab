"""The table of ``frostline compare``: intervals on one axis, drawn whole in a terminal of any width."""

from typing import TYPE_CHECKING

from frostline.cli.console import line, new, simple
from frostline.cli.language import sentence
from frostline.cli.output import in_letters
from frostline.errors import one_line

if TYPE_CHECKING:
    from frostline.judge.intervals import Interval
    from frostline.workflows.compare import Comparison


def show(found: "Comparison") -> None:
    """Runs, the best first, each with its interval drawn on one axis; then what can be said of their differences."""
    from rich.table import Table
    from rich.text import Text

    console = new()
    entries = found.entries
    low, high = min(e.accuracy.low for e in entries), max(e.accuracy.high for e in entries)
    line(console, f"{len(entries)} runs on the same {found.n:,} pictures ({found.split})", "bold")
    columns, length = _fitting(found, console.width)
    axis = f"{low:.1%}".ljust(length - 6) + f"{high:.1%}".rjust(6)
    drawn = [_whiskers(entry.accuracy, low, high, length) for entry in entries]
    if console.options.ascii_only:
        drawn = [in_letters(line) for line in drawn]
    placed: dict[str, list[str]] = {}
    for name, values in columns.items():
        placed[name] = values
        if name == "accuracy":
            placed[axis] = drawn
    table = Table(box=simple(), pad_edge=False)
    for name in placed:
        right = name in ("accuracy", "log loss", "seconds")
        table.add_column(sentence(name), justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    for row in zip(*placed.values(), strict=True):
        table.add_row(*(Text(text) for text in row))
    console.print(table)
    answer, count = found.commonest
    if count:
        line(console, f"to compare: always {one_line(answer)!r} is right for {count / found.n:.1%}", "dim")
    pairs = [pair for pair in found.differences if pair.first == 0 or len(entries) <= 4]
    for pair in pairs:
        better, worse = (one_line(entries[place].name) for place in (pair.first, pair.second))
        counts = (
            f"{pair.paired.lost} pictures only {better} has right, {pair.paired.gained} only {worse}, "
            f"p = {pair.adjusted:.2g}"
        )
        if pair.real:
            line(console, f"{better} is better than {worse}: {counts}", "bold")
        else:
            line(console, f"{better} and {worse} cannot be distinguished: {counts}", "dim")
    for entry in entries:
        if entry.chosen:
            said = "these pictures also chose what was kept, so it looks a little too good here"
            line(console, f"{one_line(entry.name)}: {said}", "yellow")
    test = "McNemar's exact mid-p test"
    if found.units < found.n:
        test = f"the signs of {found.units:,} groups and single pictures turned at random"
    more = "" if len(found.differences) == 1 else f", corrected for {len(found.differences)} pairs (Holm)"
    line(console, f"p: {test}{more}; 95 % intervals", "dim")


_AXIS = (16, 60)  # characters that an axis takes, at least and at most
_DROPPED = ("seconds", "log loss", "model", "strategy")  # where there is no room, in this order


def _fitting(found: "Comparison", width: int) -> tuple[dict[str, list[str]], int]:
    """The columns that a terminal of so many characters has room for, and the length of the axis beside them."""
    from rich.cells import cell_len

    loss = [entry.figures.get("log_loss") for entry in found.entries]
    columns = {
        "run": [one_line(entry.name) for entry in found.entries],
        "model": [one_line(entry.model) for entry in found.entries],
        "strategy": [one_line(entry.strategy) for entry in found.entries],
        "accuracy": [f"{entry.accuracy.value:.1%}" for entry in found.entries],
        "log loss": ["" if value is None else f"{value:.3f}" for value in loss],
        "seconds": ["" if entry.seconds is None else f"{entry.seconds:.0f}" for entry in found.entries],
    }

    def left() -> int:
        taken = sum(max(map(cell_len, (sentence(name), *values))) + 3 for name, values in columns.items())
        return width - taken - 3

    for name in _DROPPED:
        if left() < _AXIS[0]:
            del columns[name]
    if left() < _AXIS[0]:  # the names alone are too long: their ends tell runs apart
        most = max(8, max(map(cell_len, columns["run"])) + left() - _AXIS[0])
        columns["run"] = [_end(name, most) for name in columns["run"]]
    return columns, min(_AXIS[1], max(_AXIS[0], left()))


def _end(name: str, most: int) -> str:
    """The end of a name, in so many cells."""
    from rich.cells import cell_len

    if cell_len(name) <= most:
        return name
    while cell_len(name) > most - 1:
        name = name[1:]
    return f"…{name}"


def _whiskers(figure: "Interval", low: float, high: float, length: int) -> str:
    """An interval on an axis from low to high: "   ├───●──┤  "."""
    span = max(high - low, 1e-9)
    left, middle, right = (
        round((value - low) / span * (length - 1)) for value in (figure.low, figure.value, figure.high)
    )
    drawn = [" "] * left + ["├"] + ["─"] * (right - left - 1) + (["┤"] if right > left else [])
    drawn[middle] = "●"
    return "".join(drawn)

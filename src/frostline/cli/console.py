"""What the terminal shows: progress while a run goes on, tables when it is over. Rich is imported where it is used.

On a terminal there are bars with rate and time left; elsewhere a plain line now and then. Everything but results goes
to standard error.
"""

import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from frostline.cli import language, output
from frostline.errors import one_line, shown

if TYPE_CHECKING:
    from rich.console import Console

    from frostline.events import Event
    from frostline.features.kept import Kept
    from frostline.features.store import Usage
    from frostline.judge.audit.run_checks import Audit
    from frostline.judge.conformal import CoverageResult
    from frostline.judge.metrics import ClassFigures, Interval, Report
    from frostline.judge.result import RunResult
    from frostline.ship.export import Exported
    from frostline.ship.hub import HubUpload
    from frostline.workflows.compare import Comparison
    from frostline.workflows.evaluate import Evaluation

PLAIN_EVERY = 5.0  # seconds between plain progress lines
WARNING = "yellow"


class Screen:
    """A listener that shows a run. Use it as a context; bars vanish when it ends."""

    def __init__(self, *, quiet: bool = False) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._live = self._console.is_terminal and not quiet
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
            disable=not self._live,
        )
        self._tasks: dict[str, Any] = {}
        self._since: dict[str, float] = {}
        self._phase, self._epochs, self._batches = "", 0, 0
        self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._bars.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.__exit__(kind, error, trace)

    def say(self, text: str, style: str = "dim") -> None:
        """A line for a person; quiet, only warnings."""
        if not self._quiet or style == WARNING:
            self._console.print(shown(language.sentence(text)), style=style, markup=False)

    def __call__(self, event: "Event") -> None:
        """Show what happened."""
        from frostline.events import Judged, Note, PhaseStart, Step, Warn, Work

        match event:
            case Note(text):
                self.say(text)
            case Warn(text):
                self.say(f"warning: {text}", WARNING)
            case Work(what, done, total):
                self._work(what, done, total)
            case PhaseStart(name, line, epochs):
                self._phase, self._epochs, self._batches = name, epochs, 0
                if epochs:
                    self.say(f"❄ {name}: {epochs} epochs, frost line under {line}", "bold")
            case Step():
                if event.epoch == 0:
                    self._batches = max(self._batches, event.step)
                total = self._batches * self._epochs if event.epoch else 0  # known when the first epoch is over
                self._work(f"{self._phase}, batches", event.step, total)
            case Judged():
                self.say(
                    f"{self._phase:>14}  epoch {event.epoch + 1:>3}/{event.epochs}  loss {event.train_loss:.3f}  "
                    f"val {event.accuracy:.1%} (loss {event.loss:.3f})  rate {event.rate:.2g}  "
                    f"{event.pictures_per_second:,.0f} pictures/s",
                    "default",
                )
            case _:
                pass

    def _work(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        began = self._since.setdefault(what, now)
        if not self._live:
            if now - self._said > PLAIN_EVERY:
                self._said = now
                self.say(f"{what}: {done:,} of {total:,}" if total else f"{what}: {done:,}")
            return
        rate = f"{done / (now - began):,.0f}/s" if now - began > 0.5 else ""
        if what not in self._tasks:
            for task in self._tasks.values():
                self._bars.update(task, visible=False)
            self._tasks[what] = self._bars.add_task(what, total=total or None, rate="")
        self._bars.update(self._tasks[what], completed=done, total=total or None, rate=rate)
        if total and done >= total:
            self._bars.update(self._tasks[what], visible=False)


def json(values: Any) -> None:
    """Values as JSON on standard output."""
    output.json(values, indent=2)


def aside(text: str) -> None:
    """A line for a person, beside the results."""
    print(shown(text), file=sys.stderr, flush=True)


def in_bytes(count: float) -> str:
    """1,234,000 -> "1.2 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def result(found: "RunResult", *, data: Path, model: Path) -> None:
    """The closing tables of a fit: phases, figures, where the model lies, what to type next."""
    from rich.table import Table
    from rich.text import Text

    console = _console()
    if len(found.phases) > 1:
        table = Table(title="phases", title_justify="left", box=_box(), pad_edge=False)
        for column in ("phase", "frost line", "accuracy", "epochs", "seconds", "kept", "why"):
            table.add_column(column, justify="right" if column in ("epochs", "seconds") else "left")
        for row in found.phases:
            figure = "" if row.val is None else percent(row.val)
            kept = "yes" if row.kept else "no"
            line = "under " + row.line
            why = row.why + (f" ({row.early})" if row.early and row.early != row.why else "")
            cells = (figure, str(row.epochs or ""), f"{row.seconds:.1f}", kept)
            table.add_row(Text(one_line(row.name)), Text(one_line(line)), *cells, Text(one_line(why)))
        console.print(table)
        console.print()
    if found.headline:
        split, figures = found.headline
        words = {"cross-validation": "cross-validated on the training pictures"}.get(split, f"on {split}")
        report(figures, title=f"{found.model}, {found.strategy}, {words}", skipped=len(found.skipped))
        if found.chosen_on == split:
            console.print(
                f"chosen on {split}: these pictures also chose what was kept, so the figures are a little too good",
                style="yellow",
                markup=False,
                soft_wrap=True,
            )
        _promises(found, console)
    place, page = one_line(str(model)), one_line(str(model.parent / "report.html"))
    console.print(f"\n{found.seconds:.1f} s; model saved to {place}", soft_wrap=True, markup=False)
    if found.metrics:
        console.print(f"report: {page}", soft_wrap=True, markup=False)
    console.print(
        f"next: frostline predict {shlex.quote(place)} PICTURE...", style="bold", soft_wrap=True, markup=False
    )


def drift(found: "Evaluation") -> None:
    """A line on prediction sets, if the model has any, and one on what has moved since training."""
    console = _console()
    _sets(found.coverage, console)
    style = "yellow" if found.drift.signs else "dim"
    console.print(one_line(str(found.drift)), style=style, markup=False, soft_wrap=True)


def left_out(found: "Evaluation") -> None:
    """How many pictures the model was trained on, so that they do not count."""
    if found.learnt:
        n = f"{found.learnt:,} pictures were left out" if found.learnt > 1 else "1 picture was left out"
        _console().print(f"{n}: the model was trained on them (--all counts them)", style="yellow", markup=False)


def _promises(found: "RunResult", console: "Console") -> None:
    """A line each on prediction sets and on pictures unlike these."""
    _sets(found.coverage, console)
    if found.novelty:
        rate = f"{found.novelty.false_alarms:.1%}"
        console.print(f'pictures unlike these are marked "none of these?", and {rate} of those like them', markup=False)


def _sets(coverage: "Sequence[CoverageResult]", console: "Console") -> None:
    for row in coverage:
        if row.coverage == 0.95:
            console.print(_said_of_sets(row), markup=False, soft_wrap=True)


def _said_of_sets(row: "CoverageResult") -> str:
    """What sets of 95 % came to: covered, where that was measured; else how far the promise itself is sure."""
    reach = f"{100 * row.low:.1f} to {100 * row.high:.1f}"
    sizes = f"{row.size:.2f} classes each, {row.single:.0%} of one class: predict --coverage 0.95"
    if row.share is None:
        return f"prediction sets of 95 %, made of {row.n:,} pictures (true coverage {reach}), {sizes}"
    worst = min(row.by_class.items(), key=lambda item: item[1][0], default=None)
    by_class = "" if worst is None else f", lowest for {one_line(worst[0])}: {worst[1][0]:.1%} of {worst[1][1]:,}"
    return f"prediction sets of 95 % cover {row.share:.1%} ({reach}) of {row.n:,} pictures{by_class}, {sizes}"


def report(figures: "Report", *, title: str, skipped: int = 0) -> None:
    """Headline figures with their intervals, then a row a class."""
    from rich.table import Table
    from rich.text import Text

    console = _console()
    accuracy = figures.figures["accuracy"]
    wrong = round((1 - accuracy.value) * accuracy.n)
    console.print(one_line(title), style="bold", markup=False)
    console.print(f"accuracy  {percent(accuracy)}, {accuracy.n - wrong:,} of {accuracy.n:,} right", markup=False)
    if "macro_f1" in figures.figures:
        present = sum(row.support > 0 for row in figures.per_class)
        over = f", over the {present} of {len(figures.per_class)} classes that have pictures here"
        over = over if present < len(figures.per_class) else ""
        console.print(f"macro F1  {percent(figures.figures['macro_f1'])}{over}", markup=False)
    _baseline(figures, console)
    table = Table(box=_box(), pad_edge=False)
    table.add_column("class")
    for column in ("precision", "recall", "F1", "pictures"):
        table.add_column(column, justify="right")
    for row in figures.per_class[:50]:
        shares = (_share_of_class(row, name) for name in ("precision", "recall", "f1"))
        table.add_row(Text(one_line(row.name)), *shares, f"{row.support:,}")
    console.print(table)
    if len(figures.per_class) > 50:
        console.print(f"and {len(figures.per_class) - 50} more classes, in metrics.json")
    if skipped:
        console.print(f"{skipped} files were left out", style="yellow")


def _baseline(figures: "Report", console: "Console") -> None:
    """What no model at all would come to, and whether this one is better."""
    base, accuracy = figures.baseline, figures.figures["accuracy"]
    if base is None:
        return
    console.print(
        f"to compare: always {one_line(base.answer)!r} is right for {base.share:.1%}, chance for {base.chance:.1%}",
        style="dim",
        markup=False,
    )
    if said := base.compared(accuracy):
        console.print(f"this model is {one_line(said)}", style="bold yellow", markup=False)


def _share_of_class(row: "ClassFigures", name: str) -> str:
    """94.3% (86 to 98), or "-"."""
    value, found = getattr(row, name), row.intervals.get(name)
    if value is None:
        return "-"
    return f"{value:.1%}" + (f" ({100 * found[0]:.0f} to {100 * found[1]:.0f})" if found else "")


def audit(found: "Audit", *, page: Path) -> None:
    """A line a finding, the worst first, and where to see more."""
    from rich.table import Table
    from rich.text import Text

    console = _console()
    listing = found.subject.listing
    console.print(
        f"{one_line(listing.source)}: {len(listing):,} pictures, {len(listing.classes):,} classes",
        style="bold",
        markup=False,
    )
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for finding in found.findings:
        style = {"error": "bold red", "warning": "yellow", "note": "dim"}[finding.level]
        table.add_row(Text(finding.level, style), Text(finding.check), Text(one_line(finding.summary)))
    if found.findings:
        console.print(table)
    else:
        console.print("nothing was found that needs doing", style="green")
    for text in found.not_checked:
        console.print(f"not looked at: {one_line(text)}", style="dim", markup=False)
    console.print(f"\nthe pictures are in {one_line(str(page))}", soft_wrap=True, markup=False)


def comparison(found: "Comparison") -> None:
    """Runs, the best first, each with its interval drawn on one axis; then what can be said of their differences."""
    from rich.table import Table
    from rich.text import Text

    console = _console()
    entries = found.entries
    low, high = min(e.accuracy.low for e in entries), max(e.accuracy.high for e in entries)
    console.print(f"{len(entries)} runs on the same {found.n:,} pictures ({found.split})", style="bold", markup=False)
    columns, length = _fitting(found, console.width)
    axis = f"{low:.1%}".ljust(length - 6) + f"{high:.1%}".rjust(6)
    drawn = [_whiskers(entry.accuracy, low, high, length) for entry in entries]
    placed: dict[str, list[str]] = {}
    for name, values in columns.items():
        placed[name] = values
        if name == "accuracy":
            placed[axis] = drawn
    table = Table(box=_box(), pad_edge=False)
    for name in placed:
        right = name in ("accuracy", "log loss", "seconds")
        table.add_column(name, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    for row in zip(*placed.values(), strict=True):
        table.add_row(*(Text(text) for text in row))
    console.print(table)
    pairs = [pair for pair in found.differences if pair.first == 0 or len(entries) <= 4]
    for pair in pairs:
        better, worse = (one_line(entries[place].name) for place in (pair.first, pair.second))
        counts = (
            f"{pair.paired.lost} pictures only {better} has right, {pair.paired.gained} only {worse}, "
            f"p = {pair.adjusted:.2g}"
        )
        if pair.real:
            console.print(f"{better} is better than {worse}: {counts}", style="bold", markup=False, soft_wrap=True)
        else:
            console.print(
                f"{better} and {worse} cannot be distinguished: {counts}", style="dim", markup=False, soft_wrap=True
            )
    more = "" if len(found.differences) == 1 else f", corrected for {len(found.differences)} pairs (Holm)"
    console.print(f"p: McNemar's exact mid-p test{more}; 95 % intervals", style="dim", markup=False)


_AXIS = (16, 60)  # characters that an axis takes, at least and at most
_DROPPED = ("seconds", "log loss", "model", "strategy")  # where there is no room, in this order


def _fitting(found: "Comparison", width: int) -> tuple[dict[str, list[str]], int]:
    """The columns that a terminal of so many characters has room for, and the length of the axis beside them."""
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
        taken = sum(max(map(len, (name, *values))) + 3 for name, values in columns.items())
        return width - taken - 3

    for name in _DROPPED:
        if left() < _AXIS[0]:
            del columns[name]
    if left() < _AXIS[0]:  # the names alone are too long: their ends tell runs apart
        most = max(8, max(map(len, columns["run"])) + left() - _AXIS[0])
        columns["run"] = [name if len(name) <= most else "…" + name[1 - most :] for name in columns["run"]]
    return columns, min(_AXIS[1], max(_AXIS[0], left()))


def _whiskers(figure: "Interval", low: float, high: float, length: int) -> str:
    """An interval on an axis from low to high: "   ├───●──┤  "."""
    span = max(high - low, 1e-9)
    left, middle, right = (
        round((value - low) / span * (length - 1)) for value in (figure.low, figure.value, figure.high)
    )
    drawn = [" "] * left + ["├"] + ["─"] * (right - left - 1) + (["┤"] if right > left else [])
    drawn[middle] = "●"
    return "".join(drawn)


def usage(items: "Sequence[Usage]", everything: "Sequence[Kept]", *, where: Path) -> None:
    """A table of the store's shelves, and one of all kinds of things that are kept."""
    for item in items:
        print(f"{in_bytes(item.bytes):>9}  {item.rows:>8,} rows  {item.about}")
    for kind in everything:
        print(f"{in_bytes(kind.bytes):>9}  {kind.files:>8,} files {kind.name}: {kind.what}")
    aside(f"{in_bytes(sum(kind.bytes for kind in everything))} in {where}")


def exported(found: "Exported") -> None:
    """How an export answers beside torch, and where it lies."""
    same, cost = found.agreement, found.cost
    print(f"compared with torch on {same.n} pictures ({one_line(same.source)})")
    print(f"largest difference of logits  {same.largest:.1e} ({same.relative:.1e} of the largest logit)")
    print(f"same first class              {same.same_top:.1%}")
    if same.placing:
        apart = same.placing
        print(
            f"pictures prepared in graph    {apart.mean:.3f} levels of 255 away on average, {apart.largest} at most; "
            f"logits {apart.logits:.1e} from `frostline predict`, same first class {apart.same_top:.1%}"
        )
    if cost:
        print(f"accuracy on val, float32      {percent(cost.before)}, n = {cost.before.n:,}")
        print(f"accuracy on val, int8         {percent(cost.after)}, {100 * cost.drop:.1f} points lost")
    for name, size in found.files.items():
        print(f"{in_bytes(size):>9}  {one_line(str(found.folder / name))}")
    aside(f"next: python {shlex.quote(str(found.folder / 'predict.py'))} PICTURE...")


def parcel(found: "HubUpload") -> None:
    """What a push sends, file by file."""
    print(f"{found.endpoint}/{found.repo}, {'private' if found.private else 'PUBLIC'} if it is new")
    for file in found.files:
        print(f"{in_bytes(file.bytes):>9}  {file.sha256}  {one_line(file.name)}")
    print(f"{in_bytes(found.bytes):>9}  in {len(found.files)} files of {one_line(str(found.folder))}")


def percent(figure: "Interval") -> str:
    """0.954 [0.909, 0.978] -> "95.4 % (95 % interval 90.9 to 97.8)"."""
    return f"{figure.value:.1%} (95 % interval {100 * figure.low:.1f} to {100 * figure.high:.1f})"


def _console() -> "Console":
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def _box() -> Any:
    from rich import box

    return box.SIMPLE_HEAD

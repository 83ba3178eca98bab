"""What the terminal shows when a command is over: tables and lines, in the language of the command line.

Rich is imported where it is used. Everything but results goes to standard error.
"""

import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frostline.cli import output
from frostline.cli.language import sentence
from frostline.cli.wrap import for_console, for_stream, in_cell
from frostline.errors import one_line, shown
from frostline.quantities import in_bytes

_NAME = 12  # cells that a class's name has at least

if TYPE_CHECKING:
    from rich.console import Console

    from frostline.features.kept import Kept
    from frostline.features.store import Usage
    from frostline.judge.audit.run_checks import Audit
    from frostline.judge.conformal import CoverageResult
    from frostline.judge.figures import ClassFigures, Report
    from frostline.judge.intervals import Interval
    from frostline.judge.result import RunResult
    from frostline.scale.on_ray import Count
    from frostline.ship.export import Exported
    from frostline.ship.hub import HubUpload
    from frostline.workflows.evaluate import Evaluation


def json(values: Any) -> None:
    """Values as JSON on standard output."""
    output.json(values, indent=2)


def aside(text: str) -> None:
    """A line or more for a person, beside the results."""
    print(for_stream(in_language(text), sys.stderr), file=sys.stderr, flush=True)


def parts(count: "Count", out: Path) -> None:
    """What a cluster has written."""
    from frostline.data.places.remote import url_of

    aside(f"{count.rows:,} pictures, saved to {url_of(out) or out} (Parquet)")
    if count.unreadable:
        aside(f"{count.rows:,} pictures, {count.unreadable:,} of them could not be read")


def in_language(text: str) -> str:
    """Lines of our own in the language of the command line, safe to be shown."""
    return "\n".join(shown(sentence(line)) for line in text.split("\n"))


def result(found: "RunResult", *, model: Path, seconds: float) -> None:
    """The closing tables of a fit: phases, figures, where the model lies, what to type next.

    seconds: of the whole command, as the person at the terminal waited.
    """
    console = new()
    if len(found.phases) > 1:
        _phases(found, console)
    if found.headline:
        split, figures = found.headline
        words = {"cross-validation": "cross-validated on the training pictures"}.get(split, f"on {split}")
        files = sum(item.pictures for item in found.skipped)
        report(figures, title=f"{found.model}, {found.strategy}, {sentence(words)}", skipped=files)
        if found.chosen_on == split:
            line(
                console,
                f"chosen on {split}: these pictures also chose what was kept, so the figures are a little too good",
                "yellow",
            )
        _promises(found, console)
    place, page = one_line(str(model)), one_line(str(model.parent / "report.html"))
    console.print()
    line(console, f"{seconds:.1f} s; model saved to {place}")
    if found.metrics:
        line(console, f"report: {page}")
    line(console, f"next: frostline predict {shlex.quote(place)} PICTURE...", "bold")


def line(console: "Console", text: str, style: str | None = None) -> None:
    """A sentence of our own, in the language of the command line; no word is cut at the terminal's edge."""
    _print(console, in_language(text), style)


def _print(console: "Console", said: str, style: str | None = None) -> None:
    console.print(for_console(said, console), style=style, markup=False, soft_wrap=True)


def _phases(found: "RunResult", console: "Console") -> None:
    """A row a phase, and below them a line each that says why it was kept or not."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=sentence("phases"), title_justify="left", box=simple(), pad_edge=False)
    for column in ("phase", "frost line", "accuracy", "epochs", "seconds", "kept"):
        figures = column not in ("phase", "frost line")
        table.add_column(
            sentence(column), justify="right" if column in ("epochs", "seconds") else "left", no_wrap=figures
        )
    for row in found.phases:
        figure = "" if row.val is None else _reach(row.val.value, (row.val.low, row.val.high), 1)
        kept = sentence("yes" if row.kept else "no")
        stage = Text(one_line(sentence(f"under {row.line}")))
        table.add_row(Text(one_line(row.name)), stage, figure, str(row.epochs or ""), f"{row.seconds:.1f}", kept)
    console.print(table)
    for row in found.phases[1:]:
        said = [text for text in (row.why, row.early) if text and text != "as planned"]
        if said:
            line(console, f"{one_line(row.name)}: {'; '.join(dict.fromkeys(said))}", "dim")
    console.print()


def drift(found: "Evaluation") -> None:
    """A line on prediction sets, if the model has any, and one on what has moved since training."""
    console = new()
    _sets(found.coverage, console)
    line(console, one_line(str(found.drift)), "yellow" if found.drift.signs else "dim")


def left_out(found: "Evaluation") -> None:
    """How many pictures the model was trained on, so that they do not count, or should not."""
    for text in found.notes:
        line(new(), text, "yellow")
    if found.chosen:
        line(new(), found.chosen, "yellow")


def _promises(found: "RunResult", console: "Console") -> None:
    """A line each on prediction sets and on pictures unlike these."""
    _sets(found.coverage, console)
    if found.novelty:
        of = found.novelty
        line(
            console,
            f'pictures unlike these are marked "none of these?", and {of.past:,} of {of.n:,} held-out ones like them',
        )


def _sets(coverage: "Sequence[CoverageResult]", console: "Console") -> None:
    for row in coverage:
        if row.coverage == 0.95:
            line(console, _said_of_sets(row))
            if row.share is None and row.by_class:
                name, (share, n) = min(row.by_class.items(), key=lambda item: item[1][0])
                line(console, f"for {one_line(name)} no more than {share:.0%} can be promised: {n} held-out pictures")


def _said_of_sets(row: "CoverageResult") -> str:
    """What sets of 95 % came to: covered, where that was measured; else how far the promise itself is sure."""
    reach = f"{100 * row.low:.1f} to {100 * row.high:.1f}"
    sizes = f"{row.size:.2f} classes each, {row.single:.0%} of one class: predict --coverage 0.95"
    if row.share is None:
        made = f"{row.n:,} pictures"
        if row.pictures > row.n:
            made = f"{row.n:,} groups and single pictures"
        return f"prediction sets of 95 %, made of {made} (true coverage {reach}), {sizes}"
    worst = min(row.by_class.items(), key=lambda item: item[1][0], default=None)
    by_class = "" if worst is None else f", lowest for {one_line(worst[0])}: {worst[1][0]:.1%} of {worst[1][1]:,}"
    return f"prediction sets of 95 % cover {row.share:.1%} ({reach}) of {row.n:,} pictures{by_class}, {sizes}"


def report(figures: "Report", *, title: str, skipped: int = 0, written: bool = True) -> None:
    """Headline figures with their intervals, then a row a class. written: whether a run's folder holds all of them."""
    console = new()
    accuracy = figures.figures["accuracy"]
    right = accuracy.n - round((1 - accuracy.value) * accuracy.n)
    console.print(one_line(title), style="bold", markup=False)
    label, other = _aligned("accuracy", "macro F1")
    counts = f", {right:,} of {accuracy.n:,} right"
    if figures.confusion.ndim == 3:
        counts = f", every class right on {right:,} of {accuracy.n:,}"
    _print(console, f"{label}  {percent(accuracy)}{sentence(counts)}")
    if "macro_f1" in figures.figures:
        present = sum(row.support > 0 for row in figures.per_class)
        over = f", over the {present} of {len(figures.per_class)} classes that have pictures here"
        over = sentence(over) if present < len(figures.per_class) else ""
        _print(console, f"{other}  {percent(figures.figures['macro_f1'])}{over}")
    _baseline(figures, console)
    _classes(figures.per_class[:50], console)
    if len(figures.per_class) > 50:
        more = f"and {len(figures.per_class) - 50} more classes"
        line(console, f"{more}, in metrics.json" if written else f"{more}: --json shows them")
    if skipped:
        line(console, f"{skipped} files were left out" if skipped > 1 else "1 file was left out", "yellow")


def _classes(rows: "Sequence[ClassFigures]", console: "Console") -> None:
    """A row a class. In a narrow terminal precision and recall leave their intervals to the report, then F1 leaves its
    own, then only F1 is left; the names stay."""
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    names = [one_line(row.name) for row in rows]
    heads = [sentence(head) for head in ("class", "precision", "recall", "F1", "pictures")]
    shares = [[_share_of_class(row, name) for row in rows] for name in ("precision", "recall", "f1")]
    plain = [[re.split(r"[ （]", share)[0] for share in column] for column in shares]
    counts = [f"{row.support:,}" for row in rows]

    def wide(columns: dict[int, list[str]]) -> list[int]:
        return [max(map(cell_len, (heads[k], *column))) for k, column in columns.items()]

    columns = {0: names, 1: shares[0], 2: shares[1], 3: shares[2], 4: counts}
    name = min(_NAME, wide(columns)[0])  # a longer one is folded
    if sum(wide(columns)) + 3 * len(columns) > console.width:
        columns |= {1: plain[0], 2: plain[1]}
    for fewer in ({**columns, 3: plain[2]}, {0: names, 3: plain[2], 4: counts}):
        if name + sum(wide(columns)[1:]) + 3 * len(columns) > console.width:
            columns = fewer
    table = Table(box=simple(), pad_edge=False)
    table.add_column(heads[0], overflow="fold", min_width=name)
    for k in list(columns)[1:]:
        table.add_column(heads[k], justify="right", no_wrap=True)
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*map(Text, cells))
    console.print(table)


def _aligned(*labels: str) -> list[str]:
    """Labels in the language of the command line, as wide as the widest."""
    from rich.cells import cell_len, set_cell_size

    words = [sentence(label) for label in labels]
    return [set_cell_size(word, max(map(cell_len, words))) for word in words]


def _baseline(figures: "Report", console: "Console") -> None:
    """What no model at all would come to, and whether this one is better."""
    base, accuracy = figures.baseline, figures.figures["accuracy"]
    if base is None:
        return
    line(
        console,
        f"to compare: always {one_line(base.answer)!r} is right for {base.share:.1%}, chance for {base.chance:.1%}",
        "dim",
    )
    if said := base.compared(accuracy):
        line(console, f"this model is {one_line(said)}", "bold yellow")


def _share_of_class(row: "ClassFigures", name: str) -> str:
    """94.3% (86 to 98), or "-"."""
    value, found = getattr(row, name), row.intervals.get(name)
    if value is None:
        return "-"
    return _reach(value, found, 0) if found else f"{value:.1%}"


def _reach(value: float, ends: tuple[float, float], digits: int) -> str:
    """0.943, (0.86, 0.98) -> "94.3% (86 to 98)", in the language of the command line."""
    return sentence(f"{value:.1%} ({100 * ends[0]:.{digits}f} to {100 * ends[1]:.{digits}f})")


def audit(found: "Audit", *, page: Path) -> None:
    """A line a finding, the worst first, and where to see more."""
    from rich.table import Table
    from rich.text import Text

    console = new()
    listing = found.subject.listing
    source = one_line(listing.source)
    console.print(
        f"{source}: {sentence(f'{len(listing):,} pictures, {len(listing.classes):,} classes')}",
        style="bold",
        markup=False,
    )
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for finding in found.findings:
        style = {"error": "bold red", "warning": "yellow", "note": "dim"}[finding.level]
        summary = in_cell(Text(one_line(sentence(finding.summary))))
        table.add_row(Text(sentence(finding.level), style), Text(finding.check), summary)
    if found.findings:
        console.print(table)
    else:
        line(console, "nothing was found that needs doing", "green")
    for text in found.not_checked:
        line(console, f"not looked at: {one_line(text)}", "dim")
    console.print()
    line(console, f"the pictures are in {one_line(str(page))}")


def usage(items: "Sequence[Usage]", everything: "Sequence[Kept]", *, where: Path) -> None:
    """A table of the store's shelves, those that differ in details of a view in one row, and one of all kinds of things
    that are kept."""
    shelves: dict[str, tuple[int, int]] = {}
    for item in items:
        about = re.sub(r', view (\w+)-\d+ .*"size":\[(\d+),(\d+)\].*', r", \1 views, \2 x \3", item.about)
        rows, taken = shelves.get(about, (0, 0))
        shelves[about] = rows + item.rows, taken + item.bytes
    for about, (rows, taken) in shelves.items():
        print(for_stream(f"{in_bytes(taken):>9}  {rows:>8,} {_noun('row', rows)}  {about}", sys.stdout, 27))
    for kind in everything:
        files = f"{kind.files:>8,} {_noun('file', kind.files)}"
        print(f"{in_bytes(kind.bytes):>9}  {files} {kind.name}: {sentence(kind.what)}")
    aside(f"{in_bytes(sum(kind.bytes for kind in everything))} in all, in {where}")


def _noun(one: str, count: int) -> str:
    """The word for so many of them, as wide as for many."""
    many = sentence(f"{one}s")
    return many if count != 1 else sentence(one).ljust(len(many))


def exported(found: "Exported") -> None:
    """How an export answers beside torch, and where it lies."""
    same, cost = found.agreement, found.cost
    print(sentence(f"compared with torch on {same.n} pictures ({one_line(same.source)})"))
    rows = [
        ("largest difference of logits", f"{same.largest:.1e} ({same.relative:.1e} of the largest logit)"),
        ("same first class", f"{same.same_top:.1%}"),
    ]
    if same.placing:
        apart = same.placing
        said = (
            f"{apart.mean:.3f} levels of 255 away on average, {apart.largest} at most; "
            f"logits {apart.logits:.1e} from `frostline predict`, same first class {apart.same_top:.1%}"
        )
        rows.append(("pictures prepared in graph", said))
    if cost:
        rows.append(("accuracy on val, float32", f"{percent(cost.before)}, n = {cost.before.n:,}"))
        rows.append(("accuracy on val, int8", f"{percent(cost.after)}, {100 * cost.drop:.1f} points lost"))
        if cost.learnt:
            said = f"{cost.learnt:,} of {cost.before.n:,}: on new pictures 8 bits may cost more"
            rows.append(("of these learned from", said))
    for label, (_, value) in zip(_aligned(*(name for name, _ in rows)), rows, strict=True):
        print(f"{label}  {sentence(value)}")
    here = Path.cwd()
    folder = found.folder.relative_to(here) if found.folder.is_relative_to(here) else found.folder
    for name, size in found.files.items():
        print(f"{in_bytes(size):>9}  {one_line(str(folder / name))}")
    aside(f"next: python {shlex.quote(str(folder / 'predict.py'))} PICTURE...")


def parcel(found: "HubUpload") -> None:
    """What a push sends, file by file."""
    where, known = f"{found.endpoint}/{found.repo}", "private" if found.private else "PUBLIC"
    print(f"{where}, {sentence(f'{known} if it is new')}")
    for file in found.files:
        print(f"{in_bytes(file.bytes):>9}  {file.sha256}  {one_line(file.name)}")
    print(f"{in_bytes(found.bytes):>9}  {sentence(f'in {len(found.files)} files of {one_line(str(found.folder))}')}")


def percent(figure: "Interval") -> str:
    """0.954 [0.909, 0.978] -> "95.4 % (95 % interval 90.9 to 97.8)"."""
    return sentence(f"{figure.value:.1%} (95 % interval {100 * figure.low:.1f} to {100 * figure.high:.1f})")


def new() -> "Console":
    """Standard output, as wide as the terminal or as COLUMNS says."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() or os.environ.get("COLUMNS") else 120)


def simple() -> Any:
    """The one form of our tables."""
    from rich import box

    return box.SIMPLE_HEAD

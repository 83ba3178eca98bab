"""A finished run as a notebook shows it: the headline, the phases, the confusion matrix."""

from typing import TYPE_CHECKING

from markupsafe import Markup

if TYPE_CHECKING:
    from frostline.judge.figures import Report
    from frostline.judge.intervals import Interval
    from frostline.judge.result import PhaseRow, RunResult

_MOST_CLASSES = 16
_LEFT = ' style="text-align: left"'  # notebooks set all cells to the right
_ALIGNED = (_LEFT, _LEFT, "", "", _LEFT)


def in_words(result: "RunResult") -> str:
    """One line: the model, what it came to, and how long it took."""
    if result.headline is None:
        return f"{result.model}, {result.strategy}: not judged, {result.seconds:.1f} s"
    split, report = result.headline
    figure = report.figures["accuracy"]
    also = "; these pictures also chose what was kept" if result.chosen_on == split else ""
    base = "" if report.baseline is None else f"; always {report.baseline.answer!r} {report.baseline.share:.1%}"
    return (
        f"{result.model}, {result.strategy}: accuracy {figure.value:.1%} on {split} (95 % interval {_reach(figure)}, "
        f"n = {figure.n}{base}{also}), {result.seconds:.1f} s"
    )


def in_html(result: "RunResult") -> str:
    """The same with its phases, and the confusion matrix where it has few classes. All text is escaped."""
    parts = [Markup("<p><b>{}</b></p>").format(in_words(result))]
    if result.phases:
        head = _row("th", ("phase", "frost line", "epochs", "accuracy", "kept"))
        rows = Markup("").join(_phase(row) for row in result.phases)
        parts.append(Markup("<table>{}{}</table>").format(head, rows))
    report = result.headline[1] if result.headline else None
    if report is not None and report.confusion.ndim == 2 and len(result.classes) <= _MOST_CLASSES:
        parts.append(_matrix(result.classes, report))
    return Markup("").join(parts)


def _reach(figure: "Interval") -> str:
    return f"{100 * figure.low:.1f} to {100 * figure.high:.1f}"


def _phase(row: "PhaseRow") -> Markup:
    figure = "" if row.val is None else f"{row.val.value:.1%} ({_reach(row.val)})"
    kept = f"{'yes' if row.kept else 'no'}{': ' + row.why if row.why else ''}"
    return _row("td", (row.name, f"under {row.line}", row.epochs or "", figure, kept))


def _row(tag: str, cells: tuple[object, ...]) -> Markup:
    made = [Markup(f"<{tag}{own}>{{}}</{tag}>").format(cell) for cell, own in zip(cells, _ALIGNED, strict=True)]
    return Markup("<tr>{}</tr>").format(Markup("").join(made))


def _matrix(classes: tuple[str, ...], report: "Report") -> Markup:
    head = Markup("").join(Markup("<th>{}</th>").format(name) for name in classes)
    rows = Markup("").join(
        Markup("<tr><th>{}</th>{}</tr>").format(
            name, Markup("").join(Markup("<td>{}</td>").format(int(count)) for count in counts)
        )
        for name, counts in zip(classes, report.confusion, strict=True)
    )
    return Markup("<table><tr><th>true, predicted</th>{}</tr>{}</table>").format(head, rows)

"""The drawings of a report: SVG as text, coloured by the page's style sheet, everything from outside escaped.

The first one is the project's idea: time runs to the right, depth downwards, and the frost line between what learns and
what is frozen. Above it, on the same time, what was measured.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from frostline.judge.calibrate import Bin
from frostline.judge.metrics import Interval
from frostline.judge.result import PhaseRow

Say = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Layer:
    """A stage of the network, and how many parameters it has (0: not known)."""

    name: str
    parameters: int = 0


@dataclass(frozen=True, slots=True)
class Point:
    """What was noted at the end of an epoch: shares in [0, 1], losses in nats."""

    epoch: int
    accuracy: float | None
    val_loss: float | None
    train_loss: float | None


@dataclass(frozen=True, slots=True)
class Curve:
    """The epochs of one phase."""

    phase: str
    points: tuple[Point, ...]


def _tag(text: str, *values: object) -> str:
    from markupsafe import Markup

    return Markup(text).format(*(f"{v:.1f}" if isinstance(v, float) else v for v in values))


def profile(
    phases: Sequence[PhaseRow],
    layers: Sequence[Layer],
    rates: Sequence[Mapping[str, float]],
    curves: Sequence[Curve],
    say: Say,
    width: int,
) -> str:
    """Stages from stem (below) to head (above), phases from left to right, the frost line through them; curves on top.

    rates: of each stage in each phase, 0 for those that do not learn.
    Returns "" where there is nothing to draw.
    """
    from markupsafe import Markup

    if not phases or not layers or len(rates) != len(phases):
        return ""
    narrow = width < 600
    left, right, row = (74, 8, 17) if narrow else (132, 74, 22)
    if len(layers) > 16:
        row = max(9, round(row * 16 / len(layers)))
    edges = _edges([row_.epochs for row_ in phases], left, width - right)
    measured = any(curve.points for curve in curves)
    tops = (26, 150, 250) if measured else (26, 26, 26)
    ground = tops[2] + (34 if measured else 0)
    height = ground + row * len(layers) + 56
    parts = [
        _tag(
            '<svg class="profile" viewBox="0 0 {} {}" role="img" aria-label="{}">',
            width,
            height,
            say("The stages of the network over time, and the frost line between what was frozen and what learnt"),
        ),
        _DEFINITIONS.replace("ID", "n" if narrow else "w"),
    ]
    suffix = "n" if narrow else "w"
    if measured:
        parts += _curves(phases, curves, edges, tops, say, left)
    bottom = ground + row * len(layers)
    names = [layer.name for layer in layers]
    parts.append(
        _tag(
            '<rect class="ground" x="{}" y="{}" width="{}" height="{}" rx="6"/>',
            left,
            ground,
            width - right - left,
            bottom - ground,
        )
    )
    depth = []
    for phase, own, (x0, x1) in zip(phases, rates, edges, strict=True):
        highest = max(own.values(), default=0.0)
        line = names.index(phase.line) if phase.line in names else len(names) - 1
        depth.append(bottom - row * line)
        for index, name in enumerate(names[line:], start=line):
            rate = own.get(name, 0.0)
            warmth = 0.0 if rate <= 0 else 0.35 + 0.65 * max(0.0, 1 + math.log10(rate / highest) / 3)
            parts.append(
                _tag(
                    '<rect class="{}" style="--warmth:{}" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>',
                    "thawed" if rate > 0 else "still",
                    f"{warmth:.2f}",
                    x0,
                    bottom - row * (index + 1),
                    x1 - x0,
                    row,
                    f"{phase.name}, {name}: "
                    + (
                        say("learning rate {rate}", rate=f"{rate:.2g}")
                        if rate > 0
                        else say("solved")
                        if not own
                        else say("held still")
                    ),
                )
            )
    ice = (
        f"M{left},{bottom} "
        + " ".join(f"L{x0:.1f},{y} L{x1:.1f},{y}" for (x0, x1), y in zip(edges, depth, strict=True))
        + f" L{edges[-1][1]:.1f},{bottom} Z"
    )
    line_path = " ".join(
        f"{'M' if i == 0 else 'L'}{x0:.1f},{y} L{x1:.1f},{y}"
        for i, ((x0, x1), y) in enumerate(zip(edges, depth, strict=True))
    )
    parts.append(
        _tag(
            '<path class="ice" d="{}" fill="url(#ice{})"/><path d="{}" fill="url(#crystals{})"/>',
            ice,
            suffix,
            ice,
            suffix,
        )
    )
    for index, layer in enumerate(layers):
        y = bottom - row * index
        if index:
            parts.append(_tag('<line class="seam" x1="{}" x2="{}" y1="{}" y2="{}"/>', left, width - right, y, y))
        if row >= 13 or index in (0, len(layers) - 1):
            shown = (
                layer.name if len(layer.name) <= (11 if narrow else 20) else "…" + layer.name[-(10 if narrow else 19) :]
            )
            parts.append(_tag('<text class="label end" x="{}" y="{}">{}</text>', left - 8, y - row / 2 + 4, shown))
            if layer.parameters and not narrow:
                parts.append(
                    _tag(
                        '<text class="faint" x="{}" y="{}">{}</text>',
                        width - right + 8,
                        y - row / 2 + 4,
                        _short(layer.parameters),
                    )
                )
    for number, (phase, (x0, x1)) in enumerate(zip(phases, edges, strict=True), start=1):
        if number > 1:
            parts.append(
                _tag(
                    '<line class="boundary" x1="{}" x2="{}" y1="{}" y2="{}"/>',
                    x0,
                    x0,
                    tops[0] if measured else ground,
                    bottom + 6,
                )
            )
        if not phase.kept:
            parts.append(
                _tag(
                    '<rect class="undone" fill="url(#undone{})" x="{}" y="{}" width="{}" height="{}"/>',
                    suffix,
                    x0,
                    ground,
                    x1 - x0,
                    bottom - ground,
                )
            )
        middle = (x0 + x1) / 2
        parts.append(
            _tag(
                '<circle class="badge{}" cx="{}" cy="{}" r="9"/><text class="badge-text" x="{}" y="{}">{}</text>',
                "" if phase.kept else " off",
                middle,
                bottom + 20,
                middle,
                bottom + 24,
                number,
            )
        )
        if x1 - x0 > 7 * len(phase.name) + 8:
            parts.append(_tag('<text class="label middle" x="{}" y="{}">{}</text>', middle, bottom + 46, phase.name))
    parts.append(_tag('<path class="frost" d="{}"/>', line_path))
    lowest = max(range(len(depth)), key=lambda i: edges[i][1] - edges[i][0])
    below = depth[lowest] + 18 <= bottom
    parts.append(
        _tag(
            '<text class="frost-label" x="{}" y="{}">❄ {}</text>',
            edges[lowest][0] + 10,
            depth[lowest] + 17 if below else depth[lowest] - 7,
            say("frost line"),
        )
    )
    parts.append("</svg>")
    return Markup("\n".join(parts))


def _edges(epochs: Sequence[int], left: int, right: int) -> list[tuple[float, float]]:
    """Where each phase begins and ends: a share for being there, and one for each epoch."""
    share = min(0.5, 0.16 * len(epochs)) if any(epochs) else 1.0
    wide, total = right - left, max(1, sum(epochs))
    found, x = [], float(left)
    for count in epochs:
        end = x + wide * (share / len(epochs) + (1 - share) * count / total)
        found.append((x, end))
        x = end
    return found


def _curves(
    phases: Sequence[PhaseRow],
    curves: Sequence[Curve],
    edges: Sequence[tuple[float, float]],
    tops: tuple[int, int, int],
    say: Say,
    left: int,
) -> list[str]:
    points = [p for curve in curves for p in curve.points]
    shares = [p.accuracy for p in points if p.accuracy is not None] + [
        v for row in phases if row.val for v in (row.val.low, row.val.high)
    ]
    losses = [v for p in points for v in (p.val_loss, p.train_loss) if v is not None and math.isfinite(v)]
    parts: list[str] = []
    for title, values, top, bottom, percent in (
        (say("accuracy on val"), shares, tops[0], tops[1] - 26, True),
        (say("loss"), losses, tops[1], tops[2], False),
    ):
        if not values:
            continue
        low, high, ticks = _scale(min(values), max(values), 1.0 if percent else None)

        def at(value: float, top: int = top, bottom: int = bottom, low: float = low, high: float = high) -> float:
            return bottom - (bottom - top) * (value - low) / (high - low)

        parts.append(_tag('<text class="label" x="{}" y="{}">{}</text>', left, top - 9, title))
        for tick in ticks:
            parts.append(
                _tag(
                    '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="faint end" x="{}" y="{}">{}</text>',
                    left,
                    edges[-1][1],
                    at(tick),
                    at(tick),
                    left - 8,
                    at(tick) + 4,
                    f"{100 * tick:.0f} %" if percent else f"{tick:g}",
                )
            )
        series = (("val", "accuracy"),) if percent else (("train", "train_loss"), ("val", "val_loss"))
        for phase, (x0, x1) in zip(phases, edges, strict=True):
            own = next((curve.points for curve in curves if curve.phase == phase.name), ())
            for style, field in series:
                placed = [
                    (x0 + (x1 - x0) * (p.epoch - 0.5) / max(1, phase.epochs, own[-1].epoch), getattr(p, field))
                    for p in own
                ]
                found = [(x, at(min(max(y, low), high))) for x, y in placed if y is not None and math.isfinite(y)]
                if found:
                    parts.append(
                        _tag(
                            '<polyline class="curve {}" points="{}"/>',
                            style,
                            " ".join(f"{x:.1f},{y:.1f}" for x, y in found),
                        )
                    )
                if 0 < len(found) <= 25:
                    parts += [_tag('<circle class="dot {}" cx="{}" cy="{}" r="2.4"/>', style, x, y) for x, y in found]
            if percent and phase.val is not None:
                x = (x0 + x1) / 2 if not own else x1 - 5
                parts.append(
                    _tag(
                        '<g class="whisker{}"><title>{}</title><line x1="{}" x2="{}" y1="{}" y2="{}"/><circle cx="{}" cy="{}" r="4"/></g>',
                        "" if phase.kept else " off",
                        f"{phase.name}: {phase.val}",
                        x,
                        x,
                        at(phase.val.low),
                        at(phase.val.high),
                        x,
                        at(phase.val.value),
                    )
                )
    if losses:
        parts.append(
            _tag(
                '<text class="key" x="{}" y="{}"><tspan class="train">━ {}</tspan>  <tspan class="val">━ {}</tspan></text>',
                edges[-1][1],
                tops[1] - 9,
                say("train"),
                "val",
            )
        )
    return parts


def diagram(bins: Sequence[Bin], say: Say) -> str:
    """Reliability: how often answers of each confidence are right; the diagonal is perfect. Dots by how many they are."""
    from markupsafe import Markup

    side, left, top = 280, 44, 12
    held = [b for b in bins if b.count]
    most = max(b.count for b in held)
    start = min(0.9, math.floor(10 * min(b.low for b in held)) / 10)

    def at(share: float) -> float:
        return side * (share - start) / (1 - start)

    parts = [
        _tag(
            '<svg class="diagram" viewBox="0 0 {} {}" role="img" aria-label="{}">',
            side + left + 16,
            side + top + 44,
            say("Reliability diagram: how often answers of each confidence are right"),
        ),
        _tag('<rect class="plot" x="{}" y="{}" width="{}" height="{}"/>', left, top, side, side),
    ]
    for step in range(math.ceil(10 * start), 11, 1 if start >= 0.5 else 2):
        share = step / 10
        parts.append(
            _tag(
                '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/><text class="faint end" x="{}" y="{}">{} %</text>',
                left,
                left + side,
                top + side - at(share),
                top + side - at(share),
                left - 6,
                top + side - at(share) + 4,
                step * 10,
            )
        )
        parts.append(
            _tag('<text class="faint middle" x="{}" y="{}">{}</text>', left + at(share), top + side + 16, step * 10)
        )
    parts.append(_tag('<line class="perfect" x1="{}" y1="{}" x2="{}" y2="{}"/>', left, top + side, left + side, top))
    shown = [(left + at(max(start, b.confidence)), top + side - at(max(start, b.accuracy)), b) for b in held]
    for x, y, b in shown:
        text = say(
            "{n} answers, {sure} sure on average, {right} of them right",
            n=b.count,
            sure=f"{b.confidence:.0%}",
            right=f"{b.accuracy:.0%}",
        )
        parts.append(
            _tag(
                '<line class="gap" x1="{}" x2="{}" y1="{}" y2="{}"/>',
                x,
                x,
                y,
                top + side - at(max(start, b.confidence)),
            )
        )
        parts.append(
            _tag(
                '<circle class="bin" cx="{}" cy="{}" r="{}"><title>{}</title></circle>',
                x,
                y,
                3 + 9 * math.sqrt(b.count / most),
                text,
            )
        )
    parts.append(
        _tag(
            '<text class="label middle" x="{}" y="{}">{}</text></svg>',
            left + side / 2,
            top + side + 36,
            say("how sure it was, %"),
        )
    )
    return Markup("\n".join(parts))


def gauge(figure: Interval) -> str:
    """A figure in [0, 1] on a line with its interval."""
    from markupsafe import Markup

    at = [4 + 392 * share for share in (figure.low, figure.high, figure.value)]
    return Markup(
        '<svg class="gauge" viewBox="0 0 400 24" aria-hidden="true"><line class="track" x1="4" x2="396" y1="12" y2="12"/>'
        f'<line class="reach" x1="{at[0]:.1f}" x2="{max(at[1], at[0] + 1):.1f}" y1="12" y2="12"/>'
        f'<circle class="value" cx="{at[2]:.1f}" cy="12" r="7"/></svg>'
    )


def _scale(low: float, high: float, most: float | None) -> tuple[float, float, list[float]]:
    """Round bounds and three or four ticks between."""
    spread = max(high - low, 1e-6)
    step = 10 ** math.floor(math.log10(spread))
    step *= next(f for f in (0.2, 0.5, 1, 2, 5) if spread / (step * f) <= 4)
    start, end = math.floor(low / step) * step, math.ceil(high / step) * step
    if most is not None:
        end = min(end, most)
    count = round((end - start) / step)
    return start, max(end, start + step), [round(start + step * i, 10) for i in range(count + 1)]


def _short(count: int) -> str:
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


_DEFINITIONS = """<defs>
<linearGradient id="iceID" x1="0" y1="0" x2="0" y2="1"><stop class="ice-top" offset="0"/><stop class="ice-deep" offset="1"/></linearGradient>
<pattern id="crystalsID" width="46" height="40" patternUnits="userSpaceOnUse">
<g class="crystal"><path d="M12,6v10M7.7,8.5l8.6,5M7.7,13.5l8.6,-5"/><path d="M35,25v8M31.5,27l7,4M31.5,31l7,-4"/></g></pattern>
<pattern id="undoneID" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="hatch" width="3.4" height="8"/></pattern>
</defs>"""

"""The drawings of a report: SVG as text, coloured by the page's style sheet, everything from outside escaped.

The first one is the project's idea: time runs to the right, depth downwards, and the frost line between what learns and
what is frozen. Above it, on the same time, what was measured.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from frostline.judge.calibrate import Bin
from frostline.judge.intervals import Interval
from frostline.judge.pages.translations import Say
from frostline.judge.report import svg
from frostline.judge.result import PhaseRow

_MOST_NARROW, _MOST_WIDE = 10, 20  # letters of a stage's name that are shown


@dataclass(frozen=True, slots=True)
class Layer:
    """A stage of the network, and how many parameters it has (0: not known)."""

    name: str
    parameters: int = 0


@dataclass(frozen=True, slots=True)
class Point:
    """What was noted at the end of an epoch: shares in [0, 1], losses in nats."""

    epoch: int
    accuracy: float
    val_loss: float
    train_loss: float


@dataclass(frozen=True, slots=True)
class Curve:
    """The epochs of one phase."""

    phase: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class _Soil:
    """Where a profile's parts are, in pixels from the top left.

    edges: where each phase begins and ends. top, bottom: of the stages; row: the height of one. right: their end.
    mark: a letter behind the names of what is defined, because a page holds the drawing twice.
    """

    phases: Sequence[PhaseRow]
    layers: Sequence[Layer]
    rates: Sequence[Mapping[str, float]]
    edges: Sequence[tuple[float, float]]
    left: int
    right: int
    top: int
    row: int
    mark: str

    @property
    def bottom(self) -> int:
        return self.top + self.row * len(self.layers)

    def line(self, phase: PhaseRow) -> int:
        """How many stages lie below a phase's frost line."""
        names = [layer.name for layer in self.layers]
        return names.index(phase.line) if phase.line in names else len(names) - 1

    @property
    def depths(self) -> list[int]:
        return [self.bottom - self.row * self.line(phase) for phase in self.phases]


def profile(
    phases: Sequence[PhaseRow],
    layers: Sequence[Layer],
    rates: Sequence[Mapping[str, float]],
    curves: Sequence[Curve],
    say: Say,
    width: int,
) -> Markup:
    """Stages from stem (below) to head (above), phases from left to right, the frost line through them; curves on top.

    rates: of each stage in each phase, 0 for those that do not learn; empty for a head that is solved.
    width: in pixels; below 600 it is drawn for a phone. Returns "" where there is nothing to draw.
    """
    if not phases or not layers or len(rates) != len(phases):
        return Markup("")
    narrow = width < 600
    margin, row, most = (8, 17, _MOST_NARROW) if narrow else (74, 22, _MOST_WIDE)
    left = 20 + round(7 * min(most, max(6, *(len(layer.name) for layer in layers))))
    row = max(9, min(row, 16 * row // len(layers)))
    right = width - margin
    measured = any(curve.points for curve in curves)
    edges = _edges(phases, left, right)
    soil = _Soil(phases, layers, rates, edges, left, right, 284 if measured else 14, row, "n" if narrow else "w")
    title = say("The stages of the network over time, and the frost line between what was frozen and what was trained")
    return svg.drawing(
        "profile",
        title,
        (width, soil.bottom + 54),
        [
            Markup(_DEFINITIONS.replace("MARK", soil.mark)),
            *(_curves(soil, curves, say) if measured else ()),
            svg.rect("ground", left, soil.top, right - left, soil.bottom - soil.top),
            *_unfrozen(soil, say),
            *_ice(soil),
            *_names(soil, narrow),
            *_phases(soil, 16 if measured else soil.top),
            *_frost(soil, say),
        ],
    )


def _edges(phases: Sequence[PhaseRow], left: int, right: int) -> list[tuple[float, float]]:
    """Where each phase begins and ends: a share for being there (small if it never ran), and one for each epoch."""
    epochs = [phase.epochs for phase in phases]
    there = [1.0 if phase.kept or phase.epochs or phase.val is not None else 0.15 for phase in phases]
    share = min(0.5, 0.16 * sum(there)) if any(epochs) else 1.0
    found, x = [], float(left)
    for count, own in zip(epochs, there, strict=True):
        end = x + (right - left) * (share * own / sum(there) + (1 - share) * count / max(1, sum(epochs)))
        found.append((x, end))
        x = end
    return found


def _unfrozen(soil: _Soil, say: Say) -> Iterator[Markup]:
    """What lies above the line, the warmer the higher its rate: full at the highest, a third at a thousandth of it."""
    for phase, rates, (x0, x1) in zip(soil.phases, soil.rates, soil.edges, strict=True):
        highest = max(rates.values(), default=1.0) or 1.0
        for index, layer in enumerate(soil.layers[soil.line(phase) :], start=soil.line(phase)):
            rate = rates.get(layer.name, 0.0) if rates else 1.0
            warmth = 0.35 + 0.65 * max(0.0, 1 + math.log10(rate / highest) / 3) if rate > 0 else 0.0
            told = say("learning rate {rate}", rate=f"{rate:.2g}") if rate > 0 else say("held still")
            told = told if rates else say("solved")
            top = soil.bottom - soil.row * (index + 1)
            style = f"--warmth:{warmth:.2f}"
            yield svg.rect("unfrozen", x0, top, x1 - x0, soil.row, f"{phase.name}, {layer.name}: {told}", style)


def _ice(soil: _Soil) -> Iterator[Markup]:
    surface = " ".join(f"L{x0:.1f},{y} L{x1:.1f},{y}" for (x0, x1), y in zip(soil.edges, soil.depths, strict=True))
    path = f"M{soil.left},{soil.bottom} {surface} L{soil.right},{soil.bottom} Z"
    yield svg.path("ice", path, f"url(#ice-{soil.mark})")
    yield svg.path("ice", path, f"url(#crystals-{soil.mark})")


def _names(soil: _Soil, narrow: bool) -> Iterator[Markup]:
    most = _MOST_NARROW if narrow else _MOST_WIDE
    for index, layer in enumerate(soil.layers):
        y = soil.bottom - soil.row * index
        if index:
            yield svg.line("seam", soil.left, y, soil.right, y)
        if soil.row < 13 and index not in (0, len(soil.layers) - 1):
            continue
        name = layer.name if len(layer.name) <= most else "…" + layer.name[1 - most :]
        yield svg.text("label end", soil.left - 8, y - soil.row / 2 + 4, name)
        if layer.parameters and not narrow:
            yield svg.text("faint", soil.right + 8, y - soil.row / 2 + 4, _short(layer.parameters))


def _phases(soil: _Soil, top: int) -> Iterator[Markup]:
    """The borders between phases, their numbers and names; those that were undone are hatched."""
    for number, (phase, (x0, x1)) in enumerate(zip(soil.phases, soil.edges, strict=True), start=1):
        middle = (x0 + x1) / 2
        if number > 1:
            yield svg.line("boundary", x0, top, x0, soil.bottom + 6)
        if not phase.kept:
            undone = Markup('<g fill="url(#undone-{})">{}</g>')
            yield undone.format(soil.mark, svg.rect("undone", x0, soil.top, x1 - x0, soil.bottom - soil.top))
        yield svg.circle("badge" if phase.kept else "badge off", middle, soil.bottom + 18, 9)
        yield svg.text("badge-text", middle, soil.bottom + 22, str(number))
        if x1 - x0 > 7 * len(phase.name) + 8:
            yield svg.text("label middle", middle, soil.bottom + 44, phase.name)


def _frost(soil: _Soil, say: Say) -> Iterator[Markup]:
    depths = soil.depths
    corners = [f"{x:.1f},{y}" for (x0, x1), y in zip(soil.edges, depths, strict=True) for x in (x0, x1)]
    yield svg.path("frost", "M" + " L".join(corners), "none")
    widest = max(
        range(len(depths)), key=lambda i: soil.edges[i][1] - soil.edges[i][0] + min(0, soil.bottom - depths[i])
    )
    deep = soil.bottom - depths[widest] < 18
    y = depths[widest] - 7 if deep else depths[widest] + 17
    yield svg.text("frost-label", soil.edges[widest][0] + 9, y, f"❄ {say('frost line')}")


def _curves(soil: _Soil, curves: Sequence[Curve], say: Say) -> Iterator[Markup]:
    """Accuracy above loss, over the same time as the stages below them."""
    points = [point for curve in curves for point in curve.points]
    whiskers = [value for phase in soil.phases if phase.val for value in (phase.val.low, phase.val.high)]
    axis = _Axis.of([*whiskers, *(p.accuracy for p in points)], 24, 124, most=1.0)
    yield from _grid(soil, axis, say("accuracy on val"), lambda share: f"{100 * share:g} %")
    for phase, (x0, x1), own in _measured(soil, curves):
        yield from _curve("val", [(x, axis.at(p.accuracy)) for x, p in own])
        if phase.val is not None:
            x = x1 - 5 if own else (x0 + x1) / 2
            ends = svg.line("", x, axis.at(phase.val.low), x, axis.at(phase.val.high))
            dot = svg.circle("", x, axis.at(phase.val.value), 4)
            off = "" if phase.kept else " off"
            whisker = Markup('<g class="whisker{}"><title>{}</title>{}{}</g>')
            yield whisker.format(off, f"{phase.name}: {phase.val}", ends, dot)
    losses = [v for p in points for v in (p.train_loss, p.val_loss) if math.isfinite(v)]
    if not losses:
        return
    axis = _Axis.of(losses, 164, 254)
    yield from _grid(soil, axis, say("loss"), lambda loss: f"{loss:g}")
    key = Markup(
        '<text class="key" x="{}" y="154"><tspan class="train">╍ {}</tspan> <tspan class="val">━ {}</tspan></text>'
    )
    yield key.format(soil.right, say("train"), say("val"))
    for _, _, own in _measured(soil, curves):
        for kind in ("train", "val"):
            found = [(x, getattr(p, f"{kind}_loss")) for x, p in own]
            yield from _curve(kind, [(x, axis.at(y)) for x, y in found if math.isfinite(y)])


def _measured(
    soil: _Soil, curves: Sequence[Curve]
) -> Iterator[tuple[PhaseRow, tuple[float, float], list[tuple[float, Point]]]]:
    """Each phase with its edges and its points, placed: an epoch's is where the epoch ended."""
    by_name = {curve.phase: curve.points for curve in curves}
    for phase, (x0, x1) in zip(soil.phases, soil.edges, strict=True):
        own = by_name.get(phase.name, ())
        last = max((phase.epochs, *(p.epoch for p in own)))
        yield phase, (x0, x1), [(x0 + (x1 - x0 - 12) * p.epoch / last, p) for p in own]


def _curve(kind: str, places: Sequence[tuple[float, float]]) -> Iterator[Markup]:
    if len(places) > 1:
        line = Markup('<polyline class="curve {}" points="{}"/>')
        yield line.format(kind, " ".join(f"{x:.1f},{y:.1f}" for x, y in places))
    if len(places) < 26:
        yield from (svg.circle(f"dot {kind}", x, y, 2.4) for x, y in places)


def _grid(soil: _Soil, axis: "_Axis", title: str, written: Callable[[float], str]) -> Iterator[Markup]:
    yield svg.text("label", soil.left, axis.top - 10, title)
    for tick in axis.ticks:
        yield svg.line("grid", soil.left, axis.at(tick), soil.right, axis.at(tick))
        yield svg.text("faint end", soil.left - 8, axis.at(tick) + 4, written(tick))


@dataclass(frozen=True)
class _Axis:
    """Values from low (at the pixel ``bottom``) to high (at ``top``), with round ticks."""

    low: float
    high: float
    ticks: tuple[float, ...]
    top: int
    bottom: int

    @classmethod
    def of(cls, values: Sequence[float], top: int, bottom: int, *, most: float = math.inf) -> "_Axis":
        low, high = min(values), max(values)
        spread = max(high - low, 1e-3)
        unit = 10 ** math.floor(math.log10(spread))
        step = next(unit * factor for factor in (0.5, 1, 2, 5, 10) if spread <= 3 * unit * factor)
        start, end = math.floor(low / step) * step, min(most, math.ceil(high / step) * step)
        end = max(end, start + step / 2)
        ticks = tuple(round(start + step * i, 9) for i in range(math.floor((end - start) / step + 1e-9) + 1))
        return cls(start, end, ticks, top, bottom)

    def at(self, value: float) -> float:
        return self.bottom - (self.bottom - self.top) * (value - self.low) / (self.high - self.low)


def diagram(bins: Sequence[Bin], say: Say) -> Markup:
    """Reliability: how often answers of each confidence are right; the diagonal is perfect. The more, the larger."""
    side, left, top = 280, 48, 12
    held = [b for b in bins if b.count]
    most = max(b.count for b in held)
    start = min(0.9, math.floor(10 * min(min(b.low, b.accuracy) for b in held) + 1e-9) / 10)

    def place(confidence: float, accuracy: float) -> tuple[float, float]:
        x, y = (side * (share - start) / (1 - start) for share in (confidence, accuracy))
        return left + x, top + side - y

    parts = [svg.rect("plot", left, top, side, side)]
    for tenth in range(round(10 * start), 11, 1 if start >= 0.5 else 2):
        x, y = place(tenth / 10, tenth / 10)
        parts += [svg.line("grid", left, y, left + side, y), svg.text("faint end", left - 7, y + 4, f"{10 * tenth} %")]
        parts.append(svg.text("faint middle", x, top + side + 17, f"{10 * tenth}"))
    parts.append(svg.line("perfect", left, top + side, left + side, top))
    for b in held:
        x, y = place(b.confidence, b.accuracy)
        told = say(
            "{n} answers, {sure} sure on average, {right} of them right",
            n=b.count,
            sure=f"{b.confidence:.0%}",
            right=f"{b.accuracy:.0%}",
        )
        parts.append(svg.line("gap", x, y, x, place(b.confidence, b.confidence)[1]))
        parts.append(svg.circle("bin", x, y, 2.5 + 9 * math.sqrt(b.count / most), told))
    parts.append(svg.text("label middle", left + side / 2, top + side + 38, say("how sure it was, %")))
    title = say("Reliability diagram: how often answers of each confidence are right")
    return svg.drawing("diagram", title, (left + side + 16, top + side + 46), parts)


def gauge(figure: Interval) -> Markup:
    """A figure in [0, 1] on a line with its interval."""
    low, high, value = (4 + 392 * share for share in (figure.low, figure.high, figure.value))
    parts = [
        svg.line("track", 4, 12, 396, 12),
        svg.line("reach", low, 12, max(high, low + 1), 12),
        svg.circle("value", value, 12, 7),
    ]
    return svg.drawing("gauge", str(figure), (400, 24), parts)


def _short(count: int) -> str:
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


_DEFINITIONS = """<defs>
<linearGradient id="ice-MARK" x1="0" y1="0" x2="0" y2="1">
<stop class="ice-top" offset="0"/><stop class="ice-deep" offset="1"/></linearGradient>
<pattern id="crystals-MARK" width="46" height="40" patternUnits="userSpaceOnUse"><g class="crystal">
<path d="M12,6v10M7.7,8.5l8.6,5M7.7,13.5l8.6,-5"/><path d="M35,25v8M31.5,27l7,4M31.5,31l7,-4"/></g></pattern>
<pattern id="undone-MARK" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<rect class="hatch" width="3.4" height="8"/></pattern>
</defs>"""

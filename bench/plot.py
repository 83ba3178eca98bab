"""The plots: how cost grows (``growth.svg``) and how fast the peers are (``speed.svg``), drawn by hand, no library."""

import math
from collections.abc import Mapping, Sequence
from html import escape

from bench.rows import Row

Points = Sequence[tuple[float, float]]

_INK, _FAINT, _OURS, _THEIRS = "#24292f", "#d0d7de", "#0969da", "#8c959f"
_FONT = 'font-family="system-ui, sans-serif" font-size="12"'


def growth(curves: Mapping[str, Points]) -> str:
    """Three small charts each, of what was measured: time, memory and disk over pictures, over classes; logarithmic."""
    wide, high = 260, 190
    measured = [by for by in ("pictures", "classes") if curves.get(f"seconds by {by}")]
    charts = [
        (f"{what} by {by}", column * wide, row * high)
        for row, by in enumerate(measured)
        for column, what in enumerate(("seconds", "MB", "disk MB"))
    ]
    parts = [_chart(name, curves.get(name, ()), x, y, wide, high) for name, x, y in charts]
    return _page(3 * wide, len(measured) * high, "Time, memory and disk against pictures and classes", parts)


def _chart(name: str, points: Points, x: int, y: int, wide: int, high: int) -> str:
    titles = {"seconds": "time, s", "MB": "peak memory, MB", "disk MB": "disk, MB"}
    what, by = name.split(" by ")
    left, top, width, height = x + 52, y + 30, wide - 72, high - 74
    parts = [f'<text x="{left}" y="{y + 18}" fill="{_INK}">{titles[what]}</text>']
    parts.append(f'<text x="{left + width / 2}" y="{y + high - 8}" fill="{_INK}" text-anchor="middle">{by}</text>')
    if points:
        xs, ys = [math.log10(px) for px, _ in points], [math.log10(max(py, 1e-3)) for _, py in points]
        low, top_y = math.floor(min(ys)), max(math.ceil(max(ys)), math.floor(min(ys)) + 1)

        def at(px: float, py: float) -> tuple[float, float]:
            across = (px - xs[0]) / ((xs[-1] - xs[0]) or 1)
            return left + across * width, top + height - (py - low) / (top_y - low) * height

        for power in range(low, top_y + 1):
            _, level = at(xs[0], power)
            parts.append(f'<line x1="{left}" x2="{left + width}" y1="{level:.1f}" y2="{level:.1f}" stroke="{_FAINT}"/>')
            parts.append(
                f'<text x="{left - 6}" y="{level + 4:.1f}" fill="{_INK}" text-anchor="end">{_short(10.0**power)}</text>'
            )
        for px, (value, _) in zip(xs, points, strict=True):
            across, below = at(px, low)[0], top + height + 16
            parts.append(
                f'<text x="{across:.1f}" y="{below}" fill="{_INK}" text-anchor="middle">{_short(value)}</text>'
            )
        line = " ".join("{:.1f},{:.1f}".format(*at(px, py)) for px, py in zip(xs, ys, strict=True))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{_OURS}" stroke-width="2"/>')
        parts += [
            '<circle cx="{:.1f}" cy="{:.1f}" r="3" fill="{}"/>'.format(*at(px, py), _OURS)
            for px, py in zip(xs, ys, strict=True)
        ]
    return "".join(parts)


def speed(rows: Sequence[Row]) -> str:
    """A bar a contestant for each work, its length the time on a logarithmic axis, the time written behind it."""
    works: dict[str, dict[str, tuple[float, bool, float | None]]] = {}
    for row in rows:
        bars = works.setdefault(row.work, {})
        bars[row.ours.name] = (row.ours.seconds, True, row.ours.accuracy)
        bars[row.theirs.name] = (row.theirs.seconds, row.theirs.name.startswith("frostline"), row.theirs.accuracy)
    times = [seconds for bars in works.values() for seconds, _, _ in bars.values()] or [1.0]
    low, top = math.log10(min(times)) - 0.3, math.log10(max(times))
    parts, y, left, width = [], 20, 230, 380
    for work, bars in works.items():
        parts.append(f'<text x="10" y="{y}" fill="{_INK}" font-weight="600">{escape(work.replace("`", ""))}</text>')
        y += 8
        for name, (seconds, ours, right) in sorted(bars.items(), key=lambda item: item[1][0]):
            length = max(2.0, (math.log10(seconds) - low) / (top - low) * width)
            colour = _OURS if ours else _THEIRS
            told = f"{seconds:.3g} s" + ("" if right is None else f", {right:.1%} right")
            parts.append(f'<text x="{left - 8}" y="{y + 13}" fill="{_INK}" text-anchor="end">{escape(name)}</text>')
            parts.append(f'<rect x="{left}" y="{y + 2}" width="{length:.1f}" height="14" rx="2" fill="{colour}"/>')
            parts.append(f'<text x="{left + length + 6:.1f}" y="{y + 13}" fill="{_INK}">{told}</text>')
            y += 20
        y += 22
    return _page(780, y, "Time of whole processes, shorter is better, logarithmic", parts)


def _page(wide: int, high: int, title: str, parts: Sequence[str]) -> str:
    # A white page of its own: readable on dark backgrounds as well.
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}" '
        f'role="img" {_FONT}><title>{escape(title)}</title><rect width="{wide}" height="{high}" rx="6" fill="#fff"/>'
        + "".join(parts)
        + "</svg>\n"
    )


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"

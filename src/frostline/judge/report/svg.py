"""Shapes of a drawing as text; whatever comes from outside is escaped, and the style sheet colours them by class."""

from collections.abc import Sequence

from markupsafe import Markup


def drawing(kind: str, title: str, size: tuple[float, float], parts: Sequence[Markup]) -> Markup:
    """A drawing of a size with a title that is read out."""
    opening = Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">')
    return opening.format(kind, *size, title) + Markup("\n").join(parts) + Markup("</svg>")


def rect(kind: str, x: float, y: float, width: float, height: float, title: str = "", style: str = "") -> Markup:
    """A rectangle; the title shows when pointed at."""
    made = Markup(
        '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" style="{}"><title>{}</title></rect>'
    )
    return made.format(kind, x, y, width, height, style, title)


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """A line."""
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(kind, x1, y1, x2, y2)


def circle(kind: str, x: float, y: float, radius: float, title: str = "") -> Markup:
    """A circle; the title shows when pointed at."""
    made = Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"><title>{}</title></circle>')
    return made.format(kind, x, y, radius, title)


def path(kind: str, points: str, fill: str) -> Markup:
    """A path; fill may be a pattern's address."""
    return Markup('<path class="{}" d="{}" fill="{}"/>').format(kind, points, fill)


def text(kind: str, x: float, y: float, text: str) -> Markup:
    """Text at a place."""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(kind, x, y, text)

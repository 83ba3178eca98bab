"""Figures, names and commands as the report writes them."""

import shlex

from frostline.judge.conformal import CoverageResult

MOST_NAMED = 3
"""Classes that are named beside a prediction set's promise."""


def percent(share: float | None, digits: int = 1) -> str:
    """0.948 -> "94.8 %", with a space that does not break; nothing -> a dash."""
    return "–" if share is None else f"{100 * share:.{digits}f}\u202f%"


def confidence(probability: float) -> str:
    """Of one answer, as ``page.js`` writes it of per mille: halves up, and no 100 %, which nothing is."""
    mille = round(1000 * probability)
    if mille >= 1000:
        return ">\u202f99.9\u202f%"
    return f"{mille / 10:.1f}\u202f%" if mille >= 995 else f"{(mille + 5) // 10}\u202f%"


def number(value: float | None) -> str:
    """Of whatever size, in as many digits as are worth reading."""
    if value is None:
        return "–"
    if float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def lowest(row: CoverageResult) -> list[tuple[str, tuple[float, int]]]:
    """The classes to name beside a prediction set's promise: all of a few, of many those below it, the lowest first."""
    if len(row.by_class) <= MOST_NAMED:
        return list(row.by_class.items())
    below = [item for item in row.by_class.items() if item[1][0] < row.coverage]
    return sorted(below, key=lambda item: item[1][0])


def middle(text: str, most: int = 36) -> str:
    """A long name without its middle: its ends tell names apart."""
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[len(text) - most // 2 :]}"


def wrapped(command: str) -> str:
    """A line for each option, as a shell takes it; a path in quotes may hold " --" and stays whole."""
    try:
        words = shlex.split(command)
    except ValueError:
        return command
    if shlex.join(words) != command:
        return command
    return " ".join(f"\\\n  {shlex.quote(word)}" if word.startswith("--") else shlex.quote(word) for word in words)


def clock(seconds: float) -> str:
    """12.3 -> "12.3 s", 361 -> "6 min 1 s"."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"

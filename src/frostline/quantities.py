"""Numbers, lengths of time and sizes as people write them on a command line."""

import math
from collections.abc import Mapping

from frostline.errors import PlanError


def number(text: str, option: str) -> float:
    """A number that was given as text.

    Raises: PlanError: it is none.
    """
    try:
        return float(text)
    except ValueError:
        raise PlanError(f"{text!r} is not a number", where=option, hint='a number, or "auto"') from None


def side(value: int | str | None) -> int | str | None:
    """Pixels of 288 or "288", at least 1; "auto", and None for a network's own, are left as they are.

    Raises: PlanError: it is none of these.
    """
    if value is None or value == "auto":
        return value
    try:
        pixels = int(str(value))
    except ValueError:
        raise PlanError(f"{value!r} is no number of pixels", where="--image-size", hint="288, or auto") from None
    if pixels < 1:
        hint = "give a side in pixels, such as 288, or auto"
        raise PlanError(f"--image-size must be at least 1, not {pixels}", where="--image-size", hint=hint)
    return pixels


def seconds(value: float | str | None) -> float | None:
    """Seconds of 90, "90", "90s", "5m" or "1h".

    Raises: PlanError: it is none of these.
    """
    if value is None:
        return None
    found = _amount(str(value).strip().lower(), {"s": 1, "m": 60, "h": 3600})
    if found is None:
        raise PlanError(f"{value!r} is not a length of time", where="--budget", hint="write 90s, 5m or 1h")
    return found


def size(value: int | str) -> int:
    """Bytes of 1000, "500MB" or "20GB" (powers of 1000).

    Raises: PlanError: it is none of these.
    """
    found = _amount(str(value).strip().upper().removesuffix("B"), {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12})
    if found is None:
        raise PlanError(f"{value!r} is not a size", where="--store-limit", hint="write 500MB or 20GB")
    return int(found)


def in_bytes(count: float) -> str:
    """1,234,000 -> "1.2 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _amount(text: str, units: Mapping[str, int]) -> float | None:
    """A number, 0 or more and finite, with at most one of the units behind it; None if it is none."""
    unit = text[-1:] if text[-1:] in units else ""
    try:
        found = float(text.removesuffix(unit)) * units.get(unit, 1)
    except ValueError:
        return None
    return found if 0 <= found < math.inf else None

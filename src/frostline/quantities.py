"""Numbers, lengths of time and sizes as people write them on a command line."""

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
        pixels = int(value)
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
    text = str(value).strip().lower()
    factor = {"s": 1, "m": 60, "h": 3600}.get(text[-1:], 1)
    try:
        return float(text.rstrip("smh")) * factor
    except ValueError:
        raise PlanError(f"{value!r} is not a length of time", where="--budget", hint="write 90s, 5m or 1h") from None


def size(value: int | str) -> int:
    """Bytes of 1000, "500MB" or "20GB" (powers of 1000).

    Raises: PlanError: it is none of these.
    """
    text = str(value).strip().upper().removesuffix("B")
    factor = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}.get(text[-1:], 1)
    try:
        return int(float(text.rstrip("KMGT")) * factor)
    except ValueError:
        raise PlanError(f"{value!r} is not a size", where="--store-limit", hint="write 500MB or 20GB") from None

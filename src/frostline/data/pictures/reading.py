"""How the samples of a file become 8-bit pixels: decided once for a data set, and kept with the model.

A JPEG leaves no choice. Sixteen bits, floating point, more than three bands and transparency do: which value is white,
which bands are looked at, what lies below what is transparent.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from PIL import ImageColor

from frostline.errors import PlanError, one_line

Window = tuple[float, float]
"""The values that become black (0) and white (255)."""

DEPTHS = (8, 10, 12, 14, 16)
"""Bits of the sensors that there are."""

WHITE = (255, 255, 255)

_MOST_BANDS = 512


@dataclass(frozen=True)
class Reading:
    """What the files of a data set leave open. With nothing in it, 8-bit grey and colour are read as they are.

    window: for samples of more than 8 bits; None where it is not known.
    declared: whether a depth that a file states of itself (BitsPerSample 12, MaxSampleValue, sBIT, a DICOM's window)
        comes before ``window``.
    bands: which ones are looked at, the first is 1; empty is grey, or red, green and blue.
    background: what lies below transparent pixels; None is white, and black where a file has no data.

    Raises: PlanError: a window that does not rise, a band below 1.
    """

    window: Window | None = None
    declared: bool = True
    bands: tuple[int, ...] = ()
    background: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        if self.window is not None and not (all(map(math.isfinite, self.window)) and self.window[0] < self.window[1]):
            raise PlanError(f"the window {text(self.window)} must rise", where="--intensity", hint="--intensity 0:4095")
        if any(band < 1 for band in self.bands) or len(self.bands) > _MOST_BANDS:
            raise PlanError(f"the first band is 1: {self.bands}", where="--bands", hint="--bands 1,2,3")
        if self.background is not None and not all(0 <= part <= 255 for part in self.background):
            raise PlanError(f"{self.background} is no colour", where="--background", hint="--background white")

    @property
    def channels(self) -> int:
        """How many channels a picture has when it has been read."""
        return len(self.bands) or 3

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; only what is decided."""
        found: dict[str, Any] = {}
        if self.window is not None:
            found["window"] = list(self.window)
        if not self.declared:
            found["declared"] = False
        if self.bands:
            found["bands"] = list(self.bands)
        if self.background is not None:
            found["background"] = list(self.background)
        return found

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_dict`` gave, read back from JSON.

        Raises: PlanError: a value that means nothing.
        """
        try:
            window, background = values.get("window"), values.get("background")
            return cls(
                window=None if window is None else (float(window[0]), float(window[1])),
                declared=values.get("declared", True) is not False,
                bands=tuple(int(band) for band in values.get("bands", ())),
                background=None if background is None else (int(background[0]), int(background[1]), int(background[2])),
            )
        except (TypeError, ValueError, IndexError, AttributeError, OverflowError):
            raise PlanError(f"not a way to read pictures: {one_line(repr(values))[:100]}") from None

    def __str__(self) -> str:
        parts = [] if self.window is None else [f"values {text(self.window)} are black to white"]
        parts += [f"bands {','.join(map(str, self.bands))}"] if self.bands else []
        parts += ["transparent pixels over #{:02x}{:02x}{:02x}".format(*self.background)] if self.background else []
        return ", ".join(parts) or "8 bits as they are"


AS_IT_IS = Reading()


def asked(
    *, intensity: str | None = None, bands: str | tuple[int, ...] | None = None, background: str | None = None
) -> Reading:
    """What a user says: ``intensity`` "LOW:HIGH", ``bands`` "1,2,3", ``background`` a name or #rrggbb.

    Raises: PlanError: one of them means nothing.
    """
    return Reading(
        window=None if intensity is None else _window(intensity),
        declared=intensity is None,
        bands=() if bands is None else _bands(bands),
        background=None if background is None else _colour(background),
    )


def text(window: Window) -> str:
    """LOW:HIGH, as ``--intensity`` takes it."""
    return ":".join(f"{value:.6g}" if abs(value) < 1e6 else f"{value:.10g}" for value in window)


def _window(value: str) -> Window:
    low, _, high = str(value).partition(":")
    try:
        return float(low), float(high)
    except ValueError:
        raise PlanError(
            f"{one_line(str(value))!r} is no range of values",
            where="--intensity",
            hint="LOW:HIGH, the values that are black and white: --intensity 0:4095",
        ) from None


def _bands(value: str | tuple[int, ...]) -> tuple[int, ...]:
    try:
        return tuple(int(band) for band in (value.split(",") if isinstance(value, str) else value))
    except (ValueError, TypeError):
        raise PlanError(
            f"{one_line(str(value))!r} names no bands", where="--bands", hint="numbers from 1 on: --bands 1,2,3"
        ) from None


def _colour(value: str) -> tuple[int, int, int]:
    try:
        return ImageColor.getcolor(str(value), "RGB")[:3]  # type: ignore[index,return-value]
    except ValueError:
        raise PlanError(
            f"{one_line(str(value))!r} is no colour", where="--background", hint="white, black, grey or #rrggbb"
        ) from None

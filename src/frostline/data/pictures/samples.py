"""Samples as a file keeps them: any depth, any number of bands; and what makes 8 bits of them."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.data.pictures.reading import DEPTHS, Reading, Window
from frostline.errors import DecodeError

ASK = "--intensity LOW:HIGH says which values are black and white"

_OUTLIERS = (0.1, 99.9)  # percentiles of a picture's values between which a range of floating-point values lies
_DIM = 0.1  # values in [0, 1] of which none reaches this are no shares of white
_SURE = 1 << DEPTHS[-2]  # whole numbers from here on leave one depth only
_BEYOND = 1e30  # what many programs write where they have no value, and no sensor measures
_TURNS = {2: (True, 0), 3: (False, 2), 4: (True, 2), 5: (True, 1), 6: (False, 3), 7: (True, 3), 8: (False, 1)}
_SOLID = 0.5  # the least share of pixels that are fully opaque or fully clear, if a band is an alpha


class Doubt(DecodeError):
    """A picture that can be read in several ways, and an option that says in which."""


@dataclass(frozen=True, eq=False)
class Samples:
    """A picture that is not simply 8-bit grey or colour.

    values: (H, W, C), real numbers of any type.
    declared: the values that are black and white, if the file says so.
    alpha: the band that the file calls an alpha, counted from 0. sure: whether it can be nothing else, as in PNG.
    inverted: whether the least value is white.
    hidden: (H, W) where there is no data, or None.
    unit: whether the values are meant to lie in [0, 1] (floating-point pixels of a program).
    """

    values: NDArray[Any]
    declared: Window | None = None
    alpha: int | None = None
    sure: bool = False
    inverted: bool = False
    hidden: NDArray[np.bool_] | None = None
    unit: bool = False

    @property
    def colours(self) -> list[int]:
        """The bands that are no alpha."""
        return [band for band in range(self.values.shape[2]) if band != self.alpha]

    @property
    def there(self) -> NDArray[np.bool_] | None:
        """(H, W) where there is data, or None for everywhere."""
        known = None if self.hidden is None else ~self.hidden
        if self.values.dtype.kind == "f":
            with np.errstate(invalid="ignore", over="ignore"):  # of 16 bits, in which the limit is infinite
                finite = (np.abs(self.values) < _BEYOND).all(2)
            known = finite if known is None else known & finite
        return known

    def turned(self, orientation: int) -> "Samples":
        """Upright, by the EXIF orientation (1 to 8) that the file has."""
        if orientation not in _TURNS:
            return self
        flip, quarters = _TURNS[orientation]

        def turn(given: NDArray[Any]) -> NDArray[Any]:
            return np.rot90(given[:, ::-1] if flip else given, quarters)

        return replace(self, values=turn(self.values), hidden=None if self.hidden is None else turn(self.hidden))

    def checked(self, reading: Reading) -> "Samples":
        """Only the bands that are looked at.

        Raises: DecodeError: a band is not there. Doubt: nobody said which bands they are.
        """
        if self.alpha is not None and not self.sure:
            check_alpha(self.values[:, :, self.alpha], depth(self), reading)
        picked, _ = _bands(self, reading)
        return _only(self, picked)

    @property
    def deep(self) -> bool:
        """Whether there is more to a sample than 8 bits from black to white."""
        return self.values.dtype != np.uint8 or self.declared is not None


@dataclass(frozen=True)
class Extent:
    """Between which values the samples of pictures lie.

    whole: whether all are whole numbers of a type. low, high: the least and the greatest value; usual_low, usual_high:
    between them lie all but a few (0.1 % on each side).
    """

    whole: bool
    low: float
    high: float
    usual_low: float
    usual_high: float

    @classmethod
    def of(cls, samples: Samples) -> "Extent | None":
        """Of one picture; None if it has no data at all."""
        values = samples.values[:, :, samples.colours]
        there = samples.there
        found = values.reshape(-1) if there is None else values[there].reshape(-1)
        if not found.size:
            return None
        whole, low, high = samples.values.dtype.kind in "iu", float(found.min()), float(found.max())
        if whole and low >= 0 and high < 1 << DEPTHS[-1]:
            return cls(whole, low, high, low, high)
        usual_low = float(np.percentile(found, _OUTLIERS[0], method="lower"))
        usual_high = float(np.percentile(found, _OUTLIERS[1], method="higher"))
        return cls(whole, low, high, usual_low, usual_high)

    @classmethod
    def joined(cls, extents: Iterable["Extent"]) -> "Extent":
        """Of several pictures, at least one."""
        each = list(extents)
        return cls(
            all(one.whole for one in each),
            min(one.low for one in each),
            max(one.high for one in each),
            min(one.usual_low for one in each),
            max(one.usual_high for one in each),
        )

    def window(self) -> Window:
        """The smallest of 8, 10, 12, 14 and 16 bits that holds whole numbers; [0, 1] if it holds others, and is filled.

        What neither holds goes from 0, or from the least value if that is below, to the greatest one. Outliers do not
        count where there is no depth that limits them.
        """
        if self.whole and self.low >= 0 and self.high < 1 << DEPTHS[-1]:
            return 0.0, float(min((1 << bits) - 1 for bits in DEPTHS if self.high < 1 << bits))
        low = min(0.0, self.usual_low)
        if not self.whole and low == 0 and _DIM <= self.usual_high <= 1:
            return 0.0, 1.0
        if self.usual_high > low:
            return low, self.usual_high
        return low, max(self.high, low + 1.0)


def read(samples: Samples, reading: Reading | None) -> NDArray[np.uint8]:
    """(H, W, n) uint8: the bands that are asked for; by default 1 (grey) or 3, and 2 or 4 where there is an alpha.

    reading: None takes this picture for a whole data set.

    Raises: DecodeError: bands that the picture does not have; more bands than are understood, or values of which nobody
        knows what is black and white.
    """
    asked = Reading() if reading is None else reading
    picked, alpha = _bands(samples, asked)
    there = samples.there
    if there is not None and not there.any():
        raise DecodeError("not one of its pixels has a value", hint="leave it out")
    shown = samples if picked == list(range(samples.values.shape[2])) else _only(samples, picked)
    pixels = shown.values if not samples.deep else _scaled(shown, _window(samples, reading))
    if samples.inverted:
        pixels = 255 - pixels
    if there is not None and not there.all():
        pixels = np.where(there[:, :, None], pixels, _under(asked, len(picked)))
    if alpha is not None:
        top = depth(samples)
        covering = np.clip(np.round(samples.values[:, :, alpha].astype(np.float64) * (255 / top)), 0, 255)
        pixels = np.dstack([pixels, covering.astype(np.uint8)])
    return np.ascontiguousarray(pixels, np.uint8)


def check_alpha(alpha: NDArray[Any], top: float, reading: Reading | None) -> None:
    """Whether a band that a TIFF calls an alpha can be one; near infrared is often called so.

    top: the value of an opaque pixel.

    Raises: DecodeError: most of it is neither opaque nor clear, and nobody said what to do.
    """
    if reading is not None and (reading.bands or reading.background is not None):
        return
    solid = ((alpha == 0) | (alpha >= top)).mean() if alpha.size else 1.0
    if solid < _SOLID:
        raise Doubt(
            "the last of its bands is called an alpha, but hardly a pixel is opaque or clear: --bands 1,2,3 if it is "
            "none (infrared?), --background white if it is",
            hint="name the bands to look at",
        )


def _bands(samples: Samples, reading: Reading) -> tuple[list[int], int | None]:
    there = samples.values.shape[2]
    if reading.bands:
        if there == 1 and max(reading.bands) <= 3:  # grey is as much red as green and blue
            return [0] * len(reading.bands), None
        if max(reading.bands) > there:
            what = f"there is no band {max(reading.bands)}: the picture has {there}"
            raise DecodeError(what, hint="--bands names bands that every picture has")
        return [band - 1 for band in reading.bands], None
    colours = samples.colours
    if len(colours) not in (1, 3):
        what = f"{there} bands, and nothing says which are red, green and blue: --bands 1,2,3"
        raise Doubt(what, hint="name the bands to look at, in the order that the network gets them")
    return colours, samples.alpha


def _only(samples: Samples, picked: list[int]) -> Samples:
    return replace(samples, values=samples.values[:, :, picked], alpha=None)


def _window(samples: Samples, reading: Reading | None) -> Window:
    if reading is not None and reading.window is not None and not reading.declared:
        return reading.window
    if samples.declared is not None:
        return samples.declared
    if reading is not None and reading.window is not None:
        return reading.window
    extent = Extent.of(samples)
    if extent is None:
        return 0.0, 1.0
    if samples.unit and not (extent.low >= 0 and extent.high <= 1):
        raise Doubt(
            "the pixels are numbers outside [0, 1]",
            hint="give them before they are normalised: each network's own mean and deviation are applied later; "
            "numbers up to 255 as uint8",
        )
    if samples.unit:
        return 0.0, 1.0
    if reading is None:
        return extent.window()
    return _only_one(extent)


def _only_one(extent: Extent) -> Window:
    """The window of a picture for a model that has seen no such picture, where there is but one.

    Raises: DecodeError: there are several.
    """
    if extent.whole and extent.low >= 0 and _SURE <= extent.high < 1 << DEPTHS[-1]:
        return 0.0, float((1 << DEPTHS[-1]) - 1)
    if not extent.whole and extent.low >= 0 and extent.high <= 1:
        return 0.0, 1.0
    raise Doubt(
        f"its values go from {extent.low:g} to {extent.high:g}, and nothing says which are black and white: "
        "--intensity LOW:HIGH",
        hint=ASK,
    )


def _scaled(samples: Samples, window: Window) -> NDArray[np.uint8]:
    low, high = window
    if samples.values.dtype.kind == "u" and samples.values.dtype.itemsize == 2:
        native = samples.values.astype(np.uint16, copy=False)
        table = np.clip((np.arange(1 << 16) - low) * (255 / (high - low)), 0, 255)
        found: NDArray[np.uint8] = np.round(table).astype(np.uint8)[native]
        return found
    with np.errstate(invalid="ignore", over="ignore"):
        real = np.nan_to_num(samples.values.astype(np.float64), nan=low, posinf=high, neginf=low)
        return np.round(np.clip((real - low) * (255 / (high - low)), 0, 255)).astype(np.uint8)


def depth(samples: Samples) -> float:
    """The value of an opaque pixel."""
    return float(np.iinfo(samples.values.dtype).max) if samples.values.dtype.kind in "iu" else 1.0


def _under(reading: Reading, bands: int) -> NDArray[np.uint8]:
    """What stands where there is no data: (bands,)."""
    if reading.background is None or bands not in (1, 3):
        return np.zeros(bands, np.uint8)
    if bands == 3:
        return np.array(reading.background, np.uint8)
    return np.array([round(sum(reading.background) / 3)], np.uint8)

"""What training views do to pixels besides cropping: policies, colour jitter, erasing.

All of it works on Pillow images and arrays with a generator that the caller brings: no global state, so threads cannot
disturb each other. The operations and their ranges are those of TrivialAugment Wide (arXiv:2103.10158).
"""

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

Operation: TypeAlias = Callable[[Image.Image, float], Image.Image]
"""(picture, strength in [-1, 1]) -> picture of the same size; strength 0 is the mildest."""

Policy: TypeAlias = Callable[[Image.Image, np.random.Generator], Image.Image]

_GREY = 128


def _affine(picture: Image.Image, a: float, b: float, c: float, d: float, e: float, f: float) -> Image.Image:
    return picture.transform(
        picture.size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR, fillcolor=_grey(picture)
    )


def _grey(picture: Image.Image) -> tuple[int, ...] | int:
    return _GREY if picture.mode == "L" else (_GREY,) * 3


def _posterized(picture: Image.Image, strength: float) -> Image.Image:
    return ImageOps.posterize(picture, 8 - round(6 * abs(strength)))


def _solarized(picture: Image.Image, strength: float) -> Image.Image:
    return ImageOps.solarize(picture, round(255 * (1 - abs(strength))))


OPERATIONS: tuple[Operation, ...] = (
    lambda picture, _: picture,
    lambda picture, s: _affine(picture, 1, s * 0.99, -s * 0.99 * picture.height / 2, 0, 1, 0),
    lambda picture, s: _affine(picture, 1, 0, 0, s * 0.99, 1, -s * 0.99 * picture.width / 2),
    lambda picture, s: _affine(picture, 1, 0, s * 32, 0, 1, 0),
    lambda picture, s: _affine(picture, 1, 0, 0, 0, 1, s * 32),
    lambda picture, s: picture.rotate(s * 135, Image.Resampling.BILINEAR, fillcolor=_grey(picture)),
    lambda picture, s: ImageEnhance.Brightness(picture).enhance(1 + s * 0.99),
    lambda picture, s: ImageEnhance.Color(picture).enhance(1 + s * 0.99),
    lambda picture, s: ImageEnhance.Contrast(picture).enhance(1 + s * 0.99),
    lambda picture, s: ImageEnhance.Sharpness(picture).enhance(1 + s * 0.99),
    _posterized,
    _solarized,
    lambda picture, _: ImageOps.autocontrast(picture),
    lambda picture, _: ImageOps.equalize(picture),
)


def trivial(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """One operation at a uniformly random strength."""
    return OPERATIONS[rng.integers(len(OPERATIONS))](picture, rng.uniform(-1, 1))


def rand(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Two operations of strength 0.3, either sign: RandAugment(2, 9) of arXiv:1909.13719, on the ranges above."""
    for _ in range(2):
        picture = OPERATIONS[rng.integers(len(OPERATIONS))](picture, 0.3 if rng.random() < 0.5 else -0.3)
    return picture


POLICIES: MappingProxyType[str, Policy] = MappingProxyType({"trivial": trivial, "rand": rand})


def jitter(picture: Image.Image, rng: np.random.Generator, strength: float) -> Image.Image:
    """Brightness, contrast and saturation in random order, each by a factor in [1 - strength, 1 + strength]."""
    kinds = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    for which in rng.permutation(len(kinds)):
        picture = kinds[which](picture).enhance(rng.uniform(1 - strength, 1 + strength))
    return picture


def erase(pixels: NDArray[np.uint8], rng: np.random.Generator, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """Fill a random rectangle of 2 to 33 % of the area, in place, with noise as the network's input is distributed.

    pixels: (H, W, C). mean, std: per channel, of values in [0, 1].
    """
    height, width, channels = pixels.shape
    area = height * width * rng.uniform(0.02, 1 / 3)
    proportion = math.exp(rng.uniform(math.log(0.3), math.log(1 / 0.3)))
    high = min(height, max(1, round(math.sqrt(area * proportion))))
    wide = min(width, max(1, round(math.sqrt(area / proportion))))
    top, left = rng.integers(height - high + 1), rng.integers(width - wide + 1)
    noise = rng.standard_normal((high, wide, channels), dtype=np.float32) * np.asarray(std) + np.asarray(mean)
    pixels[top : top + high, left : left + wide] = np.clip(np.round(noise * 255), 0, 255).astype(np.uint8)

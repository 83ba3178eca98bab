"""Which part of a picture a network sees, and at what size: the evaluation view, and the training views.

A view gives uint8 pixels; mean and standard deviation are applied behind the store, by the engine. Its ``key`` names
all that its pixels depend on besides the picture, and is part of the store's address.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frostline.data import augment, decode
from frostline.data.decode import Decoded
from frostline.data.pictures.picture import Box, Picture, Size
from frostline.data.pictures.reading import AS_IT_IS, Reading
from frostline.errors import PlanError

_VERSION = 1  # raised whenever the same key would give other pixels
_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_CROP_MODES = ("center", "squash", "border")
_SMALLEST_CROP = 0.05
_FARTHEST_MEAN, _SMALLEST_STD = 1e3, 1e-6  # of values in [0, 1]: past them float32 holds nothing of a picture


@dataclass(frozen=True)
class Preprocessing:
    """How a backbone wants its pictures, in timm's terms; filled in by ``net.zoo`` from the pretrained configuration.

    size: (height, width) of what the network gets.
    mean, std: per channel, of values in [0, 1]: three, or one for each band that ``reading`` names.
    crop_pct: the share of the resized picture that the crop keeps.
    crop_mode: "center" keeps the proportions and loses margins, "squash" gives up the proportions, "border" keeps both
        and pads with the mean colour.
    reading: what becomes of more than 8 bits, of bands and of transparency.

    Raises: PlanError: a value that means nothing.
    """

    size: tuple[int, int] = (224, 224)
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"
    crop_pct: float = 0.875
    crop_mode: str = "center"
    reading: Reading = AS_IT_IS

    def __post_init__(self) -> None:
        if self.interpolation not in _FILTERS:
            raise PlanError(
                f"there is no interpolation {self.interpolation!r}", hint=f"there are: {', '.join(sorted(_FILTERS))}"
            )
        if self.crop_mode not in _CROP_MODES:
            raise PlanError(f"there is no crop mode {self.crop_mode!r}", hint=f"there are: {', '.join(_CROP_MODES)}")
        if min(self.size) < 1 or not _SMALLEST_CROP <= self.crop_pct <= 1:
            raise PlanError(
                f"size {self.size} must be above 0, and crop_pct {self.crop_pct} between {_SMALLEST_CROP} and 1"
            )
        far, small = max(map(abs, self.mean), default=0), min(self.std, default=1)
        if not (far <= _FARTHEST_MEAN and small >= _SMALLEST_STD and max(self.std, default=1) <= 1 / _SMALLEST_STD):
            raise PlanError(
                f"mean {self.mean} and std {self.std} are not of values in [0, 1]",
                hint=f"a mean within {_FARTHEST_MEAN:g} of 0, a std above {_SMALLEST_STD:g}",
            )
        if not len(self.mean) == len(self.std) == self.reading.channels:
            raise PlanError(
                f"mean {self.mean} and std {self.std} are not of {self.reading.channels} channels", where="--bands"
            )

    @property
    def channels(self) -> int:
        """How many channels a view has."""
        return len(self.mean)

    def read_as(self, reading: Reading) -> "Preprocessing":
        """The same for pictures that are read in another way; more channels than three take mean and std in turn."""
        wanted, there = reading.channels, self.channels
        if wanted == there:
            return replace(self, reading=reading)
        mean, std = (
            (sum(part) / there,) if wanted == 1 else tuple(part[n % there] for n in range(wanted))
            for part in (self.mean, self.std)
        )
        return replace(self, mean=mean, std=std, reading=reading)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; how pictures are read only where something is decided."""
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "reading"}
        found = {name: list(value) if isinstance(value, tuple) else value for name, value in own.items()}
        return {**found, "reading": self.reading.to_dict()} if self.reading != AS_IT_IS else found

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_dict`` gave, read back from JSON.

        Raises: PlanError: a value that is missing, too much, or means nothing.
        """
        names = {field.name for field in fields(cls)}
        reading = values.get("reading", {})
        if names != {*values, "reading"} or not isinstance(reading, Mapping):
            raise PlanError(f"preprocessing must have {', '.join(sorted(names))}; it has {', '.join(sorted(values))}")
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
            if name != "reading"
        }
        sides, numbers = plain["size"], (plain["mean"], plain["std"], (plain["crop_pct"],))
        if not (
            isinstance(sides, tuple)
            and len(sides) == 2
            and all(type(side) is int for side in sides)
            and all(isinstance(part, tuple) and all(type(n) in (int, float) for n in part) for part in numbers)
            and all(isinstance(plain[name], str) for name in ("interpolation", "crop_mode"))
        ):
            raise PlanError("preprocessing is not of two sides in pixels, of numbers and of names")
        return cls(**plain, reading=Reading.from_dict(reading))


@dataclass(frozen=True)
class Augment:
    """What a training view does at random; all of it is data.

    flip: probability of a left-right flip.
    scale, ratio: share of the picture's area and proportions of the random crop, each from a range.
    policy: "trivial" (one random operation, arXiv:2103.10158), "rand" (two mild ones, arXiv:1909.13719) or none.
    jitter: brightness, contrast and saturation each vary by a factor in [1 - jitter, 1 + jitter].
    erasing: probability that a random rectangle is replaced by noise (arXiv:1708.04896).

    Raises: PlanError: a range that is empty, or a probability outside [0, 1].
    """

    flip: float = 0.5
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    policy: str | None = None
    jitter: float = 0.0
    erasing: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1] <= 1 or not 0 < self.ratio[0] <= self.ratio[1]:
            raise PlanError(f"scale {self.scale} must rise within (0, 1], ratio {self.ratio} must rise above 0")
        if not (0 <= self.flip <= 1 and 0 <= self.erasing <= 1 and 0 <= self.jitter <= 1):
            raise PlanError(f"flip {self.flip}, jitter {self.jitter} and erasing {self.erasing} must lie within [0, 1]")
        if self.policy is not None and self.policy not in augment.POLICIES:
            raise PlanError(f"there is no policy {self.policy!r}", hint=f"there are: {', '.join(augment.POLICIES)}")


class View(Protocol):
    """A picture as a network sees it."""

    @property
    def key(self) -> str:
        """All that the pixels depend on besides the picture."""

    def __call__(self, picture: Picture, digest: str) -> NDArray[np.uint8]:
        """(H, W, C) uint8. digest: the picture's, of which random views are a function.

        Raises: DecodeError: the picture cannot be decoded.
        """


@runtime_checkable
class Noting(Protocol):
    """A view that notes what it sees: on another machine ``note_of`` gives it, at home ``noted`` takes it."""

    def note_of(self, digest: str) -> bytes:
        """The note, b"" if there is none; once."""

    def noted(self, digest: str, note: bytes) -> None:
        """Take a note that another machine made."""


@dataclass(frozen=True)
class EvaluationView:
    """The geometry of timm's evaluation transform, by one resize from a box of a JPEG decoded no larger than needed.

    max_pixels: a larger picture is refused. It is no part of the key, for it changes no pixel.
    flip: mirrored from left to right.
    """

    preprocessing: Preprocessing
    max_pixels: int = decode.MAX_PIXELS
    flip: bool = False

    @property
    def key(self) -> str:
        """Size, interpolation and crop, and whether it is mirrored; the mean only where it fills a border."""
        values = self.preprocessing.to_dict() | ({"flip": True} if self.flip else {})
        del values["std"]
        if self.preprocessing.crop_mode != "border":
            del values["mean"]
        return _key("evaluation", values)

    def __call__(self, picture: Picture, digest: str = "") -> NDArray[np.uint8]:
        """(H, W, C) uint8.

        Raises: DecodeError: the picture cannot be decoded.
        """
        seen = placed(self.decoded(picture), self.preprocessing)
        return np.ascontiguousarray(seen[:, ::-1]) if self.flip else seen

    def decoded(self, picture: Picture) -> Decoded:
        """The whole picture, no larger than the view needs it.

        Raises: DecodeError: the picture cannot be decoded.
        """
        reading = self.preprocessing.reading
        return decode.image(picture, reading=reading, max_pixels=self.max_pixels, at_least=lambda _: self.least)

    def whole(self, picture: Picture) -> NDArray[np.uint8]:
        """(H, W, C) uint8: all of the picture at its own size, before it is resized.

        Raises: DecodeError: the picture cannot be decoded.
        """
        opened = decode.image(picture, reading=self.preprocessing.reading, max_pixels=self.max_pixels)
        return _stacked(_each(opened, lambda image: image))

    @property
    def least(self) -> int:
        """How long the shorter side of a decoded JPEG stays at least, in pixels."""
        return max(scaled(self.preprocessing))


@dataclass(frozen=True)
class TrainingView:
    """One random view: a crop, a flip, a policy, jitter, erasing.

    A pure function of (digest, index, seed): threads, order and what was drawn before do not matter.
    index: which of a picture's views this is.
    """

    preprocessing: Preprocessing
    augment: Augment
    index: int
    seed: int

    @property
    def key(self) -> str:
        """Size, interpolation, all of the augmentation, index and seed."""
        values = self.preprocessing.to_dict()
        used = ["size", "interpolation", "reading", *(("mean", "std") if self.augment.erasing else ())]
        own = {name: values[name] for name in used if name in values}
        return _key("training", own | asdict(self.augment) | {"index": self.index, "seed": self.seed})

    def __call__(self, picture: Picture, digest: str) -> NDArray[np.uint8]:
        """(H, W, C) uint8.

        Raises: DecodeError: the picture cannot be decoded.
        """
        height, width = self.preprocessing.size

        def crop(whole: Size) -> Box:
            return _random_share(self._rng(digest, "crop"), whole, self.augment)

        def least(whole: Size) -> int:
            left, top, right, bottom = crop(whole)
            reduction = min(whole[0] * (right - left) / width, whole[1] * (bottom - top) / height)
            return math.ceil(min(whole) / reduction)  # what is reduced further would have to be enlarged again

        found = decode.image(picture, reading=self.preprocessing.reading, at_least=least)
        box = _within(found.extent, crop(found.size))
        resized = _each(found, lambda image: image.resize((width, height), self.filter, box=box))
        rng = self._rng(digest, "rest")
        # Bands that are no colours are changed one by one, all in the same way.
        changed = [self._changed(band, deepcopy(rng)) for band in resized[:-1]]
        changed.append(self._changed(resized[-1], rng))
        array = np.array(_stacked(changed))
        if rng.random() < self.augment.erasing:
            augment.erase(array, rng, self.preprocessing.mean, self.preprocessing.std)
        return array

    @property
    def filter(self) -> Image.Resampling:
        """Of the resize."""
        return _FILTERS[self.preprocessing.interpolation]

    def _changed(self, view: Image.Image, rng: np.random.Generator) -> Image.Image:
        if rng.random() < self.augment.flip:
            view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if self.augment.policy is not None:
            view = augment.POLICIES[self.augment.policy](view, rng)
        return augment.jitter(view, rng, self.augment.jitter) if self.augment.jitter else view

    def _rng(self, digest: str, purpose: str) -> np.random.Generator:
        parts = "\0".join((digest, str(self.index), str(self.seed), purpose))
        seed = int.from_bytes(hashlib.blake2b(parts.encode(), digest_size=16).digest())
        return np.random.Generator(np.random.PCG64(seed))


def placed(picture: Decoded, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Resize and crop as timm's evaluation transform does with the whole picture. Returns (H, W, C) uint8."""
    target = preprocessing.size[1], preprocessing.size[0]
    resized = _resized(picture.size, preprocessing)
    seen = min(target[0], resized[0]), min(target[1], resized[1])
    left, top = (round((side - part) / 2) for side, part in zip(resized, seen, strict=True))
    wide, high = resized
    share = (left / wide, top / high, (left + seen[0]) / wide, (top + seen[1]) / high)
    box = _within(picture.extent, share)
    views = _each(picture, lambda image: image.resize(seen, _FILTERS[preprocessing.interpolation], box=box))
    if seen == target:
        return _stacked(views)
    corner = (target[0] - seen[0]) // 2, (target[1] - seen[1]) // 2
    mean = fill(preprocessing)
    colours: list[tuple[int, ...] | int] = list(mean) if picture.planes else [mean]
    canvases = [Image.new(view.mode, target, colour) for view, colour in zip(views, colours, strict=True)]
    for canvas, view in zip(canvases, views, strict=True):
        canvas.paste(view, corner)
    return _stacked(canvases)


def visible(view: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) of a view (H, W, C), for people: the first three bands, or the first one as grey."""
    if view.shape[2] == 3:
        return view
    return np.ascontiguousarray(view[:, :, :3] if view.shape[2] > 3 else np.repeat(view[:, :, :1], 3, 2))


def _each(picture: Decoded, act: Callable[[Image.Image], Image.Image]) -> list[Image.Image]:
    """One image of all three colours, or one for each band that was asked for."""
    return [act(image) for image in (picture.planes or (picture.image,))]


def _stacked(images: list[Image.Image]) -> NDArray[np.uint8]:
    """(H, W, C)."""
    if len(images) == 1 and images[0].mode == "RGB":
        return np.asarray(images[0])
    return np.stack([np.asarray(image) for image in images], axis=2)


def _within(extent: Box, share: Box) -> Box:
    left, top, right, bottom = extent
    wide, high = right - left, bottom - top
    # Rounding must not carry the box over the edge: Pillow refuses that.
    return (
        left + share[0] * wide,
        top + share[1] * high,
        min(right, left + share[2] * wide),
        min(bottom, top + share[3] * high),
    )


def scaled(preprocessing: Preprocessing) -> tuple[int, int]:
    """(width, height) that a picture is resized to fill, before the crop takes its share of it."""
    height, width = preprocessing.size
    return math.floor(width / preprocessing.crop_pct), math.floor(height / preprocessing.crop_pct)


def _resized(whole: Size, preprocessing: Preprocessing) -> Size:
    width, height = whole
    wide, high = scaled(preprocessing)
    if preprocessing.crop_mode == "squash":
        return wide, high
    if preprocessing.crop_mode == "center" and wide == high:  # torchvision's Resize, which rounds down
        short, long = wide, int(wide * max(whole) / min(whole))
        return (short, long) if width <= height else (long, short)
    pick = max if preprocessing.crop_mode == "border" else min  # timm's ResizeKeepRatio, which rounds
    ratio = pick(height / high, width / wide)
    return max(1, round(width / ratio)), max(1, round(height / ratio))


def fill(preprocessing: Preprocessing) -> tuple[int, ...]:
    """The mean colour, with which the crop mode "border" fills what the picture leaves free."""
    return tuple(round(255 * part) for part in preprocessing.mean)


def _random_share(rng: np.random.Generator, whole: Size, options: Augment) -> Box:
    """Left, top, right and bottom of a random crop as shares of the sides; torchvision's RandomResizedCrop (BSD-3)."""
    width, height = whole
    for _ in range(10):
        area = width * height * rng.uniform(*options.scale)
        proportion = math.exp(rng.uniform(math.log(options.ratio[0]), math.log(options.ratio[1])))
        wide, high = math.sqrt(area * proportion), math.sqrt(area / proportion)
        if 1 <= wide <= width and 1 <= high <= height:
            left, top = rng.uniform(0, width - wide), rng.uniform(0, height - high)
            return left / width, top / height, (left + wide) / width, (top + high) / height
    proportion = min(max(width / height, options.ratio[0]), options.ratio[1])
    wide, high = min(width, height * proportion), min(height, width / proportion)
    return (1 - wide / width) / 2, (1 - high / height) / 2, (1 + wide / width) / 2, (1 + high / height) / 2


def _key(kind: str, values: Mapping[str, Any]) -> str:
    return f"{kind}-{_VERSION} {json.dumps(values, sort_keys=True, separators=(',', ':'))}"

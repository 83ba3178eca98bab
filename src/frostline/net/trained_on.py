"""How pictures were prepared for published weights: timm's configuration, or a model folder's, as our own terms.

Weights learnt from pictures of another mean, deviation or size answer otherwise, and nothing in their tensors says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from timm.data.config import resolve_data_config

from frostline.data.pictures.reading import AS_IT_IS, Reading
from frostline.data.views import Preprocessing
from frostline.errors import CheckpointError, PlanError
from frostline.net import timm_config
from frostline.net.timm_config import CONFIG

_OF_PICTURES = ("input_size", "mean", "std", "interpolation", "crop_pct", "crop_mode")


def as_published(config: Mapping[str, Any], name: str) -> Preprocessing:
    """timm's configuration as ours: the resolution of training, which is the faster one.

    Raises: PlanError: it is of pictures of other than three bands.
    """
    found = resolve_data_config({}, pretrained_cfg=config)  # type: ignore[no-untyped-call]
    # of a folder whose means are not its own, older timm gives those of three
    bands = next((count for count in (int(found["input_size"][0]), len(found["mean"])) if count != 3), 3)
    if bands != 3:
        raise PlanError(
            f"{name} is a model of pictures with {bands} {'band' if bands == 1 else 'bands'}, not three",
            where="--model",
            hint="take a model of three channels: grey pictures are read as three, and --bands adds more",
        )
    return Preprocessing(
        size=(int(found["input_size"][1]), int(found["input_size"][2])),
        mean=three(found["mean"]),
        std=three(found["std"]),
        interpolation=found["interpolation"],
        crop_pct=float(found["crop_pct"]),
        crop_mode=found["crop_mode"],
    )


def three(values: Sequence[float]) -> tuple[float, float, float]:
    """A mean or deviation of red, green and blue."""
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def said(folder: Path, config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a model folder's configuration says of pictures, by timm's names; nothing if it is not of timm's form.

    Raises: CheckpointError: a value that means nothing.
    """
    if not isinstance(config.get("architecture"), str):
        return {}
    if not isinstance(config.get("pretrained_cfg", config), Mapping):
        return {}
    found = timm_config.published(config, folder / CONFIG)
    sides = found.get("input_size", [3, 1, 1])
    if len(sides) != 3 or not all(type(side) is int and side > 0 for side in sides):
        timm_config.refuse("input_size", sides, folder / CONFIG)
    for name in ("mean", "std"):
        if not all(type(value) in (int, float) for value in found.get(name, ())):
            timm_config.refuse(name, found[name], folder / CONFIG)
    told = {name: found[name] for name in _OF_PICTURES if name in found}
    try:
        prepared_as(told, Preprocessing(), AS_IT_IS)
    except PlanError as error:
        raise CheckpointError(error.what, where=folder / CONFIG, hint=error.hint or timm_config.SAFE) from None
    return told


def side_said(told: Mapping[str, Any]) -> int | None:
    """The side of the square that the pictures were, in pixels; None if it is not said, or they were no squares."""
    sides = told.get("input_size", ())
    return int(sides[1]) if len(sides) == 3 and sides[1] == sides[2] else None


def prepared_as(told: Mapping[str, Any], own: Preprocessing, reading: Reading) -> Preprocessing:
    """A network's preprocessing with what the folder of its weights says instead, for pictures that are read so.

    Raises: PlanError: a value that means nothing.
    """
    found = replace(own, **{name: told[name] for name in ("interpolation", "crop_pct", "crop_mode") if name in told})
    mean, std = (tuple(map(float, told.get(name, ()))) for name in ("mean", "std"))
    if len(mean) != len(std):
        return found.read_as(reading)
    if len(mean) == reading.channels:
        return replace(found, mean=mean, std=std, reading=reading)
    return (replace(found, mean=mean, std=std) if len(mean) == found.channels else found).read_as(reading)


def in_words(found: Preprocessing) -> str:
    """What it comes to, in one line."""
    mean, std = (",".join(f"{value:.3g}" for value in part) for part in (found.mean, found.std))
    height, width = found.size
    cropped = f"{found.interpolation}, crop {found.crop_pct:g} {found.crop_mode}"
    return f"{width} x {height}, mean {mean}, std {std}, {cropped}"

"""A torch ``Dataset`` of (picture, label) as rows. torch is not asked for: whoever has a data set has it.

torchvision's ImageFolder, and parts of it (``Subset``), are read by the paths that they list, if they change nothing in
the pictures: so they have the digests of their files. Any other is asked for an item whenever the picture is needed.
"""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from frostline.data.decode import Item, Picture
from frostline.data.manifest import Row
from frostline.data.to_picture import picture_of
from frostline.errors import DataError, one_line

_CHANGES = ("transform", "transforms", "target_transform")


def claims(thing: object) -> bool:
    """Whether it is a map-style data set: one of torch's, or anything with a length, items and ``classes``."""
    sized = hasattr(thing, "__len__") and hasattr(thing, "__getitem__")
    of_torch = any(base.__module__.startswith("torch.utils.data") for base in type(thing).__mro__)
    return sized and (of_torch or hasattr(thing, "classes"))


def torch_dataset(dataset: Any) -> Iterator[Row]:
    """One row an item; a label that is a number is the name of that number in ``classes``, if there are names.

    Raises: DataError: an item that is no pair of a picture and a label.
    """
    classes = _classes(dataset)
    for number, (picture, label) in enumerate(_pairs(dataset)):
        name = str(picture) if isinstance(picture, Path) else f"#{number}"
        yield Row(picture, (_named(label, classes),), name=name)


def _pairs(dataset: Any) -> Iterator[tuple[Picture, Any]]:
    listed = _listed(dataset)
    if listed is not None:
        yield from ((Path(path), label) for path, label in listed)
        return
    labels, pictures = _labels(dataset), _Pictures(dataset)
    for number in range(len(dataset)):
        yield Item(pictures, number), _pair(dataset, number)[1] if labels is None else labels[number]


def _listed(dataset: Any) -> list[tuple[str, Any]] | None:
    """Paths and labels of a data set that says them, or None."""
    if hasattr(dataset, "indices") and hasattr(dataset, "dataset"):
        whole = _listed(dataset.dataset)
        return None if whole is None else [whole[int(index)] for index in dataset.indices]
    samples = getattr(dataset, "samples", None)
    if not isinstance(samples, list) or any(getattr(dataset, name, None) is not None for name in _CHANGES):
        return None
    paths = all(isinstance(sample, tuple) and len(sample) == 2 and isinstance(sample[0], str) for sample in samples)
    return samples if paths and len(samples) == len(dataset) else None


def _labels(dataset: Any) -> list[Any] | None:
    """All labels of a data set that lists them (torchvision's ``targets``): no picture is loaded for its label."""
    targets = getattr(dataset, "targets", None)
    plain = getattr(dataset, "target_transform", None) is None
    return list(targets) if plain and targets is not None and len(targets) == len(dataset) else None


def _classes(dataset: Any) -> list[str]:
    found = getattr(dataset, "classes", None)
    if found is None and hasattr(dataset, "dataset"):
        return _classes(dataset.dataset)
    return [str(name) for name in found] if found is not None else []


def _named(label: Any, classes: list[str]) -> str:
    value = label.item() if hasattr(label, "item") else label
    if isinstance(value, int) and 0 <= value < len(classes):
        return classes[value]
    return str(value)


def _pair(dataset: Any, number: int) -> tuple[Any, Any]:
    item = dataset[number]
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise DataError(
            f"item {number} is no pair of a picture and a label, but {one_line(type(item).__name__)}",
            where=type(dataset).__name__,
            hint="let __getitem__ return (picture, label)",
        )
    return item[0], item[1]


class _Pictures:
    """A data set's pictures without their labels, one at a time: few data sets expect several threads."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._lock = threading.Lock()

    def __getitem__(self, index: int, /) -> Picture:
        with self._lock:
            return picture_of(_pair(self._dataset, index)[0])

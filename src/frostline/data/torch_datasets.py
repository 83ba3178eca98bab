"""A torch ``Dataset`` of (picture, label) as rows. torch is not asked for: whoever has a data set has it.

torchvision's ImageFolder, and parts of it (``Subset``), are read by the paths that they list, if they change nothing in
the pictures: so they have the digests of their files. Any other is asked for an item whenever the picture is needed.
"""

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from frostline.data.manifest import Row
from frostline.data.pictures.picture import Item, Picture
from frostline.data.pictures.to_picture import picture_of
from frostline.errors import DataError, one_line

_CHANGES = ("transform", "transforms", "target_transform")


def claims(thing: object) -> bool:
    """Whether it is a map-style data set: one of torch's, or anything with a length, items and ``classes``."""
    sized = hasattr(thing, "__len__") and hasattr(thing, "__getitem__")
    of_torch = any(base.__module__.startswith("torch.utils.data") for base in type(thing).__mro__)
    return sized and (of_torch or hasattr(thing, "classes"))


def torch_dataset(dataset: Any) -> Iterator[Row]:
    """One row an item; a label that is a number is the name of that number in ``classes``, if there are names.

    Of a ``ConcatDataset`` each part has its own ``classes``. A vector of 0 and 1 is several labels by those names.

    Raises: DataError: an item that is no pair of a picture and a label; a label that is missing, no number of
        ``classes``, or a vector that nothing names; parts with names and parts without; one-hot rows throughout.
    """
    names = _classes(dataset)
    where = type(dataset).__name__
    named, vectors, ones = set[bool](), 0, 0
    number = -1
    for number, (picture, label) in enumerate(_pairs(dataset)):
        classes = names(number)
        named.add(bool(classes))
        if len(named) > 1:
            raise DataError(
                "one part of the data set has names of classes, and another has none",
                where=where,
                hint="give each part the attribute classes, one name for each number",
            )
        value = _plain(label)
        vector = _is_vector(value)
        labels = _labels_of(value, vector, classes, f"item {number}", where)
        vectors, ones = vectors + vector, ones + (vector and len(labels) == 1)
        yield Row(picture, labels, name=str(picture) if isinstance(picture, Path) else f"#{number}")
    if vectors and ones == number + 1:
        raise DataError(
            f"labels are one-hot: in each of the {ones} items one column is 1",
            where=where,
            hint="for one label a picture return its number; where a picture may have several, a list of their names",
        )


def unlabelled(dataset: Any) -> Iterator[Row]:
    """One row an item, whatever its label is; an item that is no pair is a picture by itself."""
    listed, pictures = _listed(dataset), _Pictures(dataset, alone=True)
    for number in range(len(dataset)):
        yield Row(Item(pictures, number) if listed is None else Path(listed[number][0]))


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
    if _joined(dataset):
        parts = [_listed(part) for part in dataset.datasets]
        return None if None in parts else [sample for part in parts for sample in part or ()]
    samples = getattr(dataset, "samples", None)
    if not isinstance(samples, list) or any(getattr(dataset, name, None) is not None for name in _CHANGES):
        return None
    paths = all(isinstance(sample, tuple) and len(sample) == 2 and isinstance(sample[0], str) for sample in samples)
    return samples if paths and len(samples) == len(dataset) else None


def _labels(dataset: Any) -> list[Any] | None:
    """All labels of a data set that lists them (torchvision's ``targets``): no picture is loaded for its label."""
    if _joined(dataset):
        parts = [_labels(part) for part in dataset.datasets]
        return None if any(part is None for part in parts) else [label for part in parts for label in part or ()]
    targets = getattr(dataset, "targets", None)
    plain = getattr(dataset, "target_transform", None) is None
    return list(targets) if plain and targets is not None and len(targets) == len(dataset) else None


def _joined(dataset: Any) -> bool:
    return isinstance(getattr(dataset, "datasets", None), list) and hasattr(dataset, "cumulative_sizes")


def _classes(dataset: Any) -> Callable[[int], list[str]]:
    """The names of classes by which the label of an item is meant, by the item's number; none if it has no names."""
    found = getattr(dataset, "classes", None)
    if found is not None:
        names = [str(name) for name in found]
        return lambda number: names
    if _joined(dataset):
        parts, ends = [_classes(part) for part in dataset.datasets], list(dataset.cumulative_sizes)

        def of_part(number: int) -> list[str]:
            part = bisect_right(ends, number)
            return parts[part](number - (ends[part - 1] if part else 0))

        return of_part
    if hasattr(dataset, "dataset"):
        whole, indices = _classes(dataset.dataset), getattr(dataset, "indices", None)
        return whole if indices is None else lambda number: whole(int(indices[number]))
    return lambda number: []


def _plain(label: Any) -> Any:
    """A tensor or array as Python's numbers and lists."""
    return label.tolist() if hasattr(label, "tolist") else label


def _is_vector(label: Any) -> bool:
    return isinstance(label, list | tuple) and len(label) > 1 and all(_is_flag(one) for one in label)


def _is_flag(one: Any) -> bool:
    value = _plain(one)
    return isinstance(value, int | float) and value in (0, 1)


def _labels_of(label: Any, vector: bool, classes: list[str], item: str, where: str) -> tuple[str, ...]:
    if not vector:
        several = label if isinstance(label, list | tuple | set | frozenset) else (label,)
        return tuple(_named(_plain(one), classes, item, where) for one in several)
    if len(label) != len(classes):
        raise DataError(
            f"the label of {item} is a vector of {len(label)} numbers 0 and 1, for {len(classes)} names of classes",
            where=where,
            hint="give the data set the attribute classes, one name for each column, or return lists of names",
        )
    return tuple(name for name, flag in zip(classes, label, strict=True) if flag)


def _named(value: Any, classes: list[str], item: str, where: str) -> str:
    if value is None or value != value:
        raise DataError(f"{item} has no label", where=where, hint="leave these items out, or label them")
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if not isinstance(number, int) or not classes:
        return str(number)
    if not 0 <= number < len(classes):
        raise DataError(
            f"the label of {item} is {number}, but there are {len(classes)} classes",
            where=where,
            hint=f"labels are numbers from 0 to {len(classes) - 1}, in the order of classes",
        )
    return classes[number]


def _pair(dataset: Any, number: int) -> tuple[Any, Any]:
    return _as_pair(dataset[number], dataset, number)


def _as_pair(item: Any, dataset: Any, number: int) -> tuple[Any, Any]:
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise DataError(
            f"item {number} is no pair of a picture and a label, but {one_line(type(item).__name__)}",
            where=type(dataset).__name__,
            hint="let __getitem__ return (picture, label)",
        )
    return item[0], item[1]


class _Pictures:
    """A data set's pictures without their labels, one at a time: few data sets expect several threads.

    alone: whether an item may be a picture without a label.
    """

    def __init__(self, dataset: Any, *, alone: bool = False) -> None:
        self._dataset, self._alone = dataset, alone
        self._lock = threading.Lock()

    def __getitem__(self, index: int, /) -> Picture:
        with self._lock:
            item = self._dataset[index]
            if self._alone and not isinstance(item, tuple | list):
                return picture_of(item)
            if self._alone and len(item) == 1:  # of a TensorDataset
                return picture_of(item[0])
            return picture_of(_as_pair(item, self._dataset, index)[0])

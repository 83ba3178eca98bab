"""Pictures and labels as arrays in one .npz, as MedMNIST and Keras keep them: train_images, train_labels, x_test."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.data.manifest import Found, Row
from frostline.data.missing import MISSING, are_signs, is_none
from frostline.data.pictures.to_picture import picture_of
from frostline.data.split_names import SPLIT_NAMES, split_of, words_of
from frostline.data.tables.columns import known
from frostline.data.understood import Understood
from frostline.errors import DataError, DecodeError, one_line

_PICTURES = frozenset(("images", "image", "imgs", "img", "pictures", "x", "data"))
_LABELS = frozenset(("labels", "label", "y", "target", "targets"))
_NAMES = frozenset(("classes", "class_names", "label_names", "classnames"))
_CHANNELS = (1, 3, 4)
_LARGEST = 16 << 30  # bytes of all arrays: they are held in memory
_EXPECTED = "images of (N, height, width) or (N, height, width, 3) and labels of N, also as train_images, y_test, ..."


def arrays(place: Path) -> Iterator[Found]:
    """Pictures of (N, H, W) or (N, H, W, C) and as many labels, for each split that the names of arrays say.

    Labels are numbers or words; (N, 1) is (N,); (N, K) of 0 and 1 are one or several of K each. An array `classes`
    gives the names of numbers.

    Raises: DataError: not such arrays; objects of Python, which are never opened; more than memory would hold.
    """
    try:
        with zipfile.ZipFile(place) as archive:
            _check(place, archive)
        with np.load(place, allow_pickle=False) as held:
            pairs, names, unused = _paired(place, held.files)
            called = [str(name) for name in held[names]] if names else []
            of = {name: _labels_of(place, held[name], name, called) for _, name in pairs.values()}
            signs = are_signs({label for every in of.values() for label in every if isinstance(label, str)})
            beside = _beside(place, held, unused, len(next(iter(of.values())))) if None in pairs else {}
            for split, (pictures, name) in pairs.items():
                rows = _rows(place, split, held[pictures], [_less_none(one, signs) for one in of[name]], name)
                yield from _with(rows, **{kind: values for kind, (_, values) in beside.items()})
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"the arrays cannot be read: {one_line(str(error))}", where=place, hint=_EXPECTED) from None
    yield Understood(
        place.name,
        ", ".join(f"`{pictures}`" for pictures, _ in pairs.values()),
        ", ".join(f"`{labels}`" for _, labels in pairs.values()) + (f" with the names in `{names}`" if names else ""),
        "the names of the arrays" if None not in pairs else f"`{beside['split'][0]}`" if "split" in beside else "",
        f"`{beside['group'][0]}`" if "group" in beside else "",
        unused=tuple(f"array `{name}`" for name in unused if name not in {called for called, _ in beside.values()}),
    )


def _check(place: Path, archive: zipfile.ZipFile) -> None:
    """Look at the headers alone, before anything is read."""
    total = 0
    for info in archive.infolist():
        with archive.open(info) as member:
            version = np.lib.format.read_magic(member)
            reads = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = reads(member)
        if dtype.hasobject:
            raise DataError(
                f"{one_line(info.filename)} holds objects of Python, which would run code: never opened",
                where=place,
                hint="save numbers and text: numpy.savez(file, images=np.stack(…), labels=np.array(…, str))",
            )
        total += int(np.prod(shape, dtype=object)) * dtype.itemsize
    if total > _LARGEST:
        raise DataError(
            f"its arrays take {total / 2**30:,.0f} GiB of memory",
            where=place,
            hint="write the pictures out, in a folder for each class or in WebDataset's .tar",
        )


def _paired(place: Path, files: list[str]) -> tuple[dict[str | None, tuple[str, str]], str | None, list[str]]:
    """The arrays of pictures and of labels of each split (or of none), that of names, and what is left."""
    found: dict[tuple[str | None, bool], list[str]] = {}
    left = []
    for name in files:
        words = words_of(name)
        splits = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES}
        rest = "".join(word for word in words if word not in SPLIT_NAMES)
        if len(splits) > 1 or rest not in _PICTURES | _LABELS:
            left.append(name)
        else:
            found.setdefault((next(iter(splits), None), rest in _PICTURES), []).append(name)
    splits_there = {split for split, _ in found}
    pairs = {
        split: (found[split, True][0], found[split, False][0])
        for split in splits_there
        if len(found.get((split, True), [])) == 1 == len(found.get((split, False), []))
    }
    if len(files) == 1 and files[0] == "arr_0":
        raise DataError(
            "its only array has no name: the pictures, or their labels",
            where=place,
            hint="put both into one file: numpy.savez(file, images=numpy.load(IMAGES)['arr_0'], "
            "labels=numpy.load(LABELS)['arr_0'])",
        )
    if not pairs or len(pairs) < len(splits_there) or (None in pairs and len(pairs) > 1):
        raise DataError(
            f"the arrays are called {one_line(', '.join(files[:8]))}: which are pictures, and which labels?",
            where=place,
            hint=f"expected: {_EXPECTED}",
        )
    names = next((name for name in left if name.lower() in _NAMES), None)
    return dict(sorted(pairs.items(), key=str)), names, [name for name in left if name != names]


def _beside(place: Path, held: Any, unused: Sequence[str], count: int) -> dict[str, tuple[str, list[str]]]:
    """The arrays that say the split and the group of each picture, by their names as columns of tables have them.

    Raises: DataError: one is called as a split is, and says something else.
    """
    found = dict[str, tuple[str, list[str]]]()
    for name in unused:
        kind = known(name) or known(name.removesuffix("s"))
        if kind not in ("split", "group") or held[name].shape != (count,) or held[name].dtype.kind not in "iuUS":
            continue
        values = held[name].astype(str).tolist()
        if strange := next((value for value in values if kind == "split" and split_of(value) is None), None):
            raise DataError(
                f"{one_line(repr(strange))} in `{name}` is no split",
                where=place,
                hint="write train, val or test; or leave the array out of the file",
            )
        found.setdefault(kind, (name, values))
    return found


def _with(rows: Iterator[Row], split: Sequence[str] = (), group: Sequence[str] = ()) -> Iterator[Row]:
    """Rows with what other arrays say of each."""
    for number, row in enumerate(rows):
        row = replace(row, split=split_of(split[number])) if split else row
        yield replace(row, group=group[number]) if group and group[number] not in MISSING else row


def _rows(
    place: Path, split: str | None, pictures: NDArray[Any], of: list[tuple[str, ...]], called: str
) -> Iterator[Row]:
    if pictures.ndim not in (3, 4) or (pictures.ndim == 4 and pictures.shape[3] not in _CHANNELS):
        raise DataError(
            f"an array of {pictures.shape} is no pictures of (N, height, width) or (N, height, width, 3)",
            where=place,
            hint="flat pixels: reshape(-1, height, width); channels first: np.moveaxis(images, 1, -1)",
        )
    if len(pictures) != len(of):
        raise DataError(f"{len(pictures)} pictures and {len(of)} labels in `{called}`", where=place, hint=_EXPECTED)
    for number, (pixels, label) in enumerate(zip(pictures, of, strict=True)):
        name = f"{split}/{number}" if split else f"{number}"
        try:
            yield Row(
                picture_of(pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels),
                label,
                split,
                None,
                name,
            )
        except DecodeError as error:
            raise DataError(f"picture {name}: {error.what}", where=place, hint=error.hint) from None


def _less_none(labels: str | tuple[str, ...], signs: bool) -> tuple[str, ...]:
    """Labels of a picture, or its one, which may say that there is none, as in tables."""
    if not isinstance(labels, str):
        return labels
    return () if is_none(labels.strip(), signs) else (labels,)


def _labels_of(place: Path, labels: NDArray[Any], called: str, names: list[str]) -> list[str] | list[tuple[str, ...]]:
    """The label of each picture, or its labels, by their names where there are some."""

    def name(value: Any) -> str:
        return (
            names[int(value)] if names and labels.dtype.kind in "iub" and 0 <= int(value) < len(names) else str(value)
        )

    column = labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels
    if names and column.ndim == 1 and column.dtype.kind in "iu":
        beyond = column[(column >= len(names)) | (column < -1)]
        if beyond.size:
            raise DataError(
                f"the label {beyond[0]} in `{called}` has no name: there are {len(names):,}, counted from 0",
                where=place,
                hint="count labels from 0, or give as many names as there are classes",
            )
    if column.ndim == 1 and column.dtype.kind in "iubUS":
        texts = column.astype(str) if column.dtype.kind == "S" else column
        return [name(value) for value in texts]
    if column.ndim == 2 and column.dtype.kind in "iubf" and set(np.unique(column)) <= {0, 1}:
        return [
            tuple(names[n] if len(names) == column.shape[1] else str(n) for n in np.flatnonzero(row)) for row in column
        ]
    raise DataError(
        f"`{called}` of {labels.dtype} and {labels.shape} is no label of each picture",
        where=place,
        hint="whole numbers or words (N,), or 0 and 1 for each class (N, K)",
    )

"""Data sets of Hugging Face: a folder made by ``save_to_disk``, ``hf:NAME[:config]``, or one that a program holds.

Pictures stay in their memory-mapped Arrow files until they are needed. Code of a data set is never run: the versions of
``datasets`` that are asked for cannot.
"""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from frostline.data.folders.class_folders import in_split
from frostline.data.manifest import Found, Row, Skipped
from frostline.data.pictures.picture import Item
from frostline.data.places.place_options import PlaceOptions
from frostline.data.places.tree import walk
from frostline.data.split_names import SPLIT_NAMES
from frostline.data.tables.columns import known
from frostline.data.tables.table import rows_of
from frostline.data.understood import Understood
from frostline.errors import DataError, DecodeError, FrostlineError, MissingExtra, first_line, one_line
from frostline.ordinary_file import ordinary

_PREFIX = "hf:"
_PATIENCE = 8.0  # seconds for the hub's first answer
_NAME = re.compile(r"(?P<name>[\w.-]+(/[\w.-]+)?)(:(?P<config>[\w.+-]+))?")


def claims(place: Path) -> bool:
    """Whether it is a folder that ``save_to_disk`` made, or ``hf:NAME[:config]``."""
    if str(place).startswith(_PREFIX):
        return True
    return (place / "dataset_dict.json").is_file() or (
        (place / "dataset_info.json").is_file() and (place / "state.json").is_file()
    )


def is_dataset(thing: object) -> bool:
    """Whether it is a Dataset or DatasetDict of ``datasets``."""
    return any(base.__module__.startswith("datasets.") for base in type(thing).__mro__)


def by_place(place: Path, *, group: str | None = None) -> Iterator[Found]:
    """As ``in_memory``. What a name stands for is taken from the cache on this machine if it is there, else fetched.

    Raises: DataError: as ``in_memory``; no such data set, or no network to fetch it by. MissingExtra: ``datasets`` is
        not installed.
    """
    try:
        import datasets
    except ImportError:
        raise MissingExtra(
            "reading data sets of Hugging Face needs its package datasets",
            where=place,
            hint="pip install 'frostline[datasets]'",
        ) from None
    text = str(place)
    if text.startswith(_PREFIX):
        yield from in_memory(_by_name(text.removeprefix(_PREFIX), place), group=group, place=text)
        return
    try:
        for file in walk(place):
            ordinary(file)
        found = datasets.load_from_disk(str(place))
        for part in found.values() if isinstance(found, Mapping) else [found]:
            part.data.validate(full=True)  # else Arrow believes offsets into memory that a damaged file names
        yield from in_memory(found, group=group, place=text)
    except FrostlineError:
        raise
    except Exception as error:  # damaged JSON or Arrow: pyarrow, json and datasets each raise their own
        raise DataError(
            f"the data set cannot be read: {first_line(error)}", where=place, hint="save it again with save_to_disk"
        ) from None


def in_memory(found: Any, *, group: str | None = None, place: str = "data set") -> Iterator[Found]:
    """One row a record: the column of images, the labels by their names, and the splits of a DatasetDict.

    group: the column to group by. place: what to call it in messages.

    Raises: DataError: a streamed data set; there is no column of images, or none or several that may be the label.
    """
    if not isinstance(found, Mapping):
        yield from _records(found, group, place)
        return
    for name, part in found.items():
        if (split := SPLIT_NAMES.get(str(name).lower())) is None:
            yield Skipped(f"{name}/", "a split that is neither train, val nor test")
        else:
            yield from in_split(split, _records(part, group, place))


def unlabelled(found: Any) -> Iterator[Row]:
    """One row a record, whatever its label is; of a DatasetDict those of all its parts, one after the other.

    Raises: DataError: a streamed data set; there is no column of images, or there are several.
    """
    for part in found.values() if isinstance(found, Mapping) else [found]:
        _refuse_streamed(part, "data set")
        pictures = _pictures_of(part, _image_column(dict(part.features), "data set"))
        yield from (Row(Item(pictures, number)) for number in range(part.num_rows))


def _refuse_streamed(found: Any, place: str) -> None:
    """Raises: DataError: its records have no numbers."""
    if not hasattr(found, "cast_column") or not hasattr(found, "__getitem__") or not hasattr(found, "num_rows"):
        raise DataError(
            "a streamed data set has no records by number",
            where=place,
            hint="load it without streaming=True, or save_to_disk a part of it",
        )


def _records(found: Any, group: str | None, place: str) -> Iterator[Found]:
    _refuse_streamed(found, place)
    features = dict(found.features)
    image = _image_column(features, place)
    label = _label_column(features, place)
    pictures = _pictures_of(found, image)
    others = [name for name in features if name not in (image, label)]
    others = [
        name for name in others if name == group or (known(name) not in ("path", "label") and _is_said(features[name]))
    ]
    if group == label != "label":
        others.append(label)
    named = _names(features[label], place)
    rest = found.select_columns(list(dict.fromkeys([label, *others]))).with_format(None)

    def records() -> Iterator[tuple[int, Sequence[Any]]]:
        line = 0
        for batch in rest.iter(4096):
            for cell, *more in zip(*(batch[name] for name in (label, *others)), strict=True):
                yield line + 1, [Item(pictures, line), named(cell), *more]
                line += 1

    # The columns that were chosen here come first, under the names by which a table's are known.
    yield from rows_of(["image", "label", *others], records(), place, how=PlaceOptions(group=group))
    idle = tuple(f"column `{name}`" for name in features if name not in (image, label, *others))
    yield Understood(unused=idle)


def _pictures_of(found: Any, image: str) -> "_Pictures":
    import datasets

    return _Pictures(found.select_columns([image]).cast_column(image, datasets.Image(decode=False)), image)


def _is_said(feature: Any) -> bool:
    """Whether a cell is text, a truth or a number: what a split or a group may be."""
    return getattr(feature, "dtype", "") in ("string", "large_string", "bool") or "int" in str(
        getattr(feature, "dtype", "")
    )


def _image_column(features: Mapping[str, Any], place: str) -> str:
    import datasets

    found = [name for name, feature in features.items() if isinstance(feature, datasets.Image)]
    if not found:
        raise DataError(
            "there is no column of images",
            where=place,
            hint=f"cast one to datasets.Image(); there are: {one_line(', '.join(features))}",
        )
    called = [name for name in found if known(name) == "path"]
    if len(found) > 1 and len(called) != 1:
        raise DataError(
            f"several columns hold images: {one_line(', '.join(found))}",
            where=place,
            hint="rename the right one to image, or remove the others",
        )
    return called[0] if called else found[0]


def _label_column(features: Mapping[str, Any], place: str) -> str:
    import datasets

    by_name = [name for name in features if known(name) == "label"]
    by_kind = [name for name, feature in features.items() if isinstance(_inner(feature), datasets.ClassLabel)]
    found = by_name or by_kind
    if len(found) != 1 and "label" not in found:
        what = (
            f"several columns may be the label: {one_line(', '.join(found))}" if found else "there is no label column"
        )
        raise DataError(
            what, where=place, hint=f"rename the right one to label; there are: {one_line(', '.join(features))}"
        )
    return "label" if "label" in found else found[0]


def _inner(feature: Any) -> Any:
    feature = feature[0] if isinstance(feature, list) and len(feature) == 1 else feature
    return getattr(feature, "feature", feature)  # of a list


def _names(feature: Any, place: str) -> Any:
    """What turns a cell into labels: numbers of a ClassLabel into their names, -1 (not known) into none."""
    import datasets

    inner = _inner(feature)
    if not isinstance(inner, datasets.ClassLabel):
        return lambda cell: cell

    def named(cell: Any) -> list[str]:
        numbers = cell if isinstance(cell, list) else [cell]
        return [_name_of(inner, number, place) for number in numbers if number is not None and number >= 0]

    return named


def _name_of(feature: Any, number: int, place: str) -> str:
    if number >= feature.num_classes:
        raise DataError(
            f"there is a label {number} among {feature.num_classes} classes",
            where=place,
            hint="write the data set again",
        )
    return str(feature.int2str(number))


class _Pictures:
    def __init__(self, dataset: Any, column: str) -> None:
        self._dataset = dataset
        self._column = column

    def __getitem__(self, index: int, /) -> bytes | Path:
        cell = self._dataset[index][self._column] or {}
        if cell.get("bytes"):
            content: bytes = cell["bytes"]
            return content
        if cell.get("path"):
            return Path(cell["path"])
        raise DecodeError("there is neither a picture nor a path in the record")


def _by_name(text: str, place: Path) -> Any:
    import datasets
    import huggingface_hub
    from huggingface_hub.utils import logging as hub

    asked = _NAME.fullmatch(text)
    if asked is None:
        raise DataError(
            f"{one_line(text)!r} names no data set", where=place, hint="write hf:owner/name or hf:name:config"
        )
    name, config = asked["name"], asked["config"]
    if Path(name).exists():  # the library would read that instead, whatever it is
        raise DataError(
            f"{name!r} may be the folder here or the data set of that name",
            where=place,
            hint="name the folder without hf:, or start from another folder",
        )
    with _offline():
        try:
            return datasets.load_dataset(name, config)
        except Exception:  # not in the cache, whatever the library says of it: now the hub is asked
            pass
    loud = hub.get_verbosity()
    hub.set_verbosity(logging.ERROR)  # else each of its attempts is a line
    try:
        # Its own requests are tried again and again for some 20 s without a network; this one comes first, and once.
        huggingface_hub.dataset_info(name, timeout=_PATIENCE)
        return datasets.load_dataset(name, config)
    except Exception as error:  # of httpx, huggingface_hub or datasets
        raise DataError(
            f"the data set is not in this machine's cache, and cannot be fetched: {first_line(error)}",
            where=place,
            hint="check the name and the network; or save_to_disk it where there is one, and name that folder",
        ) from None
    finally:
        hub.set_verbosity(loud)


@contextmanager
def _offline() -> Iterator[None]:
    import datasets

    before, loud = datasets.config.HF_HUB_OFFLINE, datasets.logging.get_verbosity()
    datasets.config.HF_HUB_OFFLINE = True
    datasets.logging.set_verbosity_error()
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before
        datasets.logging.set_verbosity(loud)

"""WebDataset: tar shards of samples, ``key.jpg`` beside ``key.cls`` or ``key.json``; nothing is unpacked.

Only headers and labels are read here; a picture is a slice of its shard, and read when it is needed. Written down at
https://github.com/webdataset/webdataset. A shard that is compressed cannot be read at a place, and is refused.
"""

import glob
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from frostline.data.manifest import Found, Row, Skipped, natural
from frostline.data.missing import all_signs, are_signs, is_none
from frostline.data.pictures.picture import Slice
from frostline.data.places.archives import tar_index
from frostline.data.places.tree import SUFFIXES, is_junk, readable
from frostline.data.split_names import SPLIT_NAMES, split_of
from frostline.data.tables.columns import COLUMNS
from frostline.data.tables.lists import names_of_classes
from frostline.data.tables.table_rows import labels_of
from frostline.data.understood import Understood
from frostline.errors import DataError, one_line

_LABELS = ("cls", "json")
_CLASS_NAMES = "classnames.txt"
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST_SHARDS = 100_000
_MOST_TEXT = 1 << 20  # bytes of a label or of a JSON
_LOOKED_AT = 20  # members by which a shard is known


def claims(place: Path) -> bool:
    """Whether it is a shard, a pattern of shards (``x-{000..099}.tar``, ``x-*.tar``), or a folder with shards in it, or
    in its folders of splits.

    A tar is one if a picture and a label of one key are among its first members; any other is an archive of a folder.
    """
    if place.is_dir():
        first = next(_within(place), None)
        return first is not None and _is_shard(first)
    if not place.name.lower().endswith(".tar"):
        return False
    return _is_pattern(place) or _is_shard(place)


def shards(place: Path, *, group: str | None = None) -> Iterator[Found]:
    """One row a sample. The label is its ``.cls``, or in its ``.json`` under "label", "class" or "labels". A
    ``classnames.txt`` beside the shards, or beside the folder of their split, has the names of numbers in ``.cls``.

    The split is the JSON's "split", or what the shard's name begins with or contains as a word (``train-0003.tar``).
    group: the key of the JSON to group by, by default "group".

    Raises: DataError: no shard matches; a shard is damaged or refused; a JSON that is none.
    """
    said: dict[str, None] = {}
    yield from _less_none(sample for shard in _shards(place) for sample in _samples(shard, group, said))
    yield Understood(pictures="shards", labels=" and ".join(said), split="the shards' names or JSON")


def _less_none(items: Iterator[Row | Skipped]) -> Iterator[Row | Skipped]:
    """The same, where a label -1 is none, as in tables: from the first on rows wait while all labels are 1 and -1."""
    seen, waiting = set[str](), list[Row | Skipped]()
    for item in items:
        seen |= set(item.labels) if isinstance(item, Row) else set()
        waiting.append(item)
        if seen <= {"1", "1.0"} or not all_signs(seen):
            yield from (_without_none(one, signs=False) for one in waiting)
            waiting.clear()
    yield from (_without_none(one, signs=are_signs(seen)) for one in waiting)


def _without_none(item: Row | Skipped, signs: bool) -> Row | Skipped:
    if isinstance(item, Row) and len(item.labels) == 1 and is_none(item.labels[0], signs):
        return replace(item, labels=())
    return item


@dataclass
class _Sample:
    """Members of one key, which lie side by side in a shard. names: of the numbers in ``.cls``."""

    shard: Path
    key: str
    names: Sequence[str] = ()
    picture: tuple[str, Slice] | None = None
    others: list[str] = field(default_factory=list)
    texts: dict[str, Slice] = field(default_factory=dict)


def _samples(shard: Path, group: str | None, said: dict[str, None]) -> Iterator[Row | Skipped]:
    split, names = _split_of(shard), _names_beside(shard)
    sample = _Sample(shard, "", names)
    for name, offset, length in tar_index(shard):
        if any(is_junk(part) for part in name.split("/")):
            continue
        key, suffix = _parted(name)
        if key != sample.key:
            yield from _rows(sample, split, group, said)
            sample = _Sample(shard, key, names)
        if suffix in _LABELS:
            sample.texts[suffix] = Slice(shard, offset, length)
        elif _pictured(suffix) and sample.picture is None:
            sample.picture = name, Slice(shard, offset, length)
        elif _pictured(suffix) or suffix.rpartition(".")[2] in _LABELS:
            sample.others.append(name)
    yield from _rows(sample, split, group, said)


def _names_beside(shard: Path) -> Sequence[str]:
    """What classnames.txt beside a shard, or beside the folder of its split, calls the numbers; () without one."""
    folder = shard.parent.parent if split_of(shard.parent.name) else shard.parent
    found = names_of_classes(folder, {"0"}, (_CLASS_NAMES,))
    return found[0] if found is not None else ()


def _rows(sample: _Sample, split: str | None, group: str | None, told: dict[str, None]) -> Iterator[Row | Skipped]:
    if sample.picture is None:
        if sample.texts:
            yield Skipped(_called(sample, sample.key), "a label without a picture")
        return
    name, picture = sample.picture
    for other in sample.others:
        if _pictured(_parted(other)[1]):
            yield Skipped(_called(sample, other), "a second picture of one sample")
        elif not sample.texts:
            raise DataError(
                f"{one_line(other)!r} is no label of its picture: a key ends at the first dot",
                where=sample.shard,
                hint="write the shard again with keys without dots",
            )
    facts = _facts(sample)
    split = _said(facts, "split") or split
    if split is not None and split_of(split) is None:
        raise DataError(f"{one_line(split)!r} is no split", where=_called(sample, name), hint="train, val or test")
    grouped = _said(facts, group or "group")
    if group is not None and grouped is None:
        raise DataError(
            f"the sample says nothing of {one_line(group)!r} to group by",
            where=_called(sample, name),
            hint="its JSON says it",
        )
    yield Row(
        picture,
        _labelled(sample, facts, told),
        None if split is None else split_of(split),
        grouped,
        _called(sample, name),
    )


def _labelled(sample: _Sample, facts: Mapping[str, Any], told: dict[str, None]) -> tuple[str, ...]:
    """told: gathers where labels were found."""
    key = next((name for name in COLUMNS["label"] if facts.get(name) is not None), None)
    if key is not None:
        told[f"`{key}` in their JSON"] = None
        return labels_of(facts[key])
    if "cls" in sample.texts:
        labels, names = labels_of(_text(sample.texts["cls"])), sample.names
        if not names or not all(map(str.isdecimal, labels)):
            told["`.cls`"] = None
            return labels
        told[f"`.cls` with the names in {_CLASS_NAMES}"] = None
        if beyond := [label for label in labels if int(label) >= len(names)]:
            raise DataError(
                f"the label {beyond[0]} has no name: {_CLASS_NAMES} has {len(names):,}",
                where=_called(sample, sample.key),
                hint=f"correct {_CLASS_NAMES}, or rename it: without it classes are called by their numbers",
            )
        return tuple(names[int(label)] for label in labels)
    return ()


def _facts(sample: _Sample) -> Mapping[str, Any]:
    if "json" not in sample.texts:
        return {}
    place = sample.texts["json"]
    try:
        found = json.loads(_text(place))
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"the JSON of {one_line(sample.key)!r} is damaged: {one_line(str(error))}",
            where=place.path,
            hint="write the shard again",
        ) from None
    return found if isinstance(found, dict) else {}


def _said(facts: Mapping[str, Any], name: str) -> str | None:
    value = facts.get(name)
    return None if value is None or value == "" else str(value)


def _text(place: Slice) -> str:
    if place.length > _MOST_TEXT:
        raise DataError(f"a label of {place.length:,} bytes", where=place.path, hint="write the shard again")
    try:
        with place.path.open("rb") as file:
            file.seek(place.offset)
            return file.read(place.length).decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise DataError("a label is no UTF-8", where=place.path, hint="write the shard again") from None
    except OSError as error:
        raise DataError(f"the shard cannot be read: {error.strerror}", where=place.path, hint="is it there?") from None


def _parted(name: str) -> tuple[str, str]:
    """Key and suffix, as WebDataset parts them: at the first dot of the last part of the name."""
    folder, slash, base = name.rpartition("/")
    stem, _, suffix = base.partition(".")
    return folder + slash + stem, suffix.lower()


def _pictured(suffix: str) -> bool:
    return f".{suffix.rpartition('.')[2]}" in SUFFIXES


def _called(sample: _Sample, name: str) -> str:
    return readable(f"{sample.shard}/{name}")


def _split_of(shard: Path) -> str | None:
    for text in (shard.stem, shard.parent.name):
        words = re.split(r"[^a-z]+", text.lower())
        if found := next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None):
            return found
    return None


def _is_shard(place: Path) -> bool:
    try:
        members = [_parted(name) for name, _, _ in islice(tar_index(place), _LOOKED_AT)]
    except DataError:
        return False
    pictures = {key for key, suffix in members if _pictured(suffix)}
    return any(key in pictures for key, suffix in members if suffix in _LABELS)


def _is_pattern(place: Path) -> bool:
    return not place.exists() and any(sign in str(place) for sign in "{*?[")


def _within(place: Path) -> Iterator[Path]:
    """The shards of a folder, or else of those in it that are called as splits are."""
    own = sorted(place.glob("*.tar"), key=lambda path: natural(path.name))
    if own or split_of(place.name):
        yield from own
        return
    for folder in sorted(place.iterdir()):
        if split_of(folder.name) and folder.is_dir():
            yield from _within(folder)


def _shards(place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from _within(place)
        return
    if not _is_pattern(place):
        yield place
        return
    count = 0
    for pattern in _expanded(str(place)):
        found = sorted(glob.iglob(pattern), key=natural)  # noqa: PTH207 (pathlib refuses absolute patterns)
        if not found:
            raise DataError("no shard matches the pattern", where=pattern, hint="quote it, and try it with ls")
        yield from map(Path, found)
        count += len(found)
        if count > _MOST_SHARDS:
            raise DataError(f"more than {_MOST_SHARDS:,} shards", where=place, hint="name fewer at a time")


def _expanded(text: str) -> Iterator[str]:
    """``{000..012}`` and ``{a,b}`` as a shell expands them, one after another."""
    braces = _BRACES.search(text)
    if braces is None:
        yield text
        return
    if numbers := _RANGE.fullmatch(braces[1]):
        first, last = int(numbers[1]), int(numbers[2])
        width = len(numbers[1]) if numbers[1].startswith("0") else 0
        choices: Iterator[str] = (f"{number:0{width}d}" for number in range(first, last + 1))
    else:
        choices = iter(braces[1].split(","))
    for choice in choices:
        yield from _expanded(text[: braces.start()] + choice + text[braces.end() :])

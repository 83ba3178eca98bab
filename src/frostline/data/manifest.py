"""Row and Manifest: the only form in which data travels. Sources give rows; from here on every picture has a digest."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from frostline.data.class_names import doubtful, doubtful_groups
from frostline.data.pictures.formats import kinds
from frostline.data.pictures.picture import Picture, content_digest, described, whole_of
from frostline.data.understood import NOTHING, Understood, said
from frostline.errors import DataError, DecodeError, first_few, one_line

SPLITS = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Row:
    """One picture and what is known of it.

    labels: none, one, or several (multi-label): those as a set, each once and numbers in them by value.
    split: "train", "val", "test", or None where the source does not say.
    group: pictures of one group (patient, device, day) never stand on both sides of a split.
    name: what to call it in messages and tables, usually its path within the source.
    digest: of its content; ``Manifest.of`` fills it in.
    """

    picture: Picture
    labels: tuple[str, ...] = ()
    split: str | None = None
    group: str | None = None
    name: str = ""
    digest: str = ""

    def __post_init__(self) -> None:
        if len(self.labels) > 1:
            object.__setattr__(self, "labels", tuple(sorted(set(self.labels), key=natural)))

    @property
    def file(self) -> Path | None:
        """The file that the picture is, or was cut from; None if it is none."""
        whole = whole_of(self.picture)
        return whole if isinstance(whole, Path) else None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was there and is left out, and why; or a folder, whose name ends in "/", with all its pictures."""

    name: str
    reason: str
    pictures: int = 1


Found: TypeAlias = Row | Skipped | Understood
"""What a source yields: rows, what it leaves out, and once how it read the place."""


def left_out(skipped: Iterable[Skipped]) -> tuple[str, ...]:
    """Folders as a person reads of them, and how many single files there are for each reason."""
    folders, files = list[str](), Counter[str]()
    for item in skipped:
        if item.name.endswith("/"):
            folders.append(f"{item.name} ({f'{counted(item.pictures)}: ' if item.pictures else ''}{item.reason})")
        else:
            files[item.reason] += 1
    return (*folders, *(f"{count:,} {'file' if count == 1 else 'files'} ({why})" for why, count in files.items()))


def counted(pictures: int) -> str:
    """1 -> "1 picture", 1928 -> "1,928 pictures"."""
    return f"{pictures:,} {'picture' if pictures == 1 else 'pictures'}"


@dataclass(frozen=True, repr=False)
class Manifest:
    """Pictures with digests, in the order of their source.

    classes: all labels, numbers in them by value ("2" before "10"), also those whose pictures all had to be left out.
    source: where the rows came from.
    multilabel: whether a picture may have several labels, or none; of a part it is what it is of the whole.
    label_type: what the labels were in Python, as NumPy calls it ("int64", "bool"), before they became text.
    understood: how the source read the place.
    """

    rows: tuple[Row, ...]
    classes: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    source: str = ""
    multilabel: bool = False
    label_type: str = "str"
    understood: Understood = NOTHING

    @classmethod
    def of(
        cls,
        rows: Iterable[Found],
        *,
        source: str = "",
        classes: Sequence[str] | None = None,
        keep_splits: bool = True,
        several: bool = False,
        digest: Callable[[Picture], str] = content_digest,
        progress: Callable[[int], None] = lambda done: None,
    ) -> Self:
        """Give every picture its digest, leave out what cannot be read, and check that labels and splits make sense.

        classes: the classes there may be (a model's); by default those that occur, of which there must be two, and the
            train split, if there is one, must have them all.
        keep_splits: False drops what the source says of splits, before anything is checked of them.
        several: whether a picture may have several labels, or none, even if here each has one.
        progress: called with the number of files seen so far.

        Raises: DataError: no usable picture; fewer than two classes; classes that train lacks, or that are not among
            ``classes``; some rows with a label or split and some without.
        """
        usable: list[Row] = []
        listed: list[Row] = []
        skipped: list[Skipped] = []
        understood, dropped = Understood(), set[str]()
        for seen, item in enumerate(digested(rows, digest), start=1):
            if isinstance(item, Skipped):
                skipped.append(item)
            elif isinstance(item, Understood):
                understood += item
            else:
                row, reason = item
                if not keep_splits and row.split is not None:
                    dropped.add(row.split)
                    row = replace(row, split=None)
                listed.append(row)
                if reason:
                    skipped.append(Skipped(row.name, reason))
                else:
                    usable.append(row)
            progress(seen)
        if not usable:
            raise DataError("there is no usable picture", where=source or None, hint=_why_none(skipped))
        several |= any(len(row.labels) > 1 for row in listed)
        _check_complete(listed, source, several)
        if dropped:
            given = ", ".join(split for split in SPLITS if split in dropped)
            understood = replace(understood, split="", unused=(*understood.unused, f"the given splits ({given})"))
        named = _classes(listed, classes, source)
        if classes is None:
            understood = understood.warned(
                *_lacking(listed, named),
                *doubtful(_counts(listed, named)),
                *_parted_groups(listed),
                *doubtful_groups(_groups_by_name(listed)),
            )
        return cls(tuple(usable), named, tuple(skipped), source, several, understood=understood)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def digests(self) -> tuple[str, ...]:
        """The digest of each row."""
        return tuple(row.digest for row in self.rows)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have rows, in the order train, val, test; empty where the source names none."""
        there = {row.split for row in self.rows}
        return tuple(split for split in SPLITS if split in there)

    def part(self, split: str) -> Self:
        """The rows of one split, with the classes of all.

        Raises: DataError: there is no such split.
        """
        rows = tuple(row for row in self.rows if row.split == split)
        if not rows:
            there = ", ".join(self.splits) or "none"
            raise DataError(f"there is no split {split!r}", where=self.source or None, hint=f"there are: {there}")
        return replace(self, rows=rows)

    def __repr__(self) -> str:
        return f"<Manifest: {self.summary()}>"

    def summary(self) -> str:
        """What was understood of the source, on one line: where pictures, labels and splits come from, and how many."""
        splits = Counter(row.split for row in self.rows)
        return said(
            self.understood,
            classes=self.classes,
            splits={split: splits[split] for split in self.splits},
            pictures=len(self.rows),
            several=sum(len(row.labels) > 1 for row in self.rows),
            left_out=left_out(self.skipped),
        )

    def targets(self) -> NDArray[np.int64] | NDArray[np.float32]:
        """(N,) int64 indices into ``classes``; (N, K) float32 of 0 and 1 where the data is multi-label.

        Raises: DataError: the rows have no labels.
        """
        index = {name: number for number, name in enumerate(self.classes)}
        if self.multilabel:
            many = np.zeros((len(self.rows), len(self.classes)), np.float32)
            for number, row in enumerate(self.rows):
                many[number, [index[label] for label in row.labels]] = 1
            return many
        if not all(row.labels for row in self.rows):
            raise DataError("the pictures have no labels", where=self.source or None, hint=_LAYOUT)
        return np.array([index[row.labels[0]] for row in self.rows], np.int64)

    def counts(self) -> dict[str, int]:
        """How many pictures each class has, in the order of ``classes``."""
        return _counts(self.rows, self.classes)

    def without(self, skipped: Sequence[Skipped]) -> Self:
        """Leave out the rows of these names, and remember why."""
        names = {item.name for item in skipped}
        rows = tuple(row for row in self.rows if row.name not in names)
        return replace(self, rows=rows, skipped=(*self.skipped, *skipped))

    def require_usable(self, per_class: int = 1) -> None:
        """Check that every class has this many pictures to learn from: in train, or at all where there are no splits.

        Raises: DataError: a class has fewer; it is named with its count.
        """
        learnt = self.part("train") if "train" in self.splits else self
        few = [f"{name!r} has {count}" for name, count in learnt.counts().items() if count < per_class]
        if few:
            left_out = ""
            if self.skipped:
                why, _ = Counter(item.reason for item in self.skipped).most_common(1)[0]
                left_out = f"{len(self.skipped)} files were left out, most of them because: {one_line(why)}; "
            left_out += "".join(f"{line}; " for line in kinds.left_out(item.reason for item in self.skipped))
            raise DataError(
                f"every class needs {per_class} usable picture{'s' if per_class > 1 else ''}: {first_few(few)}",
                where=self.source or None,
                hint=f"{left_out}add pictures, or remove the class",
            )


_LAYOUT = "put each class into a folder of its own, DIR/<class>/…, or list them in a CSV with columns path,label"
_ONE = f"{_LAYOUT}; labels in file names: --label-pattern"


def natural(text: str) -> tuple[object, ...]:
    """A sorting key by which "class2" stands before "class10"."""
    parts = re.split(r"([0-9]+)", text)
    digits = [(len(part.lstrip("0")), part.lstrip("0")) for part in parts[1::2]]
    return (*(piece for pair in zip(parts[::2], [*digits, (0, "")], strict=True) for piece in pair), text)


def digested(
    rows: Iterable[Found], digest: Callable[[Picture], str]
) -> Iterable[Skipped | Understood | tuple[Row, str | None]]:
    """Rows with names and digests, or a reason why there is none, in their order, without listing the source first."""

    def one(item: Found) -> Skipped | Understood | tuple[Row, str | None]:
        if not isinstance(item, Row):
            return item
        row = item if item.name else replace(item, name=described(item.picture))
        if row.digest:
            return row, None
        try:
            return replace(row, digest=digest(row.picture)), None
        except DecodeError as error:
            return row, error.what

    def some(items: Sequence[Found]) -> list[Skipped | Understood | tuple[Row, str | None]]:
        return [one(item) for item in items]  # one at a time costs more than looking a digest up

    threads = min(8, (os.cpu_count() or 1) + 2)  # hashing lets go of the interpreter, and disks like a queue
    waiting = iter(rows)
    with ThreadPoolExecutor(threads, thread_name_prefix="digest") as pool:
        while block := list(islice(waiting, 256)):
            for found in pool.map(some, (block[start : start + 16] for start in range(0, len(block), 16))):
                yield from found


def _counts(rows: Sequence[Row], classes: Sequence[str]) -> dict[str, int]:
    found = Counter(label for row in rows for label in row.labels)
    return {name: found[name] for name in classes}


def _check_complete(rows: Sequence[Row], source: str, several: bool) -> None:
    strange = sorted({row.split for row in rows if row.split is not None} - set(SPLITS))
    if strange:
        raise DataError(
            f"unknown split {first_few([repr(name) for name in strange])}",
            where=source or None,
            hint=f"splits are called {', '.join(SPLITS)}",
        )
    without_split = [row.name for row in rows if row.split is None]
    if 0 < len(without_split) < len(rows):
        raise DataError(
            f"{len(without_split)} of {len(rows)} pictures are in no split, first: {one_line(without_split[0])}",
            where=source or None,
            hint="name a split for all of them or for none",
        )
    without_label = [row.name for row in rows if not row.labels]
    if not several and 0 < len(without_label) < len(rows):
        raise DataError(
            f"{len(without_label)} of {len(rows)} pictures have no label, first: {one_line(without_label[0])}",
            where=source or None,
            hint="label all of them or none",
        )


def _classes(rows: Sequence[Row], given: Sequence[str] | None, source: str) -> tuple[str, ...]:
    there = {label for row in rows for label in row.labels}
    if given is not None:
        if strange := sorted(there - set(given), key=natural):
            raise DataError(
                f"the data has classes that are not known here: {first_few([repr(name) for name in strange])}",
                where=source or None,
                hint=f"known are: {first_few([repr(name) for name in given])}",
            )
        return tuple(given)
    if len(there) == 1:
        raise DataError(f"there is only one class, {next(iter(there))!r}", where=source or None, hint=_ONE)
    _check_train_has(rows, there, source)
    return tuple(sorted(there, key=natural))


def _check_train_has(rows: Sequence[Row], there: set[str], source: str) -> None:
    """What is judged must have been learnt; that a class is not judged is only worth a warning."""
    learnt = {label for row in rows if row.split == "train" for label in row.labels}
    missing = sorted(there - learnt, key=natural) if any(row.split == "train" for row in rows) else []
    if missing:
        splits = sorted({row.split or "" for row in rows if not learnt.issuperset(row.labels)})
        raise DataError(
            f"train lacks {first_few([repr(name) for name in missing])}, which {', '.join(splits)} has",
            where=source or None,
            hint="rename or complete the folders, leave it out with --ignore, or re-split with --split 80/20",
        )


def _lacking(rows: Sequence[Row], classes: Sequence[str]) -> list[str]:
    """A warning for each split that lacks a class."""
    found = []
    for split in SPLITS:
        own = {label for row in rows if row.split == split for label in row.labels}
        if own and (missing := [name for name in classes if name not in own]):
            named = first_few([repr(name) for name in missing])
            found.append(f"{split} has no picture of {named}: its figures say nothing of that")
    return found


def _parted_groups(rows: Sequence[Row]) -> list[str]:
    """A warning where groups have pictures in train and in another split, as the data itself says."""
    splits: dict[str, set[str]] = {}
    for row in rows:
        if row.group is not None and row.split is not None:
            splits.setdefault(row.group, set()).add(row.split)
    parted = [group for group, own in splits.items() if "train" in own and len(own) > 1]
    return [
        f"{len(parted):,} of {len(splits):,} groups, such as {one_line(repr(group))}, have pictures in train and in "
        "another split, whose figures are too good: --split 70/15/15 parts none; --group none if they are no groups"
        for group in parted[:1]
    ]


def _groups_by_name(rows: Sequence[Row]) -> Counter[str]:
    """How many pictures each group has; without those called as pictures are, of boxes and copies."""
    found = ((row, row.group) for row in rows if row.group is not None and "/" not in row.group)
    return Counter(group for row, group in found if not row.name.startswith(f"{group} box "))


def _why_none(skipped: Sequence[Skipped]) -> str:
    if not skipped:
        return "the place is empty: is it the right one?"
    reason, count = Counter(item.reason for item in skipped).most_common(1)[0]
    return f"{len(skipped)} files or folders were left out, {count} of them because: {reason}"

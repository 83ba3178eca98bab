"""Whether something trivial already predicts the class: then a network may learn that, and nothing else.

A small decision tree is cross-validated on each of: size, mean colour, compression, file format, the name. It should do
no better than guessing the commonest class.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from frostline.data.manifest import Row
from frostline.judge.audit.findings import AuditItem, Finding, Level, Subject, checks, whole
from frostline.judge.audit.image_stats import ImageStats
from frostline.judge.intervals import share

Floats = NDArray[np.float64]

_FOLDS = 5
_NAMES = 40  # name prefixes or folders that are told apart; the rest is one
_MOST = 20_000  # pictures that are asked
_CLEAR = 0.5  # of the way from the commonest class to all right: a warning, else a note
_ALONE = 0.9  # F1 with which one class is told from all others
_NEARLY_ALL = 0.95  # of labels that a cue names at least, if those that it contradicts are to be doubted


@dataclass(frozen=True, eq=False)
class Cue:
    """What something trivial says of the class.

    what: "size", "colour", ... rows: (n,) of the listing, those that were asked. y: (n,) their classes.
    probabilities: (n, K) by a small tree that saw neither the picture nor a copy of it, nor any other of its group.
    low, high: 95 % interval of the share that it names rightly.
    """

    what: str
    rows: NDArray[np.int64]
    y: NDArray[np.int64]
    probabilities: Floats
    low: float
    high: float

    @property
    def said(self) -> NDArray[np.int64]:
        """(n,): the likeliest class."""
        return np.asarray(self.probabilities.argmax(1), np.int64)

    @property
    def right(self) -> int:
        """How often that is the label."""
        return int((self.said == self.y).sum())

    @property
    def majority(self) -> float:
        """The share of the commonest class."""
        return float(np.bincount(self.y).max() / len(self.y))


@checks.decorator("shortcuts")
def shortcuts(subject: Subject) -> Finding | None:
    """What predicts the class without looking at the picture, with its cross-validated accuracy and 95 % interval."""
    items: list[tuple[float, AuditItem]] = []
    figures: dict[str, object] = {}
    level: Level = "note"
    for cue in _cues(subject):
        majority, right, n = cue.majority, cue.right, len(cue.y)
        told = _told_apart(cue.said, cue.y, subject.listing.classes)
        figures["majority"] = majority
        figures[cue.what] = {"accuracy": right / n, "low": cue.low, "high": cue.high, "n": n}
        if cue.low <= majority + 0.1 * (1 - majority) and not told:
            continue
        if told or cue.low > majority + _CLEAR * (1 - majority):
            level = "note" if cue.what in ("colour", "brightness") and level == "note" else "warning"
        text = (
            f"{cue.what} alone predicts the class with {right / n:.1%} (95 % interval {100 * cue.low:.1f} to "
            f"{100 * cue.high:.1f}); always guessing the commonest gives {majority:.1%}"
        )
        items.append((-right, AuditItem((), text + (f"; it gives away {told}" if told else ""))))
    if not items:
        return None
    items.sort(key=lambda pair: pair[0])
    best = items[0][1].text
    return whole(subject, "shortcuts", level, best, [item for _, item in items], **figures)


def giveaway(subject: Subject) -> Cue | None:
    """The cue that names nearly every label, if there is one: what it contradicts is to be doubted."""
    found = [cue for cue in _cues(subject) if cue.low > max(_NEARLY_ALL, cue.majority + _CLEAR * (1 - cue.majority))]
    return max(found, key=lambda cue: cue.right, default=None)


def _cues(subject: Subject) -> Iterator[Cue]:
    """Each attribute that varies."""
    if subject.looks is None or len(subject.listing.classes) < 2:
        return
    targets = subject.listing.targets
    asked = np.flatnonzero(subject.listing.readable & (targets >= 0))
    asked = np.sort(np.random.default_rng(0).permutation(asked)[:_MOST])
    if len(asked) < 4 * _FOLDS or len(np.unique(targets[asked])) < 2:
        return
    looks, rows = subject.looks[asked], [subject.listing.rows[n] for n in asked]
    y, together = targets[asked], subject.units(asked)
    for what, attributes in _ATTRIBUTES.items():
        x = attributes(looks, rows)
        if (x == x[0]).all():
            continue
        if what == "colour" and (x[:, :3] == x[:, :1]).all():
            what = "brightness"  # grey pictures have no colour
        said = _out_of_fold(x, y, together, len(subject.listing.classes))
        interval = share(said.argmax(1) == y, together)
        yield Cue(what, asked, y, said, interval.low, interval.high)


def _size(looks: ImageStats, rows: Sequence[Row]) -> Floats:
    wide, high = looks["width"].astype(np.float64), looks["height"].astype(np.float64)
    return np.stack([wide, high, wide * high, wide / np.maximum(high, 1)], 1)


def _colour(looks: ImageStats, rows: Sequence[Row]) -> Floats:
    found: Floats = np.column_stack([looks["colour"], looks["spread"]]).astype(np.float64)
    return found


def _compression(looks: ImageStats, rows: Sequence[Row]) -> Floats:
    pixels = np.maximum(looks["width"].astype(np.float64) * looks["height"], 1)
    return np.column_stack([looks["quality"].astype(np.float64), looks["bytes"] / pixels])


def _format(looks: ImageStats, rows: Sequence[Row]) -> Floats:
    return _one_of([f"{kind} {mode}" for kind, mode in zip(looks["format"], looks["mode"], strict=True)])


def _name(looks: ImageStats, rows: Sequence[Row]) -> Floats:
    """The letters that a file's name begins with, and the folder below the class's; the class's own name is cut out."""
    prefixes, folders = [], []
    for row in rows:
        path = PurePath(_folded(row.name))
        folder, stem = path.parent.as_posix(), path.stem
        for label in row.labels:
            folder, stem = _called(label).sub("", folder), _called(label).sub("", stem)
        prefixes.append(re.split(r"[0-9]", stem)[0][:12])
        folders.append("/".join([part for part in folder.split("/") if part.strip() and part != row.split][-2:]))
    return np.concatenate([_one_of(prefixes), _one_of(folders)], 1)


def _folded(name: str) -> str:
    """However accents are kept: macOS parts them from their letters."""
    return normalize("NFC", name).casefold()


@cache
def _called(label: str) -> re.Pattern[str]:
    """Where a class is named: at an edge of a word; one or two letters only as a word, for many others have those."""
    name, before, after = re.escape(_folded(label)), r"(?<![^\W\d_])", r"(?![^\W\d_])"
    if not label.isascii():
        return re.compile(name)
    return re.compile(f"{before}{name}|{name}{after}" if len(label) > 2 else f"{before}{name}{after}")


def _one_of(names: Sequence[str]) -> Floats:
    known = {name: place for place, (name, _) in enumerate(Counter(names).most_common(_NAMES))}
    found = np.zeros((len(names), len(known) + 1))
    found[np.arange(len(names)), [known.get(name, len(known)) for name in names]] = 1
    return found


_ATTRIBUTES: Mapping[str, Callable[[ImageStats, Sequence[Row]], Floats]] = {
    "size": _size,
    "colour": _colour,
    "compression": _compression,
    "file format": _format,
    "file name": _name,
}


def _out_of_fold(x: Floats, y: NDArray[np.int64], together: NDArray[np.int64], classes: int) -> Floats:
    """(n, K) probabilities by a small tree that did not see the picture; units are on one side."""
    from sklearn.tree import DecisionTreeClassifier

    fold = np.random.default_rng(0).permutation(together.max() + 1)[together] % _FOLDS
    said = np.zeros((len(y), classes))
    for held in range(_FOLDS):
        test = fold == held
        if not test.any() or test.all():
            continue
        leaf = max(2, len(y) // 200)
        tree = DecisionTreeClassifier(max_depth=6, min_samples_leaf=leaf, random_state=0).fit(x[~test], y[~test])
        said[np.ix_(test, tree.classes_)] = tree.predict_proba(x[test])
    return said


def _told_apart(said: NDArray[np.int64], y: NDArray[np.int64], classes: Sequence[str]) -> str:
    """The classes that are found nearly always and nearly never wrongly."""
    names = []
    for number in np.unique(y):
        hits = int(((said == number) & (y == number)).sum())
        f1 = 2 * hits / max(1, int((said == number).sum() + (y == number).sum()))
        if f1 >= _ALONE and (y == number).sum() >= 5 and (y == number).mean() < 0.8:
            names.append(repr(classes[number]))
    return ", ".join(names[:5])

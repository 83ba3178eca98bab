"""The one form of what a check finds, and the registry of checks.

A check is a function of a `Subject` that returns a `Finding`, or None if there is nothing to say or what it needs is
not there. One of your own is an entry point in the group ``frostline.checks``.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from frostline.data.places.inventory import Inventory
from frostline.data.split import joined
from frostline.judge.audit.image_stats import ImageStats
from frostline.judge.audit.near_duplicates import NearDuplicates
from frostline.judge.intervals import wilson
from frostline.registry import Registry

Level = Literal["error", "warning", "note"]
"""error: the figures of a model would be wrong, or `fit` would refuse. warning: look at it. note: good to know."""

ASK_A_NETWORK = ("labels", "outliers")
"""Checks that find nothing where no network is asked."""

_ENOUGH = 5  # pictures, to say that they are of one class


@dataclass(frozen=True, slots=True)
class AuditItem:
    """One thing found.

    rows: the pictures concerned, indices into the listing; may be empty.
    text: what to say of them.
    """

    rows: tuple[int, ...]
    text: str


@dataclass(frozen=True, eq=False)
class Finding:
    """What a check says of N pictures.

    check: its name. summary: one line for a person.
    scores: (N,) float32 in [0, 1]; 1 is as it should be, 0 the worst.
    mask: (N,) bool, the pictures concerned.
    items: the details, the worst first.
    drop: (N,) bool, the pictures that go if this finding is to be dropped; by default those of the mask.
    figures: plain values, for JSON.
    """

    check: str
    level: Level
    summary: str
    scores: NDArray[np.float32]
    mask: NDArray[np.bool_]
    items: tuple[AuditItem, ...] = ()
    drop: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    figures: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not len(self.drop):
            object.__setattr__(self, "drop", self.mask)


@dataclass(frozen=True, eq=False)
class Subject:
    """What is looked at: N rows and whatever is known of them.

    copies: which rows show the same. looks: (N,) of what decoding tells; None where nothing was decoded.
    features: (N, D) float32 by a pretrained trunk; rows of unreadable pictures are 0.
    probabilities: (N, K) float32 over ``listing.classes`` by a classifier that did not see the row, nor any copy of it;
        rows of unreadable pictures are 0, and of those that every such classifier saw, as the only one of a class.
    """

    listing: Inventory
    copies: NearDuplicates
    looks: ImageStats | None = None
    features: NDArray[np.float32] | None = None
    probabilities: NDArray[np.float32] | None = None

    def units(self, asked: NDArray[np.integer]) -> NDArray[np.int64]:
        """Which unit each of the rows asked (n,) belongs to: copies and the pictures of a group are one draw."""
        together = joined((self.listing.rows[row].group, f"{self.copies.near[row]}") for row in asked)
        return np.arange(len(asked)) if together is None else together


Check = Callable[[Subject], Finding | None]
checks: Registry[Check] = Registry("check", "frostline.checks", option="--drop")


def of_looks(name: str) -> Callable[[Callable[[Subject, ImageStats], Finding | None]], Check]:
    """As ``checks.decorator``, of what is asked only where pictures were decoded, and is given what that told."""
    return lambda asked: checks.register(
        name, lambda subject: None if subject.looks is None else asked(subject, subject.looks)
    )


def whole(subject: Subject, check: str, level: Level, summary: str, items: list[AuditItem], **figures: Any) -> Finding:
    """A finding about the set as a whole, not about single pictures."""
    n = len(subject.listing)
    return Finding(
        check, level, summary, np.ones(n, np.float32), np.zeros(n, bool), tuple(items), np.zeros(n, bool), figures
    )


def of_items(subject: Subject, check: str, level: Level, items: list[AuditItem], summary: str) -> Finding | None:
    """A finding about the pictures of the items, one each, if there are any."""
    if not items:
        return None
    mask = np.zeros(len(subject.listing), bool)
    mask[[item.rows[0] for item in items]] = True
    return Finding(check, level, summary, (~mask).astype(np.float32), mask, tuple(items))


def of_one_class(subject: Subject, mask: NDArray[np.bool_]) -> str:
    """What to add to a finding if one class has far more of these pictures than its share: it may be what that class
    looks like (a dead solar cell is dark), or how its pictures were taken."""
    rows = subject.listing.rows
    found = Counter(label for row in np.flatnonzero(mask) for label in rows[row].labels)
    if not found or mask.sum() < _ENOUGH:
        return ""
    name, number = found.most_common(1)[0]
    share = sum(name in row.labels for row in rows) / len(rows)
    if wilson(number, int(mask.sum())).low < share + (1 - share) / 3:
        return ""
    many = "all" if number == mask.sum() else f"{number:,}"
    return f"; {many} of them are labelled {name}, as {share:.0%} of all pictures are"


def count(number: int, one: str, many: str = "") -> str:
    """``count(2, "picture")`` -> "2 pictures"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"

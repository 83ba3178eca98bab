"""Classes: how many pictures each has, whether every split has them all, and whether two are one, spelt twice."""

from collections import Counter

import numpy as np

from frostline.data.class_names import alike, told_apart
from frostline.data.manifest import natural
from frostline.judge.audit.findings import AuditItem, Finding, Subject, checks, count, of_items, whole

_FEW = 10  # training pictures of a class below which a figure about it says little
_IMBALANCE = 10  # times as many pictures as the smallest class has


@checks.decorator("classes")
def classes_of_splits(subject: Subject) -> Finding | None:
    """Classes that a split lacks, or a single class: `fit` refuses the latter, and those that train lacks."""
    listing = subject.listing
    if len(listing.classes) == 1:
        return whole(subject, "classes", "error", f"there is only one class, {listing.classes[0]!r}", [])
    items = []
    for split in listing.splits:
        own = {label for row in listing.rows if row.split == split for label in row.labels}
        items += [AuditItem((), f"{split} lacks {name!r}") for name in sorted(set(listing.classes) - own, key=natural)]
    if not items:
        return None
    unlearnt = any(item.text.startswith("train ") for item in items)
    then = "and fit refuses what train lacks" if unlearnt else "and figures say nothing of what a split lacks"
    says = f"the splits do not have the same classes: {count(len(items), 'gap')}, {then}"
    return whole(subject, "classes", "error" if unlearnt else "warning", says, items)


@checks.decorator("unlabelled")
def unlabelled(subject: Subject) -> Finding | None:
    """Pictures without a label, or without a split where others have one."""
    listing = subject.listing
    bare = np.array([not row.labels for row in listing.rows], bool)
    if not listing.classes:
        return whole(subject, "unlabelled", "note", "the pictures have no labels: only they themselves are checked", [])
    loose = (listing.split_ranks < 0) if listing.splits else np.zeros(len(listing), bool)
    mask = loose if listing.multilabel else bare | loose
    items = [AuditItem((int(row),), "no label" if bare[row] else "in no split") for row in np.flatnonzero(mask)]
    says = f"{count(len(items), 'picture')} without a label or a split, while others have one; fit refuses that"
    return of_items(subject, "unlabelled", "error", items, says)


@checks.decorator("names")
def names(subject: Subject) -> Finding | None:
    """Class names that differ only in case, spaces, punctuation or Unicode form: probably one class."""
    if not (doubled := alike(subject.listing.classes)):
        return None
    counts = Counter(label for row in subject.listing.rows for label in row.labels)
    items = [AuditItem((), " and ".join(told_apart(group, counts))) for group in doubled]
    says = f"class names that are nearly the same: {'; '.join(item.text for item in items[:3])}"
    return whole(subject, "names", "warning", says, items)


@checks.decorator("few")
def few(subject: Subject) -> Finding | None:
    """Classes with so few pictures to learn from that hardly anything can be said about them."""
    counts = _learnt(subject)
    small = sorted((number, name) for name, number in counts.items() if number < _FEW)
    if not small:
        return None
    items = [
        AuditItem((), f"{name!r} has {number}" + ("; fit needs 2" if number < 2 else "")) for number, name in small
    ]
    shown = ", ".join(f"{name!r} ({number})" for number, name in small[:3]) + (", …" if len(small) > 3 else "")
    level = "error" if small[0][0] < 2 else "warning"
    says = f"{count(len(small), 'class', 'classes')} with fewer than {_FEW} training pictures: {shown}"
    finding = whole(subject, "few", "warning", says, items)
    return finding if level == "warning" else Finding("few", "error", says, finding.scores, finding.mask, tuple(items))


@checks.decorator("balance")
def balance(subject: Subject) -> Finding | None:
    """One class with many times the pictures of another: accuracy says little then, and small classes are lost."""
    counts = _learnt(subject)
    if len(counts) < 2 or not min(counts.values()):
        return None
    most, least = max(counts, key=lambda name: counts[name]), min(counts, key=lambda name: counts[name])
    ratio = counts[most] / counts[least]
    if ratio < _IMBALANCE:
        return None
    says = f"{most!r} has {ratio:.0f} times as many training pictures as {least!r}: look at macro F1, not accuracy"
    items = [
        AuditItem((), f"{name!r}: {number:,}") for name, number in sorted(counts.items(), key=lambda pair: -pair[1])
    ]
    return whole(subject, "balance", "warning", says, items, ratio=ratio)


def _learnt(subject: Subject) -> dict[str, int]:
    """Usable pictures of each class to learn from: in train, or at all where there are no splits."""
    listing = subject.listing
    train = "train" if "train" in listing.splits else None
    counted = Counter(
        label
        for row, fault in zip(listing.rows, listing.faults, strict=True)
        if not fault and (train is None or row.split == train)
        for label in row.labels
    )
    return {name: counted[name] for name in listing.classes}

"""The same picture more than once: harmless within a class, a contradiction across classes, a leak across splits."""

import numpy as np
from numpy.typing import NDArray

from frostline.data.manifest import SPLITS
from frostline.judge.audit.findings import AuditItem, Finding, Level, Subject, checks, count

Indices = NDArray[np.int64]


@checks.decorator("leakage")
def leakage(subject: Subject) -> Finding | None:
    """The same picture on both sides of a split: the figure on the later side is then partly memory.

    How far it could lift that figure: all leaked pictures whose copies carry the same label would be right, in place of
    the share that an honest classifier gets (with probabilities), or in place of none (without, the upper bound).
    """
    listing, ranks = subject.listing, subject.listing.split_ranks
    families = [rows for rows in subject.copies.families() if len(np.unique(ranks[rows])) > 1]
    if not families:
        return None
    mask, drop = np.zeros(len(listing), bool), np.zeros(len(listing), bool)
    items: list[tuple[tuple[int, bool], AuditItem]] = []
    for rows in families:
        mask[rows] = True
        drop[rows] = ranks[rows] < ranks[rows].max()  # what is tested on stays as it is
        order = rows[np.argsort(-ranks[rows], kind="stable")]
        where = " and ".join(SPLITS[rank] for rank in sorted(set(ranks[rows]), reverse=True))
        worst = -int(ranks[rows].max()), not is_exact(subject, rows)
        items.append((worst, AuditItem(tuple(order.tolist()), f"{kind_of(subject, rows)}, in {where}")))
    parts, figures = [], {}
    for rank in (2, 1):
        for behind in range(rank):
            leaked = [row for rows in families if behind in ranks[rows] for row in rows[ranks[rows] == rank]]
            if leaked:
                text, values = _lift(subject, np.array(leaked), rank, behind)
                parts.append(text)
                figures[f"{SPLITS[rank]} in {SPLITS[behind]}"] = values
    return Finding(
        "leakage",
        "error",
        "; ".join(parts),
        (~mask).astype(np.float32),
        mask,
        tuple(item for _, item in sorted(items, key=lambda pair: pair[0])),
        drop,
        figures,
    )


@checks.decorator("label-conflicts")
def label_conflicts(subject: Subject) -> Finding | None:
    """The same picture under different labels: of exact copies at least one is wrong."""
    listing = subject.listing
    found = []
    for rows in subject.copies.families():
        if len({listing.rows[row].labels for row in rows}) > 1:
            found.append((not is_exact(subject, rows), rows))
    if not found:
        return None
    items, mask = [], np.zeros(len(listing), bool)
    scores = np.ones(len(listing), np.float32)
    for nearly, rows in sorted(found, key=lambda pair: pair[0]):
        mask[rows] = True
        scores[rows] = 0.25 if nearly else 0
        names = " and ".join(sorted({"|".join(listing.rows[row].labels) or "no label" for row in rows}))
        items.append(AuditItem(tuple(rows.tolist()), f"{kind_of(subject, rows)}, labelled {names}"))
    exact = sum(not nearly for nearly, _ in found)
    files = sum(len(rows) for nearly, rows in found if not nearly)
    says = [f"{count(exact, 'picture is', 'pictures are')} under two labels ({files:,} files)"] if exact else []
    if exact < len(found):
        groups = count(len(found) - exact, "group of nearly equal pictures has", "groups of nearly equal pictures have")
        says.append(f"{groups} different labels")
    level: Level = "error" if exact else "warning"
    figures = {"exact": exact, "near": len(found) - exact}
    return Finding("label-conflicts", level, "; ".join(says), scores, mask, tuple(items), mask, figures)


@checks.decorator("duplicates")
def duplicates(subject: Subject) -> Finding | None:
    """The same bytes more than once, within one class and split."""
    return _within(subject, "duplicates", exact=True)


@checks.decorator("near-duplicates")
def near_duplicates(subject: Subject) -> Finding | None:
    """The same picture saved again, or two pictures taken one after the other, within one class and split."""
    return _within(subject, "near-duplicates", exact=False)


def is_exact(subject: Subject, rows: Indices) -> bool:
    """Whether these rows are equal byte for byte."""
    return len(np.unique(subject.copies.exact[rows])) == 1


def kind_of(subject: Subject, rows: Indices) -> str:
    """ "exact copies", or how nearly equal the pictures are."""
    if is_exact(subject, rows):
        return "exact copies"
    among = np.isin(subject.copies.pairs, rows).all(1) if len(subject.copies.pairs) else np.zeros(0, bool)
    if not among.any():
        firsts = {int(np.flatnonzero(subject.copies.exact == subject.copies.exact[row])[0]) for row in rows}
        among = np.isin(subject.copies.pairs, list(firsts)).all(1)
    alike = subject.copies.alike[among]
    return f"nearly equal ({alike.min():.0%} alike)" if len(alike) else "nearly equal"


def _within(subject: Subject, check: str, *, exact: bool) -> Finding | None:
    listing = subject.listing
    mask, drop = np.zeros(len(listing), bool), np.zeros(len(listing), bool)
    items = []
    for rows in subject.copies.families():
        one_side = len(np.unique(listing.split_ranks[rows])) == 1 and len({listing.rows[r].labels for r in rows}) == 1
        if one_side and is_exact(subject, rows) == exact:
            mask[rows], drop[rows[1:]] = True, True
            items.append(AuditItem(tuple(rows.tolist()), kind_of(subject, rows)))
    if not items:
        return None
    items.sort(key=lambda item: -len(item.rows))
    word = "are there more than once" if exact else "are nearly equal to another of their class"
    says = f"{count(int(mask.sum()), 'picture')} {word}: {drop.sum():,} could go"
    return Finding(check, "note", says, (~drop).astype(np.float32), mask, tuple(items), drop)


def _lift(subject: Subject, leaked: Indices, rank: int, behind: int) -> tuple[str, dict[str, float | int]]:
    listing, near = subject.listing, subject.copies.near
    there = np.flatnonzero(listing.split_ranks == rank)
    known = {(int(near[r]), listing.rows[r].labels) for r in np.flatnonzero(listing.split_ranks == behind)}
    same = np.array([r for r in leaked if (int(near[r]), listing.rows[r].labels) in known], np.int64)
    at_most = len(same) / len(there)
    bytes_there = subject.copies.exact[listing.split_ranks == behind]
    exact = int(np.isin(subject.copies.exact[leaked], bytes_there).sum())
    nearly = "" if exact == len(leaked) else f" ({exact:,} exactly, {len(leaked) - exact:,} nearly)"
    text = (
        f"{len(leaked):,} of {len(there):,} {SPLITS[rank]} pictures are also in {SPLITS[behind]}{nearly}, which "
        f"could lift the {SPLITS[rank]} accuracy by up to {100 * at_most:.1f} points"
    )
    values: dict[str, float | int] = {"leaked": len(leaked), "exact": exact, "of": len(there), "at_most": at_most}
    if subject.probabilities is not None and (listing.targets[same] >= 0).all():
        wrong = int((subject.probabilities[same].argmax(1) != listing.targets[same]).sum())
        values["likely"] = wrong / len(there)
        text += f" (likely {100 * wrong / len(there):.1f})"
    return text, values

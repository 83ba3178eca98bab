"""Pictures on which there is little to see: dark, washed out, blank, blurry, or that are no photographs."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.judge.audit.findings import AuditItem, Finding, Subject, count, of_looks, of_one_class
from frostline.judge.audit.image_stats import ImageStats

_BLANK = 0.02  # standard deviation of grey values in [0, 1]
_DARK = 0.25  # the grey value that 99 % of the pixels stay below
_BRIGHT = 0.75  # the grey value that 99 % stay above
_FLAT, _USUAL = 0.7, 0.3  # share of one shade: more than that, where nine in ten pictures have less than this
# Of `image_stats.sharpness`, at most, and at most this share of what is usual in the data: either pair is enough.
# Ants and bees: pictures blurred by 3 to 20 pixels have 0.7 to 1.2, all others 3.4 and more; solar cells: 0.9 and more.
_BLURRY = ((0.95, 0.6), (1.6, 0.25))


@of_looks("blank")
def blank(subject: Subject, looks: ImageStats) -> Finding | None:
    """One even surface."""
    spread = looks["spread"]
    mask = (spread < _BLANK) & ~looks["unseen"]
    return _low(subject, "blank", spread / _BLANK, mask, "{} blank", "nothing but one shade")


@of_looks("transparent")
def transparent(subject: Subject, looks: ImageStats) -> Finding | None:
    """Drawn in the colour of the background, on a transparent ground."""
    unseen = looks["unseen"]
    what = "nothing is seen over this --background; another one shows it"
    return _low(subject, "transparent", ~unseen, unseen, "{} lost in the background", what)


@of_looks("dark")
def dark(subject: Subject, looks: ImageStats) -> Finding | None:
    """Nearly black all over."""
    high, blank = looks["high"], looks["spread"] < _BLANK
    mask = (high < _DARK) & ~blank
    return _low(subject, "dark", high / _DARK, mask, "{} very dark", "99 % of it is darker than {:.0%} grey", high)


@of_looks("bright")
def bright(subject: Subject, looks: ImageStats) -> Finding | None:
    """Washed out, nearly white all over."""
    low, blank = looks["low"], looks["spread"] < _BLANK
    mask = (low > _BRIGHT) & ~blank
    scores = (1 - low) / (1 - _BRIGHT)
    return _low(subject, "bright", scores, mask, "{} washed out", "99 % of it is brighter than {:.0%} grey", low)


@of_looks("blurry")
def blurry(subject: Subject, looks: ImageStats) -> Finding | None:
    """Without fine detail, and with far less of it than the other pictures have.

    Both are asked for: some instruments see no fine detail, and then it says nothing about a picture.
    """
    sharp = looks["sharpness"].astype(np.float64)
    there = subject.listing.readable & (looks["spread"] >= _BLANK) & (sharp > 0)
    if there.sum() < 10:
        return None
    usual = float(np.median(sharp[there]))
    limit = max(min(most, share * usual) for most, share in _BLURRY)
    return _low(subject, "blurry", sharp / max(limit, 1e-6), there & (sharp < limit), "{} blurry", "no fine detail")


@of_looks("flat")
def flat(subject: Subject, looks: ImageStats) -> Finding | None:
    """Mostly one and the same shade, where nearly all others are not: no photograph among photographs."""
    share = looks["flat"].astype(np.float64)
    there = subject.listing.readable & (looks["spread"] >= _BLANK)
    if there.sum() < 10 or np.quantile(share[there], 0.9) > _USUAL:
        return None
    mask = there & (share > _FLAT)
    scores = (1 - share) / (1 - _FLAT)
    return _low(subject, "flat", scores, mask, "{} mostly one flat shade", "{:.0%} of it has one shade", share)


def _low(
    subject: Subject,
    check: str,
    scores: NDArray[Any],
    mask: NDArray[np.bool_],
    summary: str,
    text: str,
    values: NDArray[Any] | None = None,
) -> Finding | None:
    there = subject.listing.readable
    mask = mask & there
    if not mask.any():
        return None
    kept = np.where(there, np.clip(scores, 0, 1), 1).astype(np.float32)
    rows = np.flatnonzero(mask)
    rows = rows[np.argsort(kept[rows], kind="stable")]
    items = tuple(AuditItem((int(row),), text if values is None else text.format(float(values[row]))) for row in rows)
    says = summary.format(count(len(rows), "picture is", "pictures are")) + of_one_class(subject, mask)
    return Finding(check, "warning" if check == "flat" else "note", says, kept, mask, items)

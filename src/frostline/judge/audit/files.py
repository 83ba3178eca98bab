"""Files: what cannot be read, what is not what its name says, what is kept in an odd way."""

import re
from collections import Counter
from pathlib import Path

import numpy as np

from frostline.data.pictures.formats import kinds
from frostline.judge.audit.findings import AuditItem, Finding, Subject, checks, count, of_items, of_looks, whole
from frostline.judge.audit.image_stats import ImageStats

_SUFFIXES = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"},
    "MPO": {".jpg", ".jpeg", ".mpo"},
    "PNG": {".png", ".apng"},
    "TIFF": {".tif", ".tiff"},
    "JPEG2000": {".jp2", ".j2k", ".jpx"},
    "DICOM": set(kinds.DICOM.suffixes),
    "RAW": set(kinds.RAW.suffixes),
    "HEIF": set(kinds.HEIC.suffixes),
    "PPM": {".ppm", ".pgm", ".pbm", ".pnm", ".pfm"},
}
_USUAL_MODES = ("RGB", "L", "RGBA", "P")
_SMALL, _LARGE, _LONG = 64, 40_000_000, 4.0  # a side in pixels; pixels; length over breadth


@checks.decorator("unreadable")
def unreadable(subject: Subject) -> Finding | None:
    """Empty, truncated, damaged, missing: what training would leave out."""
    listing = subject.listing
    bad = np.flatnonzero(~listing.readable)
    items = [AuditItem((int(row),), listing.faults[row]) for row in bad]
    reasons = Counter(re.sub(r" *\([^)]*\)", "", listing.faults[row]) for row in bad)
    why = "; ".join(f"{reason} ({number})" for reason, number in reasons.most_common(2))
    return of_items(subject, "unreadable", "warning", items, f"{count(len(bad), 'file')} cannot be read: {why}")


@checks.decorator("passed-over")
def passed_over(subject: Subject) -> Finding | None:
    """Files beside the pictures that nobody will look at."""
    left = subject.listing.passed_over
    if not left:
        return None
    items = [AuditItem((), f"{item.name}: {item.reason}") for item in left]
    return whole(subject, "passed-over", "note", f"{count(len(left), 'file')} beside the pictures are left out", items)


@of_looks("extension")
def extension(subject: Subject, looks: ImageStats) -> Finding | None:
    """A name that says another format than the bytes do. frostline believes the bytes; other programs may not."""
    wrong: list[AuditItem] = []
    for number, row in enumerate(subject.listing.rows):
        kind = str(looks["format"][number])
        if isinstance(row.picture, Path) and kind:
            suffix = row.picture.suffix.lower()
            known = _SUFFIXES.get(kind, {f".{kind.lower()}"})
            if suffix and suffix not in known:
                wrong.append(AuditItem((number,), f"a {kind} called {suffix}"))
    says = f"{count(len(wrong), 'picture')} named after another format than it has"
    return of_items(subject, "extension", "note", wrong, says)


@of_looks("animated")
def animated(subject: Subject, looks: ImageStats) -> Finding | None:
    """Animations and files of many pages, of which only the first frame is seen."""
    items = [AuditItem((int(row),), "only the first frame is seen") for row in np.flatnonzero(looks["frames"])]
    says = f"{count(len(items), 'picture')} with more than one frame; the first is seen"
    return of_items(subject, "animated", "note", items, says)


@of_looks("mode")
def mode(subject: Subject, looks: ImageStats) -> Finding | None:
    """Pixels kept in an unusual way (CMYK, 16 bit, floats), or in another way than nearly all the others."""
    modes = looks["mode"]
    there = subject.listing.readable
    counts = Counter(str(name) for name in modes[there])
    if not counts:
        return None
    usual, most = counts.most_common(1)[0]
    rare = most >= 0.95 * there.sum()
    items = []
    for row in np.flatnonzero(there):
        name = str(modes[row])
        grey_among_colour = rare and {name, usual} in ({"L", "RGB"}, {"RGBA", "RGB"}, {"P", "RGB"}) and name != usual
        if name != usual and (name not in _USUAL_MODES or grey_among_colour):
            items.append(AuditItem((int(row),), f"{name}; nearly all others are {usual}"))
    says = f"{count(len(items), 'picture')} kept in another colour mode than the rest"
    return of_items(subject, "mode", "note", items, says)


@of_looks("size")
def size(subject: Subject, looks: ImageStats) -> Finding | None:
    """Pictures so small that there is little to see, so large that they slow everything down, or very long."""
    wide, high = looks["width"].astype(np.float64), looks["height"].astype(np.float64)
    there = subject.listing.readable
    short, long = np.minimum(wide, high), np.maximum(wide, high)
    middle = float(np.median(short[there])) if there.any() else 0.0
    found: list[tuple[float, AuditItem]] = []
    for row in np.flatnonzero(there):
        says = f"{wide[row]:.0f} x {high[row]:.0f}"
        if short[row] < _SMALL and short[row] < 0.5 * middle:
            found.append((short[row] / _SMALL, AuditItem((int(row),), f"{says}: very small")))
        elif long[row] > _LONG * short[row]:
            found.append((_LONG * short[row] / long[row], AuditItem((int(row),), f"{says}: a crop sees little of it")))
        elif wide[row] * high[row] > _LARGE:
            found.append((_LARGE / (wide[row] * high[row]), AuditItem((int(row),), f"{says}: very large")))
    found.sort(key=lambda pair: pair[0])
    says = f"{count(len(found), 'picture')} of extreme size or proportions"
    finding = of_items(subject, "size", "note", [item for _, item in found], says)
    for score, item in found:
        if finding is not None:
            finding.scores[item.rows[0]] = score
    return finding

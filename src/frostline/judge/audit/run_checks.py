"""All checks over one subject, and the little of them that costs nothing and that `fit` runs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from frostline.data.manifest import Manifest
from frostline.data.places.inventory import Inventory
from frostline.errors import MissingExtra, one_line
from frostline.judge.audit import classes, duplicates, files, image_quality, label_errors, shortcuts
from frostline.judge.audit.findings import Finding, Subject, checks
from frostline.judge.audit.near_duplicates import exact_copies

FAMILIES = (files, classes, duplicates, label_errors, shortcuts, image_quality)
STRICT = ("leakage", "label-conflicts")
"""Findings that make ``frostline check --strict`` fail."""

_ORDER = {"error": 0, "warning": 1, "note": 2}
_FIRST = ("leakage", "label-conflicts", "labels", "shortcuts", "unreadable")
_LIBRARIES = {"cleanlab": "cleanlab", "ImageHash": "imagehash"}
_QUICK = ("leakage", "label-conflicts", "names", "few", "balance")


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found, the worst first, and in what. not_checked: what was not looked at, and why."""

    subject: Subject
    findings: tuple[Finding, ...]
    not_checked: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether a figure measured on this data would be false."""
        return any(finding.check in STRICT for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        listing = self.subject.listing
        tally = Counter((row.split, name) for row in listing.rows for name in set(row.labels))
        of_all = Counter(name for row in listing.rows for name in set(row.labels))
        counts = {split: {name: tally[split, name] for name in listing.classes} for split in listing.splits} or {
            "all": {name: of_all[name] for name in listing.classes}
        }
        return {
            "data": listing.source,
            "pictures": len(listing),
            "classes": list(listing.classes),
            "counts": counts,
            "failed": self.failed,
            "not_checked": list(self.not_checked),
            "findings": [_plain(finding, listing) for finding in self.findings],
        }


def audited(subject: Subject, *, not_checked: Sequence[str] = ()) -> Audit:
    """Run every check, built-in or a plugin's."""
    found = [finding for _, check in checks if (finding := check(subject)) is not None]
    return Audit(subject, tuple(sorted(found, key=_place)), tuple(not_checked))


def require_libraries() -> None:
    """See to it that an hour's work does not end in a missing library.

    Raises: MissingExtra: one is not installed.
    """
    missing = [name for name, module in _LIBRARIES.items() if find_spec(module) is None]
    if missing:
        raise MissingExtra(f"checking pictures needs {' and '.join(missing)}", hint="pip install 'frostline[check]'")


def warnings_for(manifest: Manifest) -> list[str]:
    """At most two lines that somebody who is about to train should read. Nothing is decoded for it."""
    listing = Inventory.of(manifest)
    subject = Subject(listing, exact_copies(listing))
    found = [finding for name in _QUICK if (finding := checks.get(name)(subject)) is not None]
    if not found:
        return []
    first, *rest = (one_line(finding.summary) for finding in found)
    return [first, *(["; ".join(rest)] if rest else [])]


def _place(finding: Finding) -> tuple[int, int, int]:
    first = _FIRST.index(finding.check) if finding.check in _FIRST else len(_FIRST)
    return _ORDER[finding.level], first, -int(np.count_nonzero(finding.mask))


def _plain(finding: Finding, listing: Inventory) -> dict[str, Any]:
    return {
        "check": finding.check,
        "level": finding.level,
        "summary": finding.summary,
        "pictures": int(finding.mask.sum()),
        "figures": dict(finding.figures),
        "items": [
            {"pictures": [listing.rows[row].name for row in item.rows], "text": item.text} for item in finding.items
        ],
        "scores": {
            listing.rows[row].name: round(float(finding.scores[row]), 4) for row in np.flatnonzero(finding.mask)
        },
    }

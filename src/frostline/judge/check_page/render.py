"""check.html: what an audit found, with the pictures, in one file that needs nothing beside it."""

import base64
import io
import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unicodedata import normalize

from PIL import Image

from frostline.data import decode
from frostline.data.pictures.picture import Picture
from frostline.data.pictures.reading import Reading
from frostline.errors import DecodeError
from frostline.judge.audit.findings import Finding, checks
from frostline.judge.audit.run_checks import Audit
from frostline.judge.audit.write_csv import DROP
from frostline.judge.check_page.about import ABOUT
from frostline.judge.pages.render import rendered, shared_folder

_CARDS = 48  # of a finding that are shown with pictures
_OPEN = 12  # of these that are not folded away
_PICTURES = 6  # of a card
_LINES = 40
_CLASSES = 1000
_SIDE = 176  # of a small picture, in pixels


def page(audit: Audit, *, lang: str = "en", options: Sequence[str] = ()) -> str:
    """The page's HTML. All text from outside is escaped.

    lang: "en" or "zh". options: which network was asked and how the pictures were read ("--bands", "1,2,3"), for the
        command that leaves some out: asked otherwise, it would leave out others than the page shows.

    Raises: PlanError: another language than "en" and "zh".
    """
    listing = audit.subject.listing
    pictures, folder = _thumbnails(audit), shared_folder([row.name for row in listing.rows])
    found = {finding.check for finding in audit.findings}
    splits = [(split, int((listing.split_ranks == rank).sum())) for rank, split in enumerate(("train", "val", "test"))]
    splits = [(split, number) for split, number in splits if number]
    rows = _table(audit, [split for split, _ in splits])
    names = [row.name.removeprefix(folder) for row in listing.rows]
    sections = [_section(audit, finding, pictures, names) for finding in audit.findings]
    drop = ",".join(section["check"] for section in sections if section["can_drop"] and section["default"])
    can_drop = any(section["can_drop"] for section in sections)
    return rendered(
        __package__,
        lang=lang,
        name=Path(listing.source).name or listing.source,
        pictures=len(listing),
        classes=listing.classes,
        folder=folder,
        splits=splits,
        columns=splits or [("all", len(listing))],
        sections=sections,
        levels={finding.level for finding in audit.findings},
        command=shlex.join(["frostline", "check", listing.source, *options, "--write", "cleaned.csv", "--drop", drop])
        if can_drop
        else "",
        table=rows[:_CLASSES],
        more_classes=max(0, len(rows) - _CLASSES),
        fine=[ABOUT[name][0] for name in checks.names() if name in ABOUT and name not in found | _unseen(audit)],
        not_checked=audit.not_checked,
    )


def _unseen(audit: Audit) -> set[str]:
    """Checks that had nothing to go by, so that their silence says nothing."""
    subject = audit.subject
    given = {"labels": subject.probabilities, "outliers": subject.features}
    return {name for name, array in given.items() if array is None}


def _thumbnails(audit: Audit) -> dict[int, str]:
    """Base64 of small copies of what is shown, by row."""
    listing = audit.subject.listing
    shown = sorted(
        row
        for row in {row for f in audit.findings for item in f.items[:_CARDS] for row in item.rows[:_PICTURES]}
        if listing.readable[row]
    )
    with ThreadPoolExecutor(thread_name_prefix="thumbnail") as pool:
        made = pool.map(lambda row: _thumbnail(listing.rows[row].picture, reading=listing.reading), shown)
        return {row: base64.b64encode(data).decode() for row, data in zip(shown, made, strict=True) if data}


def _thumbnail(picture: Picture, *, reading: Reading) -> bytes | None:
    """A JPEG of at most 176 pixels in height and twice that in width, or None if the picture cannot be decoded."""
    try:
        image = decode.image(picture, reading=reading, at_least=lambda _: _SIDE).image
    except DecodeError:
        return None
    factor = max(image.height / _SIDE, image.width / (2 * _SIDE), 1)
    small = image.resize(
        (max(1, round(image.width / factor)), max(1, round(image.height / factor))), Image.Resampling.BICUBIC
    )
    kept = io.BytesIO()
    small.save(kept, "JPEG", quality=78, optimize=True)
    return kept.getvalue()


def _section(audit: Audit, finding: Finding, pictures: dict[int, str], names: list[str]) -> dict[str, Any]:
    rows = audit.subject.listing.rows
    title, advice = ABOUT.get(finding.check, (finding.check, ""))

    def label(row: int) -> str:
        """Nothing where the text or the folder says it."""
        said = ", ".join(rows[row].labels)
        return "" if finding.check == "labels" or f"{said}/" in normalize("NFC", names[row]) else said

    with_pictures = [item for item in finding.items if item.rows]
    cards = [
        {
            "text": item.text,
            "pictures": [
                {"name": names[row], "label": label(row), "data": pictures.get(row, "")}
                for row in item.rows[:_PICTURES]
            ],
            "more": max(0, len(item.rows) - _PICTURES),
        }
        for item in with_pictures[:_CARDS]
    ]
    lines = [item.text for item in finding.items if not item.rows and item.text != finding.summary]
    hidden = [(item.text, _names([names[row] for row in item.rows])) for item in with_pictures[_CARDS:]]
    return {
        "check": finding.check,
        "level": finding.level,
        "title": title,
        "advice": advice,
        "summary": finding.summary[:1].upper() + finding.summary[1:],
        "number": int(finding.mask.sum()),
        "can_drop": bool(finding.drop.any()),
        "default": finding.check in DROP,
        "cards": cards[:_OPEN],
        "folded": cards[_OPEN:],
        "lines": lines[:_LINES],
        "rest": [*((line, "") for line in lines[_LINES:]), *hidden],
    }


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:_PICTURES]) + (f", +{len(names) - _PICTURES}" if len(names) > _PICTURES else "")


def _table(audit: Audit, splits: Sequence[str]) -> list[dict[str, Any]]:
    counts = audit.to_dict()["counts"]
    columns = list(splits) or ["all"]
    names = audit.subject.listing.classes
    totals = {name: sum(counts[split][name] for split in columns) for name in names}
    most = max(totals.values(), default=1) or 1
    return [
        {"name": name, "numbers": [counts[split][name] for split in columns], "share": round(100 * totals[name] / most)}
        for name in names
    ]

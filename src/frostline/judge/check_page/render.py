"""check.html: what an audit found, with the pictures, in one file that needs nothing beside it."""

import base64
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from frostline.data.audit.findings import Finding, checks
from frostline.data.audit.run_checks import Audit
from frostline.data.audit.thumbnails import thumbnail
from frostline.errors import UnknownName
from frostline.judge.check_page.translations import WORDS, Words

_HERE = Path(__file__).parent
_CARDS = 48  # of a finding that are shown with pictures
_OPEN = 12  # of these that are not folded away
_PICTURES = 6  # of a card
_LINES = 40
_CLASSES = 200


def page(audit: Audit, *, lang: str = "en") -> str:
    """The page's HTML. All text from outside is escaped.

    lang: "en" or "zh"; the findings themselves are in English.

    Raises: UnknownName: another language than "en" and "zh".
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    if lang not in WORDS:
        raise UnknownName(f"there is no page in the language {lang!r}", hint=f"there are: {', '.join(WORDS)}")
    words, listing = WORDS[lang], audit.subject.listing
    shown = {
        row
        for finding in audit.findings
        for item in finding.items[:_CARDS]
        for row in item.rows[:_PICTURES]
        if listing.readable[row]
    }
    with ThreadPoolExecutor(thread_name_prefix="thumbnail") as pool:
        made = pool.map(lambda row: thumbnail(listing.rows[row].picture), sorted(shown))
        pictures = {row: base64.b64encode(data).decode() for row, data in zip(sorted(shown), made, strict=True) if data}
    found = {finding.check for finding in audit.findings}
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    splits = [(split, int((listing.split_ranks == rank).sum())) for rank, split in enumerate(("train", "val", "test"))]
    splits = [(split, number) for split, number in splits if number]
    columns = splits or [(words.page["all"], len(listing))]
    rows = _table(audit, [split for split, _ in splits])
    return environment.get_template("page.html").render(
        lang="zh-CN" if lang == "zh" else lang,
        css=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        words=words.page,
        name=Path(listing.source).name or listing.source,
        pictures=len(listing),
        classes=listing.classes,
        splits=splits,
        columns=columns,
        sections=[_section(audit, finding, words, pictures) for finding in audit.findings],
        table=rows[:_CLASSES],
        more_classes=max(0, len(rows) - _CLASSES),
        fine=[words.about[name][0] for name in checks.names() if name not in found and name in words.about],
        not_checked=audit.not_checked,
    )


def _section(audit: Audit, finding: Finding, words: Words, pictures: dict[int, str]) -> dict[str, Any]:
    rows = audit.subject.listing.rows
    title, advice = words.about.get(finding.check, (finding.check, ""))
    with_pictures = [item for item in finding.items if item.rows]
    cards = [
        {
            "text": item.text,
            "pictures": [{"name": rows[row].name, "data": pictures.get(row, "")} for row in item.rows[:_PICTURES]],
            "more": max(0, len(item.rows) - _PICTURES),
        }
        for item in with_pictures[:_CARDS]
    ]
    lines = [item.text for item in finding.items if not item.rows and item.text != finding.summary]
    hidden = [f"{item.text}: {_names([rows[row].name for row in item.rows])}" for item in with_pictures[_CARDS:]]
    return {
        "check": finding.check,
        "level": finding.level,
        "title": title,
        "advice": advice,
        "summary": finding.summary[:1].upper() + finding.summary[1:],
        "pictures": int(finding.mask.sum()),
        "cards": cards[:_OPEN],
        "folded": cards[_OPEN:],
        "lines": lines[:_LINES],
        "rest": [*lines[_LINES:], *hidden],
    }


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:_PICTURES]) + (f" and {len(names) - _PICTURES} more" if len(names) > _PICTURES else "")


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

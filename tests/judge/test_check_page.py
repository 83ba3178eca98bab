"""check.html: one file, and text from outside stays text."""

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frostline.data.manifest import Row
from frostline.data.places.inventory import Inventory
from frostline.errors import DataError, PlanError
from frostline.judge.audit.findings import Subject, checks
from frostline.judge.audit.near_duplicates import exact_copies
from frostline.judge.audit.run_checks import Audit, audited
from frostline.judge.check_page.about import ABOUT
from frostline.judge.check_page.render import page
from frostline.judge.pages.render import shared_folder
from frostline.judge.pages.translations import chinese, speaking
from frostline.judge.write_html import write_html
from frostline.workflows.check import check_files

HOSTILE = "<script>alert(1)</script>\"'&"


def audit(tmp_path: Path, n: int = 2) -> Audit:
    path = tmp_path / "picture.png"
    Image.fromarray(np.full((30, 40, 3), 90, np.uint8)).save(path)
    rows = tuple(
        Row(path, (f"{HOSTILE}{k % 2}",), ("train", "test")[k % 2], None, f"{HOSTILE} {k}.png", f"d{k // 2}")
        for k in range(n)
    )
    listing = Inventory(rows, ("",) * n, source=f"data {HOSTILE}")
    return audited(Subject(listing, exact_copies(listing)), not_checked=[HOSTILE])


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_needs_nothing_beside_it_and_runs_nothing(tmp_path: Path, lang: str) -> None:
    text = page(audit(tmp_path), lang=lang)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert f"script-src 'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in text
    assert not re.search(r"fetch\(|XMLHttpRequest|https?:", script)
    assert "&lt;script&gt;" in text
    assert not re.search(r'(?:src|href)="(?!data:|#)', text)
    assert "url(" not in text
    assert text.count("data:image/jpeg;base64,") == 4  # two pictures, in leakage and in label conflicts
    assert speaking(lang)(ABOUT["leakage"][0]) in text


def test_every_check_has_words_in_every_language() -> None:
    assert set(ABOUT) == set(checks.names())
    assert not {text for pair in ABOUT.values() for text in pair} - set(chinese())
    table = (Path(__file__).parents[2] / "docs" / "how-to" / "check.md").read_text(encoding="utf-8")
    assert [name for name in checks.names() if f"`{name}`" not in table.partition("`error` means")[0]] == []


def test_badge_and_sentence_say_what_they_count(tmp_path: Path) -> None:
    """Five files are one picture: the badge said "5 pictures" beside "1 picture is under two labels"."""
    found = audit(tmp_path, 6)
    listing = Inventory(tuple(replace(row, digest="d") for row in found.subject.listing.rows), ("",) * 6)
    found = audited(Subject(listing, exact_copies(listing)))
    conflict = next(finding for finding in found.findings if finding.check == "label-conflicts")
    assert conflict.summary == "1 picture is under two labels (6 files)"
    assert int(conflict.mask.sum()) == 6
    text = page(found)
    assert "6 pictures concerned" in text
    assert "涉及 6 张图片" in page(found, lang="zh")
    assert speaking("zh")(conflict.summary) == "1 张图片有两个标签（共 6 个文件）"
    assert not re.search(r'class="number">\d+ pictures<', text)


def test_what_does_not_fit_is_counted(tmp_path: Path) -> None:
    text = page(audit(tmp_path, 200))
    assert "and 52 more" in text
    assert len(text) < 1_000_000


def test_another_language_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="choose en or zh"):
        page(audit(tmp_path), lang="tlh")


def test_a_page_that_cannot_be_written_leaves_the_one_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_html("<p>\udcff</p>", tmp_path / "page.html")

    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match="cannot be written"):
        write_html("<p>new</p>", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == "<p>\\udcff</p>"


def test_what_nobody_looked_at_is_not_said_to_be_fine(tmp_path: Path) -> None:
    for number in range(6):
        place = tmp_path / "data" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((64, 64), 40 + number).save(place / f"{number}.png")
    text = page(check_files(tmp_path / "data", cache=tmp_path / "cache"))
    fine = text[text.index("Nothing was found in") :].partition("</p>")[0]
    assert "Exact duplicates" in fine
    assert "Labels that are suspect" not in fine
    assert "Unlike all the others" not in fine
    assert "wrong labels and outliers: no network was asked" in text


@pytest.mark.parametrize(
    ("names", "folder"),
    [
        (("/data/cells/a1.png", "/data/cells/a2.png"), "/data/cells/"),
        (("/data/cells/a1.png", "/data/cellar/a2.png"), "/data/"),
        (("C:\\data\\1.png", "C:\\data\\2.png"), "C:\\data\\"),
        (("s3://bucket/x/1.png", "s3://bucket/y/2.png"), "s3://bucket/"),
        (("train/ants/1.png", "train/ants/2.png"), ""),
        (("/data/1.png", "2.png"), ""),
        (("/data/1.png",), ""),
    ],
)
def test_a_folder_that_all_absolute_names_share_is_known(names: tuple[str, ...], folder: str) -> None:
    assert shared_folder(names) == folder


def test_a_folder_that_all_names_share_is_said_once(tmp_path: Path) -> None:
    """It stood before each name, four lines long, and hid what tells them apart."""
    found = audit(tmp_path, 6)
    rows = tuple(replace(row, name=f"/far/away/{k}.png") for k, row in enumerate(found.subject.listing.rows))
    text = page(audited(replace(found.subject, listing=replace(found.subject.listing, rows=rows))))
    assert text.count("/far/away/") == 1
    assert "in /far/away/" in text
    assert re.search(r'<span class="path"><b>[^<]*</b> 0\.png</span>', text)


def test_a_label_is_not_said_twice_where_macos_wrote_the_folder(tmp_path: Path) -> None:
    found = audit(tmp_path, 4)
    names = ("Ka\u0308fer/0.png", "Ka\u0308fer/1.png", "elsewhere/2.png", "elsewhere/3.png")
    rows = tuple(replace(r, name=n, labels=("Käfer",)) for r, n in zip(found.subject.listing.rows, names, strict=True))
    text = page(audited(replace(found.subject, listing=replace(found.subject.listing, rows=rows))))
    assert "<b>Käfer</b> elsewhere/2.png" in text
    assert "<b>Käfer</b> Ka" not in text


def test_a_thousand_classes_scroll_in_a_box_of_their_own(tmp_path: Path) -> None:
    found = audit(tmp_path)
    names = [f"class {number:04}" for number in range(1000)]
    rows = tuple(replace(found.subject.listing.rows[0], labels=(name,), digest=name) for name in names for _ in "ab")
    listing = Inventory(rows, ("",) * len(rows))
    text = page(audited(Subject(listing, exact_copies(listing))))
    assert '<div class="scroll tall"' in text
    assert text.count('<td data-value="2">') == 1000
    few = re.search(r'id="few".*?</section>', text, re.S)
    assert few is not None
    assert "…</p>" in few[0]  # and no full stop behind it
    assert '<ul class="lines many">' in few[0]
    assert '<div class="scroll"' in page(audit(tmp_path))

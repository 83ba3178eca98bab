"""The report and the check page as a person uses them: many classes, search, download, enlarged pictures; and axe."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from frostline.data.views import Preprocessing
from frostline.judge.audit.run_checks import Audit
from frostline.judge.check_page.render import page as check_page
from frostline.judge.metrics import report_multilabel
from frostline.judge.predictions import Outcome
from frostline.judge.report import thumbnails
from frostline.judge.report.render import render
from frostline.workflows.check import check_files
from tests.judge.browser import axe_source, faults, launched, opened
from tests.judge.test_report import NOVELTY, SETS, a_page, answers

MANY = 40
_SPOT = """() => {
  const [x, y] = JSON.parse(document.getElementById("given").textContent).rows[7].slice(-2);
  const canvas = document.querySelector("#picture-map canvas");
  const scale = canvas.getBoundingClientRect().width / canvas.width;
  return [scale * (26 + x / 1000 * (canvas.width - 52)),
    scale * (canvas.height - 26 - y / 1000 * (canvas.height - 52))];
}"""


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    return axe_source(tmp_path_factory.mktemp("axe"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as found:
        yield found


def report(place: Path, count: int, classes: int, lang: str = "en") -> Path:
    names = tuple(f"a long-tailed warbler of kind {k}" for k in range(classes)) if classes > 2 else ("ants", "bees")
    rng = np.random.default_rng(0)
    for index in range(50):
        Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).save(place / f"{index}.png")
    outcomes = answers(count, names, folder=place)
    shown = thumbnails.seen(
        thumbnails.choose(outcomes), outcomes, Preprocessing(size=(16, 16)), lambda row: Path(row.path)
    )
    places = rng.random((count, 2))
    made = a_page(outcomes, names, shown=shown, places=places, coverage=(SETS,), novelty=NOVELTY)
    (place / "report.html").write_text(render(made, lang=lang), encoding="utf-8")
    return place / "report.html"


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    top, rng = tmp_path_factory.mktemp("audit") / "my data", np.random.default_rng(0)
    for split in ("train", "val"):
        for name in ("ants", "bees"):
            (top / split / name).mkdir(parents=True)
            for number in range(8):
                pixels = rng.integers(0, 256, (10, 10, 3), dtype=np.uint8).repeat(9, 0).repeat(9, 1)
                Image.fromarray(pixels).save(top / split / name / f"{number}.png")
    for copy in ("val/ants/leak.png", "train/bees/conflict.png"):
        (top / copy).write_bytes((top / "train/ants/0.png").read_bytes())
    Image.new("RGB", (90, 90), (5, 5, 5)).save(top / "train/ants/blank.png")
    (top / "train/ants/empty.png").touch()
    return check_files(top, cache=tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize(("classes", "scheme", "width"), [(2, "dark", 1100), (2, "light", 390), (MANY, "light", 1100)])
def test_axe_finds_nothing_on_the_report(
    browser: Any, classes: int, scheme: str, width: int, axe: str, tmp_path: Path
) -> None:
    with opened(browser, report(tmp_path, 4 * classes + 60, classes), width=width, scheme=scheme, free=True) as (
        tab,
        said,
    ):
        assert faults(tab, axe) == []
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert said == []


def test_names_of_any_kind_are_shown_as_they_are_and_stay_on_the_page(browser: Any, tmp_path: Path) -> None:
    classes = ("10 %", "#20%", "$& US$", "x" * 255)
    place = tmp_path / "report.html"
    place.write_text(render(a_page(answers(120, classes), classes)), encoding="utf-8")
    with opened(browser, place, width=360) as (tab, said):
        for truth, answer in ((0, 1), (1, 2), (2, 0)):
            cell = tab.locator(f'[data-cell="{truth}-{answer}"]')
            cell.click()
            count = cell.get_attribute("data-count")
            told = f"labelled {classes[truth]}, predicted {classes[answer]} · {count}"
            assert tab.locator("#cell h3").inner_text() == told
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_check_page(browser: Any, scheme: str, axe: str, audit: Audit, tmp_path: Path) -> None:
    place = tmp_path / "check.html"
    place.write_text(check_page(audit), encoding="utf-8")
    with opened(browser, place, scheme=scheme, free=True) as (tab, said):
        assert faults(tab, axe) == []
        assert said == []


@pytest.mark.parametrize(("lang", "width", "scheme"), [("en", 1100, "light"), ("zh", 390, "dark")])
def test_a_cell_shows_its_pictures_and_nothing_is_asked_of_any_host(
    browser: Any, lang: str, width: int, scheme: str, tmp_path: Path
) -> None:
    place = report(tmp_path, 120, 2, lang)
    outcomes = answers(120, ("ants", "bees"))
    wrong = sum(row.label == "ants" and row.predicted == "bees" for row in outcomes)
    with opened(browser, place, width=width, scheme=scheme) as (tab, said):
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        tab.click('[data-cell="0-1"]')
        assert tab.locator("#cell img").count() == wrong
        assert tab.locator("#cell img").first.evaluate("image => image.naturalWidth") == thumbnails.SIDE
        tab.keyboard.press("Escape")
        assert tab.locator("#cell").is_hidden()
        tab.keyboard.press("ArrowLeft")
        tab.keyboard.press("Enter")
        assert tab.locator('[data-cell="0-0"]').get_attribute("aria-pressed") == "true"
        assert tab.locator("#cell img").count() == 48
        tab.click("#more")
        assert tab.locator("#cell img").count() > 48
        ground = "getComputedStyle(document.body).backgroundColor"
        before = tab.evaluate(ground)
        tab.click("#theme")
        assert tab.evaluate(ground) != before
        assert said == []


def test_predictions_are_searched_filtered_ordered_and_downloaded(browser: Any, tmp_path: Path) -> None:
    place = report(tmp_path, 2000, 2)
    outcomes = answers(2000, ("ants", "bees"), folder=tmp_path)
    with opened(browser, place) as (tab, said):
        rows = tab.locator("#prediction-rows .row")
        assert rows.count() < 60  # of 2,000: only those in sight
        tab.check("#only-wrong")
        wrong = [row for row in outcomes if not row.right]
        assert tab.inner_text("#prediction-count") == f"{len(wrong)} of 2,000 are shown"
        tab.select_option("#truth", label="ants")
        ants = [row for row in wrong if row.label == "ants"]
        assert tab.inner_text("#prediction-count") == f"{len(ants)} of 2,000 are shown"
        tab.select_option("#order", "sure")
        surest = max(ants, key=lambda row: row.probability)
        assert rows.first.locator(".sure").inner_text().startswith(f"{100 * surest.probability:.0f}"[:1])
        with tab.expect_download() as waiting:
            tab.click("#prediction-csv")
        got = list(csv.DictReader(Path(waiting.value.path()).read_text(encoding="utf-8-sig").splitlines()))
        assert {row["name"] for row in got} == {row.name for row in ants}
        assert got[0]["name"] == surest.name
        tab.fill("#find-prediction", "no such picture")
        assert rows.count() == 0
        assert said == []


def test_many_classes_are_a_heat_map_that_enlarges_what_is_confused(browser: Any, tmp_path: Path) -> None:
    place = report(tmp_path, 400, MANY)
    outcomes = answers(400, tuple(str(k) for k in range(MANY)))
    truth, answer = next((int(r.label), int(r.predicted)) for r in outcomes if not r.right)
    with opened(browser, place) as (tab, said):
        box = tab.locator("#heat canvas").bounding_box()
        tab.locator("#heat canvas").scroll_into_view_if_needed()
        cell = box["width"] / MANY
        at = {"x": (answer + 0.5) * cell, "y": (truth + 0.5) * cell}
        tab.locator("#heat canvas").hover(position=at)
        count = sum(int(r.label) == truth and int(r.predicted) == answer for r in outcomes)
        says = f"labelled a long-tailed warbler of kind {truth}, predicted a long-tailed warbler of kind {answer}"
        assert tab.inner_text("#heat .readout") == f"{says}: {count}"
        tab.locator("#heat canvas").click(position=at)
        tab.click(f'#zoomed [data-cell="{truth}-{answer}"]')
        assert tab.locator("#cell figure").count() == count
        tab.click("#confused")
        assert tab.locator("#zoomed tbody tr").count() == 13
        tab.fill("#find-class", "kind 39")
        assert tab.locator("#per-class tbody tr:visible").count() == 1
        tab.fill("#find-class", "")
        tab.click("#per-class th:nth-child(3) button")
        shares = tab.eval_on_selector_all(
            "#per-class tbody tr td:nth-child(3)", "c => c.map(x => Number(x.dataset.value))"
        )
        assert shares == sorted(shares, reverse=True)
        assert said == []


def test_a_picture_is_enlarged_and_its_neighbours_follow(browser: Any, tmp_path: Path) -> None:
    with opened(browser, report(tmp_path, 60, 2)) as (tab, said):
        tab.locator("#samples .zoom").first.click()
        first = tab.inner_text("#lightbox figcaption")
        tab.keyboard.press("ArrowRight")
        assert tab.inner_text("#lightbox figcaption") != first
        tab.keyboard.press("Escape")
        assert tab.locator("#lightbox").is_hidden()
        tab.locator("#picture-map canvas").scroll_into_view_if_needed()
        spot = tab.evaluate(_SPOT)
        tab.locator("#picture-map canvas").hover(position={"x": spot[0], "y": spot[1]})
        assert "7.png" in tab.inner_text("#picture-map .tip p")
        assert said == []


def test_every_colour_of_the_map_is_named_where_pictures_have_several_labels(browser: Any, tmp_path: Path) -> None:
    truth = np.tile([[1, 0], [0, 1], [1, 1], [0, 0]], (10, 1))
    labels = ("ants", "bees", "ants|bees", "")
    rows = tuple(Outcome(f"{n}.png", "", f"{n}", "val", labels[n % 4], "ants", 0.6, n % 4 == 0) for n in range(40))
    report = report_multilabel(np.full((40, 2), 0.6), truth, ("ants", "bees"), resamples=50)
    plain = a_page(answers(40, ("ants", "bees")), ("ants", "bees"), places=np.random.default_rng(0).random((40, 2)))
    page = replace(plain, report=report, outcomes=rows, shown=thumbnails.choose(rows, several=True))
    (tmp_path / "x.html").write_text(render(page), "utf-8")
    with opened(browser, tmp_path / "x.html") as (tab, said):
        named = ["ants", "bees", "ants|bees", "–"]
        assert tab.locator("#map-keys li").all_inner_texts() == [*named, "wrong"]
        assert tab.locator("#map-class option").all_inner_texts() == ["all", *named]
        assert said == []


def test_the_check_page_is_filtered_and_writes_the_command_for_what_is_selected(
    browser: Any, audit: Audit, tmp_path: Path
) -> None:
    place = tmp_path / "check.html"
    place.write_text(check_page(audit), encoding="utf-8")
    with opened(browser, place) as (tab, said):
        start = f"frostline check '{audit.subject.listing.source}' --write cleaned.csv --drop"
        assert tab.inner_text("#command") == f"{start} leakage,unreadable"
        tab.check('.pick input[value="label-conflicts"]')
        tab.uncheck('.pick input[value="unreadable"]')
        assert tab.inner_text("#command") == f"{start} leakage,label-conflicts"
        tab.select_option("#level", "note")
        assert tab.locator("section.finding:visible").count() == sum(f.level == "note" for f in audit.findings)
        tab.select_option("#level", "")
        tab.fill("#find", "conflict.png")
        assert {"leakage", "label-conflicts"} <= set(
            tab.eval_on_selector_all("section.finding:not([hidden])", "all => all.map(s => s.id)")
        )
        assert tab.locator("#unreadable").is_hidden()
        assert said == []

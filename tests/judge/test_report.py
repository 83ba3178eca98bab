"""The page: what it says, that it asks nobody for anything, and that it stays small."""

import dataclasses
import html
import json
import re
import shlex
import string
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import betabinom

from frostline.data.manifest import Skipped
from frostline.data.views import Preprocessing
from frostline.errors import PlanError
from frostline.judge import intervals, metrics
from frostline.judge.conformal import CoverageResult
from frostline.judge.intervals import Interval
from frostline.judge.ood import Novelty
from frostline.judge.pages.translations import chinese, speaking
from frostline.judge.predictions import Outcome
from frostline.judge.report import charts, page, plots, thumbnails
from frostline.judge.report import text as as_text
from frostline.judge.report.charts import Curve, Layer, Point
from frostline.judge.report.page import Page
from frostline.judge.report.render import render
from frostline.judge.report.sections import SECTIONS
from frostline.judge.report.text import confidence, wrapped
from frostline.judge.result import PhaseRow

HOSTILE = '<img src=x onerror="alert(1)">&"\'</script>'
SETS = CoverageResult(0.95, 0.967, 0.94, 0.99, 1.12, 0.9, 40, "test")
NOVELTY = Novelty(0.4, 0.05, 40, 2, 5, "fc")
STAGES = ("stem", "layer1", "layer2", "layer3", "head")


def answers(n: int, classes: tuple[str, ...], *, folder: Path | None = None, seed: int = 0) -> tuple[Outcome, ...]:
    rng = np.random.default_rng(seed)
    found = []
    for index in range(n):
        truth = classes[index % len(classes)]
        says = truth if rng.random() < 0.9 else classes[int(rng.integers(len(classes)))]
        path = str(folder / f"{index % 50}.png") if folder else ""
        name = f"val/{truth}/{index}.png"
        found.append(Outcome(name, path, str(index), "val", truth, says, float(rng.uniform(0.5, 1)), says == truth))
    return tuple(found)


def a_page(outcomes: tuple[Outcome, ...], classes: tuple[str, ...], **more: Any) -> Page:
    place = {name: index for index, name in enumerate(classes)}
    sure = np.full((len(outcomes), len(classes)), 0.0)
    for line, row in zip(sure, outcomes, strict=True):
        line += (1 - row.probability) / (len(classes) - 1)
        line[place[row.predicted]] = row.probability
    report = metrics.report(sure, np.array([place[row.label] for row in outcomes]), classes, resamples=50)
    half = Interval(0.9, 0.8, 0.95, len(outcomes))
    given: dict[str, Any] = {
        "title": "leaves",
        "what": "fit",
        "model": "resnet18",
        "split": "val",
        "report": report,
        "classes": classes,
        "outcomes": outcomes,
        "shown": thumbnails.choose(outcomes),
        "strategy": "auto",
        "phases": (
            PhaseRow("probe", "head", half, 1.0, why="the first model", trainable=1026),
            PhaseRow("unfreeze", "layer2", half, 60.0, kept=False, why="not measurably better: p = 1", epochs=3),
        ),
        "layers": tuple(Layer(name, 10**index) for index, name in enumerate(STAGES)),
        "rates": ({}, {"stem": 0.0, "layer1": 0.0, "layer2": 1e-5, "layer3": 1e-4, "head": 1e-3}),
        "curves": (Curve("unfreeze", tuple(Point(e, 0.8 + e / 100, 0.5 / e, 0.4 / e) for e in (1, 2, 3))),),
        "counts": {"train": dict.fromkeys(classes, 20), "val": dict.fromkeys(classes, 5)},
        "temperature": 1.2,
        "seconds": 61.0,
        "memory": 1_200_000_000,
        "command": "frostline fit leaves --model resnet18",
    }
    return Page(**{**given, **more})


def read_back(text: str) -> dict[str, Any]:
    (given,) = re.findall(r'id="given">(.*?)</script>', text)
    return json.loads(given)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 pictures of full noise, which compress worst."""
    folder = tmp_path_factory.mktemp("noise")
    rng = np.random.default_rng(0)
    for index in range(50):
        Image.fromarray(rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return folder


def test_the_headline_is_the_figure_with_its_interval_in_words() -> None:
    outcomes = answers(200, ("a", "b"))
    right = sum(row.right for row in outcomes)
    text = html.unescape(render(a_page(outcomes, ("a", "b"))))
    assert f"<h1>{100 * right / 200:.1f}\u202f%</h1>" in text
    assert f"Of 200 pictures it was not trained on, it classified {right} correctly." in text
    low, high = betabinom.ppf((0.025, 0.975), 100, right + 0.5, 200 - right + 0.5)
    assert f"about {low:.0f} to {high:.0f} correctly" in text


def test_what_comes_from_outside_is_escaped_wherever_it_is_shown() -> None:
    classes = ("fine", HOSTILE)
    outcomes = tuple(
        Outcome(f"{HOSTILE}{i}", "", str(i), "val", classes[i % 2], classes[i % 3 % 2], 0.7, i % 2 == i % 3 % 2)
        for i in range(30)
    )
    shown = a_page(
        outcomes,
        classes,
        title=HOSTILE,
        model=HOSTILE,
        strategy=HOSTILE,
        command=HOSTILE,
        engine=HOSTILE,
        warnings=(HOSTILE,),
        skipped=(Skipped(HOSTILE, HOSTILE),),
        layers=(*(Layer(name) for name in STAGES[:-1]), Layer(HOSTILE)),
        facts={HOSTILE: HOSTILE},
        versions={HOSTILE: HOSTILE},
    )
    for lang in ("en", "zh"):
        text = render(shown, lang=lang)
        assert "<img src=x" not in text
        assert text.count("</script>") == 2
        assert text.count('onerror="') == 0


def test_every_sentence_of_the_page_has_a_chinese_one_with_the_same_places() -> None:
    folder = Path(page.__file__).parent
    templates = [*folder.rglob("*.html"), *folder.parent.glob("pages/*.html"), *folder.parent.glob("check_page/*.html")]
    template = "".join(path.read_text() for path in templates)
    drawn = Path(charts.__file__).read_text() + Path(plots.__file__).read_text()
    said = set(re.findall(r"\bt\('([^']+)'", template)) | set(re.findall(r'\bsay\(\s*"([^"]+)"', drawn))
    said |= {section.title for section in SECTIONS}
    said -= {"on "}  # followed by the split
    assert len(said) > 120
    assert not said - set(chinese())
    for english, translated in chinese().items():
        fields = [sorted(f for _, f, _, _ in string.Formatter().parse(text) if f) for text in (english, translated)]
        assert fields[0] == fields[1], english


def test_the_reasons_of_a_run_are_chinese_too() -> None:
    say = speaking("zh")
    assert say("no better val loss for 5 epochs") == "验证损失连续 5 轮没有改善"
    assert say("something new") == "something new"
    with pytest.raises(PlanError, match="'fr'"):
        speaking("fr")


def test_one_picture_is_as_sure_in_a_gallery_as_in_the_table() -> None:
    """The script writes per mille by ECMAScript's toFixed: the nearest, of two the larger. 79.49 % was 79 and 80."""
    script = Path(str(resources.files("frostline.judge.report") / "page.js")).read_text("utf-8")
    assert 'mille >= 1000 ? ">\\u202f99.9 %" : `${(mille / 10).toFixed(mille < 995 ? 0 : 1)} %`' in script
    assert {confidence(0.9996), confidence(1.0)} == {">\u202f99.9\u202f%"}  # as the page of `serve` has it
    for probability in (0.7949, 0.785, 0.795, 0.9949, 0.9951, 0.99949, *np.linspace(0, 0.9994, 777)):
        mille = round(1000 * probability)
        digits = Decimal("1") if mille < 995 else Decimal("0.1")
        assert confidence(probability).split("\u202f")[0] == str((Decimal(mille) / 10).quantize(digits, ROUND_HALF_UP))


@pytest.mark.parametrize("place", ["my data --old/x", "it's  two  spaces", "数据 集/甲"])
def test_the_command_that_is_shown_is_the_one_that_was_typed(place: str) -> None:
    words = ["frostline", "fit", place, "--few", "--out", f"{place} --new"]
    said = wrapped(shlex.join(words))
    assert shlex.split(said.replace("\\\n", "")) == words
    assert said.count("\n") == 2
    assert wrapped("frostline fit 'half") == "frostline fit 'half"


def test_a_page_says_that_the_model_has_not_seen_its_pictures_only_where_that_is_known() -> None:
    outcomes = answers(40, ("a", "b"))
    text = html.unescape(render(a_page(outcomes, ("a", "b"), what="evaluation", unseen=False)))
    assert "not trained on" not in text
    assert f"Of 40 pictures, it classified {sum(row.right for row in outcomes)} correctly." in text


def test_a_page_of_an_evaluation_names_no_file_that_it_does_not_leave() -> None:
    outcomes, skipped = answers(40, ("a", "b")), tuple(Skipped(f"{n}.jpg", "not a picture") for n in range(150))
    for what, named in (("fit", True), ("evaluation", False)):
        text = render(a_page(outcomes, ("a", "b"), what=what, skipped=skipped))
        assert ("and 50 more, in skipped.csv" in text) is named
        assert "and 50 more" in text


def test_only_what_is_below_nine_in_ten_is_unsure() -> None:
    sure = (1.0, 0.9, 0.85, 0.6)
    rows = tuple(Outcome(f"{i}", "", str(i), "val", "a", "a", p, True) for i, p in enumerate(sure))
    assert thumbnails.choose(rows).unsure == (3, 2)


def test_mistakes_come_first_by_how_sure_they_were_and_every_class_has_some() -> None:
    outcomes = answers(300, ("a", "b", "c"))
    chosen = thumbnails.choose(outcomes)
    sure = [outcomes[i].probability for i in chosen.mistakes]
    assert sure == sorted((row.probability for row in outcomes if not row.right), reverse=True)[: len(sure)]
    unsure = [outcomes[i].probability for i in chosen.unsure]
    assert unsure == sorted(row.probability for row in outcomes if row.right)[: len(unsure)]
    assert sorted(chosen.listed) == list(range(300))
    wrong = sum(not row.right for row in outcomes)
    assert {outcomes[i].label for i in chosen.listed[wrong : wrong + 3]} == {"a", "b", "c"}


def test_two_thousand_pictures_make_less_than_three_megabytes(pictures: Path) -> None:
    outcomes = answers(2000, tuple("abcdefghij"), folder=pictures)
    chosen = thumbnails.choose(outcomes)
    wants = Preprocessing(size=(64, 64))
    shown = thumbnails.seen(chosen, outcomes, wants, lambda row: Path(row.path))
    assert len(shown.thumbs) > 120  # of noise, which compresses worst; of photographs there are 400
    heat = ((i, np.full((200, 200, 3), 128, np.uint8)) for i in shown.large)
    text = render(a_page(outcomes, tuple("abcdefghij"), shown=thumbnails.with_heat(shown, heat)))
    assert len(text.encode()) < 3_000_000
    assert text.count("data:image/webp") > 120


def test_pictures_that_are_gone_are_named_and_counted(tmp_path: Path) -> None:
    outcomes = answers(20, ("a", "b"), folder=tmp_path)
    shown = thumbnails.seen(thumbnails.choose(outcomes), outcomes, Preprocessing(), lambda row: Path(row.path))
    assert not shown.thumbs
    assert shown.lacking == 20
    assert "20 pictures are not where they were" in render(a_page(outcomes, ("a", "b"), shown=shown))


def test_many_classes_are_listed_as_pairs_most_often_confused_first() -> None:
    classes = tuple(f"class {i}" for i in range(60))
    outcomes = answers(600, classes)
    text = render(a_page(outcomes, classes))
    assert 'class="matrix many" id="matrix"' not in text
    counts = [int(n) for n in re.findall(r'data-count="(\d+)"', text)]
    assert counts == sorted(counts, reverse=True)
    assert 0 < len(counts) <= 40


def test_several_labels_a_picture_have_a_page_too() -> None:
    rng = np.random.default_rng(0)
    report = metrics.report_multilabel(rng.random((40, 3)), rng.integers(0, 2, (40, 3)), ("a", "b", "c"), resamples=50)
    rows = tuple(Outcome(f"{i}.png", "", str(i), "val", "a|b" * (i % 2), "a", 0.6, i % 2 == 1) for i in range(40))
    shown = Page(
        title="x",
        what="evaluation",
        model="m",
        split="",
        report=report,
        classes=("a", "b", "c"),
        outcomes=rows,
        shown=replace(thumbnails.choose(rows, several=True), large={0: thumbnails.Shot("data:,", "data:,")}),
        pictures={"val": 123},
        counts={"val": {"a": 100, "b": 100, "c": 100}},
        novelty=NOVELTY,
    )
    text = render(shown)
    assert "every class of" in text
    assert "Does 90" not in text  # where nothing answers it
    assert "Unlike the training data" in text
    assert "<b>123</b>" in text  # pictures, and not their labels, of which there are more or fewer
    assert "labelled none" in text
    assert "Where the evidence for its likeliest class is" in text  # and not for all that is answered, or for none
    assert f'<td class="n">{report.confusion[0][1][1]}</td>' in text


def test_the_frost_line_is_drawn_where_the_phases_put_it() -> None:
    drawn = a_page(answers(20, ("a", "b")), ("a", "b"))
    svg = str(charts.profile(drawn.phases, drawn.layers, drawn.rates, (), speaking("en"), 860))
    (line,) = re.findall(r'class="frost" d="M([^"]+)"', svg)
    heights = [int(corner.split(",")[1]) for corner in line.split(" L")]
    row = 22
    bottom = 14 + row * len(STAGES)
    assert heights == [bottom - 4 * row] * 2 + [bottom - 2 * row] * 2
    assert svg.count('class="unfrozen"') == 1 + 3
    assert "learning rate 1e-05" in svg
    assert "solved" in svg


def test_curves_are_those_of_scikit_learn_and_the_worst_classes_come_first() -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 300)
    scores = rng.random((300, 4)) * 0.3 + np.eye(4)[truth] * np.array([0.5, 0.02, 0.2, 0.1])
    rocs, precisions = plots.rankings(scores, truth, tuple("abcd"), range(4))
    assert [curve.name for curve in rocs] == ["b", "d", "c", "a"]
    for roc, precision in zip(rocs, precisions, strict=True):
        own = truth == "abcd".index(roc.name)
        score = scores[:, "abcd".index(roc.name)]
        assert roc.area == pytest.approx(roc_auc_score(own, score))
        assert precision.area == pytest.approx(average_precision_score(own, score))
        assert np.trapezoid(roc.y, roc.x) == pytest.approx(roc.area, abs=0.02)
        assert roc.reach == intervals.roc_bounds(roc.area, own.sum(), (~own).sum())
    twice = plots.rankings(
        np.repeat(scores, 2, 0), np.repeat(truth, 2), tuple("abcd"), range(4), np.repeat(np.arange(300), 2)
    )
    assert [curve.reach for curve in twice[0]] == [pytest.approx(curve.reach) for curve in rocs]


def test_classes_without_pictures_take_no_curve_from_those_that_have_some() -> None:
    names = tuple(f"c{k:02}" for k in range(40))
    outcomes = tuple(row for row in answers(400, names) if row.label in names[37:])
    probabilities = np.random.default_rng(0).dirichlet(np.ones(40), len(outcomes))
    drawn = render(a_page(outcomes, names, probabilities=probabilities))
    assert [f"{name}: area under" in drawn for name in names[36:]] == [False, True, True, True]
    one = tuple(row for row in outcomes if row.label == names[39])
    alone = render(a_page(one, names, probabilities=probabilities[: len(one)]))
    assert "What a threshold would trade" in drawn
    assert "What a threshold would trade" not in alone


def test_of_two_classes_the_answers_imply_the_curve() -> None:
    outcomes = answers(60, ("a", "b"))
    shown = a_page(outcomes, ("a", "b"))
    assert shown.scores is not None
    second = [row.probability if row.predicted == "b" else 1 - row.probability for row in outcomes]
    assert shown.scores[:, 1].tolist() == second
    assert a_page(answers(60, ("a", "b", "c")), ("a", "b", "c")).scores is None


def test_what_guessing_would_come_to_stands_beside_the_headline() -> None:
    rows = tuple(Outcome(f"{i}", "", str(i), "val", "a" if i < 90 else "b", "a", 0.8, i < 90) for i in range(100))
    text = render(a_page(rows, ("a", "b")))
    assert "always guessing a is right for 90.0\u202f%, guessing at random for 50.0\u202f%" in text
    assert "not measurably better than always guessing" in text
    good = tuple(Outcome(f"{i}", "", str(i), "val", k, k, 0.8, True) for i, k in enumerate("ab" * 50))
    assert "not measurably better than always guessing" not in render(a_page(good, ("a", "b")))


def test_with_several_labels_the_commonest_answer_stands_beside_the_headline_too() -> None:
    rng, truth = np.random.default_rng(0), np.zeros((40, 3), np.int64)
    truth[:12, 0] = 1
    report = metrics.report_multilabel(np.where(rng.random((40, 3)) < 0.9, truth, 1 - truth), truth, ("a", "b", "c"))
    text = render(a_page(answers(40, ("a", "b", "c")), ("a", "b", "c"), report=report))
    assert "always guessing no class is right for 70.0\u202f%, guessing at random for 12.5\u202f%" in text
    assert "not measurably better than always giving the commonest answer" in text


def test_what_the_script_is_given_is_json_whatever_the_names_are() -> None:
    outcomes = tuple(Outcome(HOSTILE, "", "0", "val", k, "a", 0.5, k == "a") for k in ("a", "b"))
    text = render(a_page(outcomes, ("a", "b")))
    given = read_back(text)
    names = [given["folders"][folder] + name for folder, name, *_ in given["rows"]]
    assert names == [HOSTILE, HOSTILE]
    assert [row[2:] for row in given["rows"]] == [[0, 0, 500, 1], [1, 0, 500, 0]]


def test_promises_are_shown_where_they_were_measured_and_left_out_where_not() -> None:
    outcomes = answers(40, ("a", "b"))
    text = html.unescape(render(a_page(outcomes, ("a", "b"), coverage=(SETS,), novelty=NOVELTY)))
    assert "96.7\u202f%" in text
    assert "Of 40 held-out pictures like it, 2 were marked." in text
    without = render(a_page(outcomes, ("a", "b")))
    assert "Prediction sets" not in without
    assert "Unlike the training data" not in without


def test_of_many_classes_a_prediction_set_names_only_those_that_are_kept_worst() -> None:
    names = tuple(f"class {k}" for k in range(40))
    row = dataclasses.replace(SETS, by_class={name: (k / 39, 5) for k, name in enumerate(names)})
    assert [name for name, _ in as_text.lowest(row)] == list(names[:38])  # 37/39 is below 95 %, 38/39 is not
    html_of = render(a_page(answers(60, names), names, coverage=(row,)))
    section = html_of[html_of.index("Prediction sets</h3>") :].partition("</table>")[0]
    assert [name for name in names if f">{name}<" in section] == ["class 0", "class 1", "class 2"]
    assert "and 35 more" in section
    assert as_text.middle("a" * 50 + "b" * 50) == "a" * 17 + "…" + "b" * 18


def test_a_phase_that_never_ran_is_hardly_wider_than_its_mark() -> None:
    fitted = PhaseRow("probe", "head", Interval(0.9, 0.8, 0.95, 50), 1.0)
    skipped = PhaseRow("unfreeze", "layer2", None, 0.0, kept=False, why="2 of 50 val pictures are wrong")
    (x0, x1), (y0, y1) = charts._edges((fitted, skipped), 0, 100)
    assert (x0, x1) == (0, y0)
    assert y1 == pytest.approx(100)
    assert y1 - y0 < 15

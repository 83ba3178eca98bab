"""Names that are joined into one text come apart as they were, whatever stands in them, wherever they are joined."""

import csv
import io
import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest

from frostline.data import csv_files
from frostline.data.label_text import as_text, joined, labels_in, parted
from frostline.data.manifest import Manifest, Row
from frostline.data.places.inventory import Inventory
from frostline.data.sources import read
from frostline.data.views import Preprocessing
from frostline.errors import DataError
from frostline.judge import conformal
from frostline.judge.audit.findings import Subject
from frostline.judge.audit.near_duplicates import exact_copies
from frostline.judge.audit.run_checks import Audit
from frostline.judge.audit.write_csv import write_cleaned
from frostline.judge.figures import Report
from frostline.judge.metrics import report
from frostline.judge.predictions import outcomes, read_outcomes
from frostline.judge.predictions import to_csv as pictures_csv
from frostline.judge.report import thumbnails
from frostline.judge.report.page import Page
from frostline.judge.training_list import to_csv, training_list
from frostline.run.provenance import pictures_digest
from frostline.ship.model_info import ModelInfo
from frostline.ship.prediction_table import Columns
from frostline.ship.predictor import Prediction
from frostline.workflows.evaluate import learnt_by

ODD = (
    *("a|b", "a", "b", "a,b", "a;b", "a/b", "1", "01", "1.0", "NaN", "None", "nan", "true", "-", "-1", "=1+1", '="x"'),
    *("🐜", "نملة", "蚂蚁", "x" * 5000, "|", "||", "\\", "\\|", "a\\", "C:\\a", 'say "a"', "#a", "a\tb", "a\nb", "[a]"),
)


def rows_of(labels: list[tuple[str, ...]]) -> tuple[Row, ...]:
    return tuple(Row(Path(f"/p/{n}.png"), own, name=f"{n}.png", digest=str(n)) for n, own in enumerate(labels))


def test_any_names_come_apart_as_they_were() -> None:
    short = ["".join(letters) for n in (1, 2, 3) for letters in itertools.product("a|\\", repeat=n)]
    for name in (*short, *ODD):
        assert parted(joined([name])) == (name,)
        assert labels_in(as_text([name], several=False), several=False) == (name,)
    drawn = random.Random(0)
    for _ in range(2000):
        names = tuple(drawn.sample((*short, *ODD), drawn.randint(0, 4)))
        assert parted(joined(names)) == names


@pytest.mark.parametrize("text", ["C:\\a", "a\\b", "sea and people", "50 % \\ 20"])
def test_what_holds_no_mark_is_written_as_it_is(text: str) -> None:
    assert joined([text]) == text
    assert parted(f"{text}|b") == (text, "b")


def test_long_texts_take_no_longer_than_they_are() -> None:
    for text in ("\\" * 300_000 + "a", "\\a" * 150_000, "a|" * 150_000):
        assert parted(joined([text])) == (text,)


@pytest.mark.parametrize("several", [False, True])
def test_labels_of_a_run_are_read_back_as_they_were(tmp_path: Path, several: bool) -> None:
    labels: list[tuple[str, ...]] = [(name,) for name in ODD]
    if several:
        labels += [("a", "b"), ("a|b", "a"), (), ("\\", "|")]
    manifest = Manifest(rows_of(labels), ODD, multilabel=several)
    p = np.zeros((len(labels), len(ODD)))
    for line, own in zip(p, labels, strict=True):
        line[[ODD.index(name) for name in own]] = 1
    told = outcomes(manifest, p, "val")
    for name, text in (("training.csv", to_csv(manifest)), ("pictures.csv", pictures_csv(told))):
        (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    found = training_list(tmp_path, several=several)
    assert found is not None
    assert [set(row.labels) for row in found] == list(map(set, labels))
    again = read_outcomes(tmp_path / "pictures.csv")
    assert again == told
    assert [set(labels_in(row.label, several=several)) for row in again] == list(map(set, labels))
    assert [row.predicted for row in again] == [row.label for row in again]
    if not several:
        assert [row.label for row in again] == list(ODD)
    assert set(thumbnails.choose(again, several=several).samples) == set(ODD)


def test_the_list_of_training_pictures_may_lie_within_the_model_of_a_place(tmp_path):
    """``evaluate`` did not know it, and ``explain`` and ``export`` did."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "training.csv").write_text("name,path,digest,label\na.png,,12,ant\n")
    assert learnt_by(tmp_path) == learnt_by(tmp_path / "model") == {"12"}


def test_a_report_counts_a_name_with_a_sign_as_one_label() -> None:
    labels: list[tuple[str, ...]] = [("a|b",), ("a", "b"), ("b",)]
    manifest = Manifest(rows_of(labels), ("a", "a|b", "b"), multilabel=True)
    p = np.array([[0, 1, 0], [1, 0, 1], [0, 0, 1]], np.float64)
    page = Page(
        title="",
        what="fit",
        model="",
        split="val",
        report=Report(3, {}, (), np.zeros((3, 2, 2), np.int64)),
        classes=manifest.classes,
        outcomes=tuple(outcomes(manifest, p, "val")),
    )
    assert (page.truth == p).all()


def test_pictures_under_one_odd_label_are_others_than_under_two() -> None:
    one, two = (Manifest(rows_of([own, ("c",)]), ("a", "b", "a|b", "c")) for own in (("a|b",), ("a", "b")))
    assert pictures_digest(one) != pictures_digest(two)


def test_a_prediction_set_is_read_back_as_it_was() -> None:
    k = len(ODD)
    about = ModelInfo(
        name="n",
        classes=ODD,
        preprocessing=Preprocessing(),
        sets=conformal.PredictionSets((5.0,), 1),
    )
    answer = Prediction("x.png", np.full(k, 1 / k, np.float32))
    columns = Columns(1, coverage=0.4)
    text = csv_files.text([columns.header, columns.line(answer, about)])
    line = next(csv.DictReader(io.StringIO(text, newline="")))
    assert set(parted(line["set"])) == set(ODD)
    assert line["label"] in ODD


def test_figures_of_odd_classes_survive_json() -> None:
    rng = np.random.default_rng(0)
    y = np.concatenate([np.arange(len(ODD)), rng.integers(0, len(ODD), 40)])
    p = rng.random((len(y), len(ODD)))
    found = report(p / p.sum(1, keepdims=True), y, ODD, resamples=5)
    back = Report.from_dict(json.loads(json.dumps(found.to_dict())))
    assert [row.name for row in back.per_class] == list(ODD)


@pytest.mark.parametrize(
    "classes",
    [("a|b", "c"), ("a", "b", "a|b"), ("=1+1", "-", "🐜"), ("نملة", "蚂蚁", "true"), ("01", "1", "a\\|b", "|")],
)
def test_a_cleaned_table_holds_odd_classes(tmp_path: Path, pictures: Path, classes: tuple[str, ...]) -> None:
    listing = files(pictures, classes)
    write_cleaned(Audit(Subject(listing, exact_copies(listing)), ()), tmp_path / "c.csv", drop=())
    again = read(tmp_path / "c.csv", cache=tmp_path / "cache")
    assert not again.multilabel
    assert [row.labels for row in again.rows] == [row.labels for row in listing.rows]


@pytest.mark.parametrize(
    "classes",
    [("None", "c"), ("NaN", "c"), (" a", "c"), ("1.0", "1", "2"), ("a,b", "a", "b"), ("[a]", "[b]"), ("-1", "c")],
)
def test_a_cleaned_table_that_would_be_misread_is_refused(
    tmp_path: Path, pictures: Path, classes: tuple[str, ...]
) -> None:
    """A class called None was read as no label, a class "a,b" beside a and b as two labels."""
    listing = files(pictures, classes)
    with pytest.raises(DataError) as caught:
        write_cleaned(Audit(Subject(listing, exact_copies(listing)), ()), tmp_path / "c.csv", drop=())
    assert caught.value.hint
    assert not (tmp_path / "c.csv").exists()


def files(folder: Path, classes: tuple[str, ...]) -> Inventory:
    places = sorted(folder.glob("*.png"))
    rows = tuple(
        Row(place, (classes[n % len(classes)],), name=place.name, digest=place.name) for n, place in enumerate(places)
    )
    return Inventory(rows, ("",) * len(rows), source=str(folder))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    from PIL import Image

    (tmp_path / "p").mkdir()
    for n in range(12):
        Image.new("RGB", (8, 8), (n, 2 * n, 255 - n)).save(tmp_path / "p" / f"{n:02}.png")
    return tmp_path / "p"

"""Pictures that a model has learnt from do not judge it; what val has chosen is said to be chosen on val."""

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from frostline import ImageClassifier
from frostline.cli import app, console
from frostline.data.manifest import Manifest, Row
from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import read
from frostline.data.views import Preprocessing
from frostline.errors import DataError
from frostline.judge.conformal import PredictionSets
from frostline.judge.ood import Novelty, TrainingFeatures
from frostline.run.provenance import counted
from frostline.run.run_folder import RunFolder
from frostline.ship.predictor import Prediction
from frostline.train.defaults import default
from frostline.workflows.compare import compare
from frostline.workflows.evaluate import evaluate, labelled_for, learnt_by
from frostline.workflows.report_data import of_evaluation


class Knows:
    """Answers the label of what it has learnt from, and always the first class of all else."""

    def __init__(self, about, learnt, classes):
        self.about, self._learnt, self._classes = about, learnt, classes

    def predict(self, rows):
        for row in rows:
            sure = np.full(len(self._classes), 0.1, np.float32)
            sure[self._classes.index(row.labels[0]) if row.digest in self._learnt else 0] = 0.9
            yield Prediction(row.name, sure / sure.sum())


class About:
    multilabel, novelty, sets, facts = False, None, None, {}
    name, temperature, versions, preprocessing = "knows", 1.0, {}, Preprocessing(size=(16, 16))

    def __init__(self, classes):
        self.classes = classes


def test_a_table_is_read_as_that_of_the_fit_was_where_nothing_else_is_said(leaves: Path, tmp_path: Path) -> None:
    names = [row.name for row in read(leaves).rows]
    place = tmp_path / "t.csv"
    lines = (f"{leaves / name},{'ab'[n % 2]},{'ba'[n % 2]}\n" for n, name in enumerate(names))
    place.write_text("path,label,truth\n" + "".join(lines))
    about = About(("a", "b"))
    about.facts = {"given": {"label_column": "truth", "ignore": "nobody*", "weights": "/etc/passwd"}}

    def first(how: PlaceOptions = PlaceOptions(), where: Path = place) -> tuple[str, ...]:
        return labelled_for(about, where, how).rows[0].labels

    assert first() == ("b",)
    assert first(PlaceOptions(label_column="label")) == ("a",)
    (tmp_path / "u.csv").write_text(f"path,label\n{leaves / names[0]},a\n{leaves / names[1]},b\n")
    assert first(where=tmp_path / "u.csv") == ("a",)
    with pytest.raises(DataError, match="no column 'truht'"):
        first(PlaceOptions(label_column="truht"))


def test_what_training_csv_lists_is_left_out_by_content(leaves: Path, tmp_path: Path) -> None:
    everything = read(leaves)
    record = RunFolder(tmp_path)
    record.training(everything.part("train"))
    assert learnt_by(tmp_path / "model") == frozenset()  # somebody's list of that name beside somebody's model
    record.json("plan.json", {})
    learnt = learnt_by(tmp_path / "model")
    assert learnt_by(tmp_path) == learnt
    assert learnt_by(tmp_path / "another") == frozenset()
    assert len(learnt) == len(everything.part("train"))
    knows = Knows(About(everything.classes), learnt, list(everything.classes))
    found = evaluate(knows, everything, learnt=learnt)
    assert (found.report.n, found.learnt) == (48, 48)
    assert found.report.figures["accuracy"].value == 0.5  # the rest: val and test, always the first class
    assert found.to_dict()["learnt_from"] == 48
    whole = evaluate(knows, everything)
    assert (whole.report.n, whole.learnt) == (96, 0)
    assert whole.report.figures["accuracy"].value == 0.75
    with pytest.raises(DataError, match="trained on all 48") as caught:
        evaluate(knows, everything.part("train"), learnt=learnt)
    assert "--all" in caught.value.hint
    assert learnt_by(tmp_path / "elsewhere" / "model") == frozenset()


def test_the_page_counts_what_was_judged_and_tells_what_the_model_was_trained_on(leaves: Path, tmp_path: Path) -> None:
    everything = read(leaves)
    learnt = frozenset(row.digest for row in everything.part("train").rows)
    knows = Knows(About(everything.classes), learnt, list(everything.classes))
    for every, unseen, counted_, note in (
        (False, True, 48, "48 pictures were left out"),
        (True, False, 96, "trained on 48 of these pictures, so the figures are too good"),
    ):
        found = evaluate(knows, everything, learnt=learnt, every=every)
        page = of_evaluation(found, knows.about, everything, title="leaves")
        assert page.unseen is found.unseen is unseen
        assert sum(page.counts["all"].values()) == found.report.n == counted_
        assert note in page.warnings[0]
        assert not any("without a picture" in text for text in page.warnings)
    one = replace(everything, rows=tuple(row for row in everything.rows if row.labels == everything.classes[:1]))
    page = of_evaluation(evaluate(knows, one), knows.about, one, title="leaves")
    assert any(f"judge by: {len(everything.classes) - 1} of" in text for text in page.warnings)
    nobody_knows = evaluate(knows, everything)
    assert not nobody_knows.unseen
    assert not nobody_knows.to_dict()["unseen"]
    assert [note.partition(":")[0] for note in nobody_knows.notes] == ["no training.csv is beside the model"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, "last"),
        ({"schedule": "step"}, "best"),
        ({"schedule": "constant"}, "best"),
        ({"patience": 3}, "best"),
    ],
)
def test_the_last_epoch_is_kept_where_the_schedule_ends_at_zero(given: dict, kept: str) -> None:
    assert default("keep", 240, given) == kept


SMALL = {"model": "resnet18", "weights": "none", "image_size": 32, "strategy": "freeze", "epochs": 2, "views": 1}


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ({"keep": "last", "patience": 1}, "val"),
        ({"keep": "last", "schedule": "plateau"}, "val"),
        ({"keep": "best", "epochs": 1}, ""),
    ],
)
def test_patience_and_a_schedule_by_val_choose_too(leaves: Path, given: dict, chosen: str) -> None:
    assert ImageClassifier(**(SMALL | given)).fit(leaves).result_.chosen_on == chosen


@pytest.mark.parametrize(("keep", "chosen"), [("best", "val"), ("last", "")])
def test_what_val_has_chosen_is_said_wherever_its_figures_stand(
    leaves: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], keep: str, chosen: str
) -> None:
    """metrics.json, the card, the terminal, the report, a notebook, `evaluate` and `compare`; else nowhere."""
    data, out = tmp_path / "data", tmp_path / "run"
    shutil.copytree(leaves, data, ignore=lambda _, names: [name for name in names if name == "test"])
    fitted = ImageClassifier(**SMALL, keep=keep, out=out).fit(data)
    assert fitted.result_.chosen_on == chosen
    assert json.loads((out / "metrics.json").read_text())["chosen_on"] == chosen
    assert ("chose what was kept" in (out / "model" / "README.md").read_text()) == bool(chosen)
    console.result(fitted.result_, model=out / "model", seconds=1.0)
    assert ("these pictures also chose what was kept" in capsys.readouterr().out) == bool(chosen)
    assert ("These pictures also decided" in (out / "report.html").read_text("utf-8")) == bool(chosen)
    assert ("these pictures also chose what was kept" in repr(fitted.result_)) == bool(chosen)
    again = CliRunner().invoke(app, ["evaluate", str(out), str(data), "--split", "val", "-q", "--engine", "torch"])
    assert again.exit_code == 0
    assert ("these pictures also chose what was kept" in again.output) == bool(chosen)
    for one in (fitted, ImageClassifier.load(out)):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            one.evaluate(data / "val")
        assert any("also chose what was kept" in str(line.message) for line in told) == bool(chosen)
    shutil.copytree(out, tmp_path / "other")
    assert [entry.chosen for entry in compare([out, tmp_path / "other"]).entries] == [bool(chosen)] * 2


def test_what_sets_cover_is_not_measured_on_the_pictures_that_made_them() -> None:
    rows = tuple(Row(f"{n}.png", ("ab"[n % 2],), None, digest=f"{n}") for n in range(60))
    sets = PredictionSets(tuple(np.linspace(0, 0.9, 60)), 60)
    knows = Knows(About(("a", "b")), frozenset(), ["a", "b"])
    knows.about.sets = sets
    manifest = Manifest(rows, ("a", "b"))
    held_out = frozenset(row.digest for row in rows[:40])
    assert {(row.n, row.how) for row in evaluate(knows, manifest).coverage} == {(60, "test")}
    assert {(row.n, row.how) for row in evaluate(knows, manifest, held_out=held_out).coverage} == {(20, "test")}
    alone = evaluate(knows, Manifest(rows[:40], ("a", "b")), held_out=held_out)
    assert {(row.share, row.how) for row in alone.coverage} == {(None, "promised")}
    few = evaluate(knows, Manifest(rows[:10], ("a", "b")), held_out=held_out)
    assert {(row.n, row.pictures) for row in few.coverage} == {(60, 40)}  # all that made them, as far as is known
    assert replace(alone, chose=40).chosen
    assert not replace(alone, chose=40, familiar=40).chosen  # "a little too good" beside "too good"
    some = evaluate(knows, manifest, held_out=held_out, learnt={row.digest for row in rows[40:50]}, every=True)
    assert {(row.n, row.how) for row in some.coverage} == {(10, "test")}
    assert alone.chose == 0  # nothing was chosen by them: facts do not say so


class Far(Knows):
    """Says of every third picture, those that were learnt from, that it lies where the training pictures do."""

    def predict(self, rows):
        for n, answer in enumerate(super().predict(rows)):
            yield replace(answer, distance=0.9 * (n % 3 > 0))


def test_how_far_pictures_lie_is_not_measured_on_those_that_were_learnt_from() -> None:
    rows = tuple(Row(f"{n}.png", ("ab"[n % 2],), None, digest=f"{n}") for n in range(60))
    known = TrainingFeatures(np.zeros((5, 2), np.float16), np.linspace(0, 0.5, 99, dtype=np.float32))
    far = Far(About(("a", "b")), frozenset(), ["a", "b"])
    far.about.novelty = Novelty(0.5, 0.01, 99, 0, 5, "fc", known)
    manifest, learnt = Manifest(rows, ("a", "b")), {row.digest for row in rows[::3]}
    some, every = evaluate(far, manifest, learnt=learnt, every=True), evaluate(far, manifest)
    assert (some.report.n, some.familiar, some.drift.distance.n, some.drift.distance.strange) == (60, 20, 40, 40)
    assert (every.drift.distance.n, every.drift.distance.strange) == (60, 40)
    assert evaluate(far, manifest, learnt={row.digest for row in rows}, every=True).drift.distance is None


def patients(rng, first):
    """40 of them, each with 5 to 9 healthy pictures and 1 to 3 sick ones, class by class as folders are read."""
    rows = []
    for name, least, most in (("healthy", 5, 10), ("sick", 1, 4)):
        for who in range(first, first + 40):
            rows += [
                Row(f"{name}{who}{n}", (name,), digest=f"{name}{who}{n}", group=str(who))
                for n in range(rng.integers(least, most))
            ]
    return Manifest(tuple(rows), ("healthy", "sick"))


def test_groups_of_mixed_classes_are_no_other_mix() -> None:
    """Both sides are drawn alike, so one in twenty may be called; counted by first pictures, all of them were."""
    rng = np.random.default_rng(0)
    called = 0
    for _ in range(20):
        train, new = patients(rng, 0), patients(rng, 1000)
        knows = Knows(About(train.classes), frozenset(), list(train.classes))
        knows.about.facts = counted(train)
        called += "mix" in evaluate(knows, new).drift.signs
    assert called <= 4


def test_pictures_that_were_trained_on_are_left_out_by_every_door(leaves: Path, tmp_path: Path) -> None:
    fitted = ImageClassifier(**SMALL, out=tmp_path / "last").fit(leaves)
    with pytest.warns(UserWarning, match="48 pictures were left out"):
        assert fitted.evaluate(leaves).n == 48
    with pytest.warns(UserWarning, match="48 pictures were left out"):
        assert ImageClassifier.load(tmp_path / "last").evaluate(leaves).n == 48
    assert fitted.evaluate(leaves, all=True).n == 96

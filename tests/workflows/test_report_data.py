"""The page that a fit leaves, the same one again from its folder alone, and pictures explained."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from frostline import ImageClassifier
from frostline.data.cache_folder import default_cache
from frostline.data.manifest import Row
from frostline.errors import CheckpointError, FrostlineError, PlanError, UnknownName
from frostline.events import Event, Note
from frostline.features.store import Store
from frostline.judge.report.render import render
from frostline.ship.predictor import Failure
from frostline.workflows import report_data
from frostline.workflows.explain import explanations

SMALL: dict[str, Any] = {
    "model": "test_resnet",
    "weights": "none",
    "image_size": 64,
    "precision": "fp32",
    "engine": "torch",
}


@pytest.fixture(scope="module")
def run(leaves: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two phases, its pictures where they were."""
    out = tmp_path_factory.mktemp("runs") / "run"
    options = {**SMALL, "strategy": "lp-ft", "epochs": 3, "views": 1, "batch_size": 16}
    ImageClassifier(**options, out=out).fit(leaves)
    return out


def test_a_fit_leaves_a_page_that_its_folder_is_enough_for(run: Path) -> None:
    first = (run / "report.html").read_text()
    assert first.count("data:image/webp") > 24
    assert "Where it errs" in first
    page = report_data.of_folder(run)
    assert page.split == "test"
    assert len(page.outcomes) == page.report.n == 24
    assert [curve.phase for curve in page.curves] == ["probe", page.phases[1].name]
    assert [point.epoch for point in page.curves[1].points] == [1, 2, 3]
    plan = json.loads((run / "plan.json").read_text())
    assert page.command == plan["command"]
    assert "--model test_resnet --weights none --strategy lp-ft" in page.command
    assert "--image-size 64" in page.command
    assert sum(layer.parameters for layer in page.layers) == sum(plan["parameters"].values()) > 0
    assert any(shot.heat for shot in page.shown.large.values())
    again = render(page, lang="zh")
    assert 'lang="zh-CN"' in again
    assert re.findall(r"<h1>(.*?)</h1>", again) == re.findall(r"<h1>(.*?)</h1>", first)


def test_without_pictures_and_model_there_is_still_a_page(run: Path, tmp_path: Path) -> None:
    for name in ("metrics.json", "plan.json", "pictures.csv"):
        shutil.copy(run / name, tmp_path / name)
    moved = (tmp_path / "pictures.csv").read_text().replace("leaves", "elsewhere")
    (tmp_path / "pictures.csv").write_text(moved)
    page = report_data.of_folder(tmp_path)
    assert page.shown.lacking == len(page.outcomes)
    assert not page.curves
    with pytest.raises(CheckpointError, match="no finished run"):
        report_data.of_folder(tmp_path / "nothing")
    (tmp_path / "metrics.json").write_text('{"metrics": {}}')
    with pytest.raises(CheckpointError, match="damaged"):
        report_data.of_folder(tmp_path)


def test_pictures_that_were_never_files_are_shown_from_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = [rng.integers(0, 120, (40, 40, 3), dtype=np.uint8) + 120 * (k % 2) for k in range(24)]
    x = [picture.astype(np.uint8) for picture in x]
    ImageClassifier(**SMALL, strategy="probe", out=tmp_path).fit(
        x, ["dark" if k % 2 == 0 else "light" for k in range(24)]
    )
    text = (tmp_path / "report.html").read_text()
    assert text.count("data:image/webp") >= 24
    assert "on cross-validation" not in text
    assert "cross-validated" in text


def test_a_language_that_there_is_not_is_refused_before_anything_is_learnt(leaves: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="'fr'"):
        ImageClassifier(**SMALL, strategy="probe", out=tmp_path / "run", lang="fr").fit(leaves)
    assert not (tmp_path / "run" / "model").exists()


def test_an_explanation_names_training_pictures_that_look_alike(run: Path, leaves: Path, tmp_path: Path) -> None:
    own = leaves / "train" / "red leaf" / "3.png"
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG nothing")
    rows = [Row(own, name="own"), Row(broken, name="broken")]
    store = Store(default_cache() / "store")
    first, second = explanations(run, rows, near=2, store=store, cache=default_cache())
    assert isinstance(second, Failure)
    assert not isinstance(first, Failure)
    assert first.overlay.shape == (448, 448, 3)
    assert first.near[0].name.endswith("red leaf/3.png")
    assert first.near[0].similarity == pytest.approx(1, abs=1e-3)
    assert 0 <= first.probability <= 1
    other = "green leaf" if first.label == "red leaf" else "red leaf"
    (asked,) = explanations(run, rows[:1], label=other, near=0, store=store, cache=default_cache())
    assert not isinstance(asked, Failure)
    assert asked.probability == pytest.approx(1 - first.probability, abs=1e-5)
    assert not asked.near
    with pytest.raises(UnknownName, match="blue leaf"):
        next(explanations(run, rows, label="blue leaf", store=store, cache=default_cache()))


def test_a_model_without_its_run_says_that_its_training_pictures_are_not_known(
    run: Path, leaves: Path, tmp_path: Path
) -> None:
    shutil.copytree(run / "model", tmp_path / "model")
    told: list[Event] = []
    rows = [Row(leaves / "val" / "red leaf" / "1.png", name="1")]
    (found,) = explanations(
        tmp_path / "model", rows, store=Store(tmp_path / "store"), cache=tmp_path, listen=told.append
    )
    assert not isinstance(found, Failure)
    assert not found.near
    assert any(isinstance(event, Note) and "training pictures" in event.text for event in told)


def test_the_commands_write_what_they_say(run: Path, leaves: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from frostline.cli import app

    picture = tmp_path / "leaf.png"
    shutil.copy(leaves / "val" / "red leaf" / "1.png", picture)
    done = CliRunner().invoke(app, ["explain", str(run), str(picture), "--json", "-q"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["overlay"] == str(run / "explained" / "leaf.explained.png")
    with Image.open(told["overlay"]) as overlay:
        assert overlay.size == (448, 448)
    assert len(told["near"]) == 3
    done = CliRunner().invoke(app, ["report", str(run), "--out", str(tmp_path / "r.html"), "--lang", "zh"])
    assert done.exit_code == 0, done.output
    assert "错在哪里" in (tmp_path / "r.html").read_text()
    place = tmp_path / "e.html"
    done = CliRunner().invoke(app, ["evaluate", str(run), str(leaves), "--split", "val", "--report", str(place), "-q"])
    assert done.exit_code == 0, done.output
    assert place.read_text().count("data:image/webp") >= 24


def test_a_fit_keeps_what_the_curves_and_the_map_are_drawn_from(run: Path) -> None:
    page = report_data.of_folder(run)
    assert page.probabilities is not None
    assert page.places is not None
    said = [page.classes[k] for k in page.probabilities.argmax(1)]
    assert said == [row.predicted for row in page.outcomes]
    assert page.probabilities.max(1) == pytest.approx([row.probability for row in page.outcomes], abs=1e-5)
    assert page.places.min() == 0
    assert page.places.max() == 1
    rgb = np.array([np.asarray(Image.open(row.path)).mean((0, 1)) for row in page.outcomes])
    alike = np.corrcoef(page.places[:, 0], rgb[:, 0] - rgb[:, 1])[0, 1]
    assert abs(alike) > 0.5  # the leaves differ in hue, and so do their features


def test_evidence_that_is_damaged_or_of_other_pictures_is_left_out(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "evidence.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0damaged!")
    page = report_data.of_folder(tmp_path / "run")
    assert page.probabilities is None
    assert page.places is None
    assert 'id="picture-map"' not in render(page)


ODD_FIGURES = {
    "text for a bound": ("metrics.json", ("metrics", "val", "weighted_f1", "high"), "x"),
    "a list for a share": ("metrics.json", ("coverage", 0, "share"), [10**400]),
    "text among a class's figures": ("metrics.json", ("metrics", "val", "per_class", 0, "f1"), "=1+1"),
    "a list for all figures": ("metrics.json", ("metrics",), [1]),
    "a number for the classes": ("metrics.json", ("classes",), 10**400),
    "a list for the versions": ("plan.json", ("versions",), [[]]),
    "a plan of words": ("plan.json", ("plan",), "x"),
}


@pytest.mark.parametrize(("file", "path", "new"), ODD_FIGURES.values(), ids=ODD_FIGURES)
def test_a_run_of_odd_figures_is_refused_or_worded(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, path: tuple, new: object
) -> None:
    monkeypatch.setattr(report_data, "PATIENT_SECONDS", 0.0)
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    values = json.loads((copy / file).read_bytes())
    place = values
    for key in path[:-1]:
        place = place[key] if isinstance(place, list) else place.get(key, place)
    place[path[-1]] = new
    (copy / file).write_text(json.dumps(values))
    found, refused = "", ""
    try:
        found = report_data.html_of_folder(copy, lang="en")
    except FrostlineError as error:
        refused = str(error)
    assert "<h1>" in found or ("the run's folder is damaged" in refused and "hint" in refused)

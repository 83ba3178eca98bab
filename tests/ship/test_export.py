"""Exports answer as torch does, say what they are, run without frostline, and are not kept otherwise."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from frostline.data.manifest import Manifest, Row
from frostline.data.pictures.picture import content_digest
from frostline.data.sources import read
from frostline.data.split import assign_splits, shares_of, with_validation
from frostline.data.views import EvaluationView, Preprocessing
from frostline.errors import EngineError, PlanError, UnknownName, one_line
from frostline.judge.predictions import Outcome, to_csv
from frostline.judge.training_list import to_csv as to_training_csv
from frostline.ship import export as exports
from frostline.ship.export import export
from frostline.ship.exporters import as_onnx, parity, standalone_script
from frostline.ship.open_folder import open_folder
from frostline.ship.open_predictor import open_predictor
from tests.data.pictures import encoded, scene
from tests.ship.conftest import CLASSES, saved
from tests.ship.test_standalone_reading import prepared
from tests.waiting import pipe

WITHOUT = """
import sys, runpy
allowed = {*sys.stdlib_module_names, "numpy", "PIL", *sys.argv.pop(1).split(",")}
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ImportError(f"refused: {name}")
sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
RUNTIMES = {"onnx": "onnxruntime,flatbuffers,google,packaging", "openvino": "openvino"}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    place, _ = saved(tmp_path_factory.mktemp("model") / "model", "test_resnet", temperature=1.7)
    return place


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number, (width, height) in enumerate(((90, 70), (70, 120), (64, 64), (200, 150))):
        (folder / f"{number}.png").write_bytes(encoded(scene(width, height, number)))
    return folder


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext"])
@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_it_answers_as_torch_does(tmp_path, photos, name, form):
    place, _ = saved(tmp_path / "model", name, graph=False, image_size=None if name == "test_vit" else 64)
    found = export(place, form, data=photos)
    assert found.folder == tmp_path / f"model-{form}"
    assert found.agreement.n == 4
    assert found.agreement.relative <= 1e-4
    assert found.agreement.same_top == 1.0
    assert found.agreement.placing is None
    stated = json.loads((found.folder / "export.json").read_text())
    assert stated["labels"] == list(CLASSES)
    assert {file: entry["bytes"] for file, entry in stated["files"].items()} == found.files


@pytest.mark.parametrize("form", ["onnx", "openvino", "torch"])
def test_with_preprocessing_it_takes_pictures_of_any_size(model, tmp_path, photos, form):
    found = export(model, form, out=tmp_path / "out", with_preprocessing=True, data=photos)
    placing = found.agreement.placing
    assert placing.largest <= 2  # PNG: both decode alike
    assert placing.mean < 0.05
    assert placing.same_top == 1.0
    answer = exports.forms.get(form).opened(found.folder)
    pictures = np.stack([scene(101, 77, 1), scene(101, 77, 2)])
    ours = open_predictor(model, engine="torch")
    rows = [Row(picture) for picture in pictures]
    expected = np.log(np.stack([each.probabilities for each in ours.predict(rows)])) * ours.about.temperature
    logits = answer(pictures)
    np.testing.assert_allclose(logits - logits[:, :1], expected - expected[:, :1], atol=0.02)


@pytest.mark.parametrize("form", ["onnx", "openvino"])
@pytest.mark.parametrize("inside", [False, True])
def test_it_runs_where_there_is_nothing_else(model, tmp_path, form, inside):
    out = export(model, form, out=tmp_path / "out", with_preprocessing=inside).folder
    turned = Image.fromarray(scene(80, 50, 5))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    clear = Image.fromarray(scene(60, 60, 6)).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize((60, 60)))
    clear.save(tmp_path / "clear.png")
    photos = [tmp_path / "turned.png", tmp_path / "clear.png"]
    ran = subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT, RUNTIMES[form], str(out / "predict.py"), *map(str, photos)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    expected = [each.probabilities for each in open_predictor(model, engine="torch").predict([Row(p) for p in photos])]
    for line, path, shares in zip(ran.stdout.splitlines(), photos, expected, strict=True):
        name, said = line.split("\t")
        label, share = said.rsplit(" ", 1)
        assert name == str(path)
        assert label == CLASSES[shares.argmax()]
        assert abs(float(share.rstrip("%")) / 100 - shares.max()) < 0.01


@pytest.mark.parametrize(
    "wants",
    [
        Preprocessing(size=(64, 64)),
        Preprocessing(size=(48, 64), interpolation="bilinear", crop_pct=0.9),
        Preprocessing(size=(64, 64), crop_mode="squash"),
        Preprocessing(size=(64, 64), crop_mode="border"),
    ],
)
def test_the_script_is_short_and_prepares_a_picture_as_we_do(tmp_path, monkeypatch, wants):
    text = standalone_script.script("onnxruntime", as_onnx.STANDALONE, "pixels", wants)
    assert len([line for line in text.splitlines() if line.strip()]) <= 100
    script = prepared(monkeypatch, wants)
    for width, height in ((90, 70), (70, 120), (64, 64)):
        (tmp_path / "a.png").write_bytes(encoded(scene(width, height, 1)))
        expected = (EvaluationView(wants)(tmp_path / "a.png") / 255 - np.array(wants.mean)) / np.array(wants.std)
        found = script(str(tmp_path / "a.png"))[0].transpose(1, 2, 0)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_what_cannot_be_read_is_named_and_the_others_go_on(model, tmp_path):
    out = export(model, "onnx", out=tmp_path / "out").folder
    odd = [tmp_path / "two\nlines.png", Path(os.fsdecode(os.fsencode(tmp_path / "x") + b"\xff.png"))]
    for path in odd:
        path.write_bytes(encoded(scene(80, 50, 5)))
    (tmp_path / "cut.png").write_bytes(encoded(scene(80, 50, 5))[:300])
    Image.new("1", (20_000_000, 1)).save(tmp_path / "long.png")
    unread = [tmp_path / "cut.png", tmp_path / "long.png", "/dev/zero", "/gone"]
    if hasattr(os, "mkfifo"):
        unread.insert(0, pipe(tmp_path / "pipe.png"))
    ran = subprocess.run(
        [sys.executable, "-I", str(out / "predict.py"), *map(str, (odd[0], *unread, odd[1]))],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert ran.returncode == 1
    assert [line.partition("\t")[0] for line in ran.stdout.splitlines()] == [one_line(str(path)) for path in odd]
    assert [line.partition(": ")[0] for line in ran.stderr.splitlines()] == list(map(str, unread))


def test_metadata_say_what_it_is(model, tmp_path):
    import onnxruntime

    out = export(model, "onnx", out=tmp_path / "out").folder
    session = onnxruntime.InferenceSession(out / "model.onnx", providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["labels"]) == list(CLASSES)
    assert float(facts["temperature"]) == 1.7
    assert json.loads(facts["preprocessing"])["size"] == [64, 64]
    assert facts["takes"] == "pixels"
    assert session.get_inputs()[0].shape == ["batch", 3, 64, 64]


def test_torchs_program_holds_no_pickle(model, tmp_path):
    out = export(model, "torch", out=tmp_path / "out").folder
    with zipfile.ZipFile(out / "model.pt2") as packed:
        for name in packed.namelist():
            assert not packed.read(name).startswith((b"\x80", b"PK")), name
    extra = {"frostline.json": ""}
    torch.export.load(out / "model.pt2", extra_files=extra)
    assert json.loads(json.loads(extra["frostline.json"])["labels"]) == list(CLASSES)


@pytest.mark.parametrize("inside", [False, True])
def test_int8_is_smaller_and_its_cost_is_measured(tmp_path, leaves, inside):
    place, _ = saved(tmp_path / "model", "test_resnet", ("green leaf", "red leaf"), graph=False)
    found = export(place, "int8", data=leaves, max_drop=1.0, with_preprocessing=inside)
    whole = export(place, "onnx", data=leaves, with_preprocessing=inside)
    assert found.files["model.onnx"] < 0.75 * whole.files["model.onnx"]
    assert found.cost.before.n == found.cost.after.n == 24
    assert found.agreement.same_top >= 0.9


def test_int8_says_how_many_of_its_pictures_were_learned_from(tmp_path, leaves):
    place, _ = saved(tmp_path / "run" / "model", "test_resnet", ("green leaf", "red leaf"), graph=False)
    assert export(place, "int8", data=leaves, max_drop=1.0).cost.learnt == 0
    val = sorted((leaves / "val").rglob("*.*"))[:5]
    rows = tuple(Row(path, ("red leaf",), digest=content_digest(path)) for path in val)
    (tmp_path / "run" / "training.csv").write_text(to_training_csv(Manifest(rows, ("red leaf",))))
    assert export(tmp_path / "run", "int8", data=leaves, max_drop=1.0).cost.learnt == 5


def test_int8_is_judged_by_the_labels_of_the_fit_and_by_groups(tmp_path, leaves):
    paths = sorted(leaves.rglob("*.png"))
    lines = [
        (path, path.parent.name, other, split, f"g{number % 3}")
        for number, path in enumerate(paths)
        for split in [path.parent.parent.name.replace("test", "val")]
        for other in [{"red leaf": "green leaf", "green leaf": "red leaf"}[path.parent.name]]
    ]
    for table, columns in (("alone", 4), ("grouped", 5)):
        header = ("path", "label", "truth", "split", "patient")[:columns]
        rows = "\n".join(",".join(map(str, line[:columns])) for line in (header, *lines))
        (tmp_path / f"{table}.csv").write_text(rows)
    costs = {}
    for column, table in (("label", "alone"), ("truth", "alone"), ("truth", "grouped")):
        place, _ = saved(
            tmp_path / f"{column}-{table}" / "model",
            "test_resnet",
            ("green leaf", "red leaf"),
            graph=False,
            facts={"given": {"label_column": column}},
        )
        found = export(place, "int8", data=tmp_path / f"{table}.csv", max_drop=1.0)
        costs[column, table] = found.cost.before
    assert costs["label", "alone"].value == pytest.approx(1 - costs["truth", "alone"].value)
    assert costs["label", "alone"].value != 0.5
    assert costs["truth", "grouped"].value == costs["truth", "alone"].value
    reach = [costs["truth", table].high - costs["truth", table].low for table in ("alone", "grouped")]
    assert reach[1] > 1.5 * reach[0]


@pytest.mark.parametrize(("given", "held"), [({"split": "50/30/20"}, 0.3), ({"val": 0.4}, 0.4)])
def test_int8_is_judged_by_the_val_split_of_the_fit(tmp_path, leaves, given, held):
    place, _ = saved(tmp_path / "model", "test_resnet", ("green leaf", "red leaf"), facts={"given": given, "seed": 3})
    about = open_folder(place).about
    loose = shutil.copytree(leaves / "train", tmp_path / "loose")
    found = exports._labelled(loose, about)
    assert len(found.part("val")) == pytest.approx(held * len(found), abs=2)
    again = read(loose, classes=about.classes)
    made = with_validation(again, share=0.4, seed=3)
    if "split" in given:
        made = assign_splits(again, shares_of("50/30/20"), seed=3)
    assert [row.split for row in found.rows] == [row.split for row in made.rows]


def test_int8_past_the_largest_drop_is_refused_and_nothing_is_left(tmp_path, leaves, monkeypatch):
    place, _ = saved(tmp_path / "model", "test_resnet", ("green leaf", "red leaf"), graph=False)
    from frostline.judge.intervals import wilson

    monkeypatch.setattr(parity, "cost", lambda *_: parity.Cost(wilson(24, 24), wilson(20, 24)))
    with pytest.raises(EngineError, match=r"costs 16\.7 points .* on 24 pictures of val") as caught:
        export(place, "int8", data=leaves, max_drop=0.1)
    assert caught.value.where
    assert "--max-drop" in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_answers_otherwise_is_not_kept(model, tmp_path, monkeypatch):
    monkeypatch.setitem(parity.TOLERANCE, "pixels", -1.0)
    with pytest.raises(EngineError, match="differ from torch's"):
        export(model, "onnx", out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_errors_say_what_to_do(model, tmp_path):
    with pytest.raises(UnknownName, match="no form called 'onx'") as caught:
        export(model, "onx")
    assert "onnx" in caught.value.hint
    with pytest.raises(PlanError, match="calibrated on training pictures"):
        export(model, "int8", out=tmp_path / "out")
    assert not Path(tmp_path / "out").exists()


def test_the_runs_own_pictures_are_used(tmp_path, photos):
    place, _ = saved(tmp_path / "run" / "model", "test_resnet", graph=False)
    paths = [*sorted(photos.iterdir()), Path("/gone.png")]
    judged = [Outcome(path.name, str(path), "d", "val", "ants", "ants", 0.9, True) for path in paths]
    (tmp_path / "run" / "pictures.csv").write_text(to_csv(judged))
    found = export(tmp_path / "run", "openvino")
    assert found.folder == place.with_name("model-openvino")
    assert (found.agreement.n, found.agreement.source) == (4, "the run's own pictures")

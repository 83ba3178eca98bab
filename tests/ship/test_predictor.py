"""The graph answers as the network does, without torch, in order, and whatever becomes of the cache."""

import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from pathlib import Path

import numpy as np
import openvino
import pytest
import torch
from openvino import opset13
from torch import nn

from frostline.data.manifest import Row
from frostline.data.views import EvaluationView, Preprocessing
from frostline.errors import CheckpointError, EngineError, FrostlineError, PlanError, UnknownName
from frostline.inference import compiled_cache, network, openvino_engine, openvino_import
from frostline.inference.engine import Function, engines
from frostline.ship import folder
from frostline.ship.model_info import ModelInfo, read
from frostline.ship.open_predictor import of_network, open_predictor
from frostline.ship.predictor import Failure, Prediction, best
from tests.data.pictures import encoded, scene
from tests.ship.conftest import CLASSES, about, backbone, rows, saved
from tests.ship.predictors import by_openvino, by_torch_of
from tests.ship.test_folder import edited, own_net, restated


def probabilities(answers):
    return np.stack([answer.probabilities for answer in answers])


@pytest.mark.parametrize(("name", "size"), [("test_efficientnet", 64), ("test_vit", 96), ("test_convnext", 64)])
def test_answers_as_torch_does(tmp_path, pictures, name, size):
    place, made = saved(tmp_path / "model", name, image_size=size, temperature=1.7)
    assert "absent" not in read(place).graph
    by_graph, by_torch = by_openvino(place), by_torch_of(place)
    pixels = np.stack([EvaluationView(made.preprocessing)(p) for p in pictures])
    assert np.abs(by_graph.logits(pixels) - by_torch.logits(pixels)).max() < 1e-4
    found, expected = (probabilities(p.predict(rows(pictures))) for p in (by_graph, by_torch))
    assert np.abs(found - expected).max() < 1e-4
    assert found.dtype == np.float32
    assert len(set(found.argmax(1))) > 1
    logits = by_torch.logits(pixels) / 1.7
    assert expected == pytest.approx(torch.softmax(torch.from_numpy(logits), 1).numpy(), abs=1e-6)


def test_multilabel_answers_are_sigmoids(tmp_path, pictures):
    place, _ = saved(tmp_path / "model", multilabel=True)
    one, other = by_openvino(place), by_torch_of(place)
    found = probabilities(one.predict(rows(pictures)))
    assert found == pytest.approx(probabilities(other.predict(rows(pictures))), abs=1e-4)
    assert np.abs(found.sum(1) - 1).max() > 0.05


ALONE = """
import sys
from pathlib import Path
from frostline.data.manifest import Row
from frostline.ship.open_predictor import open_predictor
answering = open_predictor(sys.argv[1])
for answer in answering.predict([Row(Path(p), name=p) for p in sys.argv[2:]]):
    print(answer.name, [round(float(x), 5) for x in answer.probabilities])
heavy = {"torch", "torchvision", "timm", "sklearn", "scipy", "pandas", "transformers", "rich"} & set(sys.modules)
print(answering.engine.name, sorted(heavy), sys.modules["openvino_telemetry"])
"""


def test_needs_no_torch(model, pictures):
    source = str(Path(__file__).parents[2] / "src")
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(model[0]), *map(str, pictures[:3])],
        env={**os.environ, "PYTHONPATH": source},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "openvino [] None"
    expected = probabilities(by_torch_of(model[0]).predict(rows(pictures[:3])))
    for line, picture, row in zip(lines, pictures, expected, strict=False):
        assert line.startswith(str(picture))
        assert json.loads(line[line.index("[") :]) == pytest.approx(row.tolist(), abs=1e-4)


@pytest.mark.parametrize("engine", ["openvino", "torch"])
@pytest.mark.parametrize("batch", [1, 3, 16])
def test_in_order_with_failures_between(model, tmp_path, pictures, engine, batch):
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.png").write_bytes(b"no picture")
    asked = [
        *rows(pictures[:4]),
        Row(tmp_path / "empty.jpg", name="empty"),
        Row(scene(80, 60, 5)),
        Row(tmp_path / "text.png"),
    ]
    asked += [
        Row(encoded(scene(80, 60, 6)), name="bytes"),
        Row(tmp_path / "gone.png", name="gone"),
    ]
    found = list(open_predictor(model[0], engine=engine).predict(asked, batch=batch))
    unnamed = ["array of shape (60, 80, 3), uint8", str(tmp_path / "text.png")]
    names = [*(f"picture {i}.png" for i in range(4)), "empty", *unnamed, "bytes", "gone"]
    assert [answer.name for answer in found] == names
    assert [isinstance(answer, Failure) for answer in found] == [False] * 4 + [True, False, True, False, True]
    assert "empty" in found[4].reason
    alone = next(iter(open_predictor(model[0], engine=engine).predict([asked[7]])))
    assert found[7].probabilities == pytest.approx(alone.probabilities, abs=1e-5)


def test_only_failures_and_nothing(model, tmp_path):
    answering = by_openvino(model[0])
    assert [type(a) for a in answering.predict([Row(tmp_path / "gone.png")] * 40)] == [Failure] * 40
    assert list(answering.predict([])) == []


def test_holds_at_most_two_batches_of_an_endless_source(model):
    picture, taken = scene(80, 60), []

    def endless():
        for number in count():
            taken.append(number)
            yield Row(picture, name=str(number))

    threads = threading.active_count()
    found = list(islice(by_openvino(model[0]).predict(endless(), batch=4), 10))
    assert [a.name for a in found] == [str(n) for n in range(10)]
    assert len(taken) <= 10 + 2 * 4
    assert threading.active_count() <= threads + 1


def test_with_batch_one_a_row_is_answered_before_the_next_is_asked_for(model):
    answered = []

    def asking():
        for number in range(4):
            assert len(answered) == number
            yield Row(scene(80, 60, number), name=str(number))

    for answer in by_openvino(model[0]).predict(asking(), batch=1):
        answered.append(answer.name)
    assert answered == ["0", "1", "2", "3"]


def test_best():
    made = ModelInfo(name="x", classes=CLASSES, preprocessing=Preprocessing())
    answer = Prediction("a", np.array([0.2, 0.4, 0.4], np.float32))
    assert [name for name, _ in best(answer, made, 2)] == ["bees", "wasps"]


class TestCache:
    """Compiled graphs: kept by content, never trusted blindly, never needed."""

    def blobs(self, cache):
        return sorted(cache.glob("compiled/*.blob"))

    def test_the_second_opening_compiles_nothing(self, model, tmp_path, pictures, monkeypatch):
        first = by_openvino(model[0], cache=tmp_path / "cache")
        assert len(self.blobs(tmp_path / "cache")) == 1
        monkeypatch.setattr(compiled_cache, "keep", lambda *_: pytest.fail("compiled again"))
        second = by_openvino(model[0], cache=tmp_path / "cache")
        assert list(tmp_path.glob("cache/**/*.tmp")) == []
        for one, other in zip(first.predict(rows(pictures)), second.predict(rows(pictures)), strict=True):
            assert (one.probabilities == other.probabilities).all()

    def test_a_graph_is_looked_at_for_each_size_of_pictures(self, tmp_path):
        graph = tmp_path / "graph.xml"
        pictures = opset13.parameter([-1, -1, -1, 3], np.uint8, name="pictures")
        mean = opset13.reduce_mean(opset13.convert(pictures, "f32"), opset13.constant([1, 2]), False)
        openvino.save_model(openvino.Model([mean], [pictures]), graph)
        for size in (8, 16):
            function = Function(lambda: None, "", (size, size), lambda: graph, "digest", 3)
            openvino_engine.make(function, "fp32", 1, tmp_path / "cache")
        assert len(self.blobs(tmp_path / "cache")) == 2

    def test_another_model_at_the_same_place_is_not_mistaken(self, tmp_path, pictures):
        place, _ = saved(tmp_path / "model", seed=0)
        first = probabilities(by_openvino(place, cache=tmp_path / "cache").predict(rows(pictures)))
        saved(place, seed=1)
        second = probabilities(by_openvino(place, cache=tmp_path / "cache").predict(rows(pictures)))
        assert np.abs(first - second).max() > 0.05
        assert second == pytest.approx(probabilities(by_torch_of(place).predict(rows(pictures))), abs=1e-4)

    @pytest.mark.parametrize("damage", [lambda b: b[:1000], lambda b: b"", lambda b: b[:-9] + b"wrong" + b[-4:]])
    def test_a_damaged_blob_is_compiled_again(self, model, tmp_path, pictures, damage):
        cache = tmp_path / "cache"
        expected = probabilities(by_openvino(model[0], cache=cache).predict(rows(pictures)))
        (blob,) = self.blobs(cache)
        whole = blob.read_bytes()
        blob.write_bytes(damage(whole))
        found = probabilities(by_openvino(model[0], cache=cache).predict(rows(pictures)))
        assert found == pytest.approx(expected, abs=1e-6)
        assert len(blob.read_bytes()) == len(whole)

    def test_a_cache_that_cannot_be_written_costs_nothing_but_time(self, model, tmp_path, pictures):
        (tmp_path / "file").write_text("in the way")
        answering = by_openvino(model[0], cache=tmp_path / "file" / "cache")
        assert len(list(answering.predict(rows(pictures)))) == 12

    def test_a_folder_that_cannot_be_written_is_enough(self, model, tmp_path, pictures):
        copy = Path(shutil.copytree(model[0], tmp_path / "copy"))
        before = sorted(copy.iterdir())
        for path in [*before, copy]:
            path.chmod(path.stat().st_mode & ~0o222)
        assert len(list(by_openvino(copy, cache=tmp_path / "cache").predict(rows(pictures)))) == 12
        assert sorted(copy.iterdir()) == before
        copy.chmod(0o755)

    def test_old_blobs_make_room(self, tmp_path, monkeypatch):
        for age in range(4):
            (tmp_path / f"{age}.blob").write_bytes(b"x" * 100)
            os.utime(tmp_path / f"{age}.blob", (1000 - age, 1000 - age))
        monkeypatch.setattr(compiled_cache, "LIMIT", 250)
        compiled_cache._make_room(tmp_path)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["0.blob", "1.blob"]


@pytest.fixture
def copy(model, tmp_path):
    return Path(shutil.copytree(model[0], tmp_path / "copy"))


@pytest.mark.parametrize("file", ["graph.xml", "graph.bin"])
def test_damaged_graphs_are_noticed(copy, tmp_path, file):
    whole = (copy / file).read_bytes()
    (copy / file).write_bytes(whole[:-1] + b"?")
    with pytest.raises(CheckpointError, match="SHA-256") as caught:
        by_openvino(copy, cache=tmp_path / "fresh")
    assert caught.value.hint
    (copy / file).write_bytes(whole[:-1])
    for cache in (tmp_path / "fresh", None):  # None: compiled already, so its content is not looked at
        with pytest.raises(CheckpointError, match="bytes, where"):
            by_openvino(copy, cache=cache)
    with pytest.raises(CheckpointError):
        open_predictor(copy)  # damage is not papered over by torch


def test_hostile_graphs_are_refused(copy, tmp_path):
    (copy / "graph.xml").write_bytes(b"<?xml version='1.0'?><net><layers>")
    restated(copy, "graph.xml")
    with pytest.raises(EngineError, match="OpenVINO cannot run it") as caught:
        by_openvino(copy, cache=tmp_path / "cache")
    assert "\n" not in caught.value.what
    assert caught.value.hint


def test_graph_of_other_classes_is_refused(copy, tmp_path):
    edited(copy, classes=["a", "b"])
    with pytest.raises(CheckpointError, match="not 2 classes"):
        by_openvino(copy, cache=tmp_path / "cache")


class TestEngines:
    """auto: the graph where there is one that runs, else torch."""

    def test_auto_is_openvino(self, model):
        assert open_predictor(model[0]).engine.name == "openvino"

    def test_without_a_graph_it_is_torch(self, tmp_path, pictures):
        place, _ = saved(tmp_path / "model", graph=False)
        answering = open_predictor(place)
        assert answering.engine.name == "torch"
        assert len(list(answering.predict(rows(pictures)))) == 12
        with pytest.raises(EngineError, match="no graph: not asked for") as caught:
            open_predictor(place, engine="openvino")
        assert "torch" in str(caught.value.hint)

    def test_without_openvino_it_is_torch(self, model, monkeypatch):
        monkeypatch.setattr(openvino_import, "find_spec", lambda name: None)
        assert open_predictor(model[0]).engine.name == "torch"
        with pytest.raises(EngineError, match="not installed"):
            open_predictor(model[0], engine="openvino")

    def test_saving_without_openvino_says_so(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "openvino", None)
        place, _ = saved(tmp_path / "model")
        assert "OpenVINO is not installed" in read(place).graph["absent"]
        assert not (place / "graph.xml").exists()

    def test_unknown(self, model):
        with pytest.raises(UnknownName, match="tpu") as caught:
            open_predictor(model[0], engine="tpu")
        assert "openvino" in str(caught.value.hint)
        assert engines.names()[:2] == ["openvino", "torch"]

    def test_a_runs_folder_will_do(self, model):
        assert open_predictor(model[0].parent).engine.name == "openvino"

    def test_a_factorys_graph_needs_none_of_its_code(self, tmp_path, pictures):
        about_own = ModelInfo(name=f"{__name__}:own_net", classes=CLASSES, preprocessing=Preprocessing(size=(32, 32)))
        folder.save(tmp_path / "model", own_net(3), about_own)
        assert read(tmp_path / "model").kind == "factory"
        assert open_predictor(tmp_path / "model").engine.name == "openvino"
        with pytest.raises(CheckpointError, match="imported and run"):
            open_predictor(tmp_path / "model", engine="torch")


class TestGraph:
    """What cannot be a graph, or answers otherwise, is no graph."""

    def test_a_graph_that_answers_otherwise_is_not_kept(self, tmp_path, monkeypatch):
        class Off(network.Network):
            def forward(self, pixels):
                (logits,) = super().forward(pixels)
                return (logits + 0.01 if torch.jit.is_tracing() else logits,)

        monkeypatch.setattr(folder, "Network", Off)
        place, _ = saved(tmp_path / "model")
        assert "differ from the network's by" in read(place).graph["absent"]
        assert sorted(p.name for p in place.iterdir()) == [
            "README.md",
            "config.json",
            "frostline.json",
            "model.safetensors",
        ]
        assert set(read(place).files) == {"model.safetensors", "config.json"}
        assert "There is no graph" in (place / "README.md").read_text()

    def test_what_openvino_cannot_express_is_an_engine_error(self, tmp_path):
        class Odd(nn.Module):
            def forward(self, x):
                return torch.from_numpy(np.linalg.svd(x.flatten(2).numpy(), compute_uv=False))

        place, made = tmp_path / "model", backbone()
        said = folder.save(place, Odd(), ModelInfo(name="tests:odd", classes=CLASSES, preprocessing=made.preprocessing))
        assert "absent" in said.graph
        assert not (place / "graph.xml").exists()

    def test_nothing_is_reported_to_anybody(self, tmp_path, monkeypatch):
        """Neither by importing OpenVINO (see ``test_needs_no_torch``) nor by its converter, which is not called."""
        import openvino

        monkeypatch.setattr(openvino, "convert_model", lambda *_, **__: pytest.fail("it would report"))
        place, _ = saved(tmp_path / "model")
        assert "absent" not in read(place).graph
        assert sys.modules["openvino_telemetry"] is None

    def test_pictures_that_are_not_square(self, tmp_path, pictures):
        made = backbone("test_resnet")
        wants = Preprocessing(size=(48, 80), mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
        folder.save(tmp_path / "model", made.net, ModelInfo(name="test_resnet", classes=CLASSES, preprocessing=wants))
        one, other = (open_predictor(tmp_path / "model", engine=engine) for engine in ("openvino", "torch"))
        assert probabilities(one.predict(rows(pictures))) == pytest.approx(
            probabilities(other.predict(rows(pictures))), abs=1e-4
        )


def test_eager_takes_a_network_in_memory(pictures):
    made = backbone()
    made.net.train()
    answering = of_network(made.net, about(made))
    assert isinstance(next(iter(answering.predict(rows(pictures)))), Prediction)
    assert not made.net.training


def test_errors_have_three_parts(tmp_path):
    with pytest.raises(FrostlineError) as caught:
        open_predictor(tmp_path / "nothing")
    assert caught.value.what
    assert caught.value.where
    assert caught.value.hint


def test_others_beside_it_answer_the_same_at_the_same_time(model, pictures):
    one = by_openvino(model[0])
    many = by_openvino(model[0], streams=2)
    views = np.stack([EvaluationView(one.about.preprocessing)(place) for place in pictures])
    several = (many, many.beside(), many.beside())
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda other: [other.logits(views) for _ in range(8)], several))
    right = one.logits(views)
    np.testing.assert_allclose(np.array(found), np.broadcast_to(right, (3, 8, *right.shape)), atol=1e-4)


def test_a_precision_that_is_none_is_refused(model):
    with pytest.raises(PlanError, match="f16"):
        by_openvino(model[0], precision="f16")


def test_a_precision_means_the_same_for_every_engine(model, pictures):
    halves, whole = open_predictor(model[0], precision="bf16"), open_predictor(model[0])
    found = [one.engine._compiled.get_property("INFERENCE_PRECISION_HINT").to_string() for one in (halves, whole)]
    assert found == ["bf16", "f32"]
    near, exact = (probabilities(one.predict(rows(pictures))) for one in (halves, whole))
    np.testing.assert_allclose(near, exact, atol=0.2)  # random weights: far from any trained network
    by_torch = open_predictor(model[0], engine="torch", precision="bf16")
    np.testing.assert_allclose(probabilities(by_torch.predict(rows(pictures))), exact, atol=0.2)

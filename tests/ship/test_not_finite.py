"""NaN is never an answer: not of weights, of a graph, of preprocessing, of a temperature, nor of one picture."""

import json

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from frostline.data.manifest import Manifest
from frostline.data.pairs import pairs
from frostline.data.views import Preprocessing
from frostline.errors import CheckpointError, JudgementError, WeightsError
from frostline.net import zoo
from frostline.ship.model_info import ModelInfo, read
from frostline.ship.open_folder import open_folder
from frostline.ship.open_predictor import of_network, open_predictor
from frostline.ship.predictor import NOT_FINITE, Failure, Prediction
from frostline.ship.serve.engines import engine
from frostline.workflows.evaluate import evaluate
from tests.ship.conftest import CLASSES, rows, saved
from tests.ship.test_architecture import restated, rewritten


class Bright(nn.Module):
    """NaN for a picture that is all white, and the mean of each channel for any other."""

    def forward(self, x):
        mean = x.mean((2, 3))
        return torch.where(mean.amin(1, keepdim=True) > 0.99, torch.nan, mean)


@pytest.fixture
def answering():
    wants = Preprocessing(size=(8, 8), mean=(0, 0, 0), std=(1, 1, 1))
    return of_network(Bright(), ModelInfo(name="bright", classes=CLASSES, preprocessing=wants))


PICTURES = [np.full((8, 8, 3), value, np.uint8) for value in (10, 255, 200)]


def test_one_picture_that_gives_nan_is_named_and_the_others_are_answered(answering):
    found = list(answering.predict(pairs(PICTURES)))
    assert [type(answer) for answer in found] == [Prediction, Failure, Prediction]
    assert found[1].reason == NOT_FINITE
    assert all(np.isfinite(found[i].probabilities).all() for i in (0, 2))
    seen = engine(answering)(np.stack(PICTURES))
    assert [getattr(each, "what", None) for each in seen] == [None, NOT_FINITE, None]


def test_figures_are_not_measured_on_the_rest(answering):
    with pytest.raises(JudgementError, match="no finite numbers"):
        evaluate(answering, Manifest.of(pairs(PICTURES, list(CLASSES))))


def test_weights_that_hold_nan_are_refused(tmp_path):
    place, _ = saved(tmp_path / "model", graph=False)
    path = place / "model.safetensors"
    state = {name: tensor.clone() for name, tensor in safetensors.torch.load_file(path).items()}
    state["conv_stem.weight"].view(-1)[3:5] = torch.tensor([torch.nan, torch.inf])
    safetensors.torch.save_file(state, path)
    restated(place)
    with pytest.raises(WeightsError, match=r"conv_stem.weight holds 2 of [\d,]+ numbers that are not finite"):
        open_folder(place)


def test_a_graph_that_gives_nan_is_refused(tmp_path, pictures):
    place, _ = saved(tmp_path / "model")
    weights = np.fromfile(place / "graph.bin", np.uint8)
    weights[len(weights) // 3 // 4 * 4 :][:4000] = 0xFF  # NaN in any float
    weights.tofile(place / "graph.bin")
    restated(place)
    with pytest.raises(CheckpointError, match="not finite"):
        list(open_predictor(place, engine="openvino").predict(rows(pictures)))


@pytest.mark.parametrize(
    "change", [{"std": [float("nan")] * 3}, {"mean": [0, float("inf"), 0]}, {"size": [16384, 16384]}]
)
def test_preprocessing_that_would_give_nan_or_fill_the_memory_is_refused(tmp_path, model, change):
    place, _ = saved(tmp_path / "model", graph=False)
    rewritten(place, "frostline.json", lambda values: values["preprocessing"].update(change))
    with pytest.raises(CheckpointError):
        read(place)


@pytest.mark.parametrize("temperature", [1e-320, 1e-9, 1e30, float("nan"), float("inf"), -1])
def test_a_temperature_that_no_calibration_gives_is_refused(tmp_path, temperature):
    place, _ = saved(tmp_path / "model", graph=False)
    rewritten(place, "frostline.json", lambda values: values.update(temperature=temperature))
    assert json.loads((place / "frostline.json").read_bytes())
    with pytest.raises(CheckpointError, match="temperature"):
        read(place)


def test_a_checkpoint_with_nan_says_so(tmp_path):
    made = zoo.build("test_resnet", classes=3, weights=None)
    state = made.net.state_dict()
    state["layer1.0.conv1.weight"][0, 0, 0, 0] = torch.nan
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match=r"layer1.0.conv1.weight holds 1 of .* not finite"):
        zoo.build("test_resnet", classes=3, weights=tmp_path / "bad.pth")

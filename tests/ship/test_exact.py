"""On the lesson's own val split: the graph predicts what torch predicts, and reduced decoding changes no prediction."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from frostline.data import decode
from frostline.data.sources import read
from frostline.data.views import EvaluationView, Preprocessing, placed
from frostline.net import zoo
from frostline.ship import folder
from frostline.ship.model_info import ModelInfo
from frostline.train.solve import solve
from tests.ship.predictors import by_openvino, by_torch_of

SIDE = 160  # large photographs are then decoded at half their size


@dataclass(frozen=True)
class Solved:
    """A model folder whose head is solved on the train split, and the val split as the evaluation view gives it."""

    place: Path
    net: nn.Module
    preprocessing: Preprocessing
    files: tuple[Path, ...]
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


@pytest.fixture(scope="module")
def solved(ants_bees: Path, tmp_path_factory: pytest.TempPathFactory) -> Solved:
    backbone = zoo.build("tf_efficientnet_lite0", classes=2, image_size=SIDE)
    net, prep = backbone.net.eval(), backbone.preprocessing
    found = read(ants_bees)
    train, val = found.part("train"), found.part("val")
    view = EvaluationView(prep)
    x = features(net, prep, np.stack([view(row.picture, row.digest) for row in train.rows[::4]]))
    head = solve(x, train.targets()[::4].astype(np.int64), classes=2)
    classifier = net.get_classifier()
    with torch.no_grad():
        classifier.weight.copy_(torch.from_numpy(head.weight))
        classifier.bias.copy_(torch.from_numpy(head.bias))
    place = tmp_path_factory.mktemp("exact") / "model"
    folder.save(place, net, ModelInfo(name="tf_efficientnet_lite0", classes=val.classes, preprocessing=prep))
    files = tuple(Path(row.picture) for row in val.rows if isinstance(row.picture, Path))
    return Solved(place, net, prep, files, np.stack([view(file) for file in files]), val.targets().astype(np.int64))


def features(net: nn.Module, prep: Preprocessing, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    mean, std = (255 * torch.tensor(values).view(1, 3, 1, 1) for values in (prep.mean, prep.std))
    x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - mean) / std
    with torch.no_grad():
        batches = [net.forward_head(net.forward_features(part), pre_logits=True).numpy() for part in x.split(16)]
    return np.concatenate(batches)


def test_runtime_and_torch_agree_on_every_picture(solved: Solved) -> None:
    by_graph, by_torch = (
        by_openvino(solved.place),
        by_torch_of(solved.place),
    )
    parts = np.array_split(solved.pixels, 8)
    found, wanted = (np.concatenate([p.logits(part) for part in parts]) for p in (by_graph, by_torch))
    assert len(found) == 153
    assert np.abs(found - wanted).max() < 1e-3
    assert (found.argmax(1) == wanted.argmax(1)).all()
    assert (
        found.argmax(1) == solved.labels
    ).mean() > 0.85  # the head knows something, so that agreeing means something


def test_reduced_decoding_keeps_geometry_and_predictions(solved: Solved) -> None:
    whole = np.stack([placed(decode.image(file), solved.preprocessing) for file in solved.files])
    apart = np.abs(solved.pixels.astype(int) - whole).mean((1, 2, 3))
    assert apart.mean() < 1.5
    assert apart.max() < 8  # levels of 255: libjpeg's halving and Pillow's bicubic average fine detail differently
    head = solved.net.get_classifier()
    assert isinstance(head, nn.Linear)
    found, wanted = (
        features(solved.net, solved.preprocessing, pixels) @ head.weight.detach().numpy().T + head.bias.detach().numpy()
        for pixels in (solved.pixels, whole)
    )
    sure = np.abs(wanted[:, 0] - wanted[:, 1]) > 0.1 * np.abs(wanted[:, 0] - wanted[:, 1]).max()
    assert (apart > 0).mean() > 0.5  # most were indeed decoded smaller
    assert sure.mean() > 0.8
    assert (found.argmax(1) == wanted.argmax(1))[sure].all()


def test_at_the_models_own_size_no_prediction_changes(solved: Solved) -> None:
    own = replace(solved.preprocessing, size=(224, 224))
    view = EvaluationView(own)
    reduced = np.stack([view(file) for file in solved.files])
    whole = np.stack([placed(decode.image(file), own) for file in solved.files])
    apart = np.abs(reduced.astype(int) - whole).mean((1, 2, 3))
    other = apart > 0  # of equal pixels there are equal predictions
    assert 0 < other.sum() < 20
    assert apart.max() < 4
    head = solved.net.get_classifier()
    assert isinstance(head, nn.Linear)
    weight, bias = head.weight.detach().numpy(), head.bias.detach().numpy()
    found, wanted = (features(solved.net, own, pixels[other]) @ weight.T + bias for pixels in (reduced, whole))
    assert (found.argmax(1) == wanted.argmax(1)).all()

"""Small networks that answer differently for different pictures, and a cache that is not the user's."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from frostline.data.manifest import Row
from frostline.net import zoo
from frostline.ship import folder
from frostline.ship.model_info import ModelInfo
from tests.data.pictures import encoded, scene

CLASSES = ("ants", "bees", "wasps")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


def backbone(name="test_efficientnet", classes=CLASSES, *, image_size=64, seed=0):
    """Random weights, and a head that spreads pictures over the classes."""
    made = zoo.build(name, classes=len(classes), weights=None, seed=seed, image_size=image_size)
    head = made.net.get_submodule(made.head.path)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(seed)
        for module in made.net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
        head.weight.normal_(0, 1)
        pictures = torch.from_numpy(
            np.stack([scene(made.preprocessing.size[1], made.preprocessing.size[0], s) for s in range(16)])
        )
        logits = made.net((pictures.permute(0, 3, 1, 2) / 255 - 0.5) / 0.5)
        head.weight /= logits.std(0).mean()
        head.bias.copy_(-logits.mean(0) / logits.std(0).mean())
    return made


def about(made, classes=CLASSES, **more):
    return ModelInfo(name=made.name, classes=classes, preprocessing=made.preprocessing, **more)


def saved(place: Path, name="test_efficientnet", classes=CLASSES, *, image_size=64, seed=0, graph=True, **more):
    made = backbone(name, classes, image_size=image_size, seed=seed)
    if image_size:
        more.setdefault("arguments", {"img_size": image_size})
    folder.save(place, made.net, about(made, classes, **more), graph=graph)
    return place, made


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """(folder, backbone): never written to."""
    return saved(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture
def pictures(tmp_path):
    """Twelve PNGs."""
    places = [tmp_path / f"picture {i}.png" for i in range(12)]
    for i, place in enumerate(places):
        place.write_bytes(encoded(scene(90, 70, i)))
    return places


def rows(places):
    return [Row(place, name=place.name) for place in places]

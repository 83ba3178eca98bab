"""A model folder, its test pictures, and what it says of them by itself."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from frostline import ImageClassifier
from frostline.data.loose_pictures import pictures
from frostline.ship.open_predictor import open_predictor


@pytest.fixture(scope="module")
def model(leaves: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    clf = ImageClassifier(model="test_resnet", weights="none", strategy="probe", image_size=64).fit(leaves)
    return clf.save(tmp_path_factory.mktemp("scale") / "model")


@pytest.fixture(scope="module")
def paths(leaves: Path) -> list[str]:
    return [str(path) for path in sorted((leaves / "test").rglob("*.png"))]


@pytest.fixture(scope="module")
def wanted(model: Path, paths: list[str]) -> np.ndarray:
    return np.stack([answer.probabilities for answer in open_predictor(model).predict(pictures(paths))])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("weights") / "test_resnet.pth"
    torch.save(timm.create_model("test_resnet.r160_in1k", num_classes=5).state_dict(), place)
    return place

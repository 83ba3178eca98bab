"""timm and transformers open the model folder as their own, in a process that has never heard of frostline."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from frostline.data.manifest import Row
from frostline.data.views import EvaluationView, Preprocessing
from frostline.net import zoo
from frostline.ship import folder
from frostline.ship.model_info import read
from frostline.ship.open_folder import open_folder
from frostline.ship.open_predictor import open_predictor
from tests.data.pictures import encoded, scene
from tests.ship.conftest import about, saved
from tests.ship.predictors import by_torch_of

STRANGER = """
import json, sys
import timm, torch, transformers
torch.set_num_threads(1)
found = {}
for name, (folder, pictures, normalised) in json.loads(sys.argv[1]).items():
    net = timm.create_model("local-dir:" + folder, pretrained=True).eval()
    with torch.inference_mode():
        logits = net(torch.load(normalised, weights_only=True)).tolist()
    classify = transformers.pipeline("image-classification", model=folder, device="cpu")
    found[name] = {
        "logits": logits,
        "config": timm.data.resolve_model_data_config(net),
        "answers": [{a["label"]: a["score"] for a in answer} for answer in classify(pictures, top_k=99)],
        "labels": net.pretrained_cfg["label_names"],
    }
assert not [m for m in sys.modules if m.startswith("frostline")]
print(json.dumps(found))
"""
NAMES = ("蚂蚁", 'quote "x"\nline', "c")


def real_data() -> Path | None:
    for place in (os.environ.get("FROSTLINE_TEST_DATA"), Path(__file__).parents[2].parent / "shared" / "data"):
        if place and (Path(place) / "hymenoptera_data" / "val").is_dir():
            return Path(place) / "hymenoptera_data"
    return None


@dataclass(frozen=True)
class Case:
    """One model folder with the pictures that it is asked, and their normalised batch."""

    folder: Path
    pictures: list[Path]
    batch: torch.Tensor
    truth: np.ndarray | None = None


def case(folder: Path, pictures: list[Path], truth: np.ndarray | None = None) -> Case:
    return Case(folder, pictures, normalised(pictures, read(folder).preprocessing), truth)


def normalised(pictures: list[Path], wants: Preprocessing) -> torch.Tensor:
    pixels = torch.from_numpy(np.stack([EvaluationView(wants)(picture) for picture in pictures]))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (wants.mean, wants.std))
    return ((pixels.permute(0, 3, 1, 2) / 255 - mean) / std).contiguous()


def ants_and_bees(place: Path, data: Path) -> Case:
    """The default backbone with a head that has learnt a little, on some of the val split."""
    made = zoo.build("tf_efficientnet_lite0", classes=2, weights="auto")

    def some(split: str, step: int) -> tuple[list[Path], np.ndarray]:
        named = [
            (p, k) for k, c in enumerate(("ants", "bees")) for p in sorted((data / split / c).glob("*.jpg"))[::step]
        ]
        return [p for p, _ in named], np.array([k for _, k in named])

    pictures, y = some("train", 8)
    with torch.inference_mode():
        features = made.net.forward_features(normalised(pictures, made.preprocessing))
        x = made.net.forward_head(features, pre_logits=True).numpy()
    solved = LogisticRegression(C=0.1, max_iter=200).fit(x, y)
    with torch.no_grad():
        made.net.classifier.weight.copy_(torch.from_numpy(np.stack([-solved.coef_[0], solved.coef_[0]]) / 2))
        made.net.classifier.bias.copy_(torch.tensor([-solved.intercept_[0], solved.intercept_[0]]) / 2)
    folder.save(place, made.net, about(made, ("ants", "bees")))
    return case(place, *some("val", 10))


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """By name: our side and theirs, who answer in one process (its imports are most of the time)."""
    tmp = tmp_path_factory.mktemp("elsewhere")
    pictures = [tmp / f"{i}.png" for i in range(12)]
    for i, place in enumerate(pictures):
        place.write_bytes(encoded(scene(90, 70, i)))
    cases = {
        "cnn": case(saved(tmp / "cnn", "test_efficientnet", NAMES, graph=False)[0], pictures),
        "vit": case(saved(tmp / "vit", "test_vit", image_size=96, graph=False)[0], pictures),
        "several": case(saved(tmp / "several", "test_resnet", multilabel=True, graph=False)[0], pictures),
    }
    if data := real_data():
        cases["bugs"] = ants_and_bees(tmp / "bugs", data)
    question = {}
    for name, one in cases.items():
        torch.save(one.batch, tmp / f"{name}.pt")
        question[name] = (str(one.folder), [str(picture) for picture in one.pictures], str(tmp / f"{name}.pt"))
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, json.dumps(question)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": "", "OMP_NUM_THREADS": "1"},
        cwd=tmp,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    return {name: (one, answers[name]) for name, one in cases.items()}


def of(asked, name):
    if name not in asked:
        pytest.skip("needs the ants and bees")
    return asked[name]


ALL = pytest.mark.parametrize("name", ["cnn", "vit", "several", "bugs"])


@ALL
def test_timm_gives_the_same_logits(asked, name):
    ours, theirs = of(asked, name)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as there: sums in another order differ by more than 1e-5 in networks of random weights
    with torch.inference_mode():
        expected = open_folder(ours.folder).net(ours.batch).numpy()
    torch.set_num_threads(threads)
    assert np.abs(np.array(theirs["logits"]) - expected).max() < 1e-5


@ALL
def test_timm_finds_labels_and_preprocessing(asked, name):
    ours, theirs = of(asked, name)
    said = read(ours.folder)
    assert tuple(theirs["labels"]) == said.classes
    wants = said.preprocessing.to_dict()
    assert theirs["config"] == {**{k: v for k, v in wants.items() if k != "size"}, "input_size": [3, *wants["size"]]}


@ALL
def test_transformers_says_the_same(asked, name):
    ours, theirs = of(asked, name)
    answering = by_torch_of(ours.folder)
    rows = [Row(picture) for picture in ours.pictures]
    expected = np.stack([answer.probabilities for answer in answering.predict(rows)])
    scores = np.array([[answer[label] for label in answering.about.classes] for answer in theirs["answers"]])
    assert np.abs(scores - expected).max() < 0.05  # their resizing is torchvision's, ours may start from a reduced JPEG
    clear = np.sort(expected, axis=1)[:, -1] - np.sort(expected, axis=1)[:, -2] > 0.1
    assert (scores.argmax(1) == expected.argmax(1))[clear].all()
    assert clear.sum() >= 6
    assert len(set(expected.argmax(1)[clear])) >= 2


def test_ants_and_bees_by_graph_and_torch(asked):
    ours, theirs = of(asked, "bugs")
    rows = [Row(picture) for picture in ours.pictures]
    found, expected = (
        np.stack([a.probabilities for a in open_predictor(ours.folder, engine=engine).predict(rows)])
        for engine in ("openvino", "torch")
    )
    assert np.abs(found - expected).max() < 1e-4
    top = [max(answer, key=answer.get) for answer in theirs["answers"]]
    assert top == [("ants", "bees")[k] for k in found.argmax(1)]
    assert (found.argmax(1) == ours.truth).mean() > 0.8

"""Answers from a picture and from its mirror image: what Pillow mirrors, answered by itself, is the other half."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps
from typer.testing import CliRunner

from frostline.cli import app
from frostline.data.manifest import Row
from frostline.errors import PlanError
from frostline.ship import batch_predict, folder
from frostline.ship.batch_predict import Shard
from frostline.ship.model_info import ModelInfo
from frostline.ship.open_predictor import open_predictor
from frostline.ship.serve.engines import opened
from tests.data.pictures import scene
from tests.ship.conftest import CLASSES, backbone


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    made = backbone()
    # Without margins, for a margin of odd length is not cut in the same place from a mirrored picture.
    whole = replace(made.preprocessing, crop_pct=1.0)
    place = tmp_path_factory.mktemp("both") / "model"
    saying = ModelInfo(
        name=made.name, classes=CLASSES, preprocessing=whole, temperature=1.7, arguments={"img_size": 64}
    )
    folder.save(place, made.net, saying)
    return place


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """Pictures of the network's own size, which no resize touches, as files; and the same mirrored by Pillow."""
    top = tmp_path_factory.mktemp("pictures")
    for seed in range(6):
        picture = Image.fromarray(scene(64, 64, seed))
        for name, one in (("plain", picture), ("mirrored", ImageOps.mirror(picture))):
            (top / name).mkdir(exist_ok=True)
            one.save(top / name / f"{seed}.png")
    return top / "plain", top / "mirrored"


def answered(predictor, place):
    rows = [Row(path, name=path.name) for path in sorted(place.glob("*.png"))]
    return np.stack([answer.probabilities for answer in predictor.predict(rows)])


def logits_of(probabilities):
    """Up to a constant a picture."""
    logs = np.log(probabilities.astype(np.float64))
    return logs - logs.mean(1, keepdims=True)


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_the_answer_is_the_mean_over_both_views(model, halves, engine):
    one, both = open_predictor(model, engine=engine), open_predictor(model, engine=engine, tta="flip")
    plain, mirrored = (answered(one, half) for half in halves)
    assert np.abs(plain - mirrored).max() > 0.01
    found = answered(both, halves[0])
    expected = (logits_of(plain) + logits_of(mirrored)) / 2
    np.testing.assert_allclose(logits_of(found), expected, atol=1e-3)
    np.testing.assert_allclose(answered(both, halves[1]), found, atol=1e-4)  # whichever of the two one is given


def test_others_beside_it_answer_from_both_views_too(model, halves):
    alone, crowd = opened(model, engine="openvino", cores=2, tta="flip")
    expected = answered(alone, halves[0])
    assert np.abs(answered(open_predictor(model), halves[0]) - expected).max() > 1e-3
    for one in crowd:
        np.testing.assert_allclose(answered(one, halves[0]), expected, atol=1e-4)


def test_what_is_not_known_is_refused(model):
    with pytest.raises(PlanError, match="no test-time augmentation 'mirror'") as caught:
        open_predictor(model, tta="mirror")
    assert caught.value.hint == "--tta flip"


def test_workers_of_one_job_all_answer_from_both_views_or_none(model, halves, tmp_path):
    rows = [Row(path, name=path.name) for path in halves[0].glob("*.png")]
    both = open_predictor(model, tta="flip")
    batch_predict.work(tmp_path / "out", Shard(0, 2), rows, both, places=["x"], tta="flip")
    with pytest.raises(PlanError, match="its --tta differs"):
        batch_predict.work(tmp_path / "out", Shard(1, 2), rows, open_predictor(model), places=["x"])


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def test_the_commands_take_it_and_say_so(model, halves, tmp_path):
    said = run("predict", model, halves[0], "--json", "--tta", "flip")
    assert "mirror image" in said.stderr
    found = [json.loads(line)["classes"][0]["probability"] for line in said.stdout.splitlines()]
    expected = answered(open_predictor(model, tta="flip"), halves[0]).max(1)
    np.testing.assert_allclose(sorted(found), sorted(expected.tolist()), atol=1e-5)
    assert "mirror image" not in run("predict", model, halves[0]).stderr
    place = tmp_path / "labelled" / "ants"
    place.parent.mkdir()
    place.symlink_to(halves[0])
    judged = json.loads(run("evaluate", model, place.parent, "--json", "--tta", "flip").stdout)
    assert judged["tta"] == "flip"

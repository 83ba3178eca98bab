"""A model folder says which pictures are unlike its training data, by OpenVINO as by torch, and old ones open."""

import json

import numpy as np
import pytest
import timm
import torch

from frostline import ImageClassifier
from frostline.errors import CheckpointError, JudgementError
from frostline.inference import network
from frostline.judge.conformal import PredictionSets
from frostline.judge.ood import distances, from_distances
from frostline.ship import folder
from frostline.ship.file_names import ABOUT, NOVELTY
from frostline.ship.model_info import read
from frostline.ship.predictor import members
from tests.data.pictures import scene
from tests.ship.conftest import about, backbone, rows
from tests.ship.predictors import by_openvino, by_torch_of


def features_of(made, pixels):
    whole = network.Network(made.net, made.preprocessing, head=made.head.path).eval()
    with torch.no_grad():
        return whole(torch.from_numpy(pixels))[1].numpy()


@pytest.fixture(scope="module")
def knowing(tmp_path_factory):
    """(folder, backbone, novelty): a model that knows scenes, and sets of 20 scores."""
    made = backbone()
    height, width = made.preprocessing.size
    x = features_of(made, np.stack([scene(width, height, seed) for seed in range(60)]))
    novelty = from_distances(x[:30], distances(x[:30], x[30:]), head=made.head.path)
    place = tmp_path_factory.mktemp("knowing") / "model"
    sets = PredictionSets(tuple(np.linspace(0, 1, 20)), 20)
    folder.save(place, made.net, about(made, novelty=novelty, sets=sets, arguments={"img_size": 64}))
    return place, made, novelty


def test_both_engines_give_one_distance_and_mark_what_is_strange(knowing, tmp_path):
    place, made, novelty = knowing
    height, width = made.preprocessing.size
    same = np.stack([scene(width, height, seed) for seed in range(30, 60)])
    by_graph, by_torch = (
        by_openvino(place, cache=tmp_path),
        by_torch_of(place),
    )
    np.testing.assert_allclose(np.sort(by_graph.see(same)[1]), novelty.known.held_out, atol=1e-4)
    for pixels in (same, same[:1]):
        for one, other in zip(by_graph.see(pixels), by_torch.see(pixels), strict=True):
            np.testing.assert_allclose(one, other, atol=1e-4)
        np.testing.assert_array_equal(by_torch.see(pixels)[0], by_torch.logits(pixels))
    assert (by_torch.see(same)[1] <= novelty.threshold + 1e-6).all()


def test_answers_say_it(knowing, pictures, tmp_path):
    place, _, novelty = knowing
    for predictor in (
        by_openvino(place, cache=tmp_path),
        by_torch_of(place),
    ):
        for answer in predictor.predict(rows(pictures)):
            assert answer.novel == (answer.distance > novelty.threshold)


def test_the_network_is_left_without_hooks(knowing):
    _, made, _ = knowing
    assert not any(module._forward_pre_hooks for module in made.net.modules())


def test_timm_opens_it_and_a_copy_of_it_knows_the_same(knowing, tmp_path):
    place, _, novelty = knowing
    assert timm.create_model(f"local-dir:{place}", pretrained=True).num_classes == 3
    copy = ImageClassifier.load(place).save(tmp_path / "copy")
    assert (copy / NOVELTY).read_bytes() == (place / NOVELTY).read_bytes()
    assert read(copy).novelty == novelty
    assert read(copy).sets == read(place).sets


def test_sets_are_the_most_probable_classes(knowing, pictures):
    place, _, _ = knowing
    for answer in by_torch_of(place).predict(rows(pictures)):
        wide, narrow = members(answer, read(place), 0.95), members(answer, read(place), 0.3)
        assert wide[: len(narrow)] == narrow
        assert narrow[0][1] == pytest.approx(answer.probabilities.max())


def test_a_model_that_does_not_know_says_nothing(model, pictures):
    for predictor in (by_openvino(model[0]), by_torch_of(model[0])):
        assert predictor.about.novelty is None
        answers = list(predictor.predict(rows(pictures[:2])))
        assert [(answer.novel, answer.distance) for answer in answers] == [(None, None)] * 2
    with pytest.raises(JudgementError, match="no prediction sets"):
        members(answers[0], predictor.about, 0.9)


def test_a_folder_of_before_there_was_novelty_opens(model, tmp_path):
    values = read(model[0]).to_dict()
    for name in ("sets", "novelty"):
        del values[name]
    assert type(read(model[0])).from_dict(values).novelty is None


@pytest.mark.parametrize("fault", ["missing", "cut", "changed"])
def test_a_damaged_memory_is_told(knowing, tmp_path, fault):
    _, made, novelty = knowing
    folder.save(tmp_path / "m", made.net, about(made, novelty=novelty, arguments={"img_size": 64}), graph=False)
    known = tmp_path / "m" / NOVELTY
    whole = known.read_bytes()
    if fault == "missing":
        known.unlink()
    else:
        known.write_bytes(whole[:-3] if fault == "cut" else whole[:-3] + b"abc")
    with pytest.raises(CheckpointError) as told:
        by_torch_of(tmp_path / "m")
    assert NOVELTY in told.value.where


def test_a_hostile_threshold_is_refused(knowing, tmp_path):
    place, _, _ = knowing
    values = json.loads((place / ABOUT).read_text())
    values["novelty"]["threshold"] = "far"
    (tmp_path / ABOUT).write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="novelty"):
        read(tmp_path)

"""A model folder of odd values: whatever stands in a field, it is refused in our words, or the model answers."""

import copy
import json
import re
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from frostline.errors import CheckpointError, FrostlineError, WeightsError
from frostline.inference import network
from frostline.inference.torch_engine import Plain
from frostline.judge.conformal import PredictionSets
from frostline.judge.ood import distances, from_distances
from frostline.net import zoo
from frostline.ship import card, folder
from frostline.ship.file_names import ABOUT, NOVELTY
from frostline.ship.model_info import ModelInfo, identity, parsed, read, recalled, to_json
from frostline.ship.open_predictor import open_predictor
from tests.data.pictures import scene
from tests.ship.conftest import about, backbone
from tests.ship.test_architecture import _fields, _put, restated, rewritten

ODD = (
    *(None, True, False, 0, -1, 1, 2, 64.5, -0.0, 1e-308, 1e308, -1e308, 10**400, -(10**400), 1 << 63),
    *(float("nan"), float("inf"), -float("inf")),
    *("", "x", "\ud800", "\x1b[31m", "1", [], {}, [[]], [0], [1, 2], [None] * 3, ["x"] * 3, [float("nan")] * 3),
    *([10**400] * 3, {"x": 1}, {"": {}}, [{"x": []}], [1e-300] * 3, [4096, 4096], [-1] * 20, [[1]] * 3),
)


@pytest.fixture(scope="module")
def knowing(tmp_path_factory):
    """A folder with prediction sets, with novelty, and with figures; without a graph."""
    made = backbone()
    whole = network.Network(made.net, made.preprocessing, head=made.head.path).eval()
    with torch.no_grad():
        x = whole(torch.from_numpy(np.stack([scene(64, 64, seed) for seed in range(30)])))[1].numpy()
    said = about(
        made,
        novelty=from_distances(x[:10], distances(x[:10], x[10:]), head=made.head.path),
        sets=PredictionSets(tuple(np.linspace(0, 1, 20)), 20),
        arguments={"img_size": 64},
        metrics={"val": {"n": 50, "accuracy": {"value": 0.9, "low": 0.8, "high": 0.95}, "per_class": []}},
        facts={"counts": {"train": {"ants": 1}}, "labels": "str", "seed": 0, "chosen_on": "val"},
    )
    place = tmp_path_factory.mktemp("odd") / "model"
    folder.save(place, made.net, said, graph=False)
    return place


@pytest.mark.parametrize("groups", [[0], [0, 0], [0] * 4, [0] * 300])
def test_prediction_sets_of_other_classes_are_refused(knowing, tmp_path, groups):
    values = json.loads((knowing / ABOUT).read_text())
    values["sets"] |= {"groups": groups, "own": [[0.1, 0.2]]}
    with pytest.raises(CheckpointError, match=f"its prediction sets are of {len(groups)} classes, not 3") as refused:
        opened(values, tmp_path)
    assert str(tmp_path) in str(refused.value)
    assert opened({**values, "sets": values["sets"] | {"groups": [0] * 3}}, tmp_path).sets


def opened(values, tmp):
    (tmp / ABOUT).write_text(json.dumps(values))
    return read(tmp)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_value_in_any_field_is_read_or_refused_and_what_is_read_can_be_worded(knowing, tmp_path_factory, data):
    values = json.loads((knowing / ABOUT).read_bytes())
    places = [path for path in _fields(values) if path]
    for path in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=2)):
        with suppress(KeyError, TypeError, IndexError):
            _put(values, path, copy.deepcopy(data.draw(st.sampled_from(ODD))))
    tmp = tmp_path_factory.getbasetemp()
    found, refusal = None, ""
    try:
        found = opened(values, tmp)
    except FrostlineError as error:
        refusal = f"{error.what} hint: {error.hint}"
    assert found or "None" not in refusal[-4:]
    if found is None:
        return
    assert identity(found)
    to_json(found.to_dict())
    with suppress(CheckpointError):
        card.text(found)


@pytest.mark.parametrize(
    "change",
    [
        *({"crop_pct": value} for value in (1e-9, 1e-308, 0, True, "0.9", [1])),
        *({"size": value} for value in ([64.5, 64], [True, True], ["64", "64"], 64, [64], [64] * 3, [-1, 64])),
        *({"mean": value} for value in ([1e300] * 3, [1e30] * 3, [10**400] * 3, [True] * 3, [[1]] * 3)),
        *({"std": value} for value in ([1e-300] * 3, [1e-40] * 3, [-1] * 3, [1e30] * 3)),
        *({"interpolation": value} for value in (["bicubic"], {}, 1)),
    ],
    ids=lambda change: str(change)[:30],
)
def test_preprocessing_that_no_picture_is_meant_by_is_refused(knowing, tmp_path, change):
    values = json.loads((knowing / ABOUT).read_bytes())
    values["preprocessing"].update(change)
    with pytest.raises(CheckpointError, match=r"preprocessing|crop_pct|mean"):
        opened(values, tmp_path)


@pytest.mark.parametrize("said", [b'{"a": NaN}', b'{"a": [-Infinity]}', b"[1e999]", b"[-1e400]"])
def test_numbers_that_json_does_not_know_are_refused(said):
    with pytest.raises(ValueError, match="not finite"):
        parsed(said)
    assert parsed(b'{"a": [1e30, 2, null]}') == {"a": [1e30, 2, None]}


@pytest.mark.parametrize("head", ["no.such", "__class__", "conv_stem.weight"])
def test_novelty_in_front_of_a_module_that_is_not_there_is_refused(knowing, tmp_path, head):
    place = tmp_path / "model"
    place.mkdir()
    for path in knowing.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    rewritten(place, ABOUT, lambda values: values["novelty"].update(head=head))
    with pytest.raises(CheckpointError, match="module that is not there"):
        open_predictor(place)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e5m2, torch.float32, torch.int64])
def test_training_features_of_another_type_are_refused(knowing, tmp_path, dtype):
    (tmp_path / ABOUT).write_bytes((knowing / ABOUT).read_bytes())
    save_file({"vectors": torch.ones(9, 256).to(dtype), "held_out": torch.ones(9).to(dtype)}, tmp_path / NOVELTY)
    restated(tmp_path)
    with pytest.raises(CheckpointError) as refused:
        recalled(tmp_path, read(tmp_path))
    assert NOVELTY in str(refused.value.where)


def test_a_card_of_somebody_elses_words_formats_nothing(knowing):
    said = read(knowing).to_dict()
    said["versions"] = {"frostline": "<img src=x>", "timm](http://x)": "**1**"}
    text = card.text(ModelInfo.from_dict(said))
    assert not re.search(r"(?<!\\)(<img|\]\(|\*\*)", text.partition("## Made of")[2])
    assert not re.search(r"(?<!\\)<img", text)
    said["metrics"] = {"val": [1], "test": {"accuracy": "x"}}
    with pytest.raises(CheckpointError, match="cannot be worded"):
        card.text(ModelInfo.from_dict(said))


def test_large_pictures_are_computed_few_at_a_time_and_small_ones_as_before():
    seen = []

    class Looking(nn.Module):
        def forward(self, pictures):
            seen.append(tuple(pictures.shape[:3]))
            return (pictures.float().mean((1, 2)),)

    whole = Looking()
    whole.device, whole.head = torch.device("cpu"), ""
    rng = np.random.default_rng(0)
    for side in (16, 512, 1024, 2048):
        seen.clear()
        pictures = rng.integers(0, 256, (3, side, side, 3), dtype=np.uint8)
        (found,) = Plain(whole).run(pictures)
        np.testing.assert_allclose(found, pictures.mean((1, 2), dtype=np.float32), rtol=1e-3)
        assert seen[0] == ({16: 8, 512: 8, 1024: 2, 2048: 1}[side], side, side)


@pytest.mark.parametrize("name", [NOVELTY, "model.safetensors", "config.json", ABOUT])
def test_a_terabyte_of_holes_is_not_read(knowing, tmp_path, name):
    place = tmp_path / "model"
    place.mkdir()
    for path in knowing.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    with (place / name).open("ab") as file:
        file.truncate(1 << 40)
    values = json.loads((knowing / ABOUT).read_bytes())
    values["files"].setdefault(name, {})["bytes"] = 1 << 40
    if name != ABOUT:
        (place / ABOUT).write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match="a sparse file"):
        open_predictor(place)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors", "weights.npz"])
def test_weights_that_are_all_holes_are_not_read(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(WeightsError, match="a sparse file"):
        zoo.build("test_resnet", classes=2, weights=tmp_path / name)

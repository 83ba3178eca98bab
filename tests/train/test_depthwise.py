"""Depthwise convolutions in float32 within bfloat16 autocast."""

import pytest
import torch
from torch import nn

from frostline.train import depthwise


class Net(nn.Module):
    """A pointwise, a depthwise and a grouped convolution; notes what each gave."""

    def __init__(self) -> None:
        super().__init__()
        self.pointwise, self.depthwise, self.grouped = (
            nn.Conv2d(4, 8, 1),
            nn.Conv2d(8, 8, 3, groups=8),
            nn.Conv2d(8, 8, 1, groups=2),
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        first = self.pointwise(x)
        second = self.depthwise(first)
        return [first, second, self.grouped(second)]


def test_only_depthwise_convolutions_are_float32() -> None:
    net, inputs = Net(), {}
    with depthwise.autocast(net):
        for name, module in net.named_children():
            module.register_forward_pre_hook(lambda _, given, name=name: inputs.update({name: given[0].dtype}))
        found = net(torch.ones(1, 4, 6, 6))
        assert torch.is_autocast_enabled("cpu")
    assert [x.dtype for x in found] == [torch.bfloat16] * 3
    assert inputs == {"pointwise": torch.float32, "depthwise": torch.float32, "grouped": torch.bfloat16}
    torch.testing.assert_close(found[1], net.depthwise(found[0].float()).bfloat16(), rtol=0, atol=0)
    assert not torch.is_autocast_enabled("cpu")


def test_nothing_stays_behind() -> None:
    net = Net()
    with pytest.raises(RuntimeError), depthwise.autocast(net):
        net.depthwise(torch.ones(1, 5, 6, 6))
    assert not torch.is_autocast_enabled("cpu")
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
    assert net(torch.ones(1, 4, 6, 6))[1].dtype == torch.float32


def test_gradients_agree_with_float32() -> None:
    torch.manual_seed(0)
    net, x = Net(), torch.randn(2, 4, 6, 6)
    net(x)[2].square().mean().backward()
    wanted = net.depthwise.weight.grad
    net.zero_grad()
    with depthwise.autocast(net):
        loss = net(x)[2].float().square().mean()
    loss.backward()
    assert wanted is not None
    assert net.depthwise.weight.grad is not None
    assert torch.nn.functional.cosine_similarity(net.depthwise.weight.grad.flatten(), wanted.flatten(), dim=0) > 0.999

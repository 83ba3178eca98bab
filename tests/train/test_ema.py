"""The moving average of weights."""

from contextlib import suppress

import pytest
import torch
from torch import nn

from frostline.train.ema import WeightEMA


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.learns = nn.Parameter(torch.zeros(2))
        self.frozen = nn.Parameter(torch.zeros(2), requires_grad=False)
        self.register_buffer("running", torch.zeros(2))
        self.register_buffer("count", torch.tensor(0))
        self.register_buffer("constant", torch.ones(2), persistent=False)


def moved(net: Net, value: float) -> Net:
    with torch.no_grad():
        for tensor in (net.learns, net.running):
            tensor.fill_(value)
        net.count += 1
    return net


def test_it_is_the_exponential_average_with_a_warm_up() -> None:
    net = Net()
    average, expected = WeightEMA(net, 0.9), 0.0
    for t in range(1, 200):
        moved(net, float(t))
        average.update()
        decay = min(0.9, (1 + t) / (10 + t))
        expected = decay * expected + (1 - decay) * t
    assert average.values["learns"][0] == pytest.approx(expected, rel=1e-5)
    assert average.values["running"][0] == pytest.approx(expected, rel=1e-5)
    assert average.values["count"] == 199
    assert average.updates == 199


def test_it_holds_what_changes_and_the_state_dict_knows() -> None:
    assert set(WeightEMA(Net(), 0.9).values) == {"learns", "running", "count"}


def test_in_place_gives_the_network_its_own_weights_back() -> None:
    net = Net()
    average = WeightEMA(net, 0.5)
    moved(net, 8.0)
    average.update()
    with average.in_place():
        inside = net.learns[0].item(), net.running[0].item()
    assert 0 < inside[0] < 8
    assert inside[0] == inside[1] == average.values["learns"][0]
    assert net.learns[0] == net.running[0] == 8.0
    with suppress(KeyboardInterrupt), average.in_place():
        raise KeyboardInterrupt
    assert net.learns[0] == net.running[0] == 8.0


def test_restore_goes_on_as_if_never_stopped() -> None:
    one, two = Net(), Net()
    straight, first = WeightEMA(one, 0.8), WeightEMA(two, 0.8)
    for value in (1.0, 2.0):
        moved(one, value)
        moved(two, value)
        straight.update()
        first.update()
    kept = {name: tensor.clone() for name, tensor in first.values.items()}
    resumed = WeightEMA(two, 0.8)
    resumed.restore(kept, first.updates)
    moved(one, 5.0)
    moved(two, 5.0)
    straight.update()
    resumed.update()
    assert all(torch.equal(straight.values[name], resumed.values[name]) for name in straight.values)
    assert kept["learns"][0] != resumed.values["learns"][0], "the checkpoint's tensors stay as they were"

"""Which shelf belongs to a line: one of the network's weights, code and preprocessing."""

from pathlib import Path

import torch
from torch import Tensor, nn

from frostline.data.views import Preprocessing
from frostline.events import quiet
from frostline.features.activations import Activations
from frostline.features.store import Store


def test_a_network_of_the_same_weights_that_computes_something_else_has_another_shelf(tmp_path: Path) -> None:
    def digest(act: type[nn.Module]) -> str:
        net = nn.Sequential(nn.Conv2d(3, 4, 3), act(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
        net.load_state_dict(state)
        held = Activations(
            net, "my_net:tiny", Preprocessing((32, 32)), Store(tmp_path), tmp_path, "torch", "fp32", quiet
        )
        return held.digest_of("4")

    state = nn.Sequential(nn.Conv2d(3, 4, 3), *[nn.Identity()] * 3, nn.Linear(4, 2)).state_dict()
    assert digest(nn.ReLU) == digest(nn.ReLU) != digest(nn.Tanh)


class Counting(nn.Module):
    """Keeps what it has computed, as many do with tables of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.table = 0, None

    def forward(self, x: Tensor) -> Tensor:
        self.calls, self.table = self.calls + 1, x.mean((2, 3))
        return x


def test_what_computing_leaves_in_a_module_makes_no_other_shelf(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), Counting(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    held = Activations(net, "my_net:tiny", Preprocessing((32, 32)), Store(tmp_path), tmp_path, "torch", "fp32", quiet)
    before = held.digest_of("4")
    net(torch.zeros(1, 3, 32, 32))
    assert held.digest_of("4") == before

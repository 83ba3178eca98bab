"""What a network computes is told by its code too: a change of it changes the digest, and nothing else does."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import timm
import torch
from torch import nn

from frostline.net.code_digest import code_digest
from frostline.net.freeze import hold_statistics
from frostline.net.stages import cut

BLOCKS = """
import torch

GAIN = 1.0

class Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x / 2

def gained(x):
    return GAIN * x

def lifted(x):
    return x + 0.5
"""
SOURCE = """
import numpy as np
import torch
from torch import nn
import my_blocks
from my_blocks import Halved, gained

SLOPE = 0.1
ACT = nn.ReLU
CORNERS = (0, {"top": 1})

def bent(x):
    return torch.where(x > 0, x, SLOPE * x)

class Tiny(nn.Module):
    scale = 2

    def __init__(self, classes=5, drop=0.1, times=1.0, mask=1.0):
        super().__init__()
        self.num_classes, self.drop_rate = classes, drop
        self.times, self.steps, self.options = times, np.arange(3), {"shift": 0.0}
        self.register_buffer("mask", torch.full((1,), mask), persistent=False)
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), ACT(), nn.Dropout(drop))
        self.fc = nn.Linear(4, classes)

    def features(self, x, power=1):
        x = Halved.apply(gained(my_blocks.lifted(x))) + CORNERS[0]
        return self.times * self.mask * self.scale * bent(self.stem(x)) ** power

    def forward(self, x):
        kinds = [name for name in "ab" if name in {"a", "bc", "def", "ghij"}]
        return self.fc(self.features(x).mean((2, 3)))
"""


def made(source: str = SOURCE, blocks: str = BLOCKS, **how: object) -> nn.Module:
    for name, text in (("my_blocks", blocks), ("my_net", source)):
        sys.modules[name] = ModuleType(name)
        exec(text, vars(sys.modules[name]))
    net: nn.Module = sys.modules["my_net"].Tiny(**how)
    return net.eval()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ACT = nn.ReLU", "ACT = nn.Tanh"),
        ("nn.Conv2d(3, 4, 3)", "nn.Conv2d(3, 4, 3, padding=1)"),
        (".mean((2, 3))", ".amax((2, 3))"),
        (".mean((2, 3))", ".mean((3, 2))"),
        ("power=1", "power=2"),
        ("scale = 2", "scale = 3"),
        ("SLOPE = 0.1", "SLOPE = 0.2"),
        ("x > 0, x, SLOPE", "x > 1, x, SLOPE"),
        ('{"a", "bc"', '{"b", "bc"'),
        ("(0, {", "(1, {"),
        ('"top": 1', '"top": 2'),
        ("arange(3)", "arange(4)"),
        ('"shift": 0.0', '"shift": 1.0'),
        ("x / 2", "x / 3"),
        ("GAIN = 1.0", "GAIN = 2.0"),
        ("x + 0.5", "x + 1.5"),
    ],
)
def test_a_change_of_what_is_computed_is_seen(old: str, new: str) -> None:
    assert old in SOURCE + BLOCKS
    assert code_digest(made()) != code_digest(made(SOURCE.replace(old, new, 1), BLOCKS.replace(old, new, 1)))


@pytest.mark.parametrize("argument", ["times", "mask"])
def test_what_a_module_holds_beside_its_state_is_seen(argument: str) -> None:
    """A plain attribute, and a buffer that no state dict has: each is given by whoever builds the network."""
    one, other = made(**{argument: 1.0}), made(**{argument: 2.0})
    assert one.state_dict().keys() == other.state_dict().keys()
    assert code_digest(made()) == code_digest(one) != code_digest(other)


@pytest.mark.parametrize("name", ["resnet18", "swin_tiny_patch4_window7_224", "levit_128s", "convit_tiny"])
def test_computing_and_training_change_nothing(name: str) -> None:
    net = timm.create_model(name, pretrained=False, num_classes=3)
    before = code_digest(net)
    with torch.no_grad():
        for training in (True, False):
            net.train(training)(torch.zeros(2, 3, 224, 224))
    hold_statistics(net)
    assert code_digest(net) == before == code_digest(timm.create_model(name, pretrained=False, num_classes=3))


def test_what_changes_no_feature_changes_no_digest() -> None:
    """The number of classes above the line, dropout's rate, another place of the file, and another object."""
    one, *others = [cut(net, "fc")[0] for net in (made(), made(classes=9), made(drop=0.5), made("\n\n\n" + SOURCE))]
    assert {code_digest(net) for net in others} == {code_digest(one)}


def test_a_forward_put_there_by_hand_is_seen() -> None:
    net, before = made(), code_digest(made())
    net.stem.forward = lambda x: x  # type: ignore[method-assign,union-attr]
    assert code_digest(net) != before


def test_every_process_finds_the_same(tmp_path: Path) -> None:
    (tmp_path / "my_net.py").write_text(SOURCE)
    (tmp_path / "my_blocks.py").write_text(BLOCKS)
    program = "from frostline.net.code_digest import code_digest; import my_net; print(code_digest(my_net.Tiny()))"
    env = {**os.environ, "PYTHONHASHSEED": "5", "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env).stdout
    assert said.strip() == code_digest(made())

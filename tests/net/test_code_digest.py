"""What a network computes is told by its code too: a change of it changes the digest, and nothing else does."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from torch import nn

from frostline.net.code_digest import code_digest
from frostline.net.stages import cut

SOURCE = """
import torch
from torch import nn

SLOPE = 0.1
ACT = nn.ReLU

def bent(x):
    return torch.where(x > 0, x, SLOPE * x)

class Tiny(nn.Module):
    scale = 2

    def __init__(self, classes=5, drop=0.1):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), ACT(), nn.Dropout(drop))
        self.fc = nn.Linear(4, classes)

    def features(self, x, power=1):
        return self.scale * bent(self.stem(x)) ** power

    def forward(self, x):
        kinds = [name for name in "ab" if name in {"a", "bc", "def", "ghij"}]
        return self.fc(self.features(x).mean((2, 3)))
"""


def made(source: str = SOURCE, **how: object) -> nn.Module:
    module = ModuleType("my_net")
    sys.modules["my_net"] = module
    exec(source, vars(module))
    net: nn.Module = module.Tiny(**how)
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
    ],
)
def test_a_change_of_what_is_computed_is_seen(old: str, new: str) -> None:
    assert old in SOURCE
    assert code_digest(made()) != code_digest(made(SOURCE.replace(old, new, 1)))


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
    program = "from frostline.net.code_digest import code_digest; import my_net; print(code_digest(my_net.Tiny()))"
    env = {**os.environ, "PYTHONHASHSEED": "5", "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env).stdout
    assert said.strip() == code_digest(made())

"""Checkpoints are whole or absent, and bring everything back to the bit."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from frostline.errors import CheckpointError
from frostline.net.freeze import Group
from frostline.train import checkpoint
from frostline.train.checkpoint import BEFORE, NEWEST, Checkpoint, load, save
from frostline.train.optimizer import make_optimizer, optimizer_state, optimizers, restore_optimizer
from frostline.train.plan import Recipe


def numbered(number: int) -> Checkpoint:
    return Checkpoint({"a/x": torch.full((4,), float(number)), "b/y": torch.tensor(number)}, {"number": number})


def test_tensors_and_facts_come_back(tmp_path: Path) -> None:
    shared = torch.arange(6.0)
    tensors = {
        "net/weight": shared,
        "net/tied": shared,
        "net/view": shared.reshape(2, 3).T,
        "net/half": torch.randn(3).bfloat16(),
        "random/cpu": torch.get_rng_state(),
        "flag": torch.tensor(True),
        "empty": torch.zeros(0, 3),
    }
    facts = {"loss": 0.1 + 0.2, "worst": float("inf"), "names": ["ä", "\n"], "none": None}
    save(tmp_path, Checkpoint(tensors, facts))
    found = load(tmp_path)
    assert found is not None
    assert found.facts == facts
    assert found.tensors.keys() == tensors.keys()
    assert all(torch.equal(found.tensors[n], t) and found.tensors[n].dtype == t.dtype for n, t in tensors.items())
    assert set(found.under("net")) == {"weight", "tied", "view", "half"}


def test_a_checkpoint_without_tensors(tmp_path: Path) -> None:
    save(tmp_path, Checkpoint({}, {"phase": 1}))
    assert load(tmp_path) == Checkpoint({}, {"phase": 1})


def test_nothing_there_is_none(tmp_path: Path) -> None:
    assert load(tmp_path / "absent") is None


@pytest.mark.parametrize("keep", [0, 5, 40, -1])
def test_a_truncated_newest_gives_the_one_before(tmp_path: Path, keep: int) -> None:
    save(tmp_path, numbered(1))
    path = save(tmp_path, numbered(2))
    path.write_bytes(path.read_bytes()[:keep])
    found = load(tmp_path)
    assert found is not None
    assert found.facts == {"number": 1}
    (tmp_path / BEFORE).write_bytes(b"")
    with pytest.raises(CheckpointError, match="no checkpoint here can be read"):
        load(tmp_path)


def test_killed_between_the_renames_gives_the_one_before(tmp_path: Path) -> None:
    save(tmp_path, numbered(1))
    save(tmp_path, numbered(2))
    (tmp_path / NEWEST).unlink()
    found = load(tmp_path)
    assert found is not None
    assert found.facts == {"number": 1}


@pytest.mark.parametrize("stage", ["write", "sync", "rename"])
def test_a_full_disk_is_an_error_and_leaves_the_last_whole(
    tmp_path: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(tmp_path, numbered(1))

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if stage == "write":

            def half(tensors: object, path: Path, **kwargs: object) -> None:
                path.write_bytes(b"half a file")
                full()

            patch.setattr(checkpoint, "save_file", half)
        elif stage == "sync":
            patch.setattr(os, "fsync", full)
        else:
            patch.setattr(Path, "replace", full)
        with pytest.raises(CheckpointError, match=r"(?s)the disk is full.*last checkpoint is whole"):
            save(tmp_path, numbered(2))
    found = load(tmp_path)
    assert found is not None
    assert found.facts == {"number": 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == [NEWEST]


def test_a_file_that_may_not_grow_leaves_the_last_whole(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    save(tmp_path, numbered(1))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(CheckpointError, match="cannot be written"):
            save(tmp_path, Checkpoint({"large": torch.zeros(10_000)}, {}))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    found = load(tmp_path)
    assert found is not None
    assert found.facts == {"number": 1}
    assert [path.name for path in tmp_path.iterdir()] == [NEWEST]


def foreign(path: Path, kind: str) -> None:
    if kind == "pickle":
        torch.save({"x": torch.zeros(2)}, path)
    elif kind == "text":
        path.write_text("<html>404</html>")
    elif kind == "weights":
        save_file({"x": torch.zeros(2)}, path)
    elif kind == "no-json":
        save_file({"x": torch.zeros(2)}, path, metadata={"facts": "{"})
    elif kind == "list":
        save_file({"x": torch.zeros(2)}, path, metadata={"facts": "[1]"})
    elif kind == "deep":
        save_file({"x": torch.zeros(2)}, path, metadata={"facts": "[" * 100_000})
    elif kind == "huge-header":
        path.write_bytes((1 << 62).to_bytes(8, "little") + b"{}")
    elif kind == "lying-offsets":
        header = json.dumps({"x": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}).encode()
        path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 16)
    else:
        path.mkdir()


@pytest.mark.parametrize(
    "kind", ["pickle", "text", "weights", "no-json", "list", "deep", "huge-header", "lying-offsets", "folder"]
)
def test_foreign_and_hostile_files_are_refused(tmp_path: Path, kind: str) -> None:
    foreign(tmp_path / NEWEST, kind)
    with pytest.raises(CheckpointError, match=NEWEST):
        load(tmp_path)


def test_clear_removes_all_of_it(tmp_path: Path) -> None:
    save(tmp_path, numbered(1))
    save(tmp_path, numbered(2))
    checkpoint.clear(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_random_state_goes_on_where_it_was() -> None:
    device = torch.device("cpu")
    torch.manual_seed(4)
    torch.rand(3)
    kept = checkpoint.random_state(device)
    expected = torch.rand(5)
    torch.manual_seed(0)
    checkpoint.restore_random_state(kept, device)
    assert torch.equal(torch.rand(5), expected)
    with pytest.raises(CheckpointError, match="no random state"):
        checkpoint.restore_random_state({}, device)


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))


def step(module: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    x = torch.randn(16, 5, generator=torch.Generator().manual_seed(seed))
    module(x).square().mean().backward()
    optimizer.step()
    optimizer.zero_grad()


GROUPS = (
    Group("head", 1e-2, 0.1, ("2.weight",)),
    Group("head", 1e-2, 0.0, ("2.bias",)),
    Group("stem", 1e-3, 0.1, ("0.weight", "0.bias")),
)


@pytest.mark.parametrize("name", [*optimizers(), "lookahead_adamw"])
def test_an_optimizer_goes_on_to_the_bit(name: str, tmp_path: Path) -> None:
    straight, stopped = net(), net()
    first = make_optimizer(straight, GROUPS, Recipe(optimizer=name))
    other = make_optimizer(stopped, GROUPS, Recipe(optimizer=name))
    for seed in range(7):  # lookahead looks back after six
        for module, optimizer in ((straight, first), (stopped, other)):
            torch.manual_seed(seed)
            step(module, optimizer, seed)
    tensors, plain = optimizer_state(other)
    save(tmp_path, Checkpoint(tensors, {"optimizer": plain}))
    found = load(tmp_path)
    assert found is not None
    resumed = make_optimizer(stopped, GROUPS, Recipe(optimizer=name))
    restore_optimizer(resumed, found.tensors, found.facts["optimizer"])
    for seed in range(7, 16):
        for module, optimizer in ((straight, first), (stopped, resumed)):
            torch.manual_seed(seed)
            step(module, optimizer, seed)
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), stopped.parameters(), strict=True))
    assert [g["initial_lr"] for g in resumed.param_groups] == [g["initial_lr"] for g in first.param_groups]
    assert not torch.equal(straight[0].weight, net()[0].weight)

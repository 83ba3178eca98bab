"""The lesson, exactly: the command's losses are those of the plain PyTorch script in bench/lesson.py."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bench import lesson
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR

from frostline import ImageClassifier
from frostline.data.sources import read
from frostline.data.views import Augment, Preprocessing, TrainingView
from frostline.events import Event, PhaseStart, Step
from frostline.net import zoo
from frostline.train.loader import Order

SEED, EPOCHS, BATCH, SIZE = 5, 3, 16, 64
OPTIONS: dict[str, Any] = {
    "model": "resnet18",
    "weights": "none",
    "image_size": SIZE,
    "optimizer": "sgd",
    "lr": 0.01,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "clip": 0.0,
    "warmup": 0.0,
    "schedule": "step",
    "step_size": 2,
    "gamma": 0.1,
    "epochs": EPOCHS,
    "batch_size": BATCH,
    "augment": "resized-crop",
    "views": 0,
    "frozen_norm": "update",
    "precision": "fp32",
    "seed": SEED,
}


def plain(data: Path, method: str, trunk_lr: float) -> tuple[list[list[float]], nn.Module]:
    """The script's losses: same network, same views, same order."""
    backbone = zoo.build("resnet18", classes=2, weights="none", seed=SEED, image_size=SIZE)
    net, preprocessing = backbone.net, backbone.preprocessing
    train = read(data).part("train")
    order = Order(len(train), BATCH, SEED)
    targets = torch.from_numpy(train.targets())

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        view = TrainingView(preprocessing, Augment(), epoch, SEED)
        for indices, _, _ in order.epoch(epoch):
            pixels = np.stack([view(train.rows[i].picture, train.rows[i].digest) for i in indices])
            yield normalised(torch.from_numpy(pixels), preprocessing), targets[indices]

    optimizer = lesson.optimizer_for(net, net.get_classifier(), method=method, lr=0.01, trunk_lr=trunk_lr)
    scheduler = StepLR(optimizer, step_size=2, gamma=0.1)
    return list(lesson.train(net, optimizer, scheduler, batches, epochs=EPOCHS)), net


def normalised(pixels: Tensor, preprocessing: Preprocessing) -> Tensor:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    return (pixels.permute(0, 3, 1, 2).float() / 255 - mean) / std


@pytest.mark.parametrize(
    ("method", "strategy", "more"),
    [("freeze", "freeze", {}), ("small-rate", "discriminative", {"trunk_lr": 0.001})],
)
def test_losses_equal_those_of_the_plain_script(
    leaves: Path, method: str, strategy: str, more: dict[str, float]
) -> None:
    events: list[Event] = []
    ours = ImageClassifier(**OPTIONS, **more, strategy=strategy, keep="last").fit(leaves, listen=events.append)
    wanted, net = plain(leaves, method, more.get("trunk_lr", 0.0))
    found = [float(event.loss) for event in events if isinstance(event, Step)]
    np.testing.assert_allclose(found, [loss for epoch in wanted for loss in epoch], rtol=0, atol=1e-5)
    for name, tensor in net.state_dict().items():
        torch.testing.assert_close(ours.net_.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)


def test_a_rate_of_zero_computes_no_gradient_of_the_trunk(leaves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    reached = 0
    backward = torch.nn.functional.conv2d

    def counting(x: Tensor, *args: Any, **named: Any) -> Tensor:
        nonlocal reached
        out = backward(x, *args, **named)
        reached += out.requires_grad
        return out

    monkeypatch.setattr(torch.nn.functional, "conv2d", counting)
    options = {**OPTIONS, "views": 1, "augment": None, "frozen_norm": "hold", "strategy": "discriminative"}
    ImageClassifier(**options, trunk_lr=0.0).fit(leaves, listen=events.append)
    assert [event.line for event in events if isinstance(event, PhaseStart)] == ["head"]
    assert sum(isinstance(event, Step) for event in events) == EPOCHS * 3
    assert reached == 0
    ImageClassifier(**options, trunk_lr=1e-3).fit(leaves)
    assert reached > 0

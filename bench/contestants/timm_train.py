"""Train as timm's ``train.py`` does: ``create_loader``, ``create_optimizer_v2``, ``create_scheduler_v2``, its loop.

With ``--unfreeze SHARE`` only the upper share of the blocks and the head learn; below, parameters and normalisation are
frozen (``timm.utils.freeze``), as timm's users do it. Nothing is stored between epochs.

    python timm_train.py DATA TRUNK --epochs 10 --unfreeze 0.5
"""

import argparse
import json

import timm
import torch
from timm.data import create_dataset, create_loader, resolve_data_config
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter, accuracy, freeze

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("trunk")
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--batch-size", type=int, default=16)
parser.add_argument("--lr", type=float, default=1e-3)
parser.add_argument("--opt", default="adamw")
parser.add_argument("--unfreeze", type=float, default=1.0, help="the upper share of the blocks that learns")
parser.add_argument("--workers", type=int, default=2)
given = parser.parse_args()

torch.manual_seed(42)
sets = {split: create_dataset("", root=f"{given.data}/{split}") for split in ("train", "val")}
classes = len(sets["train"].reader.class_to_idx)
model = timm.create_model(f"local-dir:{given.trunk}", pretrained=True, num_classes=classes)
wants = resolve_data_config({}, model=model)
loaders = {
    split: create_loader(
        data,
        input_size=wants["input_size"],
        batch_size=given.batch_size,
        is_training=split == "train",
        interpolation=wants["interpolation"],
        mean=wants["mean"],
        std=wants["std"],
        crop_pct=wants["crop_pct"],
        num_workers=given.workers,
        use_prefetcher=False,
        device=torch.device("cpu"),
    )
    for split, data in sets.items()
}
if given.unfreeze < 1:
    frozen = round(len(model.blocks) * (1 - given.unfreeze))
    freeze(model, ["conv_stem", "bn1", *(f"blocks.{number}" for number in range(frozen))])
optimizer = create_optimizer_v2(model, opt=given.opt, lr=given.lr)
scheduler, epochs = create_scheduler_v2(optimizer, sched="cosine", num_epochs=given.epochs)
loss_fn = torch.nn.CrossEntropyLoss()


def validate() -> float:
    """The share of val pictures that is right."""
    model.eval()
    right = AverageMeter()
    with torch.inference_mode():
        for pictures, labels in loaders["val"]:
            right.update(accuracy(model(pictures), labels)[0].item() / 100, len(labels))
    return right.avg


right = 0.0
for epoch in range(epochs):
    model.train()
    for pictures, labels in loaders["train"]:
        loss = loss_fn(model(pictures), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right = validate()
    scheduler.step(epoch + 1, right)
    print(f"epoch {epoch + 1}/{epochs}  val {right:.4f}", flush=True)
torch.save(model.state_dict(), "model.pth")
print(json.dumps({"val": right, "n": len(sets["val"])}))

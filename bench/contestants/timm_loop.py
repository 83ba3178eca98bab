"""Predict a folder of pictures as timm's own ``inference.py`` does: a dataset, a loader with workers, a loop.

python timm_loop.py MODEL PICTURES
"""

import json
import sys

import timm
import torch
from timm.data import create_dataset, create_loader, resolve_data_config

name, place = sys.argv[1:]
model = timm.create_model(f"local-dir:{name}", pretrained=True).eval()
wants = resolve_data_config({}, model=model)
loader = create_loader(
    create_dataset("", root=place),
    input_size=wants["input_size"],
    interpolation=wants["interpolation"],
    mean=wants["mean"],
    std=wants["std"],
    crop_pct=wants["crop_pct"],
    batch_size=256,
    num_workers=2,
    use_prefetcher=False,
    device=torch.device("cpu"),
)
found = []
with torch.inference_mode():
    for pictures, _ in loader:
        found.append(model(pictures).softmax(-1).topk(1))
print(json.dumps({"n": sum(len(batch.indices) for batch in found), "first": int(found[0].indices[0])}))

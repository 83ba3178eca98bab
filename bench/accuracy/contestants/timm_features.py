"""Pooled features of every picture, as timm's documentation extracts them. Computed once for all cells.

python timm_features.py TABLE TRUNK OUT     OUT: .npz of x (N, D) float32, path (N,), seconds
"""

import csv
import sys
import time
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

table, trunk, out = sys.argv[1:]
model = timm.create_model(f"local-dir:{trunk}", pretrained=True, num_classes=0).eval()
transform = create_transform(**resolve_model_data_config(model), is_training=False)
with Path(table).open(encoding="utf-8", newline="") as file:
    paths = [row["path"] for row in csv.DictReader(file)]


def batch(names: list[str]) -> torch.Tensor:
    pictures = []
    for name in names:
        with Image.open(name) as opened:
            pictures.append(transform(opened.convert("RGB")))
    return torch.stack(pictures)


began = time.perf_counter()
with torch.inference_mode():
    found = [model(batch(paths[start : start + 32])).numpy() for start in range(0, len(paths), 32)]
np.savez(out, x=np.concatenate(found), path=np.array(paths), seconds=time.perf_counter() - began)

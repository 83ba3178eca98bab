"""Predict one picture with torch and timm, as timm's quick start says.

python timm_one.py MODEL PICTURE
"""

import json
import sys

import timm
import torch
from PIL import Image

name, file = sys.argv[1:]
model = timm.create_model(f"local-dir:{name}", pretrained=True).eval()
transform = timm.data.create_transform(**timm.data.resolve_data_config(model.pretrained_cfg))
with torch.inference_mode():
    top = model(transform(Image.open(file).convert("RGB")).unsqueeze(0)).softmax(-1).topk(1)
print(json.dumps({"class": int(top.indices[0]), "probability": float(top.values[0])}))

"""Features by timm, then scikit-learn's ``LogisticRegression``: the probe that one writes by hand.

python sklearn_features.py DATA TRUNK
"""

import argparse
import json

import joblib
import numpy as np
import timm
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from timm.data import create_transform, resolve_model_data_config
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("trunk")
given = parser.parse_args()

model = timm.create_model(f"local-dir:{given.trunk}", pretrained=True, num_classes=0).eval()
transform = create_transform(**resolve_model_data_config(model), is_training=False)


def features(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, D) and labels (N,)."""
    loader = DataLoader(ImageFolder(f"{given.data}/{split}", transform), batch_size=32, num_workers=2)
    with torch.inference_mode():
        found = [(model(pictures).numpy(), labels.numpy()) for pictures, labels in loader]
    return np.concatenate([x for x, _ in found]), np.concatenate([y for _, y in found])


x, y = features("train")
head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(x, y)
x, y = features("val")
joblib.dump(head, "head.joblib")
print(json.dumps({"val": float(head.score(x, y)), "n": len(y)}))

"""fastai's quick start: ``vision_learner`` and ``fine_tune``, from https://docs.fast.ai/quick_start.html.

python fastai_fine_tune.py DATA TRUNK --epochs 1
"""

import argparse
import json
from pathlib import Path

from fastai.vision.all import ImageDataLoaders, Resize, accuracy, vision_learner

parser = argparse.ArgumentParser()
parser.add_argument("data")
parser.add_argument("trunk")
parser.add_argument("--epochs", type=int, default=1, help="of the whole network; one of the head comes before")
given = parser.parse_args()

dls = ImageDataLoaders.from_folder(given.data, train="train", valid="val", item_tfms=Resize(224))
learn = vision_learner(dls, f"local-dir:{given.trunk}", metrics=accuracy)
with learn.no_bar():
    learn.fine_tune(given.epochs)
    _, right = learn.validate()
learn.export(Path("model.pkl").absolute())  # a bare name would land beside the pictures
print(json.dumps({"val": float(right), "n": len(dls.valid_ds)}))

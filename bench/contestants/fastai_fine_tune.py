"""fastai's quick start: ``vision_learner`` and ``fine_tune``, from https://docs.fast.ai/quick_start.html.

python fastai_fine_tune.py DATA TRUNK --epochs 1            a folder with train/ and val/; the last epoch counts
python fastai_fine_tune.py TABLE TRUNK --epochs 1 3 5       a table with a test split; the best by a val of its own
"""

import argparse
import json
from pathlib import Path

import pandas
from fastai.vision.all import ImageDataLoaders, Resize, accuracy, vision_learner

parser = argparse.ArgumentParser()
parser.add_argument("data", type=Path)
parser.add_argument("trunk")
parser.add_argument("--epochs", type=int, nargs="+", default=[1], help="of the whole network; one of the head is first")
given = parser.parse_args()

if given.data.is_dir():
    test = None
    dls = ImageDataLoaders.from_folder(given.data, train="train", valid="val", item_tfms=Resize(224))
else:
    table = pandas.read_csv(given.data)
    train, test = table[table.split == "train"], table[table.split == "test"]
    few = min(64, int(len(train) * 0.8))  # its loader leaves out a batch that is not full
    dls = ImageDataLoaders.from_df(train, path="/", valid_pct=0.2, seed=0, item_tfms=Resize(224), bs=few)

tried = []
for epochs in given.epochs:
    learn = vision_learner(dls, f"local-dir:{given.trunk}", metrics=accuracy)
    with learn.no_bar():
        learn.fine_tune(epochs)
        loss, right = learn.validate()
    tried.append((float(right), -float(loss), epochs, learn))
right, _, epochs, learn = max(tried, key=lambda one: one[:3])
learn.export(Path("model.pkl").absolute())  # a bare name would land beside the pictures
if test is not None:
    with learn.no_bar():
        _, right = learn.validate(dl=dls.test_dl(test, with_labels=True))
print(json.dumps({"val": float(right), "n": len(dls.valid_ds if test is None else test), "epochs": epochs}))

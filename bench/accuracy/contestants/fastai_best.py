"""fastai's ``vision_learner`` and ``fine_tune``: the best of 1, 3 and 5 epochs by its own val, a fifth at random.

python fastai_best.py JOBS      a line of JSON for each job when it is done; seconds are those of all three
"""

import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas
import torch
from fastai.vision.all import ImageDataLoaders, Resize, accuracy, set_seed, vision_learner

warnings.simplefilter("ignore")
EPOCHS = (1, 3, 5)


def run(job: dict) -> dict:
    table = pandas.read_csv(job["table"])
    train, test = table[table.split == "train"], table[table.split == "test"]
    tried = []
    began = time.perf_counter()
    for epochs in EPOCHS:
        set_seed(job["seed"], reproducible=True)
        dls = ImageDataLoaders.from_df(
            train,
            path="/",
            fn_col="path",
            label_col="label",
            valid_pct=0.2,
            seed=job["seed"],
            item_tfms=Resize(224),
            bs=min(64, int(len(train) * 0.8)),  # its loader leaves out a batch that is not full
            num_workers=0,
        )
        learn = vision_learner(dls, f"local-dir:{job['trunk']}", metrics=accuracy)
        with learn.no_bar(), learn.no_logging():
            learn.fine_tune(epochs)
            loss, right = learn.validate()
        tried.append((-float(right), float(loss), epochs, learn))
    took = time.perf_counter() - began
    _, _, epochs, learn = min(tried, key=lambda one: one[:3])
    with learn.no_bar(), learn.no_logging(), torch.inference_mode():
        found, _ = learn.get_preds(dl=learn.dls.test_dl(test, num_workers=0))
    order = [list(learn.dls.vocab).index(label) for label in sorted(table.label.unique())]
    np.save(job["out"], found.numpy()[:, order])
    return {"cell": job["cell"], "seconds": took, "epochs": epochs}


for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines():
    job = json.loads(line)
    try:
        print(json.dumps(run(job)), flush=True)
    except Exception as error:  # a contestant that refuses a cell has lost it; the others go on
        print(json.dumps({"cell": job["cell"], "error": str(error)[:300]}), flush=True)

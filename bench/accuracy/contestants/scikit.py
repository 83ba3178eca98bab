"""scikit-learn on timm's features, as its documentation says. A line of JSON for each job when it is done.

python scikit.py grid|cv JOBS

grid  StandardScaler and LogisticRegression, C by 3-fold cross-validation (GridSearchCV over the whole pipeline)
cv    StandardScaler and LogisticRegressionCV
"""

import csv
import json
import sys
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

warnings.simplefilter("ignore")
CS = np.logspace(-4, 2, 7)


def made(kind: str):
    if kind == "cv":
        return make_pipeline(StandardScaler(), LogisticRegressionCV(max_iter=1000, cv=3))
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return GridSearchCV(pipeline, {"logisticregression__C": CS}, cv=3)


def run(kind: str, job: dict) -> dict:
    with np.load(job["features"]) as kept:
        rows = dict(zip(kept["path"].tolist(), kept["x"], strict=True))
        each = float(kept["seconds"]) / len(kept["path"])
    with Path(job["table"]).open(encoding="utf-8", newline="") as file:
        table = list(csv.DictReader(file))
    train = [row for row in table if row["split"] == "train"]
    test = [row for row in table if row["split"] == "test"]
    began = time.perf_counter()
    head = made(kind).fit(np.stack([rows[row["path"]] for row in train]), [row["label"] for row in train])
    took = time.perf_counter() - began
    np.save(job["out"], head.predict_proba(np.stack([rows[row["path"]] for row in test])))
    return {"cell": job["cell"], "seconds": took, "features": each * len(train)}


for line in Path(sys.argv[2]).read_text(encoding="utf-8").splitlines():
    job = json.loads(line)
    try:
        print(json.dumps(run(sys.argv[1], job)), flush=True)
    except Exception as error:  # a contestant that refuses a cell has lost it; the others go on
        print(json.dumps({"cell": job["cell"], "error": str(error)[:300]}), flush=True)

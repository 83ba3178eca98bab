"""Predict a folder of pictures by transformers' ``pipeline("image-classification")``, as its documentation says.

python transformers_pipeline.py MODEL PICTURES
"""

import json
import sys
from pathlib import Path

from transformers import pipeline

model, place = sys.argv[1:]
files = sorted(str(path) for path in Path(place).rglob("*.jpg"))
answers = pipeline("image-classification", model=model, top_k=1)(files)
print(json.dumps({"n": len(answers), "first": answers[0][0]["label"]}))

"""frostline at its defaults: ``ImageClassifier`` on a table whose test rows are judged once, at the end.

python frostline_fit.py STRATEGY JOBS       a line of JSON for each job when it is done; seconds are those of the phases
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from frostline import ImageClassifier
from frostline.classifier import labelled
from frostline.run import runner


def run(strategy: str, job: dict) -> dict:
    with tempfile.TemporaryDirectory(prefix="bench-") as place:
        asked = ImageClassifier(model=job["model"], strategy=strategy, seed=job["seed"])
        # The run alone, without the report that a fit leaves: nothing of it is measured here.
        result = runner.fit(labelled(Path(job["table"])), asked._settings(), out=Path(place, "run")).result
        np.save(job["out"], load_file(f"{place}/run/evidence.safetensors")["probabilities"])
    return {
        "cell": job["cell"],
        "seconds": sum(row.seconds for row in result.phases),
        "temperature": result.temperature,
        "kept": [row.name for row in result.phases if row.kept],
        "phases": [[row.name, round(row.seconds, 1), row.why] for row in result.phases],
    }


for line in Path(sys.argv[2]).read_text(encoding="utf-8").splitlines():
    job = json.loads(line)
    try:
        print(json.dumps(run(sys.argv[1], job)), flush=True)
    except Exception as error:  # a contestant that refuses a cell has lost it; the others go on
        print(json.dumps({"cell": job["cell"], "error": str(error)[:300]}), flush=True)

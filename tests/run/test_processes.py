"""The same command under ``torchrun``: two processes end where one does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMMON = ["--weights", "none", "--image-size", "64", "--precision", "fp32", "--engine", "torch", "--views", "2",
          "--batch-size", "16", "--epochs", "6", "--frozen-norm", "hold", "--device", "cpu"]  # fmt: skip
ONE = [sys.executable, "-m"]
TWO = [*ONE, "torch.distributed.run", "--nproc-per-node", "2", "-m"]  # accelerate launch --cpu starts one, whatever
# --num_processes says


def fit(launcher: list[str], data: Path, out: Path, cache: Path, *more: str) -> dict[str, Any]:
    words = [*launcher, "frostline", "fit", str(data), *COMMON, *more, "--out", str(out), "--json", "--quiet"]
    env = {**os.environ, "XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# Batch normalisation that learns sees each process's share of a batch, so another network for "full".
@pytest.mark.parametrize(
    ("strategy", "model"), [pytest.param("freeze", "test_resnet", marks=pytest.mark.slow), ("full", "test_convnext")]
)
def test_two_processes_end_where_one_does(leaves: Path, tmp_path: Path, strategy: str, model: str) -> None:
    one = fit(ONE, leaves, tmp_path / "one", tmp_path / "cache", "--model", model, "--strategy", strategy)
    two = fit(TWO, leaves, tmp_path / "two", tmp_path / "cache-of-two", "--model", model, "--strategy", strategy)
    accuracy = [found["metrics"]["val"]["accuracy"] for found in (one, two)]
    assert accuracy[0]["n"] == accuracy[1]["n"] == 24  # nothing counted twice, nothing dropped
    assert abs(accuracy[0]["value"] - accuracy[1]["value"]) * 24 <= 1 + 1e-9
    blocks = list((tmp_path / "cache-of-two").rglob("store/*/*.safetensors"))
    assert len(blocks) >= 2 * len({block.parent for block in blocks})  # both filled the store
    steps = [json.loads(line) for line in (tmp_path / "two" / "log.jsonl").read_text().splitlines()]
    assert sum("step" in line for line in steps) == 6 * 3  # one process writes the log, and batches are not multiplied

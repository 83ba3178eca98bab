"""Kill a run at random moments, resume it each time, and compare its weights with those of a run left alone.

    python -m tests.run.kills --kills 20

SIGKILL leaves a process no time for anything. The run is `gradual`, six phases of a small network, and a moment may
fall into any of them, between two, into a checkpoint that is being written, or before the first picture was read.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

OPTIONS = [
    *("--model", "test_resnet", "--weights", "none", "--image-size", "64", "--precision", "fp32", "--engine", "torch"),
    *("--strategy", "gradual", "--epochs", "18", "--views", "2", "--batch-size", "8", "--optimizer", "adamw"),
    *("--mixup", "0.2", "--ema", "0.9", "--quiet"),
]


@dataclass(frozen=True)
class Outcome:
    """same: whether the weights agree bit for bit. kills: how often it was killed, at which share of a whole run."""

    same: bool
    kills: tuple[float, ...]


def drawn(top: Path, *, seed: int = 0) -> Path:
    """96 training and 32 val pictures of two hues, 64 x 64."""
    rng = np.random.default_rng(seed)
    for split, count in (("train", 48), ("val", 16)):
        for name, hue in (("green", (70, 150, 60)), ("red", (150, 70, 60))):
            folder = top / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = np.clip(hue + rng.normal(0, 60, (64, 64, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return top


def started(data: Path, out: Path) -> subprocess.Popen[bytes]:
    """A process that begins the run, or goes on with it."""
    words = [sys.executable, "-m", "frostline", "fit", str(data), *OPTIONS, "--out", str(out), "--resume"]
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, start_new_session=True)


def weights(out: Path) -> dict[str, torch.Tensor]:
    """Of a finished run."""
    return load_file(out / "model" / "model.safetensors")


def killed_and_resumed(place: Path, *, kills: int, seed: int = 0) -> Outcome:
    """Let one run be, kill another so often, and compare.

    Raises: AssertionError: a run that was not killed failed.
    """
    data = drawn(place / "data")
    began = time.monotonic()
    assert started(data, place / "alone").wait() == 0
    whole = time.monotonic() - began
    rng, moments = random.Random(seed), []
    while len(moments) < kills:
        anew, began = not (place / "killed").exists(), time.monotonic()
        run = started(data, place / "killed")
        share = rng.uniform(0.2, 1.0)
        try:
            run.wait(timeout=share * whole)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
            moments.append(share)
        else:  # it was done before its time: the next one begins anew
            assert run.returncode in ENDED
            whole = min(whole, time.monotonic() - began) if anew else whole  # the first one may have shared the machine
            if not same(place):
                return Outcome(False, tuple(moments))
            shutil.rmtree(place / "killed")
    assert started(data, place / "killed").wait() in ENDED
    return Outcome(same(place), tuple(moments))


ENDED = (0, 2)
"""Done, or refused because a kill came when everything had been written: the weights are compared in both cases."""


def same(place: Path) -> bool:
    """Whether both runs ended in the same bits."""
    alone, killed = weights(place / "alone"), weights(place / "killed")
    return alone.keys() == killed.keys() and all(torch.equal(alone[name], killed[name]) for name in alone)


def main() -> None:
    """Do it, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        outcome = killed_and_resumed(Path(place), kills=given.kills, seed=given.seed)
    shares = ", ".join(f"{share:.0%}" for share in outcome.kills)
    print(f"{len(outcome.kills)} kills, at {shares} of a run's time; the same bits: {outcome.same}")
    sys.exit(not outcome.same)


if __name__ == "__main__":
    main()

"""Ctrl-C as a person presses it: a real process, in its first epoch."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# The command with steps that take their time: the first epoch of so few small pictures is over before a key is pressed.
SLOW = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background job is started without
from frostline.cli import main
from frostline.train.task import Task
loss = Task.loss
Task.loss = lambda *given: (time.sleep(0.1), loss(*given))[1]
main()
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for another process here")
def test_in_the_first_epoch_it_says_that_there_is_no_model_and_keeps_what_was_computed(
    leaves: Path, tmp_path: Path
) -> None:
    out, cache = tmp_path / "runs" / "stopped", tmp_path / "cache"
    small = ("--model", "test_resnet", "--weights", "none", "--image-size", "32", "--precision", "fp32")
    slow = ("--engine", "torch", "--strategy", "freeze", "--batch-size", "1", "--views", "1", "--epochs", "500")
    words = [sys.executable, "-c", SLOW, "fit", str(leaves), *small, *slow, "--out", str(out)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    with subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as run:
        while run.poll() is None and '"phase"' not in (_text(out / "log.jsonl")):
            time.sleep(0.005)
        run.send_signal(signal.SIGINT)
        said, told = run.communicate(timeout=60)
    assert run.returncode == 130, told
    assert said == ""
    assert "interrupted before the first epoch was judged: there is no model yet" in told
    assert "Traceback" not in told
    assert not out.exists()
    assert not out.parent.exists()
    assert any(path.stat().st_size > 1000 for path in (cache / "frostline" / "store").rglob("*") if path.is_file())


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""

"""A forked child that predicts after its parent did answers, or says why not: it never hangs."""

import os
import signal
import threading

import numpy as np
import pytest

from frostline.data.views import Preprocessing
from frostline.errors import EngineError
from frostline.inference.network import Network
from frostline.inference.torch_engine import Plain
from frostline.net import zoo

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def in_child(work) -> int:
    """The exit code of a forked child, or -14 if it hung for 20 seconds."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torch_answers_in_a_child_of_a_parent_whose_threads_have_answered():
    made = zoo.build("resnet18", classes=3, weights=None)
    engine = Plain(Network(made.net, Preprocessing(size=(96, 96))))
    pictures = np.random.default_rng(0).integers(0, 256, (16, 96, 96, 3), np.uint8)
    wanted = engine.run(pictures)[0]
    threads = [threading.Thread(target=engine.run, args=(pictures,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert in_child(lambda: 0 if np.allclose(engine.run(pictures)[0], wanted, atol=1e-4) else 3) == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_openvino_says_why_not(model):
    from frostline.ship.open_predictor import open_predictor

    answering = open_predictor(model[0], engine="openvino")
    pictures = np.zeros((3, *answering.about.preprocessing.size, 3), np.uint8)
    answering.see(pictures)

    def child() -> int:
        try:
            answering.see(pictures)
        except EngineError:
            return 7
        return 0

    assert in_child(child) == 7

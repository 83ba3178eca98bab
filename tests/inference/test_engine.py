"""An engine is believed only if its numbers are the network's own; what does not agree is passed over."""

import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from frostline.data.views import Preprocessing
from frostline.errors import EngineError, PlanError, UnknownName
from frostline.inference.choose import open_engine, settled
from frostline.inference.engine import Function, disagreement, engines
from frostline.inference.network import Network
from frostline.net.stages import cut
from frostline.ship.open_predictor import open_predictor
from tests.ship.conftest import saved

SIDE = 64
PREPROCESSING = Preprocessing((SIDE, SIDE))
SAMPLES = np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE, 3), dtype=np.uint8)


def prefix() -> torch.nn.Module:
    torch.manual_seed(0)
    return cut(timm.create_model("test_resnet", num_classes=2).eval(), "head")[0]


def opened(cache: Path, **options: Any) -> Any:
    function = Function(lambda: Network(prefix(), PREPROCESSING).eval(), "d", (SIDE, SIDE))
    return open_engine(function, samples=SAMPLES, cache=cache, **options)


def wanted() -> np.ndarray:
    pictures = (torch.from_numpy(SAMPLES).permute(0, 3, 1, 2).float() / 255 - torch.tensor(PREPROCESSING.mean).view(
        1, 3, 1, 1)) / torch.tensor(PREPROCESSING.std).view(1, 3, 1, 1)  # fmt: skip
    with torch.no_grad():
        return prefix()(pictures).numpy()


@pytest.mark.parametrize("name", ["torch", "openvino"])
def test_engines_give_what_the_network_gives(tmp_path: Path, name: str) -> None:
    engine = opened(tmp_path, engine=name, precision="fp32")
    assert (engine.name, engine.precision) == (name, "fp32")
    np.testing.assert_allclose(engine.run(SAMPLES)[0], wanted(), rtol=1e-3, atol=1e-4)
    # A row does not depend on its neighbours.
    np.testing.assert_array_equal(engine.run(SAMPLES[:1])[0][0], engine.run(SAMPLES)[0][0])
    assert settled("d", tmp_path, engine=name, precision="fp32") == (name, "fp32")


def test_auto_passes_over_an_engine_whose_package_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = EntryPoint("fast", "no_such_module_here:make", engines.group)
    monkeypatch.setitem(vars(engines), "_announced", {"fast": broken})
    assert opened(tmp_path, engine="auto", precision="fp32").name in ("openvino", "torch")
    place, _ = saved(tmp_path / "model", "test_resnet", graph=False)
    assert open_predictor(place, engine="auto").engine.name == "torch"
    with pytest.raises(UnknownName, match="cannot be loaded"):
        opened(tmp_path, engine="fast")


def test_an_engine_that_computes_something_else_is_passed_over(tmp_path: Path) -> None:
    class Wrong:
        name, precision = "wrong", "fp32"

        def run(self, batch: np.ndarray) -> tuple[np.ndarray, ...]:
            return (np.ones((len(batch), 4), np.float32),)

    before = dict(engines._things)
    try:
        engines._things.clear()
        engines._things.update({"wrong": lambda *_: Wrong(), **before})
        assert opened(tmp_path, precision="fp32").name != "wrong"
        with pytest.raises(EngineError, match="wrong"):
            opened(tmp_path / "other", engine="wrong", precision="fp32")
    finally:
        engines._things.clear()
        engines._things.update(before)


def test_what_disagreeing_means() -> None:
    rows = np.random.default_rng(1).normal(size=(8, 50)).astype(np.float32) + 2
    assert disagreement(rows, rows) == ""
    assert disagreement(rows * (1 + 1e-4), rows) == ""
    assert "shape" in disagreement(rows[:, :40], rows)
    assert "cosine" in disagreement(rows + np.random.default_rng(2).normal(size=rows.shape), rows)
    assert "not finite" in disagreement(np.where(rows > 4, np.nan, rows), rows)
    swapped = rows.mean(0) + 0.02 * (rows - rows.mean(0))
    assert "top-1" in disagreement(swapped[::-1], swapped)


def test_what_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="torc"):
        opened(tmp_path, engine="torc")
    with pytest.raises(PlanError, match="fp16"):
        opened(tmp_path, precision="fp16")


DAMAGED = (
    b'{"engine": "torch", "precision": "fp33"}',
    b'{"engine": "torch", "precision": "uint8"}',
    b'{"engine": "tors", "precision": "fp32"}',
    b'{"engine": ["torch"], "precision": {}}',
    *(b"[]", b"7", b"", b"[" * 99_999),
)


@pytest.mark.parametrize("content", DAMAGED, ids=lambda content: repr(content[:40]))
def test_a_kept_choice_that_is_damaged_is_made_again(tmp_path: Path, content: bytes) -> None:
    opened(tmp_path, engine="torch", precision="fp32")
    (kept,) = (tmp_path / "engines").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(content)
    assert settled("d", tmp_path, engine="torch", precision="fp32") is None
    assert opened(tmp_path, engine="torch", precision="fp32").precision == "fp32"
    assert kept.read_bytes() == whole


class Waits(torch.nn.Linear):
    """The first picture waits in here for a second one, for a while."""

    def __init__(self) -> None:
        super().__init__(3, 2)
        self.entered, self.passed = threading.Event(), threading.Event()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.entered.is_set():
            self.passed.set()
        else:
            self.entered.set()
            self.passed.wait(0.3)
        return super().forward(x)


def test_threads_that_share_a_network_get_the_features_of_their_own_pictures(tmp_path: Path) -> None:
    head = Waits()
    net = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), head)
    function = Function(lambda: Network(net, PREPROCESSING, head="2").eval(), "", (SIDE, SIDE), device="cpu")
    one, other = (engines.get("torch")(function, "fp32", 1, tmp_path) for _ in range(2))
    dark, light = (np.full((1, SIDE, SIDE, 3), value, np.uint8) for value in (0, 255))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(one.run, dark)
        head.entered.wait()
        second = other.run(light)
        assert (first.result()[1] < 0).all()
    assert (second[1] > 0).all()

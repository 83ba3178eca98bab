"""The path that a GPU takes, run on a CPU in its place: same rows as plain torch, and a batch too large is halved."""

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import timm
import torch

from frostline.data.decode_ahead import DecodeAhead
from frostline.data.manifest import Row
from frostline.data.pictures.picture import Picture
from frostline.data.views import EvaluationView, Preprocessing
from frostline.errors import EngineError
from frostline.features import fill
from frostline.features.fill import computed
from frostline.inference import engine as engine_module
from frostline.inference import torch_engine, torch_gpu
from frostline.inference.engine import Function
from frostline.inference.network import Network
from frostline.inference.torch_engine import Plain
from frostline.inference.torch_gpu import OnGpu
from frostline.ship import predictor
from frostline.ship.model_info import ModelInfo
from frostline.ship.predictor import Predictor

SIDE = 64
CPU = torch.device("cpu")
PICTURES = np.random.default_rng(0).integers(0, 256, (21, SIDE, SIDE, 3), dtype=np.uint8)


class Small(torch.nn.Module):
    """A card that holds `most` pictures; notes the batches that it was given."""

    def __init__(self, most: int = 1000) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = timm.create_model("test_resnet", num_classes=3).eval()
        self.most = most
        self.seen: list[tuple[int, bool]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.seen.append((len(x), self.net.conv1[0].weight.is_contiguous(memory_format=torch.channels_last)))
        found: torch.Tensor = self.net(x)
        return found


def engine(most: int = 1000, *, precision: str = "fp32", batch: int = 8) -> OnGpu:
    return OnGpu(Network(Small(most), Preprocessing((SIDE, SIDE))), CPU, precision, batch=batch)


def test_rows_are_those_of_plain_torch_and_batches_are_of_one_size() -> None:
    made = engine()
    wanted = Plain(Network(Small(), Preprocessing((SIDE, SIDE)))).run(PICTURES)[0]
    found = made.run(PICTURES)[0]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(made.run(PICTURES[:1])[0][0], found[0])
    assert set(made._network.net.seen) == {(8, True)}
    half = engine(precision="bf16").run(PICTURES)[0]
    assert half.dtype == np.float32
    assert 0 < np.abs(half - wanted).max() < 0.1 * np.abs(wanted).max()


def test_a_batch_that_does_not_fit_is_halved_and_stays_so() -> None:
    made = engine(most=3)
    wanted = Plain(Network(Small(), Preprocessing((SIDE, SIDE)))).run(PICTURES)[0]
    np.testing.assert_allclose(made.run(PICTURES)[0], wanted, rtol=1e-4, atol=1e-5)
    assert made.batch == 2
    assert {size for size, _ in made._network.net.seen} == {2}
    with pytest.raises(EngineError, match="one picture does not fit"):
        engine(most=0).run(PICTURES)


@pytest.mark.parametrize(
    ("said", "full"),
    [("MPS backend out of memory (MPS allocated: 9 GB)", True), ("CUDA error: out of memory", True),
     ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True), ("expected 3 channels", False)],
)  # fmt: skip
def test_cards_that_say_it_in_words_only(said: str, full: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As MPS and cuDNN do, which raise a plain RuntimeError; any other error is not taken for it."""
    made = engine()
    small = made._network.net.forward

    def forward(x: torch.Tensor) -> torch.Tensor:
        if len(x) > 4:
            raise RuntimeError(said)
        found: torch.Tensor = small(x)
        return found

    monkeypatch.setattr(made._network.net, "forward", forward)
    if full:
        assert len(made.run(PICTURES)[0]) == len(PICTURES)
        assert made.batch == 4
    else:
        with pytest.raises(RuntimeError, match="3 channels"):
            made.run(PICTURES)


def test_nothing_lies_on_the_card_when_a_smaller_batch_is_tried() -> None:
    """A traceback holds the frames in which the larger batch still lies: its memory would not come free."""
    alive: list[int] = []
    made = engine(most=4)
    last: list[weakref.ref[torch.Tensor]] = []

    def noted(_: torch.nn.Module, given: tuple[torch.Tensor]) -> None:
        alive.append(sum(one() is not None for one in last))
        last.append(weakref.ref(given[0]))

    made._network.register_forward_pre_hook(noted)
    made.run(PICTURES[:8])
    assert made.batch == 4
    assert alive[:2] == [0, 0]


def test_filling_and_predicting_give_the_card_whole_batches(leaves: Path) -> None:
    """Fewer are filled up: 32 pictures at a time on a card that takes 256 would be one eighth of its speed."""
    rows = [Row(path, name=str(n), digest=str(n)) for n, path in enumerate(sorted((leaves / "train").rglob("*.png")))]
    made, view = engine(batch=8), EvaluationView(Preprocessing((SIDE, SIDE)))
    parts = list(computed(rows[:44], view, lambda _: made, batch=4))
    assert sum(len(part.rows) for part in parts) == 44
    assert len(made._network.net.seen) == 6  # five whole batches of 8, and one for the last four
    one = np.concatenate([part.found for part in parts])
    np.testing.assert_array_equal(one[:8], made.run(np.stack([view(row.picture, row.digest) for row in rows[:8]]))[0])


def test_convolutions_compute_in_float32_and_not_in_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = []
    made = engine()
    made._network.register_forward_pre_hook(lambda *_: allowed.append(torch.backends.cudnn.allow_tf32))
    before = torch.backends.cudnn.allow_tf32
    made.run(PICTURES[:3])
    assert allowed == [False]
    assert torch.backends.cudnn.allow_tf32 == before


def test_the_batch_goes_by_the_memory_of_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    class Card:
        total_memory = 8 << 30

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Card)
    assert torch_gpu.batch_for(torch.device("cuda", 0)) == 64
    Card.total_memory = 80 << 30
    assert torch_gpu.batch_for(torch.device("cuda", 0)) == 256
    assert torch_gpu.batch_for(torch.device("mps")) == 64


def test_launched_processes_take_a_card_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frozen layers are computed before accelerate opens a device: all ranks would be on the first card."""
    current = [0]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: current.__setitem__(0, index))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: current[0])
    found = []
    for rank in ("0", "3", "5"):
        monkeypatch.setenv("LOCAL_RANK", rank)
        found.append(torch_gpu.gpu())
    assert found == [torch.device("cuda", index) for index in (0, 3, 1)]


def test_what_mps_lacks_is_computed_by_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: object) -> None:
        raise NotImplementedError("The operator 'aten::x' is not currently implemented for the MPS device.")

    network = Network(Small(), Preprocessing((SIDE, SIDE)))
    monkeypatch.setattr(torch_engine, "gpu", lambda: torch.device("mps"))
    monkeypatch.setattr(torch_engine, "OnGpu", lacking)
    function = Function(lambda: network, "", (SIDE, SIDE))
    made = torch_engine.make(function, "fp32", 1, Path())
    np.testing.assert_array_equal(made.run(PICTURES)[0], Plain(network).run(PICTURES)[0])
    monkeypatch.setattr(torch_engine, "gpu", lambda: torch.device("cuda", 0))
    with pytest.raises(EngineError, match="aten::x"):
        torch_engine.make(function, "fp32", 1, Path())


def test_openvino_is_asked_first_only_where_torch_has_no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(engine_module, "gpu_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: asked.append(1) or True)
    assert engine_module.in_order() == ["torch", "openvino"]
    assert engine_module.in_order("cpu") == ["openvino", "torch"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # a driver, and torch's build for CPUs
    assert engine_module.in_order() == ["openvino", "torch"]
    monkeypatch.setattr(engine_module, "gpu_driver", lambda: False)
    asked.clear()
    assert engine_module.in_order() == ["openvino", "torch"]
    assert not asked


def test_a_card_is_left_alone_where_the_cpu_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network(Small(), Preprocessing((SIDE, SIDE)))
    monkeypatch.setattr(torch_engine, "gpu", lambda: CPU)
    made = {
        device: torch_engine.make(Function(lambda: network, "", (SIDE, SIDE), device=device), "fp32", 1, Path())
        for device in ("auto", "cpu")
    }
    assert isinstance(made["auto"], OnGpu)
    assert isinstance(made["cpu"], Plain)


def test_what_the_next_call_takes_is_decoded_while_the_card_is_busy(leaves: Path) -> None:
    """The engine waits until its next pictures are decoded: with fewer decoded ahead it would wait in vain."""
    rows = [Row(path, name=str(n), digest=str(n)) for n, path in enumerate(sorted((leaves / "train").rglob("*.png")))]
    decoded = threading.Semaphore(0)
    view = EvaluationView(Preprocessing((SIDE, SIDE)))

    @dataclass
    class Counted:
        key: str = "counted"

        def __call__(self, picture: Picture, digest: str) -> np.ndarray:
            found = view(picture, digest)
            decoded.release()
            return found

    class Busy:
        name, precision, at_once = "busy", "fp32", 16
        calls = 0

        def run(self, pictures: np.ndarray) -> tuple[np.ndarray, ...]:
            Busy.calls += 1
            for _ in range(32 if Busy.calls == 1 else 16 if Busy.calls == 2 else 0):  # its own, and the next call's
                assert decoded.acquire(timeout=30)
            return (np.zeros((len(pictures), 1), np.float32),)

    parts = list(computed(rows[:48], Counted(), lambda _: Busy(), batch=4, threads=2))
    assert sum(len(part.rows) for part in parts) == 48
    assert Busy.calls == 3


def test_where_a_card_waits_processes_decode_once_there_are_many(leaves: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Row(path, name=str(n), digest=str(n)) for n, path in enumerate(sorted((leaves / "train").rglob("*.png")))]
    view = EvaluationView(Preprocessing((SIDE, SIDE)))
    asked: list[bool] = []

    def submit(self: DecodeAhead, rows: list[Row], *, in_processes: bool = False) -> Callable[[], list[np.ndarray]]:
        asked.append(in_processes)
        return lambda: [view(row.picture, row.digest) for row in rows]

    monkeypatch.setattr(DecodeAhead, "submit", submit)

    def ways(module: ModuleType, few: int, work: Callable[[], object]) -> list[bool]:
        asked.clear()
        monkeypatch.setattr(module, "FEW", few)
        work()
        return asked

    def filled() -> None:
        list(computed(rows[:48], view, lambda _: engine(batch=4), batch=8))

    assert ways(fill, 48, filled) == [False] * 6
    assert ways(fill, 47, filled) == [False] * 3 + [True] * 3  # three before it is known who computes
    about = ModelInfo(name="small", classes=("green", "red", "blue"), preprocessing=Preprocessing((SIDE, SIDE)))
    card = Predictor(about, engine(batch=8))
    assert ways(predictor, 16, lambda: list(card.predict(rows[:40]))) == [False, True, True]
    assert ways(predictor, 16, lambda: list(card.predict(rows[:20], batch=1))) == [False] * 20
    assert ways(predictor, 0, lambda: list(Predictor(about, Plain(card.engine._network)).predict(rows))) == [False] * 3


def test_a_lone_picture_does_not_cost_a_whole_batch() -> None:
    made = engine(batch=64)
    made.run(PICTURES[:1])
    made.run(PICTURES)
    assert made._network.net.seen == [(16, True), (64, True)]


def test_torchs_newer_names_for_tf32_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """It refuses to tell the older ones once the newer were used."""
    kinds = [torch.backends.cuda.matmul, torch.backends.cudnn.conv]
    if not hasattr(kinds[0], "fp32_precision"):
        pytest.skip("this torch has not got them")
    before, allowed = [kind.fp32_precision for kind in kinds], []
    made = engine()
    made._network.register_forward_pre_hook(lambda *_: allowed.append([kind.fp32_precision for kind in kinds]))
    try:
        for kind in kinds:
            kind.fp32_precision = "tf32"
        made.run(PICTURES[:3])
        assert [kind.fp32_precision for kind in kinds] == ["tf32", "tf32"]
    finally:
        for kind, precision in zip(kinds, before, strict=True):
            kind.fp32_precision = precision
    assert allowed == [["ieee", "ieee"]]

"""The path that a GPU takes, run on a CPU in its place: same rows as plain torch, and a batch too large is halved."""

import numpy as np
import pytest
import timm
import torch

from frostline.data.views import Preprocessing
from frostline.errors import EngineError
from frostline.inference import torch_gpu
from frostline.inference.network import Network
from frostline.inference.torch_engine import Plain
from frostline.inference.torch_gpu import OnGpu

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

"""What only a card can show: `make test-gpu`. Without one every test here is skipped.

The judges are timm on the CPU in float64, the same command with ``--device cpu``, and torch's own count of the memory
that was taken on the card.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.numpy import load_file

from frostline import ImageClassifier
from frostline.data.decode_ahead import DecodeAhead
from frostline.data.loose_pictures import pictures
from frostline.data.views import Preprocessing
from frostline.errors import EngineError
from frostline.events import Epoch, quiet
from frostline.features.activations import Activations
from frostline.features.store import Store
from frostline.inference import torch_engine
from frostline.inference.engine import Function
from frostline.inference.network import Network
from frostline.inference.torch_gpu import OnGpu
from frostline.net import zoo
from frostline.net.stages import cut
from frostline.ship.open_predictor import open_predictor
from frostline.train.strategies import strategies

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA card here")

SIDE = 224
NAMES = ("resnet18", "vit_tiny_patch16_224", "convnext_atto", "tf_efficientnet_lite0")
TINY = {"model": "test_resnet", "weights": "none"}
TRAINED = {**TINY, "epochs": 3, "batch_size": 16}
SOLVED = ("probe", "head2toe", "auto")


def noise(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)


def network(name: str) -> Network:
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=0, pretrained=False).eval()
    for module in net.modules():  # running statistics as of a trained network, so that fusing them is not for nothing
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return Network(net, Preprocessing((SIDE, SIDE)))


def card() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device())


def in_float64(made: Network, given: np.ndarray) -> np.ndarray:
    """The network on the CPU in float64: its own modules, fed what torchvision's formula gives for the pictures."""
    wants = Preprocessing((SIDE, SIDE))
    x = torch.from_numpy(given).double().permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in (wants.mean, wants.std))
    with torch.no_grad():
        return made.net.double()((x - mean) / std).numpy()


def apart(found: np.ndarray, wanted: np.ndarray) -> float:
    """Of each row ||found - wanted|| / ||wanted||, the largest."""
    return float((np.linalg.norm(found - wanted, axis=1) / np.linalg.norm(wanted, axis=1)).max())


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_float32_and_bf16_is_near(name: str) -> None:
    """TF32 would be 3e-4 apart, whoever switched it on."""
    made, given = network(name), noise(9)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    try:
        found = OnGpu(made, card(), "fp32", batch=4).run(given)[0]
        assert torch.get_float32_matmul_precision() == "high"
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_float32_matmul_precision("highest")
    half = OnGpu(made, card(), "bf16", batch=4).run(given)[0]
    wanted = in_float64(made, given)
    assert apart(found, wanted) < 2e-5
    assert 1e-4 < apart(half, wanted) < 5e-2


def test_copies_that_overlap_give_what_batches_one_by_one_give() -> None:
    """A race would move rows from run to run; the bits must be equal, also for the last, filled-up batch."""
    made = OnGpu(network("resnet18"), card(), "fp32", batch=16)
    given = noise(16 * 20 + 5)
    wanted = np.concatenate([made.run(given[start : start + 16])[0] for start in range(0, len(given), 16)])
    for _ in range(5):
        np.testing.assert_array_equal(made.run(given)[0], wanted)


@contextmanager
def left(mebibytes: int) -> Iterator[None]:
    """The card with no more memory left than that."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(card()).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated() + (mebibytes << 20)) / total)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()


def test_a_card_that_is_full_gets_half_the_batch() -> None:
    given = noise(256)
    made = OnGpu(network("resnet18"), card(), "fp32", batch=256)
    wanted = made.run(given)[0]
    with left(700):
        full = OnGpu(network("resnet18"), card(), "fp32", batch=256)
        found = full.run(given)[0]
    assert full.batch < 256
    assert apart(found, wanted) < 2e-5


def test_a_training_batch_that_does_not_fit_says_so_and_costs_no_earlier_model(leaves: Path) -> None:
    large = {"model": "resnet50", "weights": "none", "device": "cuda", "epochs": 1, "batch_size": 48}
    with left(900), pytest.raises(EngineError, match=r"a batch of 48 does not fit into the memory of cuda") as error:
        ImageClassifier(**large, strategy="full").fit(leaves)
    assert "--batch-size 24 --accumulate 2" in str(error.value)
    with left(900), pytest.warns(UserWarning, match="does not fit"):
        phases = ImageClassifier(**large, strategy="lp-ft").fit(leaves).result_.phases
    assert [phase.kept for phase in phases] == [True, False]
    assert ImageClassifier(**large, strategy="lp-ft").fit(leaves).result_.phases[1].kept


def test_auto_takes_the_card_and_cpu_leaves_it_alone(tmp_path: Path) -> None:
    backbone = zoo.build("test_resnet", classes=2, weights="none")
    wants = backbone.preprocessing
    samples = np.random.default_rng(0).integers(0, 256, (8, *wants.size, 3), dtype=np.uint8)
    rows = {}
    for device in ("auto", "cpu"):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.max_memory_allocated()
        place = tmp_path / device
        held = Activations(
            backbone.net, "test_resnet", wants, Store(place / "store"), place, "auto", "fp32", quiet, device
        )
        engine = held.engine_at("head", samples)
        rows[device] = engine.run(samples)[0]
        assert isinstance(engine, OnGpu) == (device == "auto")
        assert (torch.cuda.max_memory_allocated() > before) == (device == "auto")
    assert apart(rows["auto"], rows["cpu"]) < 1e-4


def test_torch_as_asked_for_on_the_cpu_does_not_touch_the_card() -> None:
    made = network("resnet18")
    function = Function(lambda: made, "", (SIDE, SIDE), device="cpu")
    assert not isinstance(torch_engine.make(function, "fp32", 1, Path()), OnGpu)


@pytest.mark.parametrize("strategy", strategies.names())
def test_every_strategy_fits_on_the_card_and_answers_alike_from_its_folder(
    strategy: str, leaves: Path, tmp_path: Path
) -> None:
    """The folder read by torch on the card, and by whatever a machine without one takes."""
    run = tmp_path / "run"
    given = TINY if strategy in SOLVED else TRAINED
    ImageClassifier(**given, strategy=strategy, device="cuda", out=run).fit(leaves)
    paths = sorted(map(str, (leaves / "test").rglob("*.png")))
    answers = {}
    for name in ("torch", "openvino") if find_spec("openvino") else ("torch",):
        made = open_predictor(run / "model", engine=name)
        answers[name] = np.array([answer.probabilities for answer in made.predict(pictures(paths))])
        np.testing.assert_allclose(answers[name], answers["torch"], atol=1e-3)
    red = np.array(["red leaf" in path for path in paths])
    assert (answers["torch"].argmax(1) == red).mean() >= 0.5


def test_the_probe_of_a_card_is_that_of_the_cpu(leaves: Path, tmp_path: Path) -> None:
    paths = sorted(map(str, (leaves / "test").rglob("*.png")))
    found = {}
    for device in ("cuda", "cpu"):
        given = {**TINY, "strategy": "probe", "device": device, "precision": "fp32", "out": tmp_path / device}
        found[device] = ImageClassifier(**given).fit(leaves).predict_proba(paths)
    np.testing.assert_allclose(found["cuda"], found["cpu"], atol=1e-3)


def test_auto_engine_of_a_model_folder_is_the_card(leaves: Path, tmp_path: Path) -> None:
    ImageClassifier(**TINY, strategy="probe", out=tmp_path / "run").fit(leaves)
    made = open_predictor(tmp_path / "run" / "model", cache=tmp_path)
    assert isinstance(made.engine, OnGpu)
    script = (
        "import sys; from frostline.ship.open_predictor import open_predictor; from pathlib import Path;"
        f"print(open_predictor({str(tmp_path / 'run' / 'model')!r}, cache=Path({str(tmp_path)!r})).engine.name)"
    )
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    said = subprocess.run([sys.executable, "-c", script], env=hidden, capture_output=True, text=True, check=True)
    assert said.stdout.strip() in ("openvino", "torch")


@pytest.mark.parametrize(
    ("model", "optimizer"), [("test_vit", "adamw"), ("test_resnet", "sgd"), ("test_resnet", "adagrad")]
)
def test_a_run_that_was_stopped_goes_on(model: str, optimizer: str, leaves: Path, tmp_path: Path) -> None:
    """With the card's own random numbers, and an optimizer's state in the order that its kernels ask for. A card may
    add in another order, so weights are near, not equal.
    """
    given = {**TRAINED, "model": model, "strategy": "full", "optimizer": optimizer, "lr": 1e-3, "device": "cuda"}

    def weights(run: Path) -> np.ndarray:
        held = load_file(run / "model" / "model.safetensors")
        return np.concatenate([held[name].ravel() for name in sorted(held)]).astype(np.float64)

    ImageClassifier(**given, out=tmp_path / "whole").fit(leaves)
    seen = []

    def stop(event: object) -> None:
        if isinstance(event, Epoch):
            seen.append(event)
            if len(seen) == 2:
                raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        ImageClassifier(**given, out=tmp_path / "cut").fit(leaves, listen=stop)
    ImageClassifier(**given, out=tmp_path / "cut", resume=True).fit(leaves)
    one, two = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert np.linalg.norm(one - two) / np.linalg.norm(one) < 1e-2


def test_torchs_newer_names_for_tf32_do_not_let_it_in() -> None:
    kinds = [torch.backends.cuda.matmul, torch.backends.cudnn.conv]
    if not hasattr(kinds[0], "fp32_precision"):
        pytest.skip("this torch has not got them")
    made, given = network("resnet18"), noise(5)
    before = [kind.fp32_precision for kind in kinds]
    try:
        for kind in kinds:
            kind.fp32_precision = "tf32"
        found = OnGpu(made, card(), "fp32", batch=4).run(given)[0]
    finally:
        for kind, precision in zip(kinds, before, strict=True):
            kind.fp32_precision = precision
    assert apart(found, in_float64(made, given)) < 2e-5


def test_more_processes_than_cards_are_refused(leaves: Path, tmp_path: Path) -> None:
    """NCCL would end with "invalid usage"."""
    many = str(torch.cuda.device_count() + 1)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", many, "-m",
               "frostline", "fit", str(leaves), "--model", "test_resnet", "--weights", "none",
               "--strategy", "full", "--epochs", "1", "--out", str(tmp_path / "run")]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.returncode
    assert f"{many} processes were started on this machine" in said.stderr
    assert "--device cpu" in said.stderr


def test_processes_decode_what_threads_decode(leaves: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fresh views of every epoch, by processes and by threads, are the same batches, so nearly the same weights."""
    monkeypatch.setattr("frostline.train.loader.FEW", 10)
    seen = []
    submit = DecodeAhead.submit
    monkeypatch.setattr(
        DecodeAhead, "submit", lambda self, rows, **how: (seen.append(how), submit(self, rows, **how))[1]
    )
    given = {**TRAINED, "strategy": "full", "views": 0, "precision": "fp32", "device": "cuda"}
    one = ImageClassifier(**given, out=tmp_path / "one").fit(leaves)
    assert {"in_processes": True} in seen
    monkeypatch.setattr("frostline.train.loader.FEW", 10**6)
    two = ImageClassifier(**given, out=tmp_path / "two").fit(leaves)
    paths = sorted(map(str, (leaves / "test").rglob("*.png")))
    np.testing.assert_allclose(one.predict_proba(paths), two.predict_proba(paths), atol=0.02)


def test_accelerate_starts_a_process_on_the_card(leaves: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "1", "--num_machines", "1",
               "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "frostline", "fit", str(leaves),
               "--model", "test_resnet", "--weights", "none", "--strategy", "full", "--epochs", "1",
               "--device", "cuda", "--out", str(tmp_path / "run")]  # fmt: skip
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr[-2000:]
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


def test_prefixes_of_families_are_what_timm_gives() -> None:
    """A cut below the head, on the card, beside timm's own forward_features and pooling on the CPU."""
    given = noise(4)
    for name in NAMES:
        backbone = zoo.build(name, classes=2, weights="none")
        prefix = Network(cut(backbone.net, "head")[0], backbone.preprocessing).eval()
        found = OnGpu(prefix, card(), "fp32", batch=4).run(given)[0]
        wants = backbone.preprocessing
        mean, std = (torch.tensor(v)[:, None, None] for v in (wants.mean, wants.std))
        x = (torch.from_numpy(given).float().permute(0, 3, 1, 2) / 255 - mean) / std
        with torch.no_grad():
            net = backbone.net.eval()
            wanted = net.forward_head(net.forward_features(x), pre_logits=True).numpy()
        assert apart(found.reshape(len(found), -1), wanted) < 2e-5, name

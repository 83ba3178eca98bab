"""What a card gives: frozen layers beside the card's own peak, decoding alone, an epoch beside its peers, `predict`.

    python -m bench.gpu                                        the best device here; writes bench/GPU.md
    python -m bench.gpu --device cpu --model test_resnet --pictures 32 --dry     small, and writes nothing

Pictures are made of noise and weights are random: neither changes the speed. Every figure is the median of three runs
after one that warms up, in one process, on the same pictures.
"""

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import timm
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode
from torchvision.datasets import ImageFolder

from bench.report import HERE, commit, machine
from frostline import ImageClassifier
from frostline.data.views import EvaluationView
from frostline.events import Event, Judged
from frostline.inference.engine import Function
from frostline.inference.network import Network
from frostline.inference.precision import best_precision
from frostline.inference.torch_engine import make
from frostline.net import zoo
from frostline.net.stages import cut
from frostline.processors import processors
from frostline.ship.open_predictor import open_predictor

TEXT = HERE / "GPU.md"
EPOCHS = 3
NEVER = (
    "**Never run on a GPU.** These are the figures of a processor in its place: they say that the command runs from "
    "end to end, and nothing of any card."
)


@dataclass(frozen=True)
class Measured:
    """One line of the table. value: in `unit`. beside: what it is to be read beside, in words."""

    what: str
    value: float
    unit: str
    beside: str = ""


@dataclass(frozen=True)
class Setting:
    """What is measured on what. precision: "fp32" or "bf16". pictures: to train on. workers: of the peers' loaders."""

    device: torch.device
    precision: str
    model: str
    pictures: int
    batch: int
    data: Path
    workers: int


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--pictures", type=int, default=4096)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--dry", action="store_true", help="print the table and write nothing")
    given = parser.parse_args()
    with TemporaryDirectory(prefix="bench-gpu-") as place:
        data = made(Path(place) / "data", given.pictures)
        device = torch.device(given.device)
        kind = best_precision(given.device)
        setting = Setting(device, kind, given.model, given.pictures, given.batch_size, data, processors())
        found = measured(setting, Path(place))
    page = text(setting, found)
    print(page)
    if not given.dry:
        TEXT.write_text(page)
        TEXT.with_suffix(".json").write_text(json.dumps([asdict(row) for row in found], indent=1) + "\n")


def made(folder: Path, count: int) -> Path:
    """Two classes of JPEGs of noise, 500 pixels wide: so many for train and a quarter for val."""

    def draw(split: str, index: int) -> None:
        noise = np.random.default_rng([index, len(split)]).integers(0, 256, (25, 33, 3), dtype=np.uint8)
        place = folder / split / f"class {index % 2}" / f"{index:06}.jpg"
        Image.fromarray(noise).resize((500, 375), Image.Resampling.BICUBIC).save(place, quality=90)

    for split, number in (("train", count), ("val", max(4, count // 4))):
        for label in range(2):
            (folder / split / f"class {label}").mkdir(parents=True)
        with ThreadPoolExecutor(processors()) as pool:
            list(pool.map(partial(draw, split), range(number)))
    return folder


def measured(setting: Setting, place: Path) -> list[Measured]:
    """All lines of the table. place: a folder for what is written on the way."""
    peak = {kind: _peak(setting.device, kind) for kind in dict.fromkeys(("fp32", setting.precision))}
    found = [Measured(f"matrix product, {kind}", value, "TFLOP/s") for kind, value in peak.items()]
    found += [_decoding(setting), *(_prefix(setting, kind, value) for kind, value in peak.items())]
    found += [_epoch(setting, place), _epoch_by_hand(setting)]
    if find_spec("lightning"):
        found.append(_epoch_of_lightning(setting))
    return [*found, _predict(setting, place), _predict_by_hand(setting)]


def _timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds: the median of three after one."""
    seconds = []
    for _ in range(4):
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - began)
    return median(seconds[1:])


def _peak(device: torch.device, precision: str) -> float:
    """TFLOP/s of a large product of matrices, in float32 without TF32 or in bfloat16."""
    side = 8192 if device.type == "cuda" else 1024
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a = torch.randn(side, side, device=device, dtype=dtype)
    return 2 * side**3 / _timed(lambda: a @ a, device) / 1e12


def _decoding(setting: Setting) -> Measured:
    view = EvaluationView(zoo.build(setting.model, classes=2, weights="none").preprocessing)
    paths = sorted((setting.data / "train").rglob("*.jpg"))
    with ThreadPoolExecutor(processors()) as pool:
        seconds = _timed(lambda: list(pool.map(lambda path: view(path, path.name), paths)), torch.device("cpu"))
    return Measured("decoding and resizing alone", len(paths) / seconds, "pictures/s", f"{processors()} cores")


def _prefix(setting: Setting, precision: str, peak: float) -> Measured:
    backbone = zoo.build(setting.model, classes=2, weights="none")
    network = Network(cut(backbone.net, "head")[0], backbone.preprocessing).eval()
    height, width = backbone.preprocessing.size
    engine = make(Function(lambda: network, "bench", (height, width)), precision, processors(), Path())
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.zeros(1, height, width, 3, dtype=torch.uint8))
    pixels = np.random.default_rng(0).integers(0, 256, (setting.pictures, height, width, 3), dtype=np.uint8)
    speed = len(pixels) / _timed(lambda: engine.run(pixels), setting.device)
    share = speed * counter.get_total_flops() / 1e12 / peak
    return Measured(f"frozen layers, {precision}", speed, "pictures/s", f"{share:.0%} of the peak of a matrix product")


def _epoch(setting: Setting, place: Path) -> Measured:
    """Every epoch decodes its pictures and cuts them anew, as the peers do."""
    heard: list[Event] = []
    ImageClassifier(
        model=setting.model, weights="none", strategy="full", epochs=EPOCHS + 1, batch_size=setting.batch, views=0,
        augment="resized-crop", schedule="constant", device=setting.device.type, precision=setting.precision,
        out=place / "run",
    ).fit(setting.data, listen=heard.append)  # fmt: skip
    speeds = [event.pictures_per_second for event in heard if isinstance(event, Judged)]
    return Measured("a full epoch", median(speeds[1:]), "pictures/s", "frostline, validation left out")


def _loader(setting: Setting, *, training: bool = True) -> tuple[torch.nn.Module, "DataLoader[object]"]:
    net = timm.create_model(setting.model, num_classes=2)
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(net), is_training=training)
    loader: DataLoader[object] = DataLoader(
        ImageFolder(str(setting.data / "train"), transform), batch_size=setting.batch, shuffle=training,
        num_workers=setting.workers, pin_memory=setting.device.type == "cuda", persistent_workers=setting.workers > 0,
    )  # fmt: skip
    return net, loader


def _epoch_by_hand(setting: Setting) -> Measured:
    """timm's own way: its transforms, a DataLoader, autocast, channels last."""
    net, loader = _loader(setting)
    device = setting.device
    net = net.to(device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)

    def epoch() -> None:
        for pictures, labels in loader:
            x = pictures.to(device, memory_format=torch.channels_last, non_blocking=True)
            with torch.autocast(device.type, torch.bfloat16, enabled=setting.precision == "bf16"):
                loss = torch.nn.functional.cross_entropy(net(x), labels.to(device, non_blocking=True))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    seconds = _timed(epoch, device)
    return Measured("a full epoch", setting.pictures / seconds, "pictures/s", f"a loop over timm {timm.__version__}")


def _epoch_of_lightning(setting: Setting) -> Measured:
    import lightning

    net, loader = _loader(setting)

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], _: int) -> torch.Tensor:
            return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=1e-4)

    ends: list[float] = []

    class Clock(lightning.Callback):
        def on_train_epoch_end(self, trainer: object, module: object) -> None:
            ends.append(time.perf_counter())

    precision = "bf16-mixed" if setting.precision == "bf16" else "32-true"
    lightning.Trainer(
        max_epochs=EPOCHS + 1, accelerator="gpu" if setting.device.type == "cuda" else "cpu", devices=1,
        precision=precision, logger=False, enable_checkpointing=False, enable_progress_bar=False, callbacks=[Clock()],
    ).fit(Module(), loader)  # fmt: skip
    seconds = median(later - earlier for earlier, later in pairwise(ends))
    return Measured("a full epoch", setting.pictures / seconds, "pictures/s", f"lightning {version('lightning')}")


def _predict(setting: Setting, place: Path) -> Measured:
    from frostline.data.loose_pictures import pictures

    paths = sorted(map(str, (setting.data / "train").rglob("*.jpg")))
    predictor = open_predictor(place / "run" / "model", engine="torch", precision=setting.precision)
    seconds = _timed(lambda: list(predictor.predict(pictures(paths))), setting.device)
    return Measured("predict, decoding included", len(paths) / seconds, "pictures/s", "frostline")


def _predict_by_hand(setting: Setting) -> Measured:
    net, loader = _loader(setting, training=False)
    device = setting.device
    net = net.to(device).to(memory_format=torch.channels_last).eval()

    def predict() -> None:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=setting.precision == "bf16"):
            for pictures, _ in loader:
                x = pictures.to(device, memory_format=torch.channels_last, non_blocking=True)
                net(x).softmax(1).float().cpu()

    seconds = _timed(predict, device)
    return Measured(
        "predict, decoding included", setting.pictures / seconds, "pictures/s", f"a loop over timm {timm.__version__}"
    )


def text(setting: Setting, found: list[Measured]) -> str:
    """The page."""
    card = f"{torch.cuda.get_device_name(setting.device)} and " if setting.device.type == "cuda" else "no GPU: "
    lines = [
        "# On a GPU",
        "",
        "Written by `python -m bench.gpu`; do not edit.",
        "",
        f"{card}{machine()}; {setting.model}, {setting.pictures:,} pictures, batch {setting.batch}, "
        f"{setting.precision}; torch {torch.__version__}, timm {timm.__version__}; {commit()}.",
        "",
        *(() if setting.device.type == "cuda" else (NEVER, "")),
        "| | | | |",
        "| --- | ---: | --- | --- |",
        *(f"| {row.what} | {said(row.value)} | {row.unit} | {row.beside} |" for row in found),
    ]
    return "\n".join(lines) + "\n"


def said(value: float) -> str:
    """A figure as the page says it."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()

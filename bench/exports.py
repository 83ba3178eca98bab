"""Do exports agree with torch, and what does int8 cost? Two tables in Markdown, on standard output.

python bench/exports.py DATA                    twelve architectures, random weights, 100 pictures of DATA
python bench/exports.py DATA --model RUN        a fitted model: size, speed and accuracy of each form
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray

from frostline.data.loose_pictures import pictures
from frostline.data.sources import read
from frostline.data.views import EvaluationView
from frostline.errors import FrostlineError
from frostline.net import zoo
from frostline.ship import folder
from frostline.ship.export import export, forms
from frostline.ship.exporters import parity
from frostline.ship.model_info import ModelInfo
from frostline.ship.open_folder import open_folder

CLASSES = tuple("abcdefghij")
ARCHITECTURES = (
    "resnet18",
    "mobilenetv3_small_100",
    "regnety_002",
    "densenet121",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "eva02_tiny_patch14_224",
    "xcit_nano_12_p16_224",
    "swin_tiny_patch4_window7_224",
    "pvt_v2_b0",
    "mvitv2_tiny",
    "mobilevit_xxs",
)


def spread(name: str, place: Path, data: str) -> None:
    """A model folder of random weights whose head tells the pictures apart: logits of deviation 1."""
    made = zoo.build(name, classes=len(CLASSES), weights=None, seed=0)
    about = ModelInfo(name=made.name, classes=CLASSES, preprocessing=made.preprocessing)
    view = EvaluationView(made.preprocessing)
    some = [view(row.picture) for row, _ in zip(pictures([data]), range(16), strict=False)]
    head = made.net.get_submodule(made.head.path)
    with torch.no_grad():
        logits = made.net.eval()(torch.from_numpy(parity.normalised(some, about)))
        head.weight /= logits.std(0).mean()
        head.bias.copy_(-logits.mean(0) / logits.std(0).mean())
    folder.save(place, made.net, about, graph=False)


def agree(names: Sequence[str], data: str) -> None:
    print("| architecture | form | pictures | max \\|difference\\| | relative | same top-1 | size |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for name in names:
        with TemporaryDirectory() as spare:
            try:
                spread(name, Path(spare) / "model", data)
                for form in ("onnx", "openvino"):
                    found = export(Path(spare) / "model", form, data=Path(data))
                    same, size = found.agreement, sum(found.files.values()) / 1e6
                    print(
                        f"| {name} | {form} | {same.n} | {same.largest:.1e} | {same.relative:.1e} "
                        f"| {same.same_top:.0%} | {size:.1f} MB |",
                        flush=True,
                    )
            except FrostlineError as error:
                print(f"| {name} | {str(error).splitlines()[0]} | | | | | |", flush=True)


def compare(model: Path, data: str) -> None:
    """Forms of one model, timed in turns so that a busy machine is busy for all."""
    shipped = open_folder(model)
    rows = read(Path(data), classes=shipped.classes).part("val").rows
    view = EvaluationView(shipped.preprocessing)
    pixels = parity.normalised([view(row.picture) for row in rows], shipped.about)
    truth = np.array([shipped.classes.index(row.labels[0]) for row in rows])

    def eager(batch: NDArray[np.generic]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return shipped.net(torch.from_numpy(batch)).numpy()

    with TemporaryDirectory() as spare:
        answers: dict[str, Callable] = {"torch": eager}
        sizes = {"torch": (model / "model" / "model.safetensors").stat().st_size}
        for form in ("onnx", "openvino", "int8"):
            found = export(model, form, out=Path(spare) / form, data=Path(data), max_drop=1)
            answers[form] = forms.get(form).opened(found.folder)
            sizes[form] = sum(size for name, size in found.files.items() if name.startswith("model."))
        seconds: dict[tuple[str, int], list[float]] = {}
        for _ in range(40):
            for name, answer in answers.items():
                for batch in (1, 16):
                    began = time.perf_counter()
                    answer(pixels[:batch])
                    seconds.setdefault((name, batch), []).append((time.perf_counter() - began) / batch)
        print("| form | size | ms a picture, one at a time | ms a picture, 16 at once | right on val |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for name, answer in answers.items():
            logits = np.concatenate([answer(pixels[at : at + 16]) for at in range(0, len(pixels), 16)])
            right = int((logits.argmax(1) == truth).sum())
            one, many = (1000 * float(np.median(seconds[name, batch])) for batch in (1, 16))
            print(f"| {name} | {sizes[name] / 1e6:.1f} MB | {one:.1f} | {many:.1f} | {right} of {len(truth)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--only", nargs="*", default=ARCHITECTURES)
    asked = parser.parse_args()
    if asked.model:
        compare(asked.model, asked.data)
    else:
        agree(asked.only, asked.data)

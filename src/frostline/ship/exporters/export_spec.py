"""A network on its way out: what every form is made of, and what it must be able to say of itself."""

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frostline import __version__
from frostline.data.views import Preprocessing
from frostline.inference import convert
from frostline.ship.exporters.resize_in_graph import Placed
from frostline.ship.model_info import ModelInfo

INPUT, OUTPUT = "pictures", "logits"
"""What a graph's input and output are called."""

Answer: TypeAlias = Callable[[NDArray[np.generic]], NDArray[np.float32]]
"""Logits (N, K) of what a graph takes, by the runtime that its users have."""


class Pictured(nn.Module):
    """A network that takes whole pictures: uint8 (N, H, W, 3), N of one size, any size."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.placed = Placed(preprocessing)
        self.net = net
        self.register_buffer("mean", 255 * torch.tensor(preprocessing.mean).view(1, -1, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(preprocessing.std).view(1, -1, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        """What the network gives for pictures that go through the evaluation view first."""
        found: Tensor = self.net((self.placed(pictures) - self.mean) / self.std)
        return found


@dataclass(frozen=True)
class Exportable:
    """A network in eval mode on the CPU, and what a form of it says.

    module: what is exported: the network itself, or ``Pictured``.
    net: the network alone; it takes normalised float32 (N, 3, H, W).
    example: two pictures as the module takes them.
    shape: what it takes, with a name for each side that is known only when it runs.
    about: the model.
    calibration: training pictures as the network takes them, (n, 3, H, W) each; only int8 asks.
    """

    module: nn.Module
    net: nn.Module
    example: Tensor
    shape: tuple[str | int, ...]
    about: ModelInfo
    calibration: Sequence[NDArray[np.float32]] = ()

    @property
    def free(self) -> dict[int, str]:
        """Sides that are known only when it runs, by their place."""
        return {place: side for place, side in enumerate(self.shape) if isinstance(side, str)}

    @property
    def takes(self) -> str:
        """ "pictures" (uint8, whole) or "pixels" (float32, prepared)."""
        return "pictures" if self.example.dtype == torch.uint8 else "pixels"

    @property
    def facts(self) -> dict[str, str]:
        """What stands in a form's own metadata: text each, JSON where it is more than a word."""
        return {
            "frostline": __version__,
            "model": self.about.name,
            "labels": json.dumps(list(self.about.classes)),
            "temperature": repr(self.about.temperature),
            "multilabel": json.dumps(self.about.multilabel),
            "preprocessing": json.dumps(self.about.preprocessing.to_dict()),
            "takes": self.takes,
        }


@dataclass(frozen=True)
class Standalone:
    """How ``predict.py`` beside an export opens it, without frostline.

    imports: import lines. opening: Python lines that define `facts`, a mapping of text (`Exportable.facts`), and
    `answer`, a function of pictures (1, ...) that gives logits (1, K). They may use ``json``, ``np`` and ``Path``.
    """

    imports: str
    opening: str


@dataclass(frozen=True)
class Form:
    """One form that a model is exported to.

    files: what it writes; the first one is the graph.
    runtime: the package that runs it, as pip knows it.
    write: an exportable into a folder.
    opened: the folder, ready to answer.
    standalone: for a ``predict.py`` beside it; without, none is written.
    calibrated: whether it needs labelled pictures, to be calibrated on and judged by.
    """

    files: tuple[str, ...]
    runtime: str
    write: Callable[[Path, Exportable], None]
    opened: Callable[[Path], Answer]
    standalone: Standalone | None = None
    calibrated: bool = False


def prepared(net: nn.Module, about: ModelInfo) -> Exportable:
    """The network alone: what happens to a picture before is described beside it."""
    pixels = torch.from_numpy(convert.samples(about.preprocessing, 2)).permute(0, 3, 1, 2).float()
    mean, std = (
        255 * torch.tensor(part).view(1, -1, 1, 1) for part in (about.preprocessing.mean, about.preprocessing.std)
    )
    example = ((pixels - mean) / std).contiguous()
    return Exportable(net, net, example, ("batch", about.preprocessing.channels, *about.preprocessing.size), about)


def pictured(net: nn.Module, about: ModelInfo) -> Exportable:
    """The network with all that happens to a picture before."""
    height, width = about.preprocessing.size
    example = torch.from_numpy(np.ascontiguousarray(convert.samples(about.preprocessing, 2).repeat(2, 1)))
    example = example[:, : 2 * height - 1, : max(1, width - 1)].contiguous()  # no side may look like another, or fixed
    module = Pictured(net, about.preprocessing).eval()
    return Exportable(module, net, example, ("batch", "height", "width", about.preprocessing.channels), about)


@contextmanager
def hush() -> Iterator[None]:
    """Exporters tell of shapes, versions and missing compilers; what they make is checked instead."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

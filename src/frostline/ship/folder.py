"""The model folder: written whole or not at all, opened by timm and transformers as their own.

Its files:
    model.safetensors   the weights, under timm's own names
    config.json         timm's hub form, which transformers reads too
    frostline.json      all that we know of the model: see ``about``
    README.md           the model card: see ``card``
    graph.xml, .bin     the same network for a machine without torch: see ``graph``
"""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from frostline.data.views import Preprocessing
from frostline.ship.about import About


@dataclass(frozen=True)
class Shipped:
    """A model folder, opened.

    net: in eval mode, on the CPU; it takes normalised float32 (N, 3, H, W) and gives logits (N, K).
    about: classes, preprocessing, temperature, metrics, plan, versions, digests.
    """

    net: nn.Module
    about: About

    @property
    def classes(self) -> tuple[str, ...]:
        """What the outputs mean, in their order."""
        return self.about.classes

    @property
    def preprocessing(self) -> Preprocessing:
        """What is done to a picture before the network sees it."""
        return self.about.preprocessing


def save(folder: Path, net: nn.Module, about: About, *, graph: bool = True) -> About:
    """Write a model folder, in one step: it is there whole, or what was there before still is.

    net: with its head for ``about.classes``; it is left as it was.
    graph: also write the network as an OpenVINO graph (about a second). Where that cannot be done the folder is written
        without one, and says why.
    Returns what the folder says of itself: ``about`` with versions, digests and the graph filled in.

    Raises: CheckpointError: the place holds something that is not a model folder of ours, cannot be written, or net and
        classes do not agree.
    """
    raise NotImplementedError


def open_folder(folder: Path, *, trust: str | None = None) -> Shipped:
    """Build the network that a model folder describes and load its weights.

    trust: the ``package.module:factory`` that may be imported and run. It must be named by who opens the folder; that
        the folder names it is not enough.

    Raises: CheckpointError: the folder is damaged, or its factory is not trusted. WeightsError: weights that are
        damaged or belong to another architecture.
    """
    raise NotImplementedError

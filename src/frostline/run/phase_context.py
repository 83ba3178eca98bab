"""What every phase of a run works on, and what it leaves behind."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frostline.data.manifest import Manifest
from frostline.data.views import EvaluationView
from frostline.events import Listener
from frostline.features.activations import Activations
from frostline.net.head import Head
from frostline.net.stages import Stages, cut

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class PhaseContext:
    """A network with the data it learns from.

    train, val: manifests without undecodable pictures; val may be None. seed: of everything random.
    anchors: the pretrained weights by their names in the whole network, where a phase pulls towards them (L2-SP).
    """

    net: nn.Module
    stages: Stages
    head: Head
    activations: Activations
    train: Manifest
    val: Manifest | None
    seed: int
    listen: Listener
    anchors: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class PhaseResult:
    """What a phase left behind, besides the network's weights.

    val: logits (N, K) of the val split after the phase, or None without one.
    crossed: for a solved head without a val split, out-of-fold logits of the training split; NaN for pictures that
        cannot be judged, as the only one of a class cannot.
    epochs: that were run. early: why it ended before its last epoch, or "". trainable: parameters that learnt.
    best_epoch: whose weights were kept, from 1; 0 where there were none.
    """

    val: Logits | None
    crossed: Logits | None
    epochs: int
    early: str = ""
    trainable: int = 0
    best_epoch: int = 0


def judgeable(crossed: Logits, part: Manifest) -> tuple[Manifest, Logits] | None:
    """The rows of a manifest that out-of-fold logits (N, K) judge, with these logits; None if there are none."""
    there: NDArray[np.bool_] = np.asarray(np.isfinite(crossed).all(axis=1))
    if not there.any():
        return None
    rows = tuple(part.rows[number] for number in np.flatnonzero(there))
    return replace(part, rows=rows), crossed[there]


def logits_of(context: PhaseContext, part: Manifest) -> tuple[Manifest, Logits]:
    """Logits (N, K) by the network as it stands, and the manifest without pictures that cannot be decoded."""
    what = f"{part.rows[0].split or 'all'} pictures"
    read, skipped = context.activations.at(
        "head", part.rows, EvaluationView(context.activations.preprocessing), what=what
    )
    part = part.without(skipped)
    _, suffix = cut(context.net, "head")
    batches = np.array_split(np.arange(len(part)), len(part) // 256 + 1)
    with torch.no_grad():
        return part, np.concatenate([suffix(torch.from_numpy(read(batch)).float()).numpy() for batch in batches])

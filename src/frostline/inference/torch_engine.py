"""Run a prefix on torch: plain, which every other engine is measured by, and tuned for the machine."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frostline.data.views import Preprocessing
from frostline.errors import EngineError, one_line

Batch = NDArray[np.uint8]

_CPU_BATCH = 8  # more is slower: activations leave the cache (efficientnet_lite0, 2 cores: 8 -> 90/s, 32 -> 35/s)
_CUDA_BATCH = 64


class Normalise(nn.Module):
    """Pictures (N, H, W, 3) uint8 -> (N, 3, H, W) float32 with the mean and standard deviation of a preprocessing."""

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) * 255 for values in (preprocessing.mean, preprocessing.std))
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        mean, std = self.get_buffer("mean"), self.get_buffer("std")
        wanted: Tensor = (pictures.permute(0, 3, 1, 2).float() - mean.to(pictures.device)) / std.to(pictures.device)
        return wanted


class Network(nn.Module):
    """Normalise, then the prefix: pictures (N, H, W, 3) uint8 -> activations.

    converted: the same in another library's form, once an engine needed it: two precisions share one conversion.
    """

    converted: Any = None

    def __init__(self, prefix: nn.Module, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.normalise = Normalise(preprocessing)
        self.prefix = prefix

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        activations: Tensor = self.prefix(self.normalise(pictures))
        return activations


class Plain:
    """torch in float32, the network as it is, on the device where it is."""

    name = "torch"
    precision = "fp32"

    def __init__(self, network: Network) -> None:
        self._network = network
        self._device = next((t.device for t in network.prefix.parameters()), torch.device("cpu"))
        self._batch = _CUDA_BATCH if self._device.type == "cuda" else _CPU_BATCH

    def run(self, batch: Batch) -> NDArray[np.generic]:
        """Activations (N, ...) float32 of pictures (N, H, W, 3) uint8."""
        with torch.inference_mode():
            return _in_equal_batches(self._compute, batch, self._batch)

    def _compute(self, pictures: Tensor) -> Tensor:
        found: Tensor = self._network(pictures.to(self._device))
        return found


class Tuned(Plain):
    """A copy of the network, channels last, on a GPU if there is one, in bfloat16 where that is safe (autocast)."""

    precision = "bf16"

    def __init__(self, network: Network) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network.converted = None  # what is copied is torch's form only
        super().__init__(copy.deepcopy(network).to(device).to(memory_format=torch.channels_last))
        self._device = device
        self._batch = _CUDA_BATCH if device.type == "cuda" else _CPU_BATCH

    def _compute(self, pictures: Tensor) -> Tensor:
        with torch.autocast(self._device.type, torch.bfloat16):
            return super()._compute(pictures)


def make(network: Network, precision: str, sample: Batch, key: str, cache: Path) -> Plain:
    """The engine "torch" of a precision; see ``engines.Maker``.

    Raises: EngineError: the network cannot be copied, or does not run in that precision.
    """
    if precision == "fp32":
        return Plain(network)
    try:
        engine = Tuned(network)
        engine.run(sample)
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise EngineError(f"torch does not run it: {one_line(str(error))[:200]}", hint="--precision fp32") from None
    return engine


def _in_equal_batches(compute: Callable[[Tensor], Tensor], batch: Batch, size: int) -> NDArray[np.generic]:
    # The last batch is filled up: torch picks its algorithms by shape, and a row must not depend on its company.
    found = []
    for start in range(0, len(batch), size):
        part = batch[start : start + size]
        full = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)]) if len(part) < size else part
        rows = compute(torch.from_numpy(np.ascontiguousarray(full)))
        found.append(rows[: len(part)].float().contiguous().cpu().numpy())
    return np.concatenate(found)

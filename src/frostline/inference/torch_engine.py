"""Run a network on torch: plain, which every other engine is measured by, and tuned for the machine."""

import copy
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from frostline.errors import EngineError, one_line
from frostline.inference.engine import Batch, Function, Outputs
from frostline.inference.network import Network

_CPU_BATCH = 8  # more is slower: activations leave the cache (efficientnet_lite0, 2 cores: 8 -> 90/s, 32 -> 35/s)
_CUDA_BATCH = 64
_LARGE = 512 * 512  # pixels, of which a whole batch is computed at once; of larger pictures fewer, to save memory


# The threads of torch's OpenMP do not come along into a forked child, and it would wait for them for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


class Plain:
    """torch in float32, the network as it is, on the device where it is."""

    name = "torch"
    precision = "fp32"

    def __init__(self, network: Network) -> None:
        self._network = network.eval()
        self._device = network.device
        self._batch = _CUDA_BATCH if self._device.type == "cuda" else _CPU_BATCH

    def run(self, pictures: Batch) -> Outputs:
        """Each output (N, ...) float32 of pictures (N, H, W, 3) uint8."""
        with torch.inference_mode():
            return _in_equal_batches(self._compute, pictures, self._at_once(pictures))

    def _at_once(self, pictures: Batch) -> int:
        height, width = map(int, pictures.shape[1:3])
        return max(1, min(self._batch, self._batch * _LARGE // (height * width)))

    def _compute(self, pictures: Tensor) -> tuple[Tensor, ...]:
        found: tuple[Tensor, ...] = self._network(pictures.to(self._device))
        return found


class Tuned(Plain):
    """A copy of the network, channels last, on a GPU if there is one, in bfloat16 where that is safe (autocast)."""

    precision = "bf16"

    def __init__(self, network: Network) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        super().__init__(copy.deepcopy(network).to(device).to(memory_format=torch.channels_last))
        self._device = device
        self._batch = _CUDA_BATCH if device.type == "cuda" else _CPU_BATCH

    def _compute(self, pictures: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(self._device.type, torch.bfloat16):
            return super()._compute(pictures)


def make(function: Function, precision: str, streams: int, cache: Path) -> Plain:
    """The engine "torch" of a precision; see ``engine.Maker``.

    Raises: EngineError: the network cannot be copied, or does not run in that precision.
    """
    network: Network = function.torch()
    if precision == "fp32":
        return Plain(network)
    try:
        engine = Tuned(network)
        engine.run(np.zeros((1, *function.size, function.channels), np.uint8))
    except (RuntimeError, TypeError, NotImplementedError) as error:
        raise EngineError(f"torch does not run it: {one_line(str(error))[:200]}", hint="--precision fp32") from None
    return engine


def _in_equal_batches(compute: Callable[[Tensor], tuple[Tensor, ...]], pictures: Batch, size: int) -> Outputs:
    # The last batch is filled up: torch picks its algorithms by shape, and a row must not depend on its company.
    found = []
    for start in range(0, len(pictures), size):
        part = pictures[start : start + size]
        full = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)]) if len(part) < size else part
        outputs = compute(torch.from_numpy(np.ascontiguousarray(full)))
        found.append([rows[: len(part)].float().contiguous().cpu().numpy() for rows in outputs])
    return tuple(np.concatenate(rows) for rows in zip(*found, strict=True))

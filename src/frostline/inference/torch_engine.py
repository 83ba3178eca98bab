"""Run a network on torch: plain, which every other engine is measured by, and in bfloat16; on a GPU see `torch_gpu`."""

import copy
import os
import threading
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from frostline.errors import EngineError, one_line
from frostline.inference.engine import Batch, Engine, Function, Outputs
from frostline.inference.network import Network
from frostline.inference.torch_gpu import OnGpu, equal_batches, gpu

_BATCH = 8  # more is slower: activations leave the cache (efficientnet_lite0, 2 cores: 8 -> 90/s, 32 -> 35/s)
_LARGE = 512 * 512  # pixels, of which a whole batch is computed at once; of larger pictures fewer, to save memory


_catching = threading.Lock()  # what goes into a head is caught by a hook, which all threads would see


def _in_a_child() -> None:
    """The threads of torch's OpenMP do not come along into a forked child, and it would wait for them for ever, as for
    a lock that one of its parent's threads held.
    """
    global _catching
    _catching = threading.Lock()
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_a_child)


class Plain:
    """torch in float32, the network as it is, where it is."""

    name = "torch"
    precision = "fp32"

    def __init__(self, network: Network) -> None:
        self._network = network.eval()

    def run(self, pictures: Batch) -> Outputs:
        """Each output (N, ...) float32 of pictures (N, H, W, 3) uint8."""
        found = []
        with torch.inference_mode():
            for part, count in equal_batches(pictures, _at_once(pictures)):
                outputs = self._compute(torch.from_numpy(part))
                found.append([rows[:count].float().contiguous().cpu().numpy() for rows in outputs])
        return tuple(np.concatenate(rows) for rows in zip(*found, strict=True))

    def _compute(self, pictures: Tensor) -> tuple[Tensor, ...]:
        with _catching if self._network.head else nullcontext():
            found: tuple[Tensor, ...] = self._network(pictures.to(self._network.device))
        return found


def _at_once(pictures: Batch) -> int:
    height, width = map(int, pictures.shape[1:3])
    return max(1, min(_BATCH, _BATCH * _LARGE // (height * width)))


class InBfloat16(Plain):
    """A copy of the network, channels last, in bfloat16 where that is safe (autocast)."""

    precision = "bf16"

    def __init__(self, network: Network) -> None:
        super().__init__(copy.deepcopy(network).to(memory_format=torch.channels_last))

    def _compute(self, pictures: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast("cpu", torch.bfloat16):
            return super()._compute(pictures)


def make(function: Function, precision: str, streams: int, cache: Path) -> Engine:
    """The engine "torch" of a precision, on a GPU if there is one; see ``engine.Maker``.

    Raises: EngineError: the network cannot be copied, or does not run in that precision.
    """
    network: Network = function.torch()
    device = None if function.device == "cpu" else gpu()
    if precision == "fp32" and device is None:
        return Plain(network)
    try:
        engine: Engine = InBfloat16(network) if device is None else OnGpu(network, device, precision)
        engine.run(np.zeros((1, *function.size, function.channels), np.uint8))
    except (RuntimeError, TypeError, NotImplementedError) as error:
        if isinstance(error, NotImplementedError) and device is not None and device.type == "mps":
            return Plain(network)  # an operator that MPS lacks: the CPU has it
        raise EngineError(f"torch does not run it: {one_line(str(error))[:200]}", hint="--precision fp32") from None
    return engine

"""Run a network with torch on a GPU: copies and computing overlap, and a batch that does not fit is halved.

float32 is float32: torch would round the inputs of convolutions to TF32 by default, and rows would no longer agree with
a CPU's to the last digits that `engine.disagreement` allows. bf16 is autocast, where the card computes in it.
"""

import copy
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager

import numpy as np
import torch
from torch import Tensor

from frostline.errors import EngineError
from frostline.inference.engine import Batch, Outputs
from frostline.inference.network import Network

LARGE_CARD = 16 << 30
"""Bytes of memory from which a card is given 256 pictures at once, else 64."""

_IN_FLIGHT = 2  # batches whose results are still on their way home


def gpu() -> torch.device | None:
    """The GPU that torch finds here, CUDA before Apple's; None without one."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps") if torch.backends.mps.is_available() else None


def batch_for(device: torch.device) -> int:
    """Pictures at once, by the card's whole memory: what is free changes from run to run, and a batch's size may change
    the last bit of a row.
    """
    if device.type != "cuda":
        return 64
    return 256 if torch.cuda.get_device_properties(device).total_memory >= LARGE_CARD else 64


class OnGpu:
    """A copy of the network on a GPU, channels last, in "fp32" or "bf16"; `batch` pictures at once, fewer if they do
    not fit into its memory.
    """

    name = "torch"

    def __init__(self, network: Network, device: torch.device, precision: str, *, batch: int | None = None) -> None:
        self.precision = precision
        self.batch = batch or batch_for(device)
        self._network = copy.deepcopy(network).to(device).to(memory_format=torch.channels_last).eval()
        self._device = device

    def run(self, pictures: Batch) -> Outputs:
        """Each output (N, ...) float32 of pictures (N, H, W, 3) uint8.

        Raises: EngineError: not even one picture fits into the card's memory.
        """
        while True:
            try:
                return self._run(pictures)
            except torch.OutOfMemoryError:
                if self.batch == 1:
                    raise EngineError(
                        f"one picture does not fit into the memory of {self._device}",
                        hint="free the card, use a smaller --image-size, or --engine openvino",
                    ) from None
                self.batch //= 2
                if self._device.type == "cuda":
                    torch.cuda.empty_cache()

    def _run(self, pictures: Batch) -> Outputs:
        found: list[tuple[Batch, ...]] = []
        with torch.inference_mode(), _in_full():
            flying: deque[_Flight] = deque()
            for part, count in equal_batches(pictures, self.batch):
                flying.append(self._sent(part, count))
                if len(flying) > _IN_FLIGHT:
                    found.append(flying.popleft().landed())
            found += [flight.landed() for flight in flying]
        return tuple(np.concatenate(rows) for rows in zip(*found, strict=True))

    def _sent(self, part: Batch, count: int) -> "_Flight":
        """Copy a batch over, compute it and copy the results back, none of it waited for (on CUDA)."""
        cuda = self._device.type == "cuda"
        host = torch.from_numpy(part)
        if cuda:
            host = host.pin_memory()
        pictures = host.to(self._device, non_blocking=cuda)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            outputs: tuple[Tensor, ...] = self._network(pictures)
        results = [rows[:count].float().contiguous() for rows in outputs]
        home = [torch.empty(rows.shape, pin_memory=cuda).copy_(rows, non_blocking=cuda) for rows in results]
        event = torch.cuda.current_stream(self._device).record_event() if cuda else None
        return _Flight(host, home, event)


class _Flight:
    """A batch on its way: the pinned memory that it came from and goes to must live until it has landed."""

    def __init__(self, host: Tensor, home: list[Tensor], event: "torch.cuda.Event | None") -> None:
        self._host, self._home, self._event = host, home, event

    def landed(self) -> tuple[Batch, ...]:
        if self._event is not None:
            self._event.synchronize()
        return tuple(rows.numpy().copy() for rows in self._home)


def equal_batches(pictures: Batch, size: int) -> Iterator[tuple[Batch, int]]:
    """Batches of one size with how many of their pictures count: the last is filled up, for torch picks its algorithms
    by shape, and a row must not depend on its company.
    """
    for start in range(0, len(pictures), size):
        part = pictures[start : start + size]
        full = np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)]) if len(part) < size else part
        yield np.ascontiguousarray(full), len(part)


def _in_full() -> AbstractContextManager[None]:
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)

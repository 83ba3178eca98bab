"""Run a network with torch on a GPU: copies and computing overlap, and a batch that does not fit is halved.

float32 is float32: torch would round the inputs of convolutions to TF32 by default, and rows would no longer agree with
a CPU's to the last digits that `engine.disagreement` allows. bf16 is autocast, where the card computes in it.
"""

import copy
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from frostline.errors import EngineError
from frostline.inference.engine import Batch, Outputs
from frostline.inference.network import Network

LARGE_CARD = 16 << 30
"""Bytes of memory from which a card is given 256 pictures of 256 x 256 at once, else 64."""

FEW = 16
"""So many pictures or fewer are a batch of that size: a lone picture must not cost a whole one."""

_IN_FLIGHT = 2  # batches whose results are still on their way home


def gpu() -> torch.device | None:
    """The GPU that torch finds here, CUDA before Apple's; None without one. Processes that were launched together take
    one each, also before accelerate has been asked for a device.
    """
    if torch.cuda.is_available():
        if "LOCAL_RANK" in os.environ:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("mps") if torch.backends.mps.is_available() else None


def batch_for(device: torch.device, size: tuple[int, int] = (256, 256)) -> int:
    """Pictures (H, W) at once, by the card's whole memory: what is free changes from run to run, and a batch's size may
    change the last bit of a row.
    """
    large = device.type == "cuda" and torch.cuda.get_device_properties(device).total_memory >= LARGE_CARD
    most = 256 if large else 64
    return max(1, min(most, most * 256 * 256 // (size[0] * size[1])))


class OnGpu:
    """A copy of the network on a GPU, channels last, in "fp32" or "bf16"; `batch` pictures at once, fewer if they do
    not fit into its memory.
    """

    name = "torch"

    def __init__(self, network: Network, device: torch.device, precision: str, *, batch: int | None = None) -> None:
        self.precision = precision
        self.batch = batch or batch_for(device, network.size)
        self._network = copy.deepcopy(network).to(device).to(memory_format=torch.channels_last).eval()
        self._device = device
        self._copies = _stream(device) if device.type == "cuda" else None

    @property
    def at_once(self) -> int:
        """Pictures that a call should have: fewer are filled up to a batch, and two batches overlap."""
        return 2 * self.batch

    def run(self, pictures: Batch) -> Outputs:
        """Each output (N, ...) float32 of pictures (N, H, W, 3) uint8.

        Raises: EngineError: not even one picture fits into the card's memory.
        """
        while (found := self._tried(pictures)) is None:
            # Here nothing refers to what lies on the card any more; within the handler the traceback would.
            if self.batch == 1:
                raise EngineError(
                    f"one picture does not fit into the memory of {self._device}",
                    hint="free the card, use a smaller --image-size, or --engine openvino",
                )
            self.batch //= 2
            if self._device.type != "cpu":
                torch.get_device_module(self._device).empty_cache()
        return found

    def _tried(self, pictures: Batch) -> Outputs | None:
        """None if it does not fit into the card's memory."""
        try:
            return self._run(pictures)
        except RuntimeError as error:
            if out_of_memory(error):
                return None
            raise

    def _run(self, pictures: Batch) -> Outputs:
        found: list[tuple[Batch, ...]] = []
        with torch.inference_mode(), _in_full():
            flying: deque[_Flight] = deque()
            for part, count in equal_batches(pictures, self.batch if len(pictures) > FEW else min(self.batch, FEW)):
                flying.append(self._sent(part, count))
                if len(flying) > _IN_FLIGHT:
                    found.append(flying.popleft().landed())
            found += [flight.landed() for flight in flying]
        return tuple(np.concatenate(rows) for rows in zip(*found, strict=True))

    def _sent(self, part: Batch, count: int) -> "_Flight":
        """Copy a batch over, compute it and copy the results back, none of it waited for (on CUDA)."""
        host, pictures = self._there(torch.from_numpy(part))
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            outputs: tuple[Tensor, ...] = self._network(pictures)
        results = [rows[:count].float().contiguous() for rows in outputs]
        cuda = self._copies is not None
        home = [torch.empty(rows.shape, pin_memory=cuda).copy_(rows, non_blocking=cuda) for rows in results]
        event = torch.cuda.current_stream(self._device).record_event() if cuda else None
        return _Flight(host, home, event)

    def _there(self, host: Tensor) -> tuple[Tensor, Tensor]:
        """(what it is copied from, the batch on the card). On CUDA a stream of its own copies from pinned memory, so
        that a copy need not wait for the batch that is being computed.
        """
        if self._copies is None:
            return host, host.to(self._device)
        host = host.pin_memory()
        with torch.cuda.stream(self._copies):
            pictures = host.to(self._device, non_blocking=True)
        computing = torch.cuda.current_stream(self._device)
        computing.wait_stream(self._copies)
        pictures.record_stream(computing)  # or its memory would be given to the next copy while it is still read
        return host, pictures


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def out_of_memory(error: RuntimeError) -> bool:
    """Whether a card's memory is full; MPS and cuDNN say so in words only."""
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in said or "CUDNN_STATUS_ALLOC_FAILED" in said


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


@contextmanager
def _in_full() -> Iterator[None]:
    """Neither convolutions nor products of matrices in TF32, whatever was set outside."""
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:  # it was set by names that torch has since 2.9, and does not let mix with the older ones
        backends: Any = torch.backends
        kinds = [backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn]
        named = [kind.fp32_precision for kind in kinds]
        try:
            for kind in kinds:
                kind.fp32_precision = "ieee"
            yield
        finally:
            for kind, precision in zip(kinds, named, strict=True):
                kind.fp32_precision = precision
        return
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(before)

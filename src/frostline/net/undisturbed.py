"""In the midst of somebody's program: what that has set in torch is neither used nor changed."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar

import torch

_without_bytes: ContextVar[bool] = ContextVar("_without_bytes", default=False)
_drawing = threading.RLock()  # torch's generator is one for all threads


def _in_a_child() -> None:
    global _drawing
    _drawing = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_a_child)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """torch's CPU generator starts from a seed, and stands afterwards where it stood; one thread at a time, or those
    that build networks beside each other would draw each other's numbers.
    """
    with _drawing, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def seed_torch(seed: int) -> None:
    """Start all of torch's generators from a seed, once no other thread is within `seeded`."""
    with _drawing:
        torch.manual_seed(seed)


@contextmanager
def without_bytes() -> Iterator[None]:
    """Within it tensors are made on torch's "meta" device, in `plain_torch` too: they have shapes and no bytes."""
    before = _without_bytes.set(True)
    try:
        with torch.device("meta"):
            yield
    finally:
        _without_bytes.reset(before)


@contextmanager
def plain_torch() -> Iterator[None]:
    """torch as it is by itself, whatever the program has set: new tensors are float32 and on the CPU, and there are
    gradients under ``no_grad`` and ``inference_mode`` too.
    """
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    elsewhere = device.type != "cpu" and not _without_bytes.get()  # only then, for each call of torch takes longer
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu") if elsewhere else nullcontext(), torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_default_dtype(dtype)


@contextmanager
def undisturbed() -> Iterator[None]:
    """As `plain_torch`; and torch's random numbers go on afterwards as if nothing had been drawn or seeded: else all
    that a program draws between two fits would be the same.
    """
    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    cards = list(range(torch.cuda.device_count())) if in_use else []
    before = torch.random.fork_rng(cards)
    before.__enter__()
    try:
        with plain_torch():
            yield
    finally:
        with _drawing:
            before.__exit__(None, None, None)

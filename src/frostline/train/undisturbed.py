"""A fit in the midst of somebody's program: what that has set in torch is neither used nor changed."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def undisturbed() -> Iterator[None]:
    """Gradients are there, whatever ``no_grad`` or ``inference_mode`` surrounds it, and torch's own random numbers go
    on afterwards as if nothing had been drawn or seeded: else all that is drawn between fits would be the same.
    """
    in_use = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    cards = list(range(torch.cuda.device_count())) if in_use else []
    with torch.random.fork_rng(cards), torch.inference_mode(False), torch.enable_grad():
        yield

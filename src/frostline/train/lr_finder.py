"""Real steps whose effects are undone: to find a rate, and to find what a step costs before epochs are promised."""

import itertools
import time
from collections.abc import Generator, Sequence
from contextlib import closing

import numpy as np
import torch
from numpy.typing import NDArray

from frostline.train.checkpoint import random_state, restore_random_state
from frostline.train.optimizer import make_optimizer
from frostline.train.task import Task

SLOWEST, FASTEST = 1e-3, 1e2  # rates of the range test, as multiples of the given ones
WIDTH = 5  # losses that are averaged
BLOWN_UP = 4.0  # times the largest loss of the untouched network


def range_test(task: Task, *, steps: int = 60) -> float:
    """The factor by which to multiply every rate: Smith's learning-rate range test (arXiv:1506.01186).

    The rates rise geometrically from `SLOWEST` to `FASTEST` over `steps` batches; the answer is where the smoothed
    loss falls most steeply, or 1 if it never falls. From each batch's loss that of the untouched network is taken away,
    because in small data one batch is harder than another by more than a small rate gains. The network is as before
    afterwards.
    """
    factors = np.geomspace(SLOWEST, FASTEST, steps)
    untouched = list(_trial_steps(task, 0 * factors))
    gained: list[float] = []
    with closing(_trial_steps(task, factors)) as tried:
        for loss, before in zip(tried, untouched, strict=False):
            if not np.isfinite(loss) or loss > BLOWN_UP * max(untouched):
                break
            gained.append(loss - before)
    return task.device.agreed(_steepest(gained, factors))


def _steepest(losses: Sequence[float], factors: NDArray[np.floating]) -> float:
    """The factor at which the smoothed losses, one for each of the first factors, fall most steeply before rising."""
    if not losses:
        return 1.0
    smooth = _smooth(losses)
    falling = smooth[: int(smooth.argmin()) + 1]
    if len(falling) < WIDTH:
        return 1.0
    return float(factors[np.gradient(falling, np.log(factors[: len(falling)])).argmin()])


def _smooth(losses: Sequence[float]) -> NDArray[np.float64]:
    """The mean over `WIDTH` neighbours, fewer at the ends: a trailing mean would place the fall at too high a rate."""
    window = np.ones(WIDTH)
    return (
        np.convolve(losses, window)[WIDTH // 2 :][: len(losses)]
        / (np.convolve(np.ones(len(losses)), window)[WIDTH // 2 :][: len(losses)])
    )


def seconds_a_step(task: Task) -> float:
    """What a batch costs here, the median of four after one to warm up. The network is as before afterwards.

    Batches that were decoded while the first was waited for say nothing of what decoding costs; they are passed over.
    """
    times = [time.perf_counter()]
    for _ in itertools.islice(_trial_steps(task, np.zeros(5 + task.rows.prefetched)), task.rows.prefetched, None):
        times.append(time.perf_counter())
    return float(np.median(np.diff(times)[1:]))


def _trial_steps(task: Task, factors: NDArray[np.floating]) -> Generator[float, None, None]:
    """The losses of steps at so many times the given rates; weights, buffers, modes and random state are put back."""
    suffix = task.suffix
    changing = [*(p for p in suffix.parameters() if p.requires_grad), *suffix.buffers()]
    kept = [(tensor, tensor.detach().clone()) for tensor in changing]
    random, was_training = random_state(task.device.device), suffix.training
    optimizer = make_optimizer(suffix, task.groups, task.recipe)
    batches = (batch for epoch in itertools.count() for batch in task.rows.epoch(epoch))
    suffix.train()
    try:
        for factor, batch in zip(factors, batches, strict=False):
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
            loss = task.loss(suffix, batch.x, batch.y)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            yield float(loss.detach())
    finally:
        with torch.no_grad():
            for tensor, before in kept:
                tensor.copy_(before)
        suffix.train(was_training)
        restore_random_state(random, task.device.device)

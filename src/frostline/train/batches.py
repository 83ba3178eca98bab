"""Batches for the loop: which pictures, in which order, from where.

The order is a pure function of (seed, epoch), so that a resumed run sees what an undisturbed one sees. With several
processes each takes its slice of every batch, and the slices together are exactly the batch of one process.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frostline.data.manifest import Row
from frostline.data.views import View

IN_MEMORY = 2 << 30  # bytes of stored activations a view that are held as one tensor; more are read batch by batch


@dataclass(frozen=True, slots=True)
class Batch:
    """One process's slice of a batch.

    x: activations (n, ...) float, or pictures (n, H, W, 3) uint8. y: targets, (n,) int64 or (n, K) float32.
    share: n * processes / N, where N is the whole batch: what the slice's mean loss counts in the mean over processes.
    pictures: N.
    """

    x: Tensor
    y: Tensor
    share: float
    pictures: int


@dataclass(frozen=True)
class Order:
    """Who comes when.

    balanced_over: class indices (N,); pictures are then drawn with replacement so that every class comes equally often.
    rank, processes: this process takes slice `rank` of `processes` of every batch.
    """

    pictures: int
    batch_size: int
    seed: int
    balanced_over: Tensor | None = None
    rank: int = 0
    processes: int = 1

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return len(self._bounds())

    def epoch(self, epoch: int, *, after: int = 0) -> Iterator[tuple[Tensor, float, int]]:
        """(indices of this process, share, pictures) for each batch from number `after` on."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        if self.balanced_over is None:
            order = torch.randperm(self.pictures, generator=generator)
        else:
            frequency = torch.bincount(self.balanced_over)[self.balanced_over]
            order = torch.multinomial(1.0 / frequency.double(), self.pictures, replacement=True, generator=generator)
        for start, stop in self._bounds()[after:]:
            whole = order[start:stop]
            mine = whole.tensor_split(self.processes)[self.rank]
            yield mine, len(mine) * self.processes / len(whole), len(whole)

    def _bounds(self) -> list[tuple[int, int]]:
        starts = list(range(0, self.pictures, self.batch_size))
        # A batch that leaves a process one picture or none cannot be batch-normalised: it joins the one before.
        if len(starts) > 1 and self.pictures - starts[-1] < 2 * self.processes:
            starts.pop()
        return list(zip(starts, [*starts[1:], self.pictures], strict=True))


class Rows(Protocol):
    """A training set as the loop sees it."""

    order: Order

    def epoch(self, epoch: int, *, after: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number `after` on."""
        ...


@dataclass(frozen=True)
class Stored:
    """Activations or pictures from the store: `read[v](indices)` gives view v; epoch e reads view e mod V."""

    order: Order
    read: Sequence[Callable[[NDArray[np.int64]], NDArray[np.generic]]]
    targets: Tensor

    def epoch(self, epoch: int, *, after: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number `after` on."""
        read = self.read[epoch % len(self.read)]
        for indices, share, pictures in self.order.epoch(epoch, after=after):
            yield Batch(torch.from_numpy(read(indices.numpy())), self.targets[indices], share, pictures)


@dataclass(frozen=True)
class Fresh:
    """Views made anew in every epoch, by threads, a few batches ahead; nothing is stored."""

    order: Order
    rows: Sequence[Row]
    view: Callable[[int], View]
    targets: Tensor
    threads: int = 2
    ahead: int = 2

    def epoch(self, epoch: int, *, after: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from number `after` on."""
        view = self.view(epoch)

        def picture(index: int) -> NDArray[np.uint8]:
            row = self.rows[index]
            return view(row.picture, row.digest)

        with ThreadPoolExecutor(self.threads) as pool:
            waiting: deque[tuple[Tensor, float, int, list[object]]] = deque()
            for indices, share, pictures in self.order.epoch(epoch, after=after):
                waiting.append((indices, share, pictures, [pool.submit(picture, int(i)) for i in indices]))
                if len(waiting) > self.ahead:
                    yield self._ready(*waiting.popleft())
            while waiting:
                yield self._ready(*waiting.popleft())

    def _ready(self, indices: Tensor, share: float, pictures: int, made: list) -> Batch:  # type: ignore[type-arg]
        x = np.stack([future.result() for future in made]) if made else np.zeros((0, 1, 1, 3), np.uint8)
        return Batch(torch.from_numpy(x), self.targets[indices], share, pictures)


def in_memory(
    read: Callable[[NDArray[np.int64]], NDArray[np.generic]], pictures: int
) -> Callable[[NDArray[np.int64]], NDArray[np.generic]]:
    """The same reader over one array in memory, if all of it is small enough; else the reader itself."""
    if not pictures:
        return read
    one = read(np.arange(1))
    if one.nbytes * pictures > IN_MEMORY:
        return read
    everything = read(np.arange(pictures))
    return lambda indices: everything[indices]

"""Batches for the loop: which pictures, in which order, from where.

The order is a pure function of (seed, epoch), so that a resumed run sees what an undisturbed one sees. With several
processes each takes its slice of every batch, and the slices together are exactly the batch of one process.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frostline.data.decode_ahead import FEW, DecodeAhead, Seen
from frostline.data.manifest import Row
from frostline.data.views import View
from frostline.errors import DecodeError, PlanError
from frostline.processors import processors
from frostline.train.loss import one_label

IN_MEMORY = 1 << 29  # bytes of stored activations a view that are held as one tensor; more are read batch by batch


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
    even: batches of about that size that differ by one picture at most, in place of whole ones and a rest.

    Raises: PlanError: a batch leaves a process without a picture, or several labels a picture are to be balanced.
    """

    pictures: int
    batch_size: int
    seed: int
    balanced_over: Tensor | None = None
    rank: int = 0
    processes: int = 1
    even: bool = False

    def __post_init__(self) -> None:
        if min(self.pictures, self.batch_size) < self.processes:
            raise PlanError(
                f"a batch of {min(self.pictures, self.batch_size)} cannot be shared by {self.processes} processes",
                where="--batch-size",
                hint=f"give {self.processes} or more pictures a batch, or start fewer processes",
            )
        if self.balanced_over is not None:
            one_label(self.balanced_over)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Pictures in each batch of an epoch."""
        if self.even:
            steps = max(1, round(self.pictures / self.batch_size))
            if self.pictures // steps < 2 * self.processes:
                steps = max(1, self.pictures // self.batch_size)
            least, more = divmod(self.pictures, steps)
            return (least + 1,) * more + (least,) * (steps - more)
        sizes = [self.batch_size] * (self.pictures // self.batch_size)
        rest = self.pictures - sum(sizes)
        # A batch that leaves a process one picture or none cannot be batch-normalised: it joins the one before.
        if sizes and rest < 2 * self.processes:
            sizes[-1] += rest
        elif rest:
            sizes.append(rest)
        return tuple(sizes)

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return len(self.sizes)

    def epoch(self, epoch: int, *, after: int = 0) -> Iterator[tuple[Tensor, float, int]]:
        """(indices of this process, share, pictures) for each batch from number `after` on; shares as in `Batch`."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % (1 << 63))
        if self.balanced_over is None:
            order = torch.randperm(self.pictures, generator=generator)
        else:
            frequency = torch.bincount(self.balanced_over)[self.balanced_over]
            order = torch.multinomial(1.0 / frequency.double(), self.pictures, replacement=True, generator=generator)
        for whole in torch.split(order, list(self.sizes))[after:]:
            mine = whole.tensor_split(self.processes)[self.rank]
            yield mine, len(mine) * self.processes / len(whole), len(whole)


class Rows(Protocol):
    """A training set as the loop sees it."""

    @property
    def order(self) -> Order:
        """Who comes when."""
        ...

    @property
    def prefetched(self) -> int:
        """Batches that may be ready, by processes of their own, before the first is asked for."""
        ...

    def epoch(self, epoch: int, *, after: int = 0) -> Generator[Batch]:
        """The batches of an epoch from number `after` on."""
        ...


@dataclass(frozen=True)
class Stored:
    """Activations or pictures from the store: `read[v](indices)` gives view v; epoch e reads view e mod V."""

    order: Order
    read: Sequence[Callable[[NDArray[np.int64]], NDArray[np.generic]]]
    targets: Tensor
    prefetched: int = 0

    def epoch(self, epoch: int, *, after: int = 0) -> Generator[Batch]:
        """The batches of an epoch from number `after` on."""
        read = self.read[epoch % len(self.read)]
        for indices, share, pictures in self.order.epoch(epoch, after=after):
            yield Batch(torch.from_numpy(read(indices.numpy())), self.targets[indices], share, pictures)


@dataclass(frozen=True)
class Fresh:
    """Views made anew in every epoch, a few batches ahead; nothing is stored.

    view: the view of an epoch. threads: that make them, where `DecodeAhead` does not by processes.
    ahead: batches that are made while the loop is busy with one.
    """

    order: Order
    rows: Sequence[Row]
    view: Callable[[int], View]
    targets: Tensor
    threads: int = field(default_factory=processors)
    ahead: int = 2
    in_processes: bool = False

    @property
    def prefetched(self) -> int:
        """See `Rows`."""
        return min(self.ahead, self.order.steps) if self.in_processes else 0

    def epoch(self, epoch: int, *, after: int = 0) -> Generator[Batch]:
        """The batches of an epoch from number `after` on."""
        waiting: deque[tuple[Tensor, float, int, Callable[[], list[Seen]]]] = deque()
        in_processes = self.in_processes and len(self.rows) > FEW

        def ready() -> Batch:
            indices, share, pictures, decoded = waiting.popleft()
            return Batch(torch.from_numpy(np.stack(_whole(decoded()))), self.targets[indices], share, pictures)

        with DecodeAhead(self.view(epoch), self.threads) as decoders:
            for indices, share, pictures in self.order.epoch(epoch, after=after):
                rows = [self.rows[index] for index in indices.tolist()]
                waiting.append((indices, share, pictures, decoders.submit(rows, in_processes=in_processes)))
                if len(waiting) > self.ahead:
                    yield ready()
            while waiting:
                yield ready()


def _whole(decoded: list[Seen]) -> list[NDArray[np.uint8]]:
    """All pictures; the first that is none is raised."""
    for seen in decoded:
        if isinstance(seen, DecodeError):
            raise seen
    return cast(list[NDArray[np.uint8]], decoded)


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

"""Who comes when, and from where."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from frostline.data.manifest import Row
from frostline.data.views import Augment, Preprocessing, TrainingView
from frostline.errors import DecodeError, PlanError
from frostline.train import loader
from frostline.train.loader import Fresh, Order, Stored, in_memory


def indices(order: Order, epoch: int = 0, after: int = 0) -> list[list[int]]:
    return [mine.tolist() for mine, _, _ in order.epoch(epoch, after=after)]


def whole_epoch(order: Order, epoch: int = 0) -> list[int]:
    return [i for batch in indices(order, epoch) for i in batch]


def test_an_epoch_is_a_permutation() -> None:
    assert sorted(whole_epoch(Order(37, 8, seed=0))) == list(range(37))


def test_the_order_is_a_pure_function_of_seed_and_epoch() -> None:
    torch.manual_seed(0)
    one = indices(Order(40, 8, seed=5), epoch=3)
    torch.manual_seed(99)
    order = Order(40, 8, seed=5)
    assert indices(order, epoch=2) != one
    assert indices(order, epoch=3) == one
    assert indices(Order(40, 8, seed=6), epoch=3) != one


@pytest.mark.parametrize("seed", [-1, 2**62, 2**70])
def test_any_seed_will_do(seed: int) -> None:
    assert sorted(whole_epoch(Order(9, 4, seed=seed))) == list(range(9))


def test_resume_in_the_middle_of_an_epoch() -> None:
    order = Order(37, 8, seed=1)
    assert indices(order, epoch=2, after=3) == indices(order, epoch=2)[3:]


@pytest.mark.parametrize(
    ("pictures", "processes", "sizes"),
    [
        (32, 1, (8, 8, 8, 8)),
        (33, 1, (8, 8, 8, 9)),  # one picture alone cannot be batch-normalised
        (34, 1, (8, 8, 8, 8, 2)),
        (35, 2, (8, 8, 8, 11)),
        (36, 2, (8, 8, 8, 8, 4)),
        (5, 1, (5,)),
        (1, 1, (1,)),
    ],
)
def test_a_last_batch_too_small_joins_the_one_before(pictures: int, processes: int, sizes: tuple[int, ...]) -> None:
    order = Order(pictures, 8, seed=0, processes=processes)
    assert order.sizes == sizes
    assert order.steps == len(sizes)
    assert [whole for _, _, whole in order.epoch(0)] == list(sizes)


@pytest.mark.parametrize("pictures", [1, 5, 16, 23, 24, 25, 99, 100, 150, 1000])
@pytest.mark.parametrize("processes", [1, 2, 3])
def test_even_batches_are_of_about_the_size_asked_for_and_one_apart(pictures: int, processes: int) -> None:
    if pictures < processes:
        return
    order = Order(pictures, 16, seed=0, processes=processes, even=True)
    assert sorted(order.sizes, reverse=True) == [len(part) for part in np.array_split(np.arange(pictures), order.steps)]
    assert min(order.sizes) >= min(pictures, 11)
    assert max(order.sizes) < 24
    assert sorted(whole_epoch(Order(pictures, 16, seed=0, even=True))) == list(range(pictures))


def test_even_batches_leave_every_process_a_picture() -> None:
    assert Order(3, 2, seed=0, processes=2, even=True).sizes == (3,)
    assert Order(4, 1, seed=0, even=True).sizes == (1, 1, 1, 1)


@pytest.mark.parametrize("processes", [2, 3])
def test_slices_of_several_processes_are_the_batch_of_one(processes: int) -> None:
    whole = Order(47, 10, seed=2, processes=processes)
    slices = [list(Order(47, 10, seed=2, rank=rank, processes=processes).epoch(1)) for rank in range(processes)]
    # The joining rule depends on the number of processes, the order of pictures does not.
    assert whole_epoch(Order(47, 10, seed=2), 1) == [
        i for batch in zip(*slices, strict=True) for s in batch for i in s[0].tolist()
    ]
    for batch, size in zip(zip(*slices, strict=True), whole.sizes, strict=True):
        assert sum(len(mine) for mine, _, _ in batch) == size
        assert np.mean([share for _, share, _ in batch]) == pytest.approx(1.0)
        assert all(share == pytest.approx(len(mine) * processes / size) for mine, share, _ in batch)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(PlanError, match="a batch of 2 cannot be shared by 4 processes"):
        Order(100, 2, seed=0, processes=4)
    with pytest.raises(PlanError, match="a batch of 0"):
        Order(0, 8, seed=0)


def test_balanced_sampling_draws_classes_equally_often() -> None:
    targets = torch.tensor([0] * 900 + [1] * 90 + [2] * 10)
    seen = targets[torch.tensor(whole_epoch(Order(1000, 50, seed=0, balanced_over=targets)))]
    counts = torch.bincount(seen)
    assert counts.sum() == 1000
    assert counts.min() > 280  # 3.6 standard deviations below 333
    with pytest.raises(PlanError, match="one label"):
        Order(4, 2, seed=0, balanced_over=torch.ones(4, 3))


def test_stored_reads_view_e_mod_v() -> None:
    targets = torch.arange(10)

    def view(number: int):  # type: ignore[no-untyped-def]
        return lambda indices: (indices * 100 + number).astype(np.float32)[:, None]

    rows = Stored(Order(10, 4, seed=0), [view(0), view(1), view(2)], targets)
    for epoch in range(5):
        for batch in rows.epoch(epoch):
            assert torch.equal(batch.x[:, 0], batch.y * 100.0 + epoch % 3)
    assert [batch.pictures for batch in rows.epoch(0, after=1)] == [4, 2]


@pytest.fixture
def pictures() -> list[Row]:
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (12, 15, 3), dtype=np.uint8) for _ in range(11)]
    return [Row(array, labels=("a",), digest=f"{i:032x}") for i, array in enumerate(arrays)]


def test_fresh_views_are_the_stored_ones(pictures: list[Row]) -> None:
    preprocessing, augment = Preprocessing(size=(8, 8)), Augment()
    order, targets = Order(11, 4, seed=3), torch.arange(11)

    def view(epoch: int) -> TrainingView:
        return TrainingView(preprocessing, augment, epoch, seed=7)

    def stored(number: int):  # type: ignore[no-untyped-def]
        made = np.stack([view(number)(row.picture, row.digest) for row in pictures])
        return lambda indices: made[indices]

    fresh = Fresh(order, pictures, view, targets, threads=3, ahead=1)
    kept = Stored(order, [stored(0), stored(1)], targets)
    for epoch in range(2):
        pairs = list(zip(fresh.epoch(epoch), kept.epoch(epoch), strict=True))
        assert len(pairs) == 3
        for one, two in pairs:
            assert torch.equal(one.x, two.x)
            assert torch.equal(one.y, two.y)
            assert (one.share, one.pictures) == (two.share, two.pictures)
    resumed = [batch.x for batch in fresh.epoch(1, after=1)]
    assert all(torch.equal(a, b.x) for a, b in zip(resumed, list(fresh.epoch(1))[1:], strict=True))
    later = next(iter(fresh.epoch(2)))
    assert not any(torch.equal(later.x, batch.x) for epoch in range(2) for batch in fresh.epoch(epoch))


def test_fresh_says_which_picture_cannot_be_decoded(pictures: list[Row], tmp_path: Path) -> None:
    class Broken:
        key = "broken"

        def __call__(self, picture: object, digest: str) -> NDArray[np.uint8]:
            raise DecodeError("truncated", where="bees/0.jpg")

    with pytest.raises(DecodeError, match=r"bees/0\.jpg"):
        list(Fresh(Order(11, 4, seed=0), pictures, lambda _: Broken(), torch.arange(11)).epoch(0))


def test_in_memory_reads_once_if_all_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def read(indices: NDArray[np.int64]) -> NDArray[np.float32]:
        calls.append(len(indices))
        return indices.astype(np.float32)[:, None]

    held = in_memory(read, 10)
    assert calls == [1, 10]
    assert held(np.array([3, 1])).tolist() == [[3], [1]]
    assert calls == [1, 10]
    monkeypatch.setattr(loader, "IN_MEMORY", 39)
    assert in_memory(read, 10) is read

import asyncio
import threading
from contextlib import suppress

import numpy as np
import pytest

from frostline.errors import CheckpointError, DecodeError
from frostline.ship.serve import engines
from frostline.ship.serve.batcher import Batcher
from frostline.ship.serve.engines import Found
from frostline.ship.serve.quota import Quota, Refused
from tests.ship.conftest import saved


def view(picture, digest):
    """A picture of one pixel: the number that its bytes spell."""
    if picture == b"broken":
        raise DecodeError("broken")
    if picture == b"bug":
        raise ZeroDivisionError
    return np.full((1, 1, 3), int(picture), np.uint8)


def double(pixels):
    return [Found(2 * row) for row in pixels[:, 0, 0, :1].astype(np.float32)]


def batcher(engine=double, *, crowd=1, room=100, batch=4, observe=lambda _: None):
    return Batcher(
        view, engine, [engine] * crowd, room=Quota(room, "pictures"), threads=2, batch=batch, observe=observe
    )


def values(answers):
    return [float(answer.logits[0]) if isinstance(answer, Found) else answer.what for answer in answers]


def test_answers_come_in_the_order_of_each_request_and_faults_in_their_place():
    async def ask():
        shared = batcher()
        found = await asyncio.gather(*(shared.answer([b"%d" % i, b"broken", b"%d" % (i + 1)]) for i in range(20)))
        shared.close()
        return found

    for i, answers in enumerate(asyncio.run(ask())):
        assert values(answers) == [2 * i, "broken", 2 * i + 2]


def test_what_waits_while_the_engine_works_is_one_batch_of_bounded_size():
    begun, go, sizes = threading.Event(), threading.Event(), []

    def slow(pixels):
        begun.set()
        go.wait(10)
        return double(pixels)

    async def ask():
        shared = batcher(slow, observe=sizes.append)
        waiting = [asyncio.create_task(shared.answer([b"0"]))]
        while not begun.is_set():
            await asyncio.sleep(0.001)
        waiting += [asyncio.create_task(shared.answer([b"%d" % i])) for i in range(1, 10)]
        while shared._ready.qsize() < 9:
            await asyncio.sleep(0.001)
        go.set()
        found = await asyncio.gather(*waiting)
        shared.close()
        return [value for answers in found for value in values(answers)]

    assert asyncio.run(ask()) == [2.0 * i for i in range(10)]
    assert sum(sizes) == 10
    assert sizes[0] == 1
    assert sizes[1:] == [4, 4, 1]


def test_a_small_picture_does_not_wait_until_giants_are_decoded():
    go, small = threading.Event(), 7

    def slow(picture, digest):
        if int(picture) != small:
            go.wait(10)
        return view(picture, digest)

    async def ask():
        shared = Batcher(slow, double, [double], room=Quota(100, "pictures"), threads=2)
        giants = asyncio.create_task(shared.answer([b"1", b"2", b"3"], [50_000_000] * 3))
        await asyncio.sleep(0.05)
        found = await asyncio.wait_for(shared.answer([b"%d" % small], [10_000]), 5)
        waits = not giants.done()
        go.set()
        found = values(found) + values(await giants)
        shared.close()
        return waits, found

    assert asyncio.run(ask()) == (True, [14, 2, 4, 6])


def test_past_the_queue_is_refused_at_once_and_room_comes_back():
    go = threading.Event()

    def slow(pixels):
        go.wait(10)
        return double(pixels)

    async def ask():
        shared = batcher(slow, room=3)
        first = asyncio.create_task(shared.answer([b"1", b"2"]))
        await asyncio.sleep(0)
        with pytest.raises(Refused) as refused:
            await shared.answer([b"3", b"4"])
        third = asyncio.create_task(shared.answer([b"5"]))
        await asyncio.sleep(0)
        go.set()
        found = await asyncio.gather(first, third)
        found.append(await shared.answer([b"6", b"7", b"8"]))
        shared.close()
        return refused.value.status, [values(answers) for answers in found]

    assert asyncio.run(ask()) == (429, [[2, 4], [10], [12, 14, 16]])


def test_close_answers_what_was_accepted():
    async def ask():
        shared = batcher()
        waiting = [asyncio.create_task(shared.answer([b"%d" % i])) for i in range(30)]
        await asyncio.sleep(0)
        await asyncio.to_thread(shared.close)
        return [values(await task) for task in waiting]

    assert asyncio.run(ask()) == [[2 * i] for i in range(30)]


def test_a_fault_of_ours_fails_its_own_request_and_the_next_is_answered():
    def fragile(pixels):
        if 13 in pixels:
            raise RuntimeError("engine")
        return double(pixels)

    async def ask():
        shared = batcher(fragile)
        for picture, kind in ((b"13", RuntimeError), (b"bug", ZeroDivisionError)):
            with pytest.raises(kind):
                await shared.answer([picture])
        found = values(await shared.answer([b"4"]))
        shared.close()
        return found

    assert asyncio.run(ask()) == [8]


def test_who_stops_waiting_leaves_no_room_taken():
    async def ask():
        shared = batcher(room=2)
        for _ in range(5):
            gone = asyncio.create_task(shared.answer([b"1", b"2"]))
            await asyncio.sleep(0)
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone
        found = values(await shared.answer([b"3", b"4"]))
        shared.close()
        return found

    assert asyncio.run(ask()) == [6, 8]


def test_a_crowd_answers_at_the_same_time_and_each_request_in_its_order():
    together = threading.Barrier(3, timeout=10)

    def own(pixels):
        together.wait()  # passes only when three are in here at once
        return double(pixels)

    async def ask():
        shared = Batcher(view, double, [own] * 3, room=Quota(100, "pictures"), threads=2, batch=1)
        with shared._counted:
            shared._busy += 1  # so that nobody is alone
        found = await asyncio.gather(*(shared.answer([b"%d" % i for i in range(3)]) for _ in range(4)))
        shared.close()
        return [values(answers) for answers in found]

    assert asyncio.run(ask()) == [[0, 2, 4]] * 4


def test_a_lone_picture_gets_the_engine_that_has_the_whole_processor():
    def never(_):
        raise AssertionError

    async def ask():
        shared = Batcher(view, double, [never] * 2, room=Quota(100, "pictures"), threads=2)
        found = [values(await shared.answer([b"%d" % i])) for i in range(5)]
        shared.close()
        return found

    assert asyncio.run(ask()) == [[0], [2], [4], [6], [8]]


def test_a_folder_that_is_replaced_while_it_is_opened_is_not_two_models(tmp_path, monkeypatch):
    opened = engines.open_predictor

    def replacing(folder, **how):
        found = opened(folder, **how)
        saved(folder, seed=1)
        return found

    place, _ = saved(tmp_path / "model", seed=0)
    monkeypatch.setattr(engines, "open_predictor", replacing)
    with pytest.raises(CheckpointError, match="holds another model now"):
        engines.opened(place, engine="openvino", cores=2)

"""Pictures of many requests, answered together: decoded in a few threads, given to the engine in batches by one.

A batch is whatever has been decoded by the time an engine is free. So nobody waits for company: a lone picture gets an
engine that uses the whole processor; when more wait, several engines share it, a batch each, none waiting for another.
Nothing here runs on the event loop but counting.
"""

import asyncio
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from frostline.data.views import View
from frostline.errors import DecodeError
from frostline.ship.predictor import BATCH
from frostline.ship.serve.engines import Engine, Found
from frostline.ship.serve.quota import Quota
from frostline.ship.serve.shares import Shares

_EACH = 100_000
"""What a picture costs beside its pixels, in pixels."""

SMALL = 4_000_000
"""For pictures up to this cost there is one decoder more, so that none of them waits until a giant is decoded."""

_Answer: TypeAlias = Found | DecodeError
_Waiting: TypeAlias = tuple[NDArray[np.uint8], "asyncio.Future[_Answer]"]


class Batcher:
    """Engines that many requests share. It belongs to the event loop that it was made in.

    alone: answers when nobody else is being answered. crowd: answer at the same time, each in a thread of its own.
    room: of the pictures that are accepted and not answered yet.
    threads: that decode, and one more for small pictures.
    observe: is told the size of each batch, in the engine's thread.
    """

    def __init__(
        self,
        view: View,
        alone: Engine,
        crowd: Sequence[Engine],
        *,
        room: Quota,
        threads: int,
        batch: int = BATCH,
        observe: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._view, self._alone, self._room, self._batch, self._observe = view, alone, room, batch, observe
        self._loop = asyncio.get_running_loop()
        self._encoded: Shares[tuple[bytes, asyncio.Future[_Answer]]] = Shares()
        self._moved = time.monotonic()
        self._decoders = [
            threading.Thread(target=self._decoding, args=(most,), name="decode", daemon=True)
            for most in (*[math.inf] * threads, SMALL)
        ]
        self._ready: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._counted, self._busy = threading.Lock(), 0
        self._threads = [threading.Thread(target=self._run, args=(e,), name="engine", daemon=True) for e in crowd]
        for thread in (*self._decoders, *self._threads):
            thread.start()

    def idle_seconds(self) -> float:
        """How long nothing has come of the pictures that wait; 0 where none do."""
        return time.monotonic() - self._moved if self._room.taken else 0.0

    async def answer(self, pictures: Sequence[bytes], costs: Sequence[int] = ()) -> list[_Answer]:
        """What the engine makes of each picture, or why it cannot be decoded, in their order. Many requests' pictures
        are decoded in turns; a call that is cancelled (its client has gone) costs no more than what is being decoded.

        costs: pixels of each picture, by which requests share the decoders.

        Raises: Refused: there is no room for so many (429).
        """
        with self._room.guest() as place:
            if not self._room.taken:
                self._moved = time.monotonic()
            place.take(len(pictures))
            futures: list[asyncio.Future[_Answer]] = [self._loop.create_future() for _ in pictures]
            self._encoded.give(list(zip(pictures, futures, strict=True)), [_EACH + cost for cost in costs])
            return await asyncio.gather(*futures)

    def close(self) -> None:
        """Answer what was accepted, then end the threads."""
        self._encoded.close()
        for thread in self._decoders:
            thread.join()
        self._ready.put(None)
        for thread in self._threads:
            thread.join()

    def _decoding(self, most: float) -> None:
        while (piece := self._encoded.take(most)) is not None:
            self._decode(*piece)
            self._moved = time.monotonic()

    def _decode(self, picture: bytes, future: "asyncio.Future[_Answer]") -> None:
        if future.cancelled():
            return
        try:
            self._ready.put((self._view(picture, ""), future))
        except DecodeError as error:
            self._loop.call_soon_threadsafe(_settle, [future], [error])
        except Exception as error:
            self._loop.call_soon_threadsafe(_fail, [future], error)

    def _run(self, own: Engine) -> None:
        while (first := self._ready.get()) is not None:
            waiting = [first]
            with suppress(queue.Empty):
                while len(waiting) < self._batch:
                    if (another := self._ready.get_nowait()) is None:
                        self._ready.put(None)
                        break
                    waiting.append(another)
            waiting = [(pixels, future) for pixels, future in waiting if not future.cancelled()]
            if not waiting:
                continue
            futures = [future for _, future in waiting]
            try:
                self._observe(len(waiting))
                seen = self._asked(np.stack([pixels for pixels, _ in waiting]), own)
            except Exception as error:
                self._loop.call_soon_threadsafe(_fail, futures, error)
            else:
                self._loop.call_soon_threadsafe(_settle, futures, seen)
            self._moved = time.monotonic()
        self._ready.put(None)  # for the next thread

    def _asked(self, pixels: NDArray[np.uint8], own: Engine) -> Sequence[_Answer]:
        with self._counted:
            self._busy += 1
            lone = self._busy == 1 and len(pixels) == 1
        try:
            return self._alone(pixels) if lone else own(pixels)
        finally:
            with self._counted:
                self._busy -= 1


def _settle(futures: "Sequence[asyncio.Future[_Answer]]", answers: Sequence[_Answer]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if not future.done():
            future.set_result(answer)


def _fail(futures: "Sequence[asyncio.Future[_Answer]]", error: Exception) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)

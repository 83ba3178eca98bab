"""Pictures of many requests, answered together: decoded in a few threads, given to the engine in batches by one.

A batch is whatever has been decoded by the time the engine is free. So nobody waits for company: one client is answered
as fast as the engine can, and 64 at once fill its batches. Nothing here runs on the event loop but counting.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from frostline.data.views import View
from frostline.errors import DecodeError
from frostline.ship.serve.engine import Engine, Seen
from frostline.ship.serve.limits import Room
from frostline.ship.stream import BATCH

_Answer: TypeAlias = Seen | DecodeError
_Waiting: TypeAlias = tuple[NDArray[np.uint8], "asyncio.Future[_Answer]"]


class Batcher:
    """An engine that many requests share. It belongs to the event loop that it was made in.

    room: of the pictures that are accepted and not answered yet.
    threads: that decode.
    observe: is told the size of each batch, in the engine's thread.
    """

    def __init__(
        self,
        view: View,
        engine: Engine,
        *,
        room: Room,
        threads: int,
        batch: int = BATCH,
        observe: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._view, self._engine, self._room, self._batch, self._observe = view, engine, room, batch, observe
        self._loop = asyncio.get_running_loop()
        self._decoders = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._ready: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()

    async def answer(self, pictures: Sequence[bytes]) -> list[_Answer]:
        """What the engine makes of each picture, or why it cannot be decoded, in their order.

        Raises: Refused: there is no room for so many (429).
        """
        with self._room.guest() as place:
            place.take(len(pictures))
            futures: list[asyncio.Future[_Answer]] = [self._loop.create_future() for _ in pictures]
            for picture, future in zip(pictures, futures, strict=True):
                self._decoders.submit(self._decode, picture, future)
            return await asyncio.gather(*futures)

    def close(self) -> None:
        """Answer what was accepted, then end the threads."""
        self._decoders.shutdown()
        self._ready.put(None)
        self._thread.join()

    def _decode(self, picture: bytes, future: "asyncio.Future[_Answer]") -> None:
        if future.cancelled():
            return
        try:
            self._ready.put((self._view(picture, ""), future))
        except DecodeError as error:
            self._loop.call_soon_threadsafe(_settle, [future], [error])
        except Exception as error:
            self._loop.call_soon_threadsafe(_fail, [future], error)

    def _run(self) -> None:
        while (first := self._ready.get()) is not None:
            waiting = [first]
            while len(waiting) < self._batch and not self._ready.empty():  # nobody else takes from it
                if (another := self._ready.get()) is None:
                    self._ready.put(None)
                    break
                waiting.append(another)
            futures = [future for _, future in waiting]
            try:
                self._observe(len(waiting))
                seen = self._engine(np.stack([pixels for pixels, _ in waiting]))
            except Exception as error:
                self._loop.call_soon_threadsafe(_fail, futures, error)
            else:
                self._loop.call_soon_threadsafe(_settle, futures, seen)


def _settle(futures: "Sequence[asyncio.Future[_Answer]]", answers: Sequence[_Answer]) -> None:
    for future, answer in zip(futures, answers, strict=True):
        if not future.done():
            future.set_result(answer)


def _fail(futures: "Sequence[asyncio.Future[_Answer]]", error: Exception) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)

"""Pictures at URLs for a worker that goes through many: some are fetched ahead, and none is kept."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from frostline.data.places.remote import as_picture, content

AHEAD = 16
"""Pictures that are fetched at a time: an object store answers after some 50 ms, whoever else is asking."""


class FetchAhead:
    """The encoded pictures of URLs, by number; they are asked for in about their order, each once.

    Raises (``[]``): DecodeError: as `Remote` of `data.remote`.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = urls
        self._waiting: dict[int, Future[bytes]] = {}
        self._next = 0
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(AHEAD, thread_name_prefix="fetch")

    def __getitem__(self, index: int, /) -> bytes:
        with self._lock:
            for number in range(self._next, min(len(self._urls), index + AHEAD)):
                self._waiting[number] = self._pool.submit(content, self._urls[number])
                self._next = number + 1
            found = self._waiting.pop(index, None)
        with as_picture():
            return content(self._urls[index]) if found is None else found.result()

"""Work of many requests, shared out fairly by what each piece costs: nobody waits for all of another's.

A request of 64 giant pictures and one of a single small picture get equal shares of pixels, and not of turns: the small
one goes first. Self-clocked fair queueing (Golestani 1994).
"""

import threading
from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")


class Shares(Generic[T]):
    """Any thread may give and take."""

    def __init__(self) -> None:
        self._turns: list[tuple[int, int, deque[tuple[T, int]]]] = []
        self._order = count()
        self._now = 0
        self._changed = threading.Condition()
        self._closed = False

    def give(self, pieces: Sequence[T], costs: Sequence[int] = ()) -> None:
        """Add a request's pieces, which are taken in their order. costs: above 0, of each; all alike without."""
        own = deque(zip(pieces, costs or [1] * len(pieces), strict=True))
        if own:
            with self._changed:
                self._queue(self._now, own)
                self._changed.notify(len(own))

    def take(self) -> T | None:
        """The next piece of whose turn it is; waits for one, and gives None once all is taken and it is closed."""
        with self._changed:
            while not self._turns:
                if self._closed:
                    return None
                self._changed.wait()
            self._now, _, own = heappop(self._turns)
            piece, _ = own.popleft()
            if own:
                self._queue(self._now, own)
            return piece

    def _queue(self, since: int, own: deque[tuple[T, int]]) -> None:
        heappush(self._turns, (since + own[0][1], next(self._order), own))

    def close(self) -> None:
        """No more will be given."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

"""Work of many requests, shared out fairly by what each piece costs: nobody waits for all of another's.

A request of 64 giant pictures and one of a single small picture get equal shares of pixels, and not of turns: the small
one goes first. Who takes only small pieces never waits for a giant at all. Self-clocked fair queueing (Golestani 1994).
"""

import math
import threading
from collections import deque
from collections.abc import Sequence
from itertools import count
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
_Turn: TypeAlias = tuple[int, int, deque[tuple[T, int]]]


class Shares(Generic[T]):
    """Any thread may give and take."""

    def __init__(self) -> None:
        self._turns: list[_Turn[T]] = []
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
                self._changed.notify_all()

    def take(self, most: float = math.inf) -> T | None:
        """The next piece of whose turn it is; waits for one, and gives None once all is taken and it is closed.

        most: a piece that costs more is left to others.
        """
        with self._changed:
            while (turn := self._first(most)) is None:
                if self._closed:
                    return None
                self._changed.wait()
            self._turns.remove(turn)
            since, _, own = turn
            self._now = max(self._now, since)
            piece, _ = own.popleft()
            if own:
                self._queue(since, own)
                self._changed.notify_all()  # the next one may be for another who waits
            return piece

    def _first(self, most: float) -> _Turn[T] | None:
        return min((turn for turn in self._turns if turn[2][0][1] <= most), default=None)

    def _queue(self, since: int, own: deque[tuple[T, int]]) -> None:
        self._turns.append((since + own[0][1], next(self._order), own))

    def close(self) -> None:
        """No more will be given."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

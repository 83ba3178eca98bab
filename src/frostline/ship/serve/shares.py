"""Work of many requests, taken in turns: one piece of each, round and round, so that nobody waits for all of another's.

A request of 64 giant pictures and one of a single small picture get a turn each.
"""

import threading
from collections import deque
from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shares(Generic[T]):
    """Any thread may give and take."""

    def __init__(self) -> None:
        self._turns: deque[deque[T]] = deque()
        self._changed = threading.Condition()
        self._closed = False

    def give(self, pieces: Iterable[T]) -> None:
        """Add a request's pieces, which are taken in their order."""
        own = deque(pieces)
        if own:
            with self._changed:
                self._turns.append(own)
                self._changed.notify(len(own))

    def take(self) -> T | None:
        """The next piece of whose turn it is; waits for one, and gives None once all is taken and it is closed."""
        with self._changed:
            while not self._turns:
                if self._closed:
                    return None
                self._changed.wait()
            own = self._turns.popleft()
            piece = own.popleft()
            if own:
                self._turns.append(own)
            return piece

    def close(self) -> None:
        """No more will be given."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

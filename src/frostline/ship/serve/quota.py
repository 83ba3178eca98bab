"""How much a client may ask for, and what it is told when it asks for more."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from frostline.errors import FrostlineError, PlanError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one client may send, and what all of them together.

    max_bytes: of one request's body.
    max_pixels: of one picture, which its header tells before anything is allocated.
    max_files: pictures of one request.
    request_pixels, queue_pixels: of all pictures of one request, and of all that are accepted and not answered yet.
    connections: of one process; past it the one that is idle longest is closed.
    hung: seconds without a sign of life after which a process that has work is ended and replaced.
    queue: pictures of all clients that are accepted and not answered yet.
    memory: bytes of all bodies that are being read or answered.
    patience: seconds that a client has for a request's head, and for its body before ``slowest`` counts.
    slowest: bytes a second that a body must come at after that.

    Raises: PlanError: a limit below 1, or one that no request could keep.
    """

    max_bytes: int = 32 << 20
    max_pixels: int = 50_000_000
    max_files: int = 64
    request_pixels: int = 1_000_000_000
    queue_pixels: int = 2_000_000_000
    connections: int = 1024
    hung: float = 60.0
    queue: int = 256
    memory: int = 512 << 20
    patience: float = 15.0
    slowest: int = 16 << 10

    def __post_init__(self) -> None:
        counts = (self.max_bytes, self.max_pixels, self.max_files, self.queue, self.slowest, self.connections)
        if min(*counts, self.request_pixels) < 1 or min(self.patience, self.hung) <= 0:
            raise PlanError("limits must be above 0", hint="see `frostline serve --help`")
        if self.queue < self.max_files:
            raise PlanError(
                f"a queue of {self.queue} pictures has no room for a request of {self.max_files}",
                hint="raise --queue, or lower --max-files",
            )
        if not self.max_pixels <= self.request_pixels <= self.queue_pixels:
            raise PlanError("a picture's pixels must fit into a request's, and those into the queue's")
        if self.memory < self.max_bytes:
            raise PlanError(f"bodies of {self.max_bytes:,} bytes do not fit into {self.memory:,}")


class Refused(FrostlineError):
    """What a client asked for is not done, and it is the client's to change. ``status`` is HTTP's word for it.

    retry: seconds after which the same request may succeed.
    """

    def __init__(self, status: int, what: str, *, hint: str | None = None, retry: int | None = None) -> None:
        super().__init__(what, hint=hint)
        self.status = status
        self.retry = retry


class Quota:
    """A count that may not pass a limit: of pictures, or of bytes. One event loop's own, so it needs no lock."""

    def __init__(self, limit: int, what: str) -> None:
        self.limit = limit
        self.taken = 0
        self._what = what

    @contextmanager
    def guest(self) -> Iterator["Reservation"]:
        """Somebody who takes room bit by bit, and leaves all of it at the end."""
        guest = Reservation(self)
        try:
            yield guest
        finally:
            self.taken -= guest.taken

    def refusal(self) -> Refused:
        """What is said to whoever finds no room."""
        return Refused(429, f"busy: {self.limit:,} {self._what} are waiting already", hint="try again soon", retry=1)


class Reservation:
    """One request's share of a ``Quota``."""

    def __init__(self, room: Quota) -> None:
        self._room = room
        self.taken = 0

    def take(self, amount: int) -> None:
        """Raises: Refused: there is no room for that much more."""
        if self._room.taken + amount > self._room.limit:
            raise self._room.refusal()
        self._room.taken += amount
        self.taken += amount

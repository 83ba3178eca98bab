"""HTTP/1.1 as uvicorn speaks it, with patience for slow heads and for clients that do not read what they asked for,
and limits on connections and on tiny pieces of a body.

It stands on uvicorn's ``H11Protocol``, whose inner names are no public interface: pyproject.toml bounds the version,
and tests/ship/serve/test_server.py sends each of the cases.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_SLOW_DOWN = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_FULL = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 1\r\nconnection: close\r\n\r\n"


_LONGEST_HEAD = 16 << 10
_TINY, _MOST_TINY = 64, 1_000  # bytes, pieces: each costs as much time as kilobytes of a large one


class _Pieces(h11.Connection):
    """Bounds what a body costs that comes in chunks of a few bytes: a megabyte of them is seconds of the event loop."""

    _tiny = 0

    def next_event(self) -> Any:
        """As h11 has it.

        Raises: h11.RemoteProtocolError: too many pieces of one request are tiny.
        """
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._tiny = 0
        elif isinstance(event, h11.Data) and event.chunk_start and len(event.data) < _TINY:
            self._tiny += 1
            if self._tiny > _MOST_TINY:
                raise h11.RemoteProtocolError("the body comes in too many tiny pieces")
        return event


class Protocol(H11Protocol):
    """A request's head must come in time, and an answer be read; past so many connections the one that has been idle,
    has not read its answer, or has asked for more before it was answered, for longest makes room."""

    patience = 15.0
    most = 1024
    _waiting: asyncio.TimerHandle | None = None
    _since = 0.0
    _ahead = False  # the request that is answered was sent before the last one had been
    _unread = 0  # bytes, when last looked at
    _looking: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.conn = _Pieces(h11.SERVER, _LONGEST_HEAD)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio has it."""
        super().connection_made(transport)  # type: ignore[arg-type]
        self._since = self.loop.time()
        if len(self.connections) > self.most and not self._made_room():
            self.transport.write(_FULL)
            self.transport.close()
            return
        self._looking = self.loop.call_later(self.patience, self._look)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """As asyncio has it."""
        self._ahead = self._ahead and not self._idle()
        super().data_received(data)
        self._since = self.loop.time()
        self._await_head()

    def on_response_complete(self) -> None:
        """As uvicorn has it."""
        self._ahead = bool(self.conn.trailing_data[0])
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio has it."""
        self._stop_waiting()
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _made_room(self) -> bool:
        others = [
            other
            for other in self.connections
            if isinstance(other, Protocol)
            and other is not self
            and (_unread(other.transport) or ((other._ahead or other._idle()) and not other.transport.is_closing()))
        ]
        if not others:
            return False
        oldest = min(others, key=lambda other: other._since)
        _end(oldest.transport)
        return True

    def _look(self) -> None:
        """End a connection whose client takes nothing of its answer: `close` would wait for it for ever."""
        before, self._unread = self._unread, _unread(self.transport)
        if before and self._unread >= before:
            self.transport.abort()
        else:
            self._looking = self.loop.call_later(self.patience, self._look)

    def _await_head(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._waiting is None and not self.transport.is_closing():
            self._waiting = self.loop.call_later(self.patience, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        if self._idle() and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self.transport.write(_SLOW_DOWN)
            self.transport.close()


def _unread(transport: asyncio.Transport) -> int:
    """Bytes of an answer that the system does not take, since its client does not."""
    return transport.get_write_buffer_size()


def _end(transport: asyncio.Transport) -> None:
    """Now, if it waits for a client that does not read."""
    if _unread(transport):
        transport.abort()
    else:
        transport.close()

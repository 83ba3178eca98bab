"""The server's processes: a socket, a model in each, and an end that loses nobody's request."""

import asyncio
import multiprocessing
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from threading import Event
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from frostline.errors import FrostlineError, PlanError
from frostline.processors import processors
from frostline.ship.model_info import located
from frostline.ship.predictor import refuse_broken
from frostline.ship.serve.app import create_app
from frostline.ship.serve.engines import opened
from frostline.ship.serve.quota import Limits

_LINGER = 1.0  # seconds in which an idle connection may still send a request that was on its way
_LAST = 60  # seconds after which a request that is still being answered at the end is given up
_SLOW_DOWN = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_CLOSE = (b"connection", b"close")


@dataclass(frozen=True, kw_only=True)
class Serving:
    """What is served, where, and to whom.

    folder: a model folder, or a run's. port: 0 is any free one. workers: processes, each with the model.
    trust: as ``folder.open_folder``.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    token: str | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = ()
    engine: str = "auto"
    precision: str = "fp32"
    trust: str | None = None
    limits: Limits = field(default_factory=Limits)


def serve(serving: Serving, *, started: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl+C, then answer what was accepted, and return.

    started: is told the address, once every worker answers.

    Raises: CheckpointError, WeightsError: the folder is damaged. PlanError: the port is taken, or there are workers
        where the system cannot share a port between them. EngineError: the engine cannot run the model.
    """
    with _bound(serving.host, serving.port, shared=serving.workers > 1) as held:
        port = held.getsockname()[1]
        address = f"http://{f'[{serving.host}]' if ':' in serving.host else serving.host}:{port}/"
        if serving.workers == 1:
            _serve(serving, held, lambda: started(address))
        else:
            _supervise(serving, port, lambda: started(address))


@contextmanager
def _bound(host: str, port: int, *, shared: bool) -> Iterator[socket.socket]:
    if shared and not hasattr(socket, "SO_REUSEPORT"):
        raise PlanError("this system cannot share a port between workers", hint="--workers 1")
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(where)
    except OSError as error:
        hint = "another --port; 0 is any free one" if port else "another --host"
        raise PlanError(f"cannot listen: {error.strerror}", where=f"{host}:{port}", hint=hint) from None
    with made:
        yield made


def _serve(serving: Serving, listening: socket.socket, started: Callable[[], None]) -> None:
    stopping = Event()
    alone, crowd = opened(
        serving.folder,
        engine=serving.engine,
        precision=serving.precision,
        cores=max(1, processors() // serving.workers),
        trust=serving.trust,
    )
    refuse_broken(alone.see, alone.about)
    app = create_app(
        alone,
        located(serving.folder),
        crowd=crowd,
        limits=serving.limits,
        hosts=serving.hosts,
        token=serving.token,
        stopping=stopping,
        trust=serving.trust,
    )
    patient = type("Patient", (_Protocol,), {"patience": serving.limits.patience})
    config = uvicorn.Config(
        app,
        http=patient,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_LAST,
    )
    _Server(config, stopping, started).run(sockets=[listening])


class _Server(uvicorn.Server):
    """uvicorn's, but for its end: connections are told that it comes, and none is closed on a request under way."""

    def __init__(self, config: uvicorn.Config, stopping: Event, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._stopping, self._tell = stopping, started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._tell()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping.set()
        await asyncio.sleep(0.05)  # in which what the system has accepted for us becomes connections
        for server in self.servers:
            server.close()
        closing = [*self.server_state.default_headers, _CLOSE]
        self.server_state.default_headers = closing
        for connection in self.server_state.connections:
            cycle = connection.cycle if isinstance(connection, H11Protocol) else None
            if cycle is not None and not cycle.response_started:
                cycle.default_headers = closing
        end = time.monotonic() + _LINGER
        while self.server_state.connections and time.monotonic() < end and not self.force_exit:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal, and leave with exit code 0: uvicorn's own would raise it again at the end."""
        stops = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in stops}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Protocol(H11Protocol):
    """uvicorn's HTTP/1.1, but for its patience: a request's head must come in time."""

    patience = 15.0
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

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
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self.transport.write(_SLOW_DOWN)
            self.transport.close()


def _supervise(serving: Serving, port: int, started: Callable[[], None]) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Semaphore(0)
    stop = Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}

    def start() -> SpawnProcess:
        process = context.Process(target=_work, args=(serving, port, ready))
        process.start()
        return process

    workers = [start() for _ in range(serving.workers)]
    answering = 0
    try:
        while not stop.is_set():
            while answering < serving.workers and ready.acquire(block=False):
                answering += 1
                if answering == serving.workers:
                    started()
            for sentinel in wait([worker.sentinel for worker in workers], timeout=0.2):
                dead = next(worker for worker in workers if worker.sentinel == sentinel)
                if stop.is_set():
                    break
                if answering < serving.workers:
                    raise PlanError("a worker ended before it answered", hint="its reason is above; try --workers 1")
                print(f"worker {dead.pid} ended with code {dead.exitcode}: another takes its place", file=sys.stderr)
                time.sleep(1.0)
                workers[workers.index(dead)] = start()
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def _work(serving: Serving, port: int, ready: Any) -> None:
    try:
        with _bound(serving.host, port, shared=True) as listening:
            _serve(serving, listening, ready.release)
    except FrostlineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)

"""A server's process: a socket, a model, and an end that loses nobody's request. Many of them: ``supervisor``."""

import asyncio
import errno
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from threading import Event
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from frostline.data.pictures.reading import AS_IT_IS
from frostline.errors import FrostlineError, PlanError
from frostline.ship.model_info import AnotherModel, identity, located, read, refuse_another
from frostline.ship.predictor import Predictor, refuse_broken
from frostline.ship.serve.app import create_app
from frostline.ship.serve.engines import opened
from frostline.ship.serve.protocol import Protocol
from frostline.ship.serve.samples import samples
from frostline.ship.serve.serving import Serving
from frostline.ship.serve.supervisor import ANOTHER_MODEL, die_with_parent, supervise
from frostline.train.cpu import malloc

_LINGER = 1.0  # seconds in which an idle connection may still send a request that was on its way
_LAST = 60  # seconds after which a request that is still being answered at the end is given up
_BACKLOG = 2048
_OTHER_FILES = 128  # that the process has open beside its connections
_CLOSE = (b"connection", b"close")


def serve(serving: Serving, *, started: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl+C, then answer what was accepted, and return.

    started: is told the address, once every worker answers.

    Raises: CheckpointError, WeightsError: the folder is damaged. PlanError: the port is taken, or a worker ends
        before it answers. EngineError: the engine cannot run the model.
    """
    serving = replace(serving, digest=identity(read(located(serving.folder))))
    with _listening(serving.host, serving.port) as held:
        port = held.getsockname()[1]
        address = f"http://{f'[{serving.host}]' if ':' in serving.host else serving.host}:{port}/"
        if serving.workers == 1:
            _serve(serving, held, partial(started, address))
        else:
            hung, ready = serving.limits.hung, partial(started, address)
            supervise(_work, (serving,), held, workers=serving.workers, hung=hung, started=ready)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """The one socket of a server, which nobody else can have: a second server on its port is told so."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        # On Windows SO_REUSEADDR would let another server in; elsewhere it only lets a port be used again at once.
        made.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR), 1)
        made.bind(where)
        made.listen(_BACKLOG)
    except OSError as error:
        taken = error.errno in (errno.EADDRINUSE, errno.EACCES)  # by another, or for another
        hint = "another --port; 0 is any free one" if port and taken else "another --host"
        raise PlanError(f"cannot listen: {error.strerror}", where=f"{host}:{port}", hint=hint) from None
    with made:
        yield made


def _in_colour(answering: Predictor) -> bool:
    """Whether a JPEG is what the model is used to."""
    wants = answering.about.preprocessing
    return bool(wants.channels == 3 and wants.reading == AS_IT_IS)


def _serve(
    serving: Serving, listening: socket.socket, started: Callable[[], None], alive: Callable[[], None] = lambda: None
) -> None:
    stopping = Event()
    malloc.give_back()
    alone, crowd = opened(
        serving.folder,
        engine=serving.engine,
        precision=serving.precision,
        cores=serving.cores,
        trust=serving.trust,
        tta=serving.tta,
    )
    refuse_another(alone.about, serving.digest)
    refuse_broken(alone.see, alone.about)
    offered = samples(located(serving.folder), alone.about) if serving.samples and _in_colour(alone) else ()
    app = create_app(alone, serving, crowd=crowd, stopping=stopping, offered=offered, alive=alive)
    limits = {"patience": serving.limits.patience, "most": _descriptors(serving.limits.connections)}
    patient = type("Patient", (Protocol,), limits)
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
        backlog=_BACKLOG,
    )
    _Server(config, stopping, started).run(sockets=[listening])


def _descriptors(connections: int) -> int:
    """How many connections the system lets this process hold: its own limit is raised if need be and if it may."""
    try:
        import resource
    except ImportError:  # Windows
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return max(1, min(connections, soft - _OTHER_FILES))
    return connections


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


def _work(serving: Serving, listening: socket.socket, ready: Any, beat: Any) -> None:
    """A worker of many; see ``supervise``."""
    die_with_parent()

    def alive() -> None:
        beat.value = time.monotonic()

    try:
        _serve(serving, listening, ready.release, alive)
    except AnotherModel as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(ANOTHER_MODEL)
    except FrostlineError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)

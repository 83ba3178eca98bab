"""Many processes behind one socket: each with the model that the first one saw, none outliving their parent.

The parent listens and its workers accept. A worker that dies, or whose heart stops (its event loop, or its engine with
pictures waiting), is replaced; one that finds another model in the folder is not, so that two are never mixed.
"""

import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from threading import Event
from typing import Any

from frostline.errors import CheckpointError, PlanError

ANOTHER_MODEL = 3
"""The exit code of a worker that found another model in the folder than the one that is served."""

_OPENING = 120.0  # seconds in which a worker may open its model before its heart must beat
_GRACE = 10.0

Work = Callable[..., None]


class _Worker:
    def __init__(self, context: Any, work: Work, arguments: tuple[Any, ...], ready: Any) -> None:
        self.beat = context.Value("d", time.monotonic() + _OPENING, lock=False)
        self.process: SpawnProcess = context.Process(target=work, args=(*arguments, ready, self.beat))
        self.process.start()


def supervise(
    work: Work,
    arguments: tuple[Any, ...],
    listening: socket.socket,
    *,
    workers: int,
    hung: float,
    started: Callable[[], None],
) -> None:
    """Run `work(*arguments, listening, ready, beat)` in so many processes until SIGTERM or Ctrl+C.

    ready: released by a worker that answers. beat: a shared float in which a worker keeps the time that its heart beat
    last. hung: seconds after which a heart has stopped. started: told once every worker answers.

    Raises: PlanError: a worker ends before all have begun. CheckpointError: the folder holds another model, and no
        worker is left that has the one that is served.
    """
    context = multiprocessing.get_context("spawn")
    ready = context.Semaphore(0)
    stop = Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}

    def start() -> _Worker:
        return _Worker(context, work, (*arguments, listening), ready)

    team = [start() for _ in range(workers)]
    answering = 0
    try:
        while not stop.is_set():
            while answering < workers and ready.acquire(block=False):
                answering += 1
                if answering == workers:
                    started()
            _end_hung(team, hung)
            for sentinel in wait([worker.process.sentinel for worker in team], timeout=0.2):
                dead = next(worker for worker in team if worker.process.sentinel == sentinel)
                if stop.is_set():
                    break
                if answering < workers:
                    raise PlanError("a worker ended before it answered", hint="its reason is above; try --workers 1")
                _say(f"worker {dead.process.pid} ended with code {dead.process.exitcode}")
                if dead.process.exitcode == ANOTHER_MODEL:
                    team.remove(dead)
                    _say(f"the folder holds another model now: {len(team)} workers go on with the one that is served")
                    if not team:
                        raise CheckpointError("no worker is left that has the model", hint="start the server again")
                    continue
                time.sleep(1.0)
                team[team.index(dead)] = start()
                _say("another takes its place")
    finally:
        listening.close()  # the last worker that accepts is then the last that has it, and nobody is left in its queue
        for worker in team:
            worker.process.terminate()
        for worker in team:
            worker.process.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def die_with_parent() -> None:
    """In a worker: stop when the parent is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)  # which answers what was accepted
        time.sleep(_GRACE)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _end_hung(team: list[_Worker], hung: float) -> None:
    for worker in team:
        if worker.process.is_alive() and time.monotonic() - worker.beat.value > hung:
            _say(f"worker {worker.process.pid} has not answered for {hung:g} s, and is ended")
            worker.process.kill()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

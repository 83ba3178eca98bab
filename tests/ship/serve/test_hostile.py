"""A server among hostile clients, dying workers and replaced folders: nobody honest is shut out or answered by another
model."""

import asyncio
import contextlib
import http.client
import io
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from PIL import Image
from uvicorn.server import ServerState

from frostline.errors import PlanError
from frostline.ship.model_info import identity, read
from frostline.ship.serve.protocol import Protocol
from frostline.ship.serve.quota import Limits
from frostline.ship.serve.shares import Shares
from frostline.ship.serve.uploads import pixels
from tests.data.pictures import encoded, scene
from tests.ship.conftest import saved
from tests.ship.serve.client import serving

PICTURE = encoded(scene(90, 70, 1))


def png(side: tuple[int, int], form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", side).save(file, form)
    return file.getvalue()


def asked(port: int, path: str = "/info", body: bytes | None = None, timeout: float = 20) -> dict:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    connection.request("GET" if body is None else "POST", path, body, {"Content-Type": "image/png"})
    answer = connection.getresponse()
    found = json.loads(answer.read())
    connection.close()
    return {**found, "status": answer.status}


def form(parts: list[bytes]) -> bytes:
    head = b"--b\r\nContent-Disposition: form-data; name=file; filename=x\r\n\r\n"
    return b"".join(head + part + b"\r\n" for part in parts) + b"--b--\r\n"


def posted(port: int, body: bytes) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    head = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    sock.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    return sock


def _stat(pid: int) -> list[str]:
    """State, parent, ... of a process; nothing if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def children(pid: int) -> list[int]:
    found = [int(place.name) for place in Path("/proc").iterdir() if place.name.isdecimal()]
    return [other for other in found if _stat(other)[1:2] == [str(pid)]]


def gone(pid: int) -> bool:
    return _stat(pid)[:1] in ([], ["Z"])


def until(true, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_turns_are_taken_by_requests_and_not_by_pictures():
    shares = Shares()
    shares.give(["a1", "a2", "a3"])
    shares.give(["b1"])
    shares.give(["c1", "c2"])
    shares.close()
    assert [shares.take() for _ in range(7)] == ["a1", "b1", "c1", "a2", "c2", "a3", None]


def test_shares_are_of_pixels_so_small_ones_do_not_wait_for_giants():
    shares = Shares()
    shares.give([f"giant {n}" for n in range(4)], [1000] * 4)
    assert shares.take() == "giant 0"
    for n in range(3):
        shares.give([f"small {n}"], [10])
    shares.give(["late giant", "and another"], [900, 900])
    shares.close()
    taken = [shares.take() for _ in range(9)]
    assert taken[:3] == ["small 0", "small 1", "small 2"]
    assert taken[3:] == ["late giant", "giant 1", "and another", "giant 2", "giant 3", None]


def test_shares_over_a_long_time_are_equal_in_cost():
    costs = {"large": 97, "middle": 13, "small": 1}
    shares, spent = Shares(), dict.fromkeys(costs, 0)
    for name, cost in costs.items():
        shares.give([name] * (20_000 // cost), [cost] * (20_000 // cost))
    while max(spent.values()) < 10_000:
        name = shares.take()
        spent[name] += costs[name]
    assert max(spent.values()) - min(spent.values()) <= 97


def test_who_takes_small_pieces_only_leaves_giants_to_others():
    shares, found = Shares(), []
    shares.give(["giant 0", "small 0"], [1000, 1])
    shares.give(["small 1", "giant 1", "small 2"], [1, 1000, 1])
    assert shares.take(10) == "small 1"
    small = threading.Thread(target=lambda: found.extend(shares.take(10) for _ in range(2)))
    small.start()  # it waits: both requests come to a giant first
    assert {shares.take(), shares.take()} == {"giant 0", "giant 1"}
    small.join(5)
    assert sorted(found) == ["small 0", "small 2"]
    shares.give(["giant 2"], [1000])
    shares.close()
    assert shares.take(10) is None
    assert shares.take() == "giant 2"


def test_a_taker_that_waits_is_woken():
    shares, found = Shares(), []
    taker = threading.Thread(target=lambda: found.append(shares.take()))
    taker.start()
    shares.give([1])
    taker.join(5)
    assert found == [1]


@pytest.mark.parametrize(
    ("data", "cost"),
    [(png((300, 200)), 60_000), (png((300, 200), "JPEG"), 60_000), (png((3000, 2000)), 0), (b"junk", 4000), (b"", 0)],
)
def test_what_a_picture_costs_is_read_from_its_header(data, cost):
    assert pixels(data, 1_000_000) == cost


def test_a_request_of_too_many_pixels_is_refused_and_hung_up_ones_cost_nothing(model):
    large = png((3000, 3000))
    with serving(model[0], "--request-pixels", 60_000_000, "--max-pixels", 10_000_000) as server:
        sock = posted(server.port, form([large] * 8))
        sock.settimeout(20)
        assert b"413" in sock.recv(100)
        sock.close()
        held = [posted(server.port, form([large] * 6)) for _ in range(2)]  # as many pixels as may wait
        time.sleep(0.3)
        assert asked(server.port, "/predict", PICTURE)["status"] == 200
        for sock in held:
            sock.close()
        until(lambda: asked(server.port, "/health")["waiting"] == 0, 30)
        assert asked(server.port, "/predict", PICTURE)["status"] == 200


def test_one_small_picture_does_not_wait_for_all_of_anothers(model):
    large = png((4000, 4000))
    with serving(model[0]) as server:
        asked(server.port, "/predict", PICTURE)
        hog = posted(server.port, form([large] * 10))
        time.sleep(0.5)
        assert asked(server.port, "/predict", PICTURE)["status"] == 200
        assert not select.select([hog], [], [], 0)[0]  # its answer is not there yet
        hog.settimeout(60)
        assert hog.recv(100)
        hog.close()


def test_more_idle_connections_than_are_allowed_make_room(model):
    with serving(model[0], "--connections", 20) as server:
        held = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(60)]
        time.sleep(0.3)
        for _ in range(3):
            assert asked(server.port)["status"] == 200
        for sock in held:
            sock.close()


@contextlib.asynccontextmanager
async def answering(size: int, **limits: float):
    """A server of bodies of so many bytes, and how to ask it: a socket of the least room, or the first bytes read."""

    async def app(scope, receive, send):
        if scope["path"] == "/wait":
            state.waiting += 1
            await state.go.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": bytes(size)})

    config = uvicorn.Config(app, http=type("Own", (Protocol,), limits), ws="none", lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    state.waiting, state.go = 0, asyncio.Event()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: config.http_protocol_class(config, state, {}), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def ask(*paths: str, read: bool) -> bytes | socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.sock_sendall(
            sock, b"".join(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in paths or "/")
        )
        if not read:
            return sock
        with sock:
            return await asyncio.wait_for(loop.sock_recv(sock, 12), 20)

    yield state, ask
    for one in list(state.connections):
        one.transport.abort()
    server.close()
    await asyncio.sleep(0)


def test_clients_that_ask_and_do_not_read_make_room():
    """Closing waits until everything is sent, so that a few of them kept a server from all others for ever."""

    async def attack() -> list[bytes]:
        async with answering(16 << 20, patience=600.0, most=5) as (state, ask):
            held = [await ask(read=False) for _ in range(5)]
            while sum(one.transport.get_write_buffer_size() > 0 for one in state.connections) < 5:
                await asyncio.sleep(0.01)
            for one in state.connections:
                one.transport.close()  # as uvicorn does when nothing more is asked
            found = [await ask(read=True) for _ in range(3)]
            for sock in held:
                sock.close()
            return found

    assert asyncio.run(attack()) == [b"HTTP/1.1 200"] * 3


def test_who_asks_for_more_before_the_first_is_answered_makes_room_and_who_waits_for_one_answer_does_not():
    async def attack() -> list[bytes]:
        async with answering(3, patience=600.0, most=5) as (state, ask):
            patient = asyncio.create_task(ask("/wait", read=True))
            held = [await ask("/", "/wait", "/wait", read=False) for _ in range(4)]
            while state.waiting < 5:
                await asyncio.sleep(0.01)
            found = [await ask("/", read=True) for _ in range(3)]
            state.go.set()
            for sock in held:
                sock.close()
            return [*found, await patient]

    assert asyncio.run(asyncio.wait_for(attack(), 60)) == [b"HTTP/1.1 200"] * 4


def test_an_answer_that_nobody_reads_is_given_up_and_one_that_is_read_is_not():
    async def attack() -> None:
        async with answering(16 << 20, patience=600.0, most=100) as (state, ask):
            sock = await ask(read=False)
            while not any(one.transport.get_write_buffer_size() for one in state.connections):
                await asyncio.sleep(0.01)
            (one,) = state.connections
            one._look()
            before = one.transport.get_write_buffer_size()
            while one.transport.get_write_buffer_size() >= before:
                await asyncio.get_running_loop().sock_recv(sock, 1 << 20)
            one._look()
            assert not one.transport.is_closing()
            while not one.transport.is_closing():  # what the system itself holds may still be on its way
                one._look()
                await asyncio.sleep(0.01)
            sock.close()

    asyncio.run(asyncio.wait_for(attack(), 60))


def test_info_and_each_answer_say_which_model(served, model):
    digest = identity(read(model[0]))
    assert asked(served.port)["digest"] == digest == asked(served.port, "/predict", PICTURE)["model"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc here")
class TestManyWorkers:
    def test_a_second_server_on_the_port_is_told_and_workers_die_with_their_parent(self, model):
        with serving(model[0], "--workers", 2) as server:
            found = subprocess.run(
                [sys.executable, "-m", "frostline", "serve", model[0], "--workers", "2", "--port", str(server.port)],
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            assert found.returncode == 2
            assert "cannot listen" in found.stderr
            workers = children(server.process.pid)
            server.process.kill()
            until(lambda: all(map(gone, workers)))
            with pytest.raises(OSError, match=r"refused|reset"):
                asked(server.port)

    def test_a_worker_that_hangs_is_replaced(self, model):
        with serving(model[0], "--workers", 2, "--hung", 2) as server:
            workers = [pid for pid in children(server.process.pid) if b"spawn_main" in cmdline(pid)]
            os.kill(workers[0], signal.SIGSTOP)
            until(lambda: gone(workers[0]))
            until(lambda: len([p for p in children(server.process.pid) if b"spawn_main" in cmdline(p)]) == 2)
            for _ in range(4):
                assert asked(server.port, "/predict", PICTURE)["status"] == 200

    def test_a_replaced_folder_is_never_mixed_in(self, model, tmp_path):
        place = tmp_path / "model"
        shutil.copytree(model[0], place)
        with serving(place, "--workers", 2) as server:
            digest = asked(server.port)["digest"]
            shutil.rmtree(place)
            saved(place, seed=7)
            assert identity(read(place)) != digest
            workers = [pid for pid in children(server.process.pid) if b"spawn_main" in cmdline(pid)]
            os.kill(workers[0], signal.SIGKILL)
            time.sleep(4)
            answers = [asked(server.port, "/predict", PICTURE) for _ in range(6)]
            assert {answer["model"] for answer in answers} == {digest}
            assert np.ptp([answer["results"][0]["probability"] for answer in answers]) < 1e-4


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_limits_that_contradict_each_other_are_refused():
    with pytest.raises(PlanError, match="pixels"):
        Limits(max_pixels=100, request_pixels=50, queue_pixels=200)

"""A server of two workers among honest and hostile clients, while workers are killed at random and the disk is full.

Every honest answer is compared with `predict`; what a killed worker was asked is asked again, as any client would.
Run it by `make soak`; only loopback is used.
"""

import argparse
import asyncio
import contextlib
import io
import itertools
import json
import os
import random
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from frostline.ship.open_predictor import open_predictor
from tests.data.pictures import encoded, scene
from tests.data.test_bombs import scans, tiff
from tests.ship.conftest import rows, saved
from tests.ship.serve.client import Served, serving
from tests.ship.serve.test_hostile import children, cmdline, form, posted

KILLS = 20
Known: TypeAlias = list[tuple[bytes, str, float]]
"""A picture, and the class and the probability that `predict` gives it."""
Line: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Fill: TypeAlias = Callable[[Sequence[int]], AbstractContextManager[None]]


@dataclass
class Honest:
    """What one client on one connection has seen: seconds of each answer, trials and pauses included."""

    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    again: int = 0

    async def ask(self, port: int, pictures: Known, due: Iterator[float], rng: random.Random) -> None:
        """Ask at each of these times, or as soon as the answer before has come."""
        line: Line | None = None
        for moment in due:
            await asyncio.sleep(moment - time.monotonic())
            body, label, probability = rng.choice(pictures)
            began = time.monotonic()
            for _ in range(100):
                try:
                    async with asyncio.timeout(60):
                        line = line or await asyncio.open_connection("127.0.0.1", port)
                        status, text = await posted_on(line, body)
                except (OSError, EOFError, asyncio.IncompleteReadError):
                    if line is not None:
                        line[1].close()
                    line = None
                    self.again += 1
                    await asyncio.sleep(0.1)
                    continue
                if status not in (429, 503):
                    break
                line[1].close()
                line = None
                self.again += 1
                await asyncio.sleep(0.5)
            else:
                self.wrong.append("never answered")
                continue
            self.seconds.append(time.monotonic() - began)
            if status != 200:
                self.wrong.append(f"{status} {text[:100]!r}")
                continue
            found = json.loads(text)["results"][0]
            if found["label"] != label or abs(found["probability"] - probability) > 1e-3:
                self.wrong.append(f"{found} and not {label} {probability}")
        if line is not None:
            line[1].close()


async def posted_on(line: Line, body: bytes) -> tuple[int, bytes]:
    """Status and body of what comes back for a picture."""
    reader, writer = line
    head = b"POST /predict?top=1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
    writer.write(head % len(body) + body)
    said = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(said.partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
    return int(said.split()[1]), await reader.readexactly(length)


async def honest(clients: Sequence[Honest], port: int, pictures: Known, rate: float, seconds: float) -> None:
    """All of them, so many requests a second together, one after the other for as long."""
    began = time.monotonic()

    def due(number: int) -> Iterator[float]:
        for turn in itertools.count():
            moment = began + (number + turn * len(clients)) / rate
            if max(moment, time.monotonic()) >= began + seconds:
                return
            yield moment

    asking = (client.ask(port, pictures, due(i), random.Random(i)) for i, client in enumerate(clients))
    await asyncio.gather(*asking)


def giants() -> bytes:
    """A request of eight pictures of 36 megapixels."""
    large = io.BytesIO()
    Image.new("RGB", (6000, 6000)).save(large, "PNG")
    return form([large.getvalue()] * 8)


POST = b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"
PICTURE = POST + b"Content-Type: image/png\r\n"
PART = b"--b\r\nContent-Disposition: form-data; name=file; filename=x\r\n\r\n"
PATHS = (b"/page/../../etc/passwd", b"/page/%2e%2e%2f%2e%2e%2fetc/passwd", b"//etc/passwd", b"/samples/-1", b"*")
KINDS = {
    "giants and a hang-up": giants,
    "junk": lambda: form([b"junk"] * 50),
    "a form of lines": lambda: _sized(PART + b"\r\n-x" * 300_000 + b"\r\n--b--\r\n"),
    "a form of headers": lambda: _sized(b"--b\r\n" + b"".join(b"%x:y\r\n" % n for n in range(100_000)) + b"\r\n"),
    "thousands of parts": lambda: _sized((PART + b"x\r\n") * 5_000 + b"--b--\r\n"),
    "half a head": lambda: b"GET / HTTP/1.1\r\nHost: 127",
    "nothing": lambda: b"",
    "a body that does not come": lambda: PICTURE + b"Content-Length: 99999\r\n\r\nx",
    "a false length": lambda: PICTURE + b"Content-Length: 999999999\r\n\r\n",
    "a long head": lambda: b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
    "two lengths": lambda: POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "endless pieces": lambda: (
        POST + b"Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 9
    ),
    "crumbs": lambda: POST + b"Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 50_000,
    "thousands of scans": lambda: form([scans(2_000)] * 4),
    "millions of markers": lambda: form([b"\xff\xd8" + b"\xff\xfe\0\2" * 250_000 + b"\xff\xd9"] * 2),
    "giant tiles": lambda: form([tiff(20_000, 3)] * 8),
    "paths": lambda: b"".join(
        b"GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\nRange: bytes=0-9,5-\r\n\r\n" % path
        for path in PATHS
    ),
    "a socket of pages": lambda: (
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ),
    "another host": lambda: b"GET /info HTTP/1.1\r\nHost: evil\r\n\r\n",
    "no origin": lambda: POST + b"Origin: http://[\r\nContent-Length: 0\r\n\r\n",
    "another page": lambda: POST + b"Origin: http://evil\r\nContent-Length: 0\r\n\r\n",
    "another protocol": lambda: b"\x16\x03\x01\x00\xff" * 50,
    "many at once": lambda: b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 200,
    "odd options": lambda: (
        b"POST /predict?top=-1&coverage=nan HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
    ),
}
"""What hostile clients send, each made once; what is not answered stays open until there are hundreds of such."""


def _sized(body: bytes) -> bytes:
    return POST + b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def hostile(port: int, stop: threading.Event, sent: Counter[str], seed: int) -> None:
    """Each known kind at random, and hundreds of connections that are left open."""
    rng = random.Random(seed)
    ready = {name: make() for name, make in KINDS.items()}
    held: list[socket.socket] = []
    while not stop.wait(0.05):
        name = rng.choice(list(ready))
        with contextlib.suppress(OSError):
            if ready[name].startswith(b"--b"):
                sock = posted(port, ready[name])
            else:
                sock = socket.create_connection(("127.0.0.1", port), timeout=5)
                sock.sendall(ready[name])
            sent[name] += 1
            held.append(sock)
            if name == "giants and a hang-up":
                time.sleep(0.2)
                held.pop().close()
        while len(held) > 300:
            held.pop(0).close()


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """A disk of 48 MB at a folder, where this process may mount one. Gives whether it may."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(words, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False)


@contextlib.contextmanager
def filled(disk: Path, mounted: bool, pids: Sequence[int]) -> Iterator[None]:
    """A disk without a byte left; where none can be mounted, processes that may write no byte to any file."""
    if mounted:
        rest = disk / "rest"
        with contextlib.suppress(OSError), rest.open("wb", buffering=0) as file:
            while file.write(bytes(1 << 16)):
                pass
        yield
        rest.unlink()
        return
    before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY)) for pid in pids}
    yield
    for pid, limits in before.items():
        with contextlib.suppress(OSError):
            resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


def memory(pid: int) -> int:
    """Bytes of a server and its workers."""
    total = 0
    for each in (pid, *children(pid)):
        with contextlib.suppress(OSError, IndexError):
            total += int(Path(f"/proc/{each}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


def main() -> int:
    """Run it and print what was seen."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--seconds", type=float, default=600)
    asked.add_argument("--clients", type=int, default=64)
    asked.add_argument("--rate", type=float, default=90, help="honest requests a second, of all clients")
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as spare, small_disk(Path(spare) / "disk") as mounted:
        os.environ["XDG_CACHE_HOME"] = os.environ["TMPDIR"] = str(Path(spare) / "disk")
        place, _ = saved(Path(spare) / "model")
        files = [Path(spare) / f"{i}.png" for i in range(16)]
        for i, file in enumerate(files):
            file.write_bytes(encoded(scene(90, 70, i)))
        about = (answering := open_predictor(place)).about
        best = [(a.probabilities.argmax(), a.probabilities.max()) for a in answering.predict(rows(files))]
        known = [(f.read_bytes(), about.classes[i], float(p)) for f, (i, p) in zip(files, best, strict=True)]
        with serving(place, "--workers", 2, "--hung", 30, "--queue", 512, "--connections", 256) as server:
            # what a server says of its workers must not fill the pipe that nobody else reads
            threading.Thread(target=lambda: list(server.process.stderr), daemon=True).start()
            fill = partial(filled, Path(spare) / "disk", mounted)
            clients = [Honest() for _ in range(given.clients)]
            asking = partial(honest, clients, server.port, known, given.rate, given.seconds)
            seen = attacked(given.seconds, clients, asking, server, fill)
    seen.show("a full disk" if mounted else "no file that may grow")
    return 1 if seen.wrong or seen.late > 1.25 * seen.early or seen.kills < KILLS else 0


@dataclass
class Seen:
    """What came of it. early, late: bytes of all processes in the second and in the last quarter."""

    clients: Sequence[Honest]
    sent: Counter[str]
    seconds: float
    kills: int
    full: float
    early: float
    late: float

    @property
    def wrong(self) -> list[str]:
        """Answers that are not those of `predict`, and requests that were never answered."""
        return [text for client in self.clients for text in client.wrong]

    def show(self, disk: str) -> None:
        """Print it."""
        took = sorted(value for client in self.clients for value in client.seconds)
        again = sum(client.again for client in self.clients)
        p50, p99, p999 = (took[int(len(took) * share)] for share in (0.5, 0.99, 0.999))
        print(
            f"honest requests {len(took):,} by {len(self.clients)} clients in {self.seconds:.0f} s, "
            f"wrong or lost {len(self.wrong)}"
        )
        print(f"workers killed {self.kills}; asked again by their clients {again:,}; {disk} for {self.full:.0f} s")
        print(f"hostile requests {sum(self.sent.values()):,} of {len(self.sent)} kinds")
        print(f"median {p50:.3f} s, p99 {p99:.3f} s, p99.9 {p999:.3f} s, longest {took[-1]:.3f} s")
        early, late = (f"{size / 1e6:,.0f} MB" for size in (self.early, self.late))
        print(f"memory of all processes {early} in the second quarter, {late} in the last")
        for text in self.wrong[:10]:
            print("  wrong:", text)


def attacked(
    seconds: float,
    clients: Sequence[Honest],
    asking: Callable[[], Coroutine[None, None, None]],
    server: Served,
    fill: Fill,
) -> Seen:
    """Ask and attack for so long, kill workers meanwhile, and fill the disk in the third quarter."""
    stop, sent, pid = threading.Event(), Counter[str](), server.process.pid
    everyone = threading.Thread(target=lambda: asyncio.run(asking()))
    attackers = [threading.Thread(target=hostile, args=(server.port, stop, sent, s), daemon=True) for s in range(3)]
    for thread in (everyone, *attackers):
        thread.start()
    sizes, kills, since, full, began = [], 0, 0, 0.0, time.monotonic()
    with contextlib.ExitStack() as disk:
        while (passed := time.monotonic() - began) < seconds:
            time.sleep(min(2.0, seconds / 100))
            sizes.append(memory(pid))
            if not full and passed > seconds / 2:
                disk.enter_context(fill([pid, *children(pid)]))
                full = passed
            if passed > seconds * 0.75:
                disk.close()
            # not sooner than all could have been answered once: a worker that is killed while it starts shows nothing
            answers = sum(len(client.seconds) for client in clients)
            if kills < KILLS * passed / seconds and answers >= since + len(clients):
                since = answers
                workers = [child for child in children(pid) if b"spawn_main" in cmdline(child)]
                if workers:
                    os.kill(random.choice(workers), signal.SIGKILL)
                    kills += 1
    stop.set()
    everyone.join()
    quarter = max(1, len(sizes) // 4)
    early, late = statistics.median(sizes[quarter : 2 * quarter]), statistics.median(sizes[-quarter:])
    return Seen(clients, sent, passed, kills, seconds * 0.75 - full, early, late)


if __name__ == "__main__":
    sys.exit(main())

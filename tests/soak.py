"""A server of two workers among honest and hostile clients, while workers are killed at random.

Every honest answer is compared with `predict`; what a killed worker was asked is asked again, as any client would.
Run it by `make soak`; only loopback is used.
"""

import argparse
import contextlib
import http.client
import io
import json
import os
import random
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from PIL import Image

from frostline.ship.open_predictor import open_predictor
from tests.data.pictures import encoded, scene
from tests.ship.conftest import rows, saved
from tests.ship.serve.client import serving
from tests.ship.serve.test_hostile import children, cmdline, form, posted

KILLS = 20


class Honest(threading.Thread):
    """One client on one connection: it asks on until it is told to stop."""

    def __init__(self, port: int, pictures: list[tuple[bytes, str, float]], stop: threading.Event, seed: int) -> None:
        super().__init__(daemon=True)
        self.seconds: list[float] = []
        self.wrong: list[str] = []
        self.again = 0
        self._port, self._pictures, self._stopping, self._random = port, pictures, stop, random.Random(seed)

    def run(self) -> None:
        """Ask."""
        line = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._stopping.is_set():
            body, label, probability = self._random.choice(self._pictures)
            began = time.monotonic()
            for _ in range(40):
                try:
                    line.request("POST", "/predict?top=1", body, {"Content-Type": "image/png"})
                    answer = line.getresponse()
                    text = answer.read()
                    if answer.status == 200:
                        break
                    if answer.status not in (429, 503):
                        self.wrong.append(f"{answer.status} {text[:100]!r}")
                        break
                    time.sleep(0.5)
                except (OSError, http.client.HTTPException):
                    line.close()
                    self.again += 1
                    time.sleep(0.1)
            else:
                self.wrong.append("never answered")
                continue
            self.seconds.append(time.monotonic() - began)
            if answer.status == 200:
                found = json.loads(text)["results"][0]
                if found["label"] != label or abs(found["probability"] - probability) > 1e-3:
                    self.wrong.append(f"{found} and not {label} {probability}")
        line.close()


def hostile(port: int, stop: threading.Event) -> None:
    """Each known kind in turn: giants and a hang-up, junk, slow heads, idle connections, false lengths."""
    large = io.BytesIO()
    Image.new("RGB", (6000, 6000)).save(large, "PNG")
    giants = form([large.getvalue()] * 8)
    heads = (
        b"GET / HTTP/1.1\r\nHost: 127",
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/png\r\nContent-Length: 999999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: evil\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://[\r\nContent-Length: 0\r\n\r\n",
        b"\x16\x03\x01\x00\xff" * 50,
    )
    held: list[socket.socket] = []
    while not stop.is_set():
        with contextlib.suppress(OSError):
            sock = posted(port, giants if random.random() < 0.3 else form([b"junk"] * 50))
            time.sleep(0.2)
            sock.close()
        for head in heads:
            with contextlib.suppress(OSError):
                sock = socket.create_connection(("127.0.0.1", port), timeout=5)
                sock.sendall(head)
                held.append(sock)
        while len(held) > 200:
            held.pop(0).close()
        stop.wait(0.5)


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
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as spare:
        place, _ = saved(Path(spare) / "model")
        files = [Path(spare) / f"{i}.png" for i in range(16)]
        for i, file in enumerate(files):
            file.write_bytes(encoded(scene(90, 70, i)))
        about = (answering := open_predictor(place)).about
        best = [(a.probabilities.argmax(), a.probabilities.max()) for a in answering.predict(rows(files))]
        known = [(f.read_bytes(), about.classes[i], float(p)) for f, (i, p) in zip(files, best, strict=True)]
        with serving(place, "--workers", 2, "--hung", 30, "--queue", 512) as server:
            return _judged(given, server, known)


def _judged(given, server, known) -> int:
    stop = threading.Event()
    clients = [Honest(server.port, known, stop, seed) for seed in range(given.clients)]
    attackers = [threading.Thread(target=hostile, args=(server.port, stop), daemon=True) for _ in range(3)]
    for thread in (*clients, *attackers):
        thread.start()
    sizes, kills, began = [], 0, time.monotonic()
    while (passed := time.monotonic() - began) < given.seconds:
        time.sleep(min(2.0, given.seconds / 100))
        sizes.append(memory(server.process.pid))
        if kills < KILLS * passed / given.seconds:
            workers = [pid for pid in children(server.process.pid) if b"spawn_main" in cmdline(pid)]
            if workers:
                os.kill(random.choice(workers), signal.SIGKILL)
                kills += 1
    stop.set()
    for client in clients:
        client.join(60)
    seconds = sorted(value for client in clients for value in client.seconds)
    wrong = [text for client in clients for text in client.wrong]
    quarter = max(1, len(sizes) // 4)
    early, late = statistics.median(sizes[quarter : 2 * quarter]), statistics.median(sizes[-quarter:])
    print(f"honest requests {len(seconds):,} by {len(clients)} clients in {passed:.0f} s, wrong or lost {len(wrong)}")
    print(f"asked again after a killed worker {sum(client.again for client in clients):,}; workers killed {kills}")
    print(f"median {seconds[len(seconds) // 2]:.3f} s, p99 {seconds[int(len(seconds) * 0.99)]:.3f} s")
    print(f"memory of all processes: {early / 1e6:,.0f} MB in the second quarter, {late / 1e6:,.0f} MB in the last")
    for text in wrong[:10]:
        print("  wrong:", text)
    return 1 if wrong or late > 1.5 * early else 0


if __name__ == "__main__":
    sys.exit(main())

"""`frostline serve` beside a plain FastAPI and torch endpoint, in one run on this machine; and what harm can be done.

    python -m bench.serve MODEL PICTURES [--requests 10000] [--hostile 1000] [--seconds 8] [--precision bf16]

Throughput at 1, 8 and 64 clients, each server's turns alternating; then many requests, hostile bodies, and a stop under
load. Clients run in this process and share its cores with the servers, as they share them with each other.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any, TypeAlias

Door: TypeAlias = tuple[subprocess.Popen[bytes], int, str]
"""A server's process, port and path."""

BOUNDARY = b"frontier"
CLIENTS = (1, 8, 64)
ROUNDS = 3


@dataclass
class Load:
    """What clients saw."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    lost: int = 0

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    @property
    def failed(self) -> int:
        return self.lost + sum(count for status, count in self.statuses.items() if status != 200)

    def percentile(self, share: int) -> float:
        return 1000 * quantiles(self.latencies * 2, n=100)[share - 1] if self.latencies else float("nan")


def request(path: str, picture: bytes) -> bytes:
    part = b'Content-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    body = b"--" + BOUNDARY + b"\r\n" + part + picture + b"\r\n--" + BOUNDARY + b"--\r\n"
    return head(path, b"multipart/form-data; boundary=" + BOUNDARY, len(body)) + body


def head(path: str, kind: bytes, length: int) -> bytes:
    said = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n".encode()
    return said + b"Content-Type: " + kind + b"\r\n\r\n"


async def reply(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Status, and whether the server keeps the connection."""
    said = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(said.split(b"content-length: ")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(said[9:12]), b"connection: close" not in said


async def client(port: int, requests: list[bytes], more: Callable[[], bool], load: Load) -> None:
    """Ask over one connection, kept alive, until there is no more to ask or the server stops."""
    chosen = random.Random(len(load.latencies))
    going = True
    while going:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionError:
            return  # it takes no more
        kept = True
        try:
            while kept and (going := more()):
                began = time.perf_counter()
                writer.write(chosen.choice(requests))
                status, kept = await reply(reader)
                load.latencies.append(time.perf_counter() - began)
                load.statuses[status] += 1
        except (ConnectionError, asyncio.IncompleteReadError):
            load.lost += 1
        finally:
            writer.close()


async def pressed(port: int, requests: list[bytes], clients: int, *, seconds: float = 0, count: int = 0) -> Load:
    load, left = Load(), count
    began = time.perf_counter()

    def more() -> bool:
        nonlocal left
        left -= 1
        return left >= 0 if count else time.perf_counter() < began + seconds

    await asyncio.gather(*(client(port, requests, more, load) for _ in range(clients)))
    load.seconds = time.perf_counter() - began
    return load


@contextmanager
def server(port: int, *command: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, *command], env={**os.environ, **environment}, stderr=sys.stderr) as process:
        try:
            asyncio.run(answering(port))
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(60)


async def answering(port: int) -> None:
    for _ in range(600):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        except OSError:
            await asyncio.sleep(0.1)
    raise TimeoutError(f"nobody listens at port {port}")


def processor(process: subprocess.Popen[bytes]) -> float:
    """Seconds of processor time so far, of all threads: what does not depend on what else the machine does."""
    after_name = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def memory(process: subprocess.Popen[bytes]) -> float:
    """Resident megabytes."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


async def watched(process: subprocess.Popen[bytes], load: "asyncio.Future[Load]") -> list[float]:
    seen = []
    while not load.done():
        seen.append(memory(process))
        await asyncio.sleep(0.5)
    return seen


def png(width: int, height: int, data: bytes, text: bytes = b"") -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    size = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    note = [(b"zTXt", b"note\0\0" + text)] if text else []
    chunks = [(b"IHDR", size), *note, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def hostile(picture: bytes, count: int) -> list[tuple[str, list[bytes]]]:
    """(kind, pieces): what is sent, with a pause between pieces."""
    chance = random.Random(0)
    form = request("/predict", picture)
    body = form.split(b"\r\n\r\n", 1)[1]
    jpeg, multipart = b"image/jpeg", b"multipart/form-data; boundary=" + BOUNDARY
    bomb = png(9_000, 9_000, zlib.compress(b"\0" * 9_000 * 27_001))
    text = png(64, 64, b"", zlib.compress(b"\0" * 100_000_000, 9))

    def sent(content: bytes, kind: bytes = jpeg) -> list[bytes]:
        return [head("/predict", kind, len(content)) + content]

    def cut(whole: bytes) -> bytes:
        return whole[: chance.randrange(1, len(whole) // 2)]

    chunked = (
        b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Type: image/png\r\n\r\n"
    )
    kinds: list[tuple[str, Callable[[], list[bytes]]]] = [
        ("truncated picture", lambda: sent(cut(picture))),
        ("truncated form", lambda: sent(cut(body), multipart)),
        ("bomb of pixels", lambda: sent(bomb)),
        ("bomb of text", lambda: sent(text)),
        ("random bytes", lambda: sent(chance.randbytes(2000))),
        ("text", lambda: sent(b"hello", b"text/plain")),
        ("JSON", lambda: sent(b'{"file": 1}', b"application/json")),
        ("form without boundary", lambda: sent(body, b"multipart/form-data")),
        ("65 files", lambda: sent((body[: -len(BOUNDARY) - 6] * 65) + b"--" + BOUNDARY + b"--\r\n", multipart)),
        ("2 GB declared", lambda: [head("/predict", jpeg, 2 << 30)]),
        ("40 MB in chunks", lambda: [chunked + (b"100000\r\n" + b"\0" * 0x100000 + b"\r\n") * 40]),
        ("not HTTP", lambda: [b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n"]),
        ("slow head", lambda: [b"POST /predict HT", b"TP/1.1\r\n"]),
        ("slow body", lambda: [head("/predict", jpeg, 1000) + b"\xff\xd8", b"\xff"]),
    ]
    return [(name, make()) for name, make in (kinds[i % len(kinds)] for i in range(count))]


async def harm(port: int, sent: list[tuple[str, list[bytes]]], at_once: int) -> dict[str, Counter[str]]:
    """What each kind was answered: a status, or "nothing"."""
    found: dict[str, Counter[str]] = {}
    gate = asyncio.Semaphore(at_once)

    async def one(kind: str, pieces: list[bytes]) -> None:
        async with gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            answer = asyncio.create_task(reader.read(12))
            try:
                for piece in pieces:
                    writer.write(piece)
                    await asyncio.wait({asyncio.ensure_future(writer.drain()), answer}, return_when="FIRST_COMPLETED")
                    await asyncio.sleep(0.5 if len(pieces) > 1 else 0)
                status = (await asyncio.wait_for(answer, 60))[9:12].decode() or "nothing"
            except (ConnectionError, TimeoutError):
                status = "nothing"
            finally:
                writer.close()
            found.setdefault(kind, Counter())[status] += 1

    await asyncio.gather(*(one(kind, pieces) for kind, pieces in sent))
    return found


def compare(doors: dict[str, Door], pictures: list[bytes], seconds: float) -> list[dict[str, Any]]:
    rows = []
    for clients in CLIENTS:
        loads: dict[str, list[Load]] = {name: [] for name in doors}
        spent = dict.fromkeys(doors, 0.0)
        for _ in range(ROUNDS):
            for name, (process, port, path) in doors.items():
                requests = [request(path, picture) for picture in pictures]
                before = processor(process)
                loads[name].append(asyncio.run(pressed(port, requests, clients, seconds=seconds)))
                spent[name] += processor(process) - before
        rate = {name: median(load.rate for load in turns) for name, turns in loads.items()}
        for name, turns in loads.items():
            row = {"clients": clients, "server": name, "per_second": round(rate[name], 1)}
            row |= {f"p{p}_ms": round(median(load.percentile(p) for load in turns), 1) for p in (50, 99)}
            row["cpu_ms"] = round(1000 * spent[name] / max(1, sum(len(load.latencies) for load in turns)), 1)
            rows.append(row | {"failed": sum(load.failed for load in turns)})
        best = max(rate["plain async"], rate["plain threads"])
        cheapest = min(row["cpu_ms"] for row in rows[-2:])
        ratios = f"ratio {rate['frostline'] / best:.2f}, of processor time {cheapest / rows[-3]['cpu_ms']:.2f}"
        print(*rows[-3:], ratios, sep="\n", flush=True)
    return rows


def endure(port: int, process: subprocess.Popen[bytes], pictures: list[bytes], count: int) -> dict[str, Any]:
    async def run() -> tuple[Load, list[float]]:
        requests = [request("/predict", picture) for picture in pictures]
        pressing = asyncio.ensure_future(pressed(port, requests, 64, count=count))
        seen = await watched(process, pressing)
        return await pressing, seen

    load, seen = asyncio.run(run())
    tenth = max(1, len(seen) // 10)
    return {
        "requests": len(load.latencies),
        "failed": load.failed,
        "per_second": round(load.rate, 1),
        "p50_ms": round(load.percentile(50), 1),
        "p99_ms": round(load.percentile(99), 1),
        "MB_after_a_tenth": round(median(seen[tenth : 2 * tenth + 1] or seen), 1),
        "MB_at_the_end": round(median(seen[-tenth:]), 1),
    }


def stop(port: int, process: subprocess.Popen[bytes], pictures: list[bytes]) -> dict[str, Any]:
    async def run() -> Load:
        requests = [request("/predict", picture) for picture in pictures]
        pressing = asyncio.ensure_future(pressed(port, requests, 64, seconds=30))
        await asyncio.sleep(2)
        process.send_signal(signal.SIGTERM)
        return await pressing

    load = asyncio.run(run())
    return {"answered": load.statuses[200], "lost": load.failed, "exit_code": process.wait(60)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("pictures", type=Path, help="a folder of JPEGs")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--hostile", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each turn")
    parser.add_argument("--precision", default="fp32", help="of frostline serve")
    parser.add_argument("--ports", type=int, nargs=2, default=(8441, 8442))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    folder = asked.model / "model" if (asked.model / "model").is_dir() else asked.model
    pictures = [path.read_bytes() for path in sorted(asked.pictures.rglob("*.jpg"))[:100]]
    ours, plain = asked.ports
    found: dict[str, Any] = {}
    command = ["-m", "frostline", "serve", str(folder), "--port", str(ours), "--timeout", "2"]
    command += ["--precision", asked.precision]
    with server(ours, *command) as process:
        plainly = ("-m", "uvicorn", "bench.plain_server:app", "--port", str(plain), "--log-level", "error")
        with server(plain, *plainly, MODEL=str(folder)) as other:
            doors = {"frostline": (process, ours, "/predict")}
            doors |= {f"plain {way}": (other, plain, f"/{way}") for way in ("async", "threads")}
            found["throughput"] = compare(doors, pictures, asked.seconds)
        found["endurance"] = endure(ours, process, pictures, asked.requests)
        print(found["endurance"], flush=True)
        before = memory(process)
        answers = asyncio.run(harm(ours, hostile(pictures[0], asked.hostile), 50))
        after = asyncio.run(pressed(ours, [request("/predict", pictures[0])], 1, count=5))
        found["hostile"] = {kind: dict(counts) for kind, counts in answers.items()}
        found["after hostile"] = {"right": after.statuses[200], "MB_before": before, "MB_after": memory(process)}
        print(*found["hostile"].items(), found["after hostile"], sep="\n", flush=True)
        found["stop"] = stop(ours, process, pictures)
        print(found["stop"], flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

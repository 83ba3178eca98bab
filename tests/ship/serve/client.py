"""A client of few lines, and the command in a process of its own."""

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

BOUNDARY = "a-boundary"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
JPEG = {"Content-Type": "image/jpeg"}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Served:
    port: int
    process: subprocess.Popen[str]

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers))
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def predict(self, *files: tuple[str, bytes], query: str = "", headers: Mapping[str, str] = {}) -> Reply:
        return self.ask("POST", f"/predict{query}", form(files), {**FORM, **headers})

    def raw(self, *pieces: bytes) -> bytes:
        """What comes back for bytes as they are, up to the end of the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as line:
            found = b""
            try:
                for piece in pieces:
                    line.sendall(piece)
                while piece := line.recv(65536):
                    found += piece
            except ConnectionError:
                pass
            return found


def form(files: Sequence[tuple[str, bytes]]) -> bytes:
    found = b""
    for name, data in files:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        found += head.encode() + data + b"\r\n"
    return found + f"--{BOUNDARY}--\r\n".encode()


@contextmanager
def serving(*words: object, token: str | None = None) -> Iterator[Served]:
    """`frostline serve` at a free port, until the end of the block."""
    environment = {key: value for key, value in os.environ.items() if key != "FROSTLINE_TOKEN"}
    if token is not None:
        environment["FROSTLINE_TOKEN"] = token
    command = [sys.executable, "-m", "frostline", "serve", *map(str, words), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            said = [next(process.stderr, "")]
            while said[-1] and not said[-1].startswith("page"):
                said.append(next(process.stderr, ""))
            assert said[-1], "".join(said)
            yield Served(int(said[-1].rsplit(":", 1)[1].strip().strip("/")), process)
        finally:
            process.terminate()
            process.communicate(timeout=30)

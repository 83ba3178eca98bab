"""Damage bytes: what disks, networks and attackers do to a file. A mutant is a pure function of its seed."""

import random
import re
from collections.abc import Callable, Sequence

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
_WORDS = (
    *(
        b"",
        b"0",
        b"-1",
        b"99999999999999999999",
        b"1e999",
        b"NaN",
        b"null",
        b"true",
        b"[]",
        b"{}",
        b'""',
        b"\0",
        b"\xff",
    ),
    *(
        b"../../../etc/passwd",
        b"/etc/passwd",
        b"C:\\x",
        b"[" * 5000,
        b'{"a":' * 5000,
        b"A" * 70000,
        "\u202e\n".encode(),
    ),
    *(b"__import__", b"os.system", b"a|b|c", b"\r\n", b'"', b"{0..999999999}"),
)


def mutant(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """One of the seeds after one to four accidents."""
    data = rng.choice(seeds)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        data = rng.choice(_ACCIDENTS)(data, rng, seeds)
    return data


def _bits(data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 8) if out else 0):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _number(data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    width = rng.choice((1, 2, 4, 8))
    value = rng.choice(_NUMBERS) % 256**width
    start = rng.randrange(max(1, len(data) - width))
    if rng.random() < 0.5:
        start = min(start, rng.randrange(1, 128))  # sizes stand in headers
    return data[:start] + value.to_bytes(width, rng.choice(("big", "little"))) + data[start + width :]


def _cut(data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _less(data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    start, stop = _range(data, rng)
    return data[:start] + data[stop:]


def _more(data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    start, stop = _range(data, rng)
    return data[:stop] + data[start:stop] * rng.choice((1, 1, 2, 50)) + data[stop:]


def _zeros(data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    start, stop = _range(data, rng)
    return data[:start] + bytes(stop - start) + data[stop:]


def _noise(data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    start, stop = _range(data, rng)
    return data[:start] + rng.randbytes(stop - start) + data[stop:]


def _splice(data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    other = rng.choice(seeds)
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _word(data: bytes, rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Another word in place of one: only text has many."""
    words = list(re.finditer(rb"[\w./+-]{1,200}", data))
    if not words:
        return data
    found = rng.choice(words[:2000])
    return data[: found.start()] + rng.choice(_WORDS) + data[found.end() :]


def _range(data: bytes, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 4, 16, 64, 512, 4096)))


_ACCIDENTS: tuple[Callable[[bytes, random.Random, Sequence[bytes]], bytes], ...] = (
    *(_bits, _bits, _number, _number, _cut, _less, _more, _zeros, _noise, _splice, _word, _word),
)

"""Compiled networks on disk, each with a checksum: what was damaged, or is another build's, is compiled again."""

import os
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

from frostline import atomic

LIMIT = 4 << 30
"""Bytes of all that is kept; what was used longest ago goes first."""

_CHECK = 16


def place(cache: Path, *parts: object) -> Path:
    """Where the compiled form of something is kept. parts: all that it depends on."""
    return cache / "compiled" / f"{blake2b(repr(parts).encode(), digest_size=16).hexdigest()}.blob"


def recalled(core: Any, kept: Path, properties: dict[str, Any]) -> Any | None:
    """The ``openvino.CompiledModel`` that was kept there, or None."""
    try:
        whole = kept.read_bytes()
    except OSError:
        return None
    blob = memoryview(whole)[_CHECK:]
    if blake2b(blob, digest_size=_CHECK).digest() != whole[:_CHECK]:
        return None
    with suppress(RuntimeError):  # what this build of OpenVINO cannot read is compiled again
        compiled = core.import_model(blob.tobytes(), "CPU", properties)
        with suppress(OSError):
            os.utime(kept)
        return compiled
    return None


def keep(compiled: Any, kept: Path) -> None:
    """Write it there. A cache that cannot be written costs the next start half a second, and nothing else."""
    with suppress(OSError, RuntimeError):
        blob = compiled.export_model().getbuffer()
        with atomic.beside(kept) as fresh, fresh.open("wb") as file:
            file.write(blake2b(blob, digest_size=_CHECK).digest())
            file.write(blob)
        _make_room(kept.parent)


def _make_room(folder: Path) -> None:
    newest_first = sorted(((path.stat(), path) for path in folder.iterdir()), key=lambda found: -found[0].st_mtime)
    total = 0
    for facts, path in newest_first:
        total += facts.st_size
        if total > LIMIT:
            path.unlink(missing_ok=True)

"""What lies in an unpacked archive's folder, file by file: so that a file that was changed, added or lost is noticed.

A file whose size, inode and times are those of the day it was written is believed (as ``digests`` believes it); any
other is read and compared.
"""

import json
import os
from collections.abc import Mapping
from hashlib import blake2b, file_digest
from pathlib import Path

from frostline import atomic
from frostline.data.digests import state


def new_digest() -> "blake2b":
    """What a file's bytes are fed to while they are written."""
    return blake2b(digest_size=16)


def write(manifest: Path, folder: Path, digests: Mapping[str, str]) -> None:
    """Write the manifest of a folder.

    digests: of each file by its name below the folder, with slashes.

    Raises: OSError: it cannot be written.
    """
    entries = json.dumps({name: [str(state(folder / name)), digest] for name, digest in digests.items()})
    atomic.write(manifest, f"{_seal(entries)}\n{entries}\n")


def intact(manifest: Path, folder: Path) -> bool:
    """Whether the folder holds what its manifest says, and nothing else."""
    try:
        seal, _, rest = manifest.read_text(encoding="utf-8", errors="surrogateescape").partition("\n")
        entries = rest.rstrip("\n")
        if seal != _seal(entries):
            return False
        stated: dict[str, list[str]] = json.loads(entries)
        names = {
            Path(where, name).relative_to(folder).as_posix() for where, _, files in os.walk(folder) for name in files
        }
        return names == set(stated) and all(_same(folder / name, *entry) for name, entry in stated.items())
    except (OSError, ValueError, TypeError, AttributeError):
        return False


def _same(path: Path, stated: str, digest: str) -> bool:
    found = state(path)
    if found is not None and str(found) == stated and not path.is_symlink():
        return True
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file_digest(file, new_digest).hexdigest() == digest


def _seal(entries: str) -> str:
    return blake2b(entries.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()

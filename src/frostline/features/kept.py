"""All that is kept in the cache, by kind: how large each is, and how to be rid of it. Everything is made again when it
is needed; features are the store's own business (``store``), the rest is files."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from frostline.errors import UnknownName, one_line
from frostline.features.store import Store
from frostline.registry import did_you_mean

_STORE = "store"
_WHAT = {
    _STORE: "features of pictures",
    "archives": "unpacked archives",
    "compiled": "compiled networks",
    "engines": "which engine agreed with torch",
    "digests.sqlite": "digests of files",
    "remote": "what was fetched from elsewhere",
    "demo": "pictures of `frostline demo`",
    "models": "list of models",
    "graphs": "compiled networks of an older version",
    "openvino": "compiled networks of an older version",
}
KINDS = tuple(_WHAT)
_NAMED = {"digests.sqlite": "digests.sqlite-*", "models": "models-*.json"}  # journals of SQLite; a list a version


@dataclass(frozen=True, slots=True)
class Kept:
    """One kind of thing. name: in the cache's folder. what: in words. bytes: on disk. files: how many."""

    name: str
    what: str
    bytes: int
    files: int


def kept(cache: Path) -> list[Kept]:
    """What the cache's folder holds, the largest first."""
    found = []
    for path in sorted(cache.iterdir()) if cache.is_dir() else ():
        sizes = [_size(file) for file in (path, *path.rglob("*")) if file.is_symlink() or not file.is_dir()]
        found.append(Kept(one_line(path.name), _WHAT.get(_kind(path.name), "something else"), sum(sizes), len(sizes)))
    return sorted(found, key=lambda kind: kind.bytes, reverse=True)


def clear(cache: Path, *, only: Sequence[str] = ()) -> dict[str, int]:
    """Remove it all; the bytes that became free, by name. Shelves of the store that a run uses at this moment stay.

    only: kinds, or names that `kept` gives; none are all that are known. What is not ours stays.

    Raises: StoreError: the store cannot be read. UnknownName: there is no such kind.
    """
    for name in only:
        if _kind(name) not in KINDS:
            hint = did_you_mean(name, KINDS) or f"there are: {', '.join(KINDS)}"
            raise UnknownName(f"nothing called {name!r} is kept", where="--only", hint=hint)
    before = {kind.name: kind.bytes for kind in kept(cache)}
    for name in before:
        path = cache / name
        if _kind(name) not in KINDS or (only and not {name, _kind(name)} & set(only)):
            continue
        if name == _STORE:
            Store(path).clear()
        elif path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    after = {kind.name: kind.bytes for kind in kept(cache)}
    return {name: size - after.get(name, 0) for name, size in before.items() if size > after.get(name, 0)}


def _kind(name: str) -> str:
    """The kind that a name in the cache is of; one that is none of ours is its own."""
    return next((kind for kind, names in _NAMED.items() if fnmatchcase(name, names)), name)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0

"""Data that lies elsewhere, by fsspec: s3://, gs://, https://, and whatever else is installed; kept in the cache.

A file is fetched once. Its content lies under its digest, and a small file says which URL had it, so two URLs of one
picture take the room of one. Sizes are limited, and what fails for a moment is tried again. fsspec's chains of URLs
(``::``) are not followed, and what leads from a public host into this network is refused; see ``reach``.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from frostline import atomic
from frostline.data.pictures.picture import Item
from frostline.data.places import reach
from frostline.errors import DataError, DecodeError, FrostlineError, MissingExtra, first_line, one_line

T = TypeVar("T")

SCHEMES = ("http", "https", "s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "memory")
_URL = re.compile(rf"({'|'.join(SCHEMES)}):/+(.+)", re.IGNORECASE | re.DOTALL)
_LARGEST_PICTURE = 512 << 20
_LARGEST_PLACE = 200 << 30
_MOST_FILES = 1_000_000
_TRIES = 3
_WAIT = 0.5  # seconds before the second try; twice that before the third
_PATIENCE = 60.0  # seconds for a whole answer over HTTP
_BLOCK = 1 << 20
_GONE = re.compile(r"\b(?:401|403|404|410)\b|no such|not found|forbidden|access denied", re.IGNORECASE)


def url_of(place: object) -> str | None:
    """The URL that a text or a Path of one is, or None; a Path has lost one of its slashes."""
    found = _URL.fullmatch(str(place)) if isinstance(place, str | Path) else None
    return None if found is None else f"{found[1].lower()}://{found[2]}"


def name_of(url: str) -> str:
    """The last part of a URL's path, as a file's name."""
    return PurePosixPath(unquote(urlsplit(url).path)).name


def host_of(url: str) -> str:
    """Scheme and host, or bucket, of a URL; without names and passwords."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def joined(base: str, name: str) -> str:
    """The URL of a name that starts at another URL; or the name, if it is one itself."""
    return url_of(name) or f"{base.rstrip('/')}/{name.replace(chr(92), '/').lstrip('/')}"


class Remote:
    """Files elsewhere by number, as ``Item`` wants them: each is fetched when it is first asked for.

    Raises (``[]``): DecodeError: not there, too large, or not to be had after some tries.
    """

    def __init__(self, cache: Path, *, like: str | None = None) -> None:
        """like: a URL; where its host is public, none that is not is asked for a picture."""
        self._cache, self._like = cache, like
        self._urls: list[str] = []

    def picture(self, url: str) -> Item:
        """What stands for the picture of a URL."""
        self._urls.append(url)
        return Item(self, len(self._urls) - 1)

    def url(self, index: int) -> str:
        """The URL of a picture.

        Raises: DecodeError: its host is of this network, and ``like`` is not.
        """
        url = self._urls[index]
        if self._like is not None and reach.inward(url) and not reach.inward(self._like):
            raise DecodeError(
                "the host is of this network, and the others of the table are not",
                where=url,
                hint="if it is meant, put it into a table of its own",
            )
        return url

    def __getitem__(self, index: int, /) -> Path:
        with as_picture():
            return fetch(self.url(index), self._cache, largest=_LARGEST_PICTURE)


def fetch(url: str, cache: Path, *, largest: int = _LARGEST_PLACE) -> Path:
    """The local copy of a file elsewhere, fetched if it is not there yet.

    Raises: DataError: it is not there, has more than ``largest`` bytes, or is not to be had after some tries.
        MissingExtra: the package for its scheme is not installed.
    """
    named = cache / "remote" / "urls" / hashlib.blake2b(url.encode(), digest_size=16).hexdigest()
    try:
        held = cache / "remote" / "files" / named.read_text(encoding="utf-8")
        if held.is_file():
            return held
    except OSError:
        pass
    incoming = cache / "remote" / "incoming" / named.name
    for folder in (incoming.parent, named.parent, held_in := cache / "remote" / "files"):
        folder.mkdir(parents=True, exist_ok=True)
    digest = _again(url, lambda: _downloaded(url, incoming, largest))
    held = held_in / f"{digest}{PurePosixPath(name_of(url)).suffix[:8]}"
    incoming.replace(held)
    atomic.write(named, held.name)
    return held


@contextmanager
def as_picture() -> Iterator[None]:
    """What cannot be fetched is a picture that cannot be read, and no reason to give up all others.

    Raises: DecodeError: in place of a DataError.
    """
    try:
        yield
    except DataError as error:
        raise DecodeError(error.what, where=error.where, hint=error.hint) from None


def content(url: str) -> bytes:
    """A picture elsewhere, by one request where the scheme can; it is not kept.

    Raises: DataError, MissingExtra: as ``fetch``.
    """
    if url.startswith("http"):
        with TemporaryDirectory(prefix="frostline-") as place:
            return fetch(url, Path(place), largest=_LARGEST_PICTURE).read_bytes()

    def read() -> bytes:
        system, path = filesystem(url)
        found: bytes = system.cat_file(path, start=0, end=_LARGEST_PICTURE + 1)
        if len(found) > _LARGEST_PICTURE:
            raise DataError(f"more than {_LARGEST_PICTURE:,} bytes", where=url, hint="a picture is smaller")
        return found

    return _again(url, read)


def check(url: str) -> None:
    """Raises: MissingExtra: the package for its scheme is not installed."""
    _again(url, lambda: filesystem(url))


def mirrored(url: str, cache: Path, *, progress: Callable[[int], None] = lambda done: None) -> Path:
    """A folder or a file elsewhere, as one on this machine: all of it, under its own names.

    Raises: DataError: it is not there, or larger than 200 GB or a million files. MissingExtra: as ``fetch``.
    """
    own = cache / "remote" / "places" / hashlib.blake2b(url.encode(), digest_size=16).hexdigest()
    if url.startswith("http") and not PurePosixPath(name_of(url)).suffix:
        raise DataError(
            "a page of the web is no folder", where=url, hint="name an archive (.zip, .tar.gz), a shard, or a table"
        )
    system, top = _again(url, lambda: filesystem(url))
    if not _again(url, lambda: system.isdir(top)) or PurePosixPath(name_of(url)).suffix:
        here = own / (name_of(url) or "data")
        here.parent.mkdir(parents=True, exist_ok=True)
        _link(fetch(url, cache), here)
        return here
    found: dict[str, Any] = _again(url, lambda: system.find(top, detail=True))
    size = sum(int(facts.get("size") or 0) for facts in found.values())
    if len(found) > _MOST_FILES or size > _LARGEST_PLACE:
        raise DataError(
            f"{len(found):,} files of {size / 1e9:,.1f} GB are too many to be fetched",
            where=url,
            hint="name a part of it, a table of some of its pictures, or shards",
        )
    root = system._strip_protocol(top).rstrip("/")
    here = own / (PurePosixPath(root).name or "data")
    names = [(path, _within(path, root, url)) for path in found]

    def one(path: str, name: str) -> None:
        place = here / name
        if not place.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            _link(fetch(system.unstrip_protocol(path), cache), place)

    with ThreadPoolExecutor(8, thread_name_prefix="fetch") as pool:
        for done, _ in enumerate(pool.map(one, *zip(*names, strict=True)) if names else (), start=1):
            progress(done)
    here.mkdir(parents=True, exist_ok=True)
    return here


def _within(path: str, root: str, url: str) -> str:
    """The path below the root; one that leaves it is refused."""
    name = path.removeprefix(root).lstrip("/")
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or "\0" in name or PurePosixPath(name).is_absolute():
        raise DataError(f"{one_line(path)!r} is no path within the folder", where=url, hint="rename it there")
    return name


def filesystem(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path in it.

    Raises: MissingExtra: fsspec, or the package for its scheme, is not installed.
    """
    try:
        import fsspec
    except ImportError:
        raise MissingExtra("data elsewhere needs fsspec", where=url, hint="pip install 'frostline[remote]'") from None
    if url_of(url) is None:
        raise DataError("this is not fetched", where=url, hint=f"fetched are {', '.join(SCHEMES)}")
    options: dict[str, Any] = {}
    try:
        if url.startswith("http"):
            import aiohttp

            options = {
                "client_kwargs": {"timeout": aiohttp.ClientTimeout(total=_PATIENCE)},
                "get_client": reach.any_host if reach.inward(url) else reach.public_hosts,
            }
        kind = fsspec.get_filesystem_class(url.partition(":")[0])
        system, path = kind(**kind._get_kwargs_from_urls(url), **options), kind._strip_protocol(url)
    except ImportError as error:
        raise MissingExtra(
            f"{url.partition(':')[0]}:// needs a package: {one_line(str(error))}",
            where=url,
            hint="pip install 'frostline[remote]'",
        ) from None
    return system, str(path)


def _downloaded(url: str, place: Path, largest: int) -> str:
    """Write a file's content to a place; returns its digest."""
    system, path = filesystem(url)
    digest, size = hashlib.blake2b(digest_size=16), 0
    streamed = {"block_size": 0} if url.startswith("http") else {}
    with atomic.beside(place) as fresh, fresh.open("wb") as out, system.open(path, "rb", **streamed) as source:
        while block := source.read(_BLOCK):
            size += len(block)
            if size > largest:
                raise DataError(
                    f"more than the limit of {largest:,} bytes", where=url, hint="fetch it yourself, if it is right"
                )
            digest.update(block)
            out.write(block)
    return digest.hexdigest()


def _again(url: str, act: Callable[[], T]) -> T:
    """What ``act`` gives; tried again where what failed may pass.

    Raises: DataError: it does not pass, or cannot.
    """
    for attempt in range(_TRIES):
        try:
            return act()
        except FrostlineError:
            raise
        except Exception as error:  # of aiohttp, botocore, gcsfs: each has its own
            if (ours := _ours(error)) is not None:
                raise DataError(ours.what, where=url, hint="name that host yourself, if it is meant") from None
            said = first_line(error)
            final = _is_final(error, said)
            if final or attempt == _TRIES - 1:
                if isinstance(error, FileNotFoundError) and final:
                    raise DataError("there is no such file", where=url, hint="check the address") from None
                tried = "" if final else f" after {_TRIES} tries"
                raise DataError(
                    f"cannot be fetched{tried}: {said}",
                    where=url,
                    hint="check the address, the network and your rights",
                ) from None
        time.sleep(_WAIT * 2**attempt)
    raise AssertionError("unreachable")


def _ours(error: BaseException | None) -> DataError | None:
    """What ``reach`` refused, behind the errors of those who asked."""
    while error is not None and not isinstance(error, DataError):
        error = error.__cause__ or error.__context__
    return error


def _is_final(error: Exception, said: str) -> bool:
    """Whether trying again is no use; fsspec calls "not found" whatever a server answered, and keeps the cause."""
    cause = error.__cause__ or error.__context__
    status = getattr(cause, "status", None)
    if isinstance(status, int):
        return 400 <= status < 500 and status not in (408, 425, 429)
    if isinstance(error, FileNotFoundError | PermissionError):
        return cause is None or isinstance(cause, LookupError | FileNotFoundError)
    return _GONE.search(said) is not None


def _link(held: Path, place: Path) -> None:
    """One file under a second name: linked if that can be, else copied."""
    with atomic.beside(place) as fresh:
        try:
            os.link(held, fresh)
        except OSError:
            shutil.copyfile(held, fresh)

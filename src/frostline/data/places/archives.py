"""Archives are unpacked once, under the digest of their bytes, and only if nothing in them reaches out of it."""

import bz2
import gzip
import logging
import lzma
import os
import secrets
import shutil
import stat
import struct
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, cast

from frostline.data.encodings import CHINESE, surely_chinese
from frostline.data.places import unpacked_manifest
from frostline.data.places.tree import is_junk
from frostline.errors import DataError, one_line
from frostline.ordinary_file import ordinary

log = logging.getLogger(__name__)

MAX_BYTES = 50 * 10**9
MAX_MEMBERS = 5_000_000
MAX_RATIO = 100
"""How many times larger than the archive its content may be, once that is over a gigabyte."""

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_FREE = 10**9
_UTF_8 = 0x800
_FEW = 10_000
_LEAST = 32
"""Bytes of an archive that a member takes at the least, once there are more than a few: a picture takes hundreds."""
_BLOCK = 1 << 20
_HEADER = 16 << 20
_DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, IndexError, OverflowError, NotImplementedError, RuntimeError, ValueError),
)

Member = tuple[str, Callable[[], AbstractContextManager[IO[bytes]]]]


def is_archive(place: Path) -> bool:
    """Whether it is a file with an archive's name."""
    return place.name.lower().endswith(_SUFFIXES) and place.is_file()


def unpacked(archive: Path, digest: str, cache: Path, *, max_bytes: int = MAX_BYTES) -> Path:
    """The folder that holds what the archive holds; made on the first call, whole or not at all.

    digest: of the archive's bytes. cache: the folder to unpack below. Junk of other systems stays behind.

    Raises: DataError: a member outside its folder, a link, a device, a name that occurs twice, an encrypted or damaged
        archive, or more than ``max_bytes`` or ``MAX_RATIO`` allow; a full disk.
    """
    home = cache / "archives"
    ready, manifest = home / digest, home / f"{digest}.json"
    if ready.is_dir():
        if unpacked_manifest.intact(manifest, ready):
            return ready
        log.warning("what was unpacked of %s has been changed since, and is unpacked again", one_line(str(archive)))
        _away(ready)
    try:
        home.mkdir(parents=True, exist_ok=True)
        _sweep(home)
        building = Path(tempfile.mkdtemp(prefix=f".{digest}-", dir=home))
    except OSError as error:
        raise DataError(
            f"nothing can be unpacked there: {error.strerror}", where=home, hint="choose another cache folder"
        ) from None
    try:
        unpacked_manifest.write(manifest, building, _write(archive, building, max_bytes))
        try:
            building.rename(ready)
        except OSError:
            if not ready.is_dir():  # else another process was faster, and its folder is as good
                raise
    except _DAMAGE as error:
        raise _damaged(archive, error) from None
    except OSError as error:
        raise DataError(
            f"the archive cannot be unpacked: {error.strerror or one_line(str(error))}",
            where=archive,
            hint=f"is there room and permission in {one_line(str(home))}? is the archive whole?",
        ) from None
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return ready


def _away(folder: Path) -> None:
    """Out of the way at once, whatever it takes to remove it."""
    gone = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    with suppress(OSError):  # another process was faster
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def _write(archive: Path, folder: Path, max_bytes: int) -> dict[str, str]:
    """Write all members; their digests by name."""
    packed = archive.stat().st_size
    budget = min(max_bytes, max(_FREE, MAX_RATIO * packed))
    most = min(MAX_MEMBERS, max(_FEW, packed // _LEAST))
    written = empty = 0
    digests: dict[str, str] = {}
    members = _zip(archive) if archive.name.lower().endswith(".zip") else _tar(archive, budget)
    for count, (name, opened) in enumerate(members, start=1):
        if count > most:
            raise DataError(
                f"refused: {packed / 1e6:,.1f} MB hold more than {most:,} members", where=archive, hint=_UNPACK
            )
        inside = _inside(name, archive)
        if any(is_junk(part) for part in inside.parts):
            continue
        target = folder / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            sink = target.open("xb")
        except FileExistsError:
            raise _refused(archive, name, "occurs twice, or differs only by case") from None
        before, digest = written, unpacked_manifest.new_digest()
        with sink, opened() as source:
            while block := source.read(_BLOCK):
                written += len(block)
                if written > budget:
                    raise _too_large(archive, budget)
                sink.write(block)
                digest.update(block)
        digests[inside.as_posix()] = digest.hexdigest()
        empty += written == before
        if empty > _FEW:
            raise DataError(f"refused: more than {_FEW:,} of its members are empty", where=archive, hint=_UNPACK)
    return digests


def _zip(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as packed:
        names = _zip_names(archive, packed.infolist())
        for info, name in zip(packed.infolist(), names, strict=True):
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, name, "is a link or device")
            if info.flag_bits & 1:
                raise _refused(archive, name, "is encrypted")
            if not info.is_dir():
                yield name, partial(packed.open, info)
            else:
                _inside(name, archive)


def _zip_names(archive: Path, infos: list[zipfile.ZipInfo]) -> list[str]:
    """The members' names. Where the flag for UTF-8 is not set, zipfile takes bytes for the DOS code page 437, but tools
    wrote what their system had: names that are UTF-8 throughout, or surely Chinese, are read so, and others refused."""
    unsaid = [_in_no_code(info) for info in infos]
    raw = [info.filename.encode("cp437") for info, one in zip(infos, unsaid, strict=True) if one]
    if (encoding := _encoding(raw)) is None:
        raise DataError(
            f"refused: nothing says in which code page the names of its {len(raw):,} members beyond ASCII are",
            where=archive,
            hint="unpack it, with `unzip -O GBK` or `unzip -O CP437` for instance, and give the folder",
        )
    if encoding == CHINESE:
        log.warning("the names in %s are read as GB18030", one_line(str(archive)))
    return [
        info.filename.encode("cp437").decode(encoding) if one else info.filename
        for info, one in zip(infos, unsaid, strict=True)
    ]


def _encoding(names: list[bytes]) -> str | None:
    """In which encoding names are that say nothing of it; None: that is not known."""
    try:
        for name in names:
            name.decode("utf-8")
    except UnicodeDecodeError:
        return CHINESE if surely_chinese(b"\n".join(names)) else None
    return "utf-8"


def _in_no_code(info: zipfile.ZipInfo) -> bool:
    """Whether nothing says what the name's bytes mean; newer zipfiles take it from the field of Info-ZIP, if there."""
    from_field = info.filename != info.orig_filename
    return not (info.flag_bits & _UTF_8 or from_field or info.filename.isascii())


def _tar(archive: Path, budget: int) -> Iterator[Member]:
    with _plain(archive) as plain:
        for packed, info in _headers(plain, archive, budget):
            yield info.name, partial(_member, packed, info)


def tar_index(archive: Path) -> Iterator[tuple[str, int, int]]:
    """(name, offset, length) of each file in a tar that is not compressed; only its headers are read.

    Raises: DataError: a link or device, a damaged or a giant header, or the file cannot be read.
    """
    try:
        with ordinary(archive).open("rb") as plain:
            size = archive.stat().st_size
            for _, info in _headers(plain, archive, size):
                if info.offset_data + info.size > size:
                    raise tarfile.TarError(f"{one_line(info.name)} ends behind the end of the archive")
                yield info.name, info.offset_data, info.size
    except _DAMAGE as error:
        raise _damaged(archive, error) from None
    except OSError as error:
        raise DataError(
            f"the archive cannot be read: {error.strerror}", where=archive, hint="check its name and permissions"
        ) from None


def _headers(plain: IO[bytes], archive: Path, budget: int) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    bounded = _Bounded(plain, archive, budget)
    with tarfile.open(fileobj=cast(IO[bytes], bounded), mode="r:") as packed:
        while (info := packed.next()) is not None:
            if info.isdir():
                _inside(info.name, archive)
            elif not info.isreg() or info.issparse():
                raise _refused(archive, info.name, "is a link, device or sparse file")
            else:
                yield packed, info
            packed.members = []  # type: ignore[attr-defined]  # else it keeps every header
        bounded.seek(packed.offset)
        if bounded.read(tarfile.BLOCKSIZE).strip(b"\0"):  # tarfile takes a damaged header for the end
            raise tarfile.TarError(f"no header at byte {packed.offset:,}")


@contextmanager
def _member(packed: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[IO[bytes]]:
    source = packed.extractfile(info)
    if source is None:
        raise tarfile.TarError(f"member {info.name!r} has no content")
    with source:
        yield source


@contextmanager
def _plain(archive: Path) -> Iterator[IO[bytes]]:
    with archive.open("rb") as raw:
        start = raw.read(6)
        raw.seek(0)
        if start[:2] == b"\x1f\x8b":
            yield cast(IO[bytes], gzip.GzipFile(fileobj=raw))
        elif start[:3] == b"BZh":
            yield cast(IO[bytes], bz2.BZ2File(raw))
        elif start == b"\xfd7zXZ\0":
            with lzma.LZMAFile(raw) as unpacking:
                yield cast(IO[bytes], unpacking)
        else:
            yield raw


class _Bounded:
    """What tarfile reads from: no more than a budget in all, no header above 16 MB (it would be held in memory)."""

    def __init__(self, plain: IO[bytes], archive: Path, budget: int) -> None:
        self._plain = plain
        self._archive = archive
        self._budget = budget + (1 << 30)  # headers and padding come on top of content
        self.name = archive.name

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _HEADER:
            raise DataError(f"the archive has a header of {size:,} bytes", where=self._archive, hint=_UNPACK)
        return self._plain.read(size)

    def readinto(self, buffer: bytearray) -> int:
        block = self.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def tell(self) -> int:
        return self._plain.tell()

    def seek(self, position: int, whence: int = os.SEEK_SET) -> int:
        if position > self._budget:
            raise _too_large(self._archive, self._budget)
        return self._plain.seek(position, whence)


_UNPACK = "if you trust it, unpack it yourself and name the folder"


def _inside(name: str, archive: Path) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in name or (path.parts and path.parts[0][1:2] == ":"):
        raise _refused(archive, name, "is outside the archive's folder")
    return path


def _refused(archive: Path, name: str, why: str) -> DataError:
    return DataError(f"refused: member {one_line(name)!r} {why}", where=archive, hint=_UNPACK)


def _too_large(archive: Path, budget: int) -> DataError:
    return DataError(
        f"refused: {archive.stat().st_size / 1e6:,.1f} MB would unpack to more than {budget / 1e9:,.1f} GB",
        where=archive,
        hint=_UNPACK,
    )


def _sweep(home: Path) -> None:
    for left in home.glob(".*-*"):
        with suppress(FileNotFoundError):  # another process has just finished, or removed it
            if time.time() - left.stat().st_mtime > 24 * 3600:  # of a process that died while unpacking
                shutil.rmtree(left, ignore_errors=True)


def _damaged(archive: Path, error: Exception) -> DataError:
    said = one_line(str(error))
    return DataError(f"the archive is damaged: {said}", where=archive, hint="copy it again from where it came")

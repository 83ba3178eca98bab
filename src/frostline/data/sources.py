"""Where pictures come from: one generator a source, one registry, and ``read``, which asks who claims a place.

A source of one's own is a generator of rows and an entry point in the group ``frostline.sources``:

    @source("coco-folder", claims=lambda place: (place / "annotations.json").is_file())
    def coco_folder(place: Path) -> Iterator[Row]: ...

``folders`` and ``tables`` hold the built-in ones. An archive is no source: it is unpacked, and then read as a folder.
Digests, limits and checks are the Manifest's business.
"""

import difflib
import glob
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from frostline.data.archives import is_archive, unpacked
from frostline.data.decode import Picture
from frostline.data.digests import DigestCache
from frostline.data.folders import LAYOUTS, folder, maybe_picture, readable, single_inner, walk
from frostline.data.listing import Listing
from frostline.data.manifest import Manifest, Row, Skipped, digested
from frostline.data.tables import csv_table, parquet_table
from frostline.errors import DataError, one_line
from frostline.registry import Registry

Rows = Callable[[Path], Iterator[Row | Skipped]]


@dataclass(frozen=True, slots=True)
class Source:
    """claims: whether it can read a place. rows: what lies there; it may raise DataError."""

    claims: Callable[[Path], bool]
    rows: Rows


sources: Registry[Source] = Registry("source", "frostline.sources")


def source(name: str, *, claims: Callable[[Path], bool]) -> Callable[[Rows], Source]:
    """``@source("name", claims=...)`` above a generator of rows makes it a source and registers it."""
    return lambda rows: sources.register(name, Source(claims, rows))


sources.register("folder", Source(Path.is_dir, folder))
sources.register("table", Source(lambda place: place.suffix.lower() in (".csv", ".tsv"), csv_table))
sources.register("parquet", Source(lambda place: place.suffix.lower() == ".parquet", parquet_table))


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/frostline``, by default ``~/.cache/frostline``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "frostline"


def read(
    place: str | Path,
    *,
    classes: Sequence[str] | None = None,
    cache: Path | None = None,
    digest: Callable[[Picture], str] | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Manifest:
    """The pictures of a folder, a table, an archive, or whatever else a source claims.

    classes: the classes there may be; by default those that occur.
    cache: where digests are remembered and archives unpacked; by default ``default_cache()``.
    digest: in place of the remembered ones.
    progress: called with the number of files seen so far.

    Raises: DataError: no such place, no source claims it, or what it holds cannot be used (see ``Manifest.of``).
    """
    with _opened(place, cache, digest) as (rows, source, how):
        return Manifest.of(rows, source=source, classes=classes, digest=how, progress=progress)


def as_found(
    place: str | Path, *, cache: Path | None = None, progress: Callable[[int], None] = lambda done: None
) -> Listing:
    """As ``read``, but nothing is refused because of its labels, splits or bytes: that is for the audit to say.

    Raises: DataError: no such place, no source claims it, or nothing that could be a picture lies there.
    """
    rows: list[Row] = []
    faults: list[str] = []
    passed_over: list[Skipped] = []
    with _opened(place, cache, None) as (found, source, how):
        for seen, item in enumerate(digested(found, how), start=1):
            if isinstance(item, Skipped):
                passed_over.append(item)
            else:
                rows.append(item[0])
                faults.append(item[1] or "")
            progress(seen)
    if not rows:
        raise DataError("there is no picture", where=source, hint="the place is empty: is it the right one?")
    return Listing(tuple(rows), tuple(faults), tuple(passed_over), source)


@contextmanager
def _opened(
    place: str | Path, cache: Path | None, digest: Callable[[Picture], str] | None
) -> Iterator[tuple[Iterator[Row | Skipped], str, Callable[[Picture], str]]]:
    asked = Path(place).expanduser()
    cache = cache or default_cache()
    with ExitStack() as stack:
        if digest is None:
            digest = stack.enter_context(DigestCache(cache / "digests.sqlite"))
        here = asked
        if is_archive(asked):
            here = single_inner(unpacked(asked, digest(asked), cache))
        yield _claiming(here).rows(here), readable(str(asked)), digest


def pictures(places: Sequence[str], stdin: Iterable[str] | None = None) -> Iterator[Row]:
    """Pictures without labels, as they come: files, folders (with all below them), globs, and ``-`` for names on stdin.

    A file that is missing or broken is a row all the same: decoding it says what is wrong, and the others go on.

    Raises: DataError: at once, before the first row: a glob that matches nothing, or a folder without pictures.
    """
    for place in places:
        if place == "-" or Path(place).is_file():
            continue
        if Path(place).is_dir():
            if next(_below(place), None) is None:
                raise DataError("there is no picture in the folder", where=place, hint="name another, or the files")
        elif glob.has_magic(place) and next(_matching(place), None) is None:
            raise DataError("no file matches the pattern", where=place, hint="quote it, and try it with ls")
    return _pictures(places, sys.stdin if stdin is None else stdin)


def pairs(pictures: Iterable[Picture | str], labels: Iterable[object] | None = None) -> Iterator[Row]:
    """Rows from pictures and their labels, side by side, as an estimator gets them.

    Raises: DataError: not as many labels as pictures.
    """
    if labels is None:
        yield from (_row(number, picture) for number, picture in enumerate(pictures))
        return
    try:
        for number, (picture, label) in enumerate(zip(pictures, labels, strict=True)):
            yield replace(_row(number, picture), labels=(str(label),))
    except ValueError:
        raise DataError("there are not as many labels as pictures", hint="give one label for each picture") from None


def _row(number: int, picture: Picture | str) -> Row:
    if isinstance(picture, str | Path):
        return Row(Path(picture), name=readable(str(picture)))
    return Row(picture, name=f"#{number}")


def _claiming(place: Path) -> Source:
    # Strangers first: a folder with annotations in it is theirs, and any folder is ours.
    for _, found in reversed(list(sources)):
        if found.claims(place):
            return found
    if place.exists():
        raise DataError(
            f"no source reads {one_line(place.name)!r}",
            where=place,
            hint=f"expected: {LAYOUTS}, or an archive of such a folder; sources: {', '.join(sources.names())}",
        )
    near = difflib.get_close_matches(place.name, _names(place.parent), n=1)
    hint = f"did you mean {one_line(str(place.parent / near[0]))}?" if near else "check the spelling, and where you are"
    raise DataError("there is no such file or folder", where=place, hint=hint)


def _names(parent: Path) -> list[str]:
    try:
        return os.listdir(parent)  # noqa: PTH208 (names are all that is needed)
    except OSError:
        return []


def _pictures(places: Sequence[str], stdin: Iterable[str]) -> Iterator[Row]:
    for place in places:
        if place == "-":
            for line in stdin:
                if name := line.rstrip("\r\n"):
                    yield from _at(name)
        elif glob.has_magic(place) and not Path(place).exists():
            for found in sorted(_matching(place)):
                yield from _at(found)
        else:
            yield from _at(place)


def _matching(pattern: str) -> Iterator[str]:
    return glob.iglob(pattern, recursive=True)  # noqa: PTH207 (pathlib refuses absolute patterns)


def _at(place: str) -> Iterator[Row]:
    if Path(place).is_dir():
        yield from _below(place)
    else:
        yield Row(Path(place), name=readable(place))


def _below(place: str) -> Iterator[Row]:
    for found in walk(Path(place)):
        if isinstance(found, Path) and maybe_picture(found.name):
            yield Row(found, name=readable(str(found)))

"""A table of the pictures without what was found, for `fit` to read. No picture is touched."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from frostline import atomic
from frostline.data import csv_files
from frostline.data.label_text import joined
from frostline.data.manifest import Row
from frostline.data.places.place_options import PlaceOptions
from frostline.data.tables.csv_table import csv_records
from frostline.data.tables.table import rows_of
from frostline.errors import DataError, PlanError, one_line
from frostline.judge.audit.findings import ASK_A_NETWORK, checks
from frostline.judge.audit.run_checks import Audit

DROP = ("unreadable", "duplicates", "leakage")
"""What goes unless something else is asked for."""


def chosen(names: str, *, features: bool = True) -> tuple[str, ...]:
    """The checks in ``"unreadable,duplicates"``.

    features: whether a network is asked.

    Raises: UnknownName: there is no such check. PlanError: it asks a network, and none is asked.
    """
    found = tuple(name for part in names.split(",") if (name := part.strip()))
    for name in found:
        checks.get(name)
        if name in ASK_A_NETWORK and not features:
            hint = f"leave {name} out, or leave --no-features out"
            raise PlanError(f"--drop {name} does nothing beside --no-features", where="--drop", hint=hint)
    return found


def write_cleaned(audit: Audit, place: Path, *, drop: Sequence[str] = DROP) -> tuple[int, int]:
    """Write columns path, label, split and group (where there are any), less the findings of these checks.

    A picture of the test split stays, whatever a model thinks of its label: a test that was cleaned by a model flatters
    every model. Of copies across splits the one in test stays, else the one in val.

    Returns how many rows were written and how many were left out.

    Raises: DataError: pictures that are no files; a path, label or group that would be read back as something else
        (a class called "None", "1.0" or " a"; "a,b" beside "a" and "b"); the table cannot be written.
    """
    listing = audit.subject.listing
    gone = np.zeros(len(listing), bool)
    for finding in audit.findings:
        if finding.check in drop:
            from_test = listing.split_ranks == 2
            gone |= finding.drop & ~from_test if finding.check in ASK_A_NETWORK else finding.drop
    kept = [row for row, out in zip(listing.rows, gone, strict=True) if not out]
    splits, groups = any(row.split for row in kept), any(row.group for row in kept)
    header = ["path", "label", *(["split"] if splits else []), *(["group"] if groups else [])]
    lines = []
    for row in kept:
        values = [_path(row, place), joined(row.labels), *([row.split or ""] if splits else [])]
        lines.append([*values, *([row.group or ""] if groups else [])])
    try:
        with atomic.beside(place) as fresh:
            fresh.write_text(csv_files.text([header, *lines]), encoding="utf-8", newline="")
            _check_read_back(fresh, kept, [line[0] for line in lines], place)
    except OSError as error:
        raise DataError(
            f"the table cannot be written: {atomic.reason(error)}", where=place, hint="name another with --write"
        ) from None
    return len(kept), int(gone.sum())


def _path(row: Row, table: Path) -> str:
    if not isinstance(row.picture, Path):
        raise DataError(
            "these pictures are no files, so a table cannot name them", where=row.name, hint="leave out --write"
        )
    here, base = row.picture.absolute(), table.absolute().parent
    text = os.path.normpath(here.relative_to(base) if here.is_relative_to(base) else here)
    if text != text.strip() or any(0xDC80 <= ord(c) <= 0xDCFF for c in text):
        raise DataError(
            f"a table cannot hold the name {one_line(text)!r}",
            where=row.name,
            hint="rename the file, or leave out --write",
        )
    return text


def _check_read_back(written: Path, rows: Sequence[Row], paths: Sequence[str], place: Path) -> None:
    """Read the table as `fit` will: what looks like nothing, a number or a list in it is known there and nowhere else.

    Raises: DataError: a row would be read as something else.
    """
    try:
        header, records, _ = csv_records(written)
        found = [row for row in rows_of(header, records, place.name, how=_ANY) if isinstance(row, Row)]
    except DataError as error:
        raise DataError(f"the table would be refused: {error.what}", where=place, hint=_RENAME) from None
    told = {str(row.picture): row for row in found}
    for row, path in zip(rows, paths, strict=True):
        again = told.get(path, Row(row.picture))
        for said, read in (
            (joined(row.labels), joined(again.labels)),
            (row.group or "", again.group or ""),
            (row.split or "", again.split or ""),
        ):
            if said != read:
                raise DataError(
                    f"a table cannot hold {one_line(said)!r}, which would be read as {one_line(read)!r}",
                    where=row.name,
                    hint=_RENAME,
                )


_ANY = PlaceOptions(several=True)  # rows without a label are written as they are
_RENAME = "rename the class or group, or leave out --write"

"""What became of each judged picture: the rows of a run's ``pictures.csv``, which ``compare`` pairs and reports show.

Columns: name, path, digest, split, label, predicted, probability, right, group. Where a picture may have several labels
they are joined (`data.label_text`).
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frostline.data import csv_files
from frostline.data.label_text import as_text, joined
from frostline.data.manifest import Manifest
from frostline.data.pictures.picture import content_digest
from frostline.errors import DecodeError, JudgementError, one_line
from frostline.ordinary_file import ordinary

PICTURES = "pictures.csv"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One picture and how it was answered.

    name: within its source. path: of its file, absolute, or "" if it has none. digest: of its content.
    split: that it was judged in: "val", "test", or "cross-validation" (by a head that has not learnt from it).
    label, predicted: classes. probability: of what was predicted, calibrated; with several labels a picture, of the
        least sure of its K decisions.
    right: with several labels, whether all K decisions are. group: that it belongs to, or "".
    """

    name: str
    path: str
    digest: str
    split: str
    label: str
    predicted: str
    probability: float
    right: bool
    group: str = ""


def said(p: NDArray[np.floating], classes: Sequence[str], *, several: bool) -> tuple[str, float]:
    """What the probabilities (K,) of a picture come to, as `Outcome` has it in ``predicted`` and ``probability``.

    several: whether a picture may have several labels, each decided at a half, or none ("").
    """
    if several:
        held = [name for name, share in zip(classes, p, strict=True) if share >= 0.5]
        return joined(held), float(np.maximum(p, 1 - p).min())
    first = int(p.argmax())
    return classes[first], float(p[first])


def outcomes(part: Manifest, probabilities: NDArray[np.floating], split: str) -> list[Outcome]:
    """One a row of a labelled manifest.

    probabilities: (N, K), calibrated, in the order of the manifest's classes.
    """
    targets = part.targets()
    several = targets.ndim == 2
    place = {name: number for number, name in enumerate(part.classes)}
    found = []
    for row, target, p in zip(part.rows, targets, probabilities, strict=True):
        named, probability = said(p, part.classes, several=several)
        right = bool(((p >= 0.5) == (target > 0.5)).all()) if several else int(p.argmax()) == int(target)
        path = str(row.picture.absolute()) if isinstance(row.picture, Path) else ""
        found.append(
            Outcome(
                row.name,
                path,
                row.digest,
                split,
                as_text(sorted(row.labels, key=place.__getitem__), several=several),
                named,
                round(probability, 6),
                right,
                row.group or "",
            )
        )
    return found


def in_turn(rows: Iterable[Outcome]) -> Iterator[Outcome]:
    """One of each class before a second one of any."""
    by_class: dict[str, list[Outcome]] = {}
    for row in rows:
        by_class.setdefault(row.label, []).append(row)
    return (row for row in chain.from_iterable(zip_longest(*by_class.values())) if row is not None)


def of_test(rows: Sequence[Outcome]) -> Sequence[Outcome]:
    """Those of the test split, or all if there is none."""
    return [row for row in rows if row.split == "test"] or rows


def to_csv(rows: Iterable[Outcome]) -> str:
    """The text of ``pictures.csv``; right is 1 or 0."""
    header = [field.name for field in fields(Outcome)]
    return csv_files.text((header, *((*astuple(row)[:-2], int(row.right), row.group) for row in rows)))


def picture_at(row: Outcome) -> Path | None:
    """The file of a judged picture, if it holds what was judged: it may be another by now, and a folder that somebody
    else made could name any file of this machine."""
    try:
        return Path(row.path) if row.path and content_digest(Path(row.path)) == row.digest else None
    except (DecodeError, ValueError):  # gone, or a name that no file can have
        return None


def read_outcomes(place: Path) -> list[Outcome]:
    """The rows of a run's ``pictures.csv``.

    place: the file.

    Raises: JudgementError: it is not there, or not what a run has written.
    """
    try:
        with ordinary(place).open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            return [
                Outcome(
                    **{key: row[key] for key in ("name", "path", "digest", "split", "label", "predicted")},
                    probability=float(row["probability"]),
                    right={"0": False, "1": True}[row["right"]],
                    group=row.get("group") or "",
                )
                for row in csv_files.records(file)
            ]
    except OSError as error:
        raise JudgementError(
            f"the pictures of the run cannot be read: {error.strerror}",
            where=place,
            hint="name the folder of a finished `frostline fit`; runs of older versions have to be fitted again",
        ) from None
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        raise JudgementError(
            f"not the pictures of a run: {one_line(str(error))[:100]}", where=place, hint="fit again to write a new one"
        ) from None

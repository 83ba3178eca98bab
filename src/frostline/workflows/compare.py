"""Runs beside each other: their folders are read, and nothing is compared that was not judged on the same pictures."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.data.label_text import parted
from frostline.data.split import joined
from frostline.errors import JudgementError, one_line
from frostline.judge.compare import Difference, differences
from frostline.judge.figures import NO_CLASS
from frostline.judge.intervals import Interval, share
from frostline.judge.predictions import PICTURES, Outcome, read_outcomes
from frostline.judge.result import HEADLINES, RunResult
from frostline.ordinary_file import ordinary

HELD_OUT = "held-out pictures"


@dataclass(frozen=True)
class Entry:
    """One run of a comparison.

    name: as short as it can be told from the others. accuracy: on the pictures that all runs were judged on.
    figures: other figures of that split by name (macro_f1, log_loss, ...). seconds: of the run, or None.
    chosen: whether these pictures chose its epoch or phases, so that its figures are a little too good.
    """

    name: str
    folder: Path
    model: str
    strategy: str
    accuracy: Interval
    figures: Mapping[str, float]
    seconds: float | None
    chosen: bool = False


@dataclass(frozen=True)
class Comparison:
    """Runs, the best first, and every pair of them.

    split: that they were judged on. n: pictures. differences: `first` and `second` are places in `entries`.
    units: how many of the n are draws by themselves: duplicates, and the pictures of a group, are one.
    commonest: the commonest label, and how many of the n have it: what always giving that answer has right.
    """

    split: str
    n: int
    entries: tuple[Entry, ...]
    differences: tuple[Difference, ...]
    units: int
    commonest: tuple[str, int] = ("", 0)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; differences are of the second less the first."""
        runs = [
            {**asdict(entry), "folder": str(entry.folder), "figures": dict(entry.figures)} for entry in self.entries
        ]
        pairs = [
            {
                "first": self.entries[pair.first].name,
                "second": self.entries[pair.second].name,
                "difference": pair.paired.difference,
                "gained": pair.paired.gained,
                "lost": pair.paired.lost,
                "p": pair.p,
                "p_adjusted": pair.adjusted,
                "real": pair.real,
            }
            for pair in self.differences
        ]
        answer, count = self.commonest
        base = {"answer": answer, "share": count / self.n}
        return {"split": self.split, "n": self.n, "units": self.units, "baseline": base, "runs": runs, "pairs": pairs}


def compare(folders: Sequence[Path], *, split: str | None = None) -> Comparison:
    """Runs that were judged on the same pictures, by their folders (or the model folders in them).

    split: "test", "val" or "cross-validation"; by default the first of these that all runs have.

    Raises: JudgementError: fewer than two runs, one that says nothing of its pictures, no split that all have, or
        splits of different pictures or labels.
    """
    places = [_run(folder) for folder in folders]
    if len(set(places)) < 2:
        raise JudgementError(
            f"{len(set(places))} run cannot be compared", where=folders[0] if folders else None, hint="name two or more"
        )
    places = list(dict.fromkeys(places))
    judged = [_by_split(read_outcomes(place / PICTURES)) for place in places]
    names = _short(places)
    held_out = None if split else _held_out(judged)
    chosen = HELD_OUT if held_out else _split(places, judged, split)
    parts = held_out or [rows[chosen] for rows in judged]
    order = sorted(parts[0])
    for name, place, part in zip(names[1:], places[1:], parts[1:], strict=True):
        _check_same(names[0], parts[0], name, part, place, chosen)
    right = [np.array([part[key].right for key in order]) for part in parts]
    ranked = sorted(range(len(places)), key=lambda place: (-int(right[place].sum()), place))
    groups = [next((part[key].group for part in parts if part[key].group), None) for key in order]
    units = joined((group, digest) for group, (digest, _) in zip(groups, order, strict=True))
    entries = tuple(
        _entry(
            names[place], places[place], chosen, right[place], units, own=parts[place][order[0]].split if order else ""
        )
        for place in ranked
    )
    count = len(order) if units is None else len(np.unique(units))
    counts = Counter(parts[0][key].label or NO_CLASS for key in order)
    commonest = max(sorted(counts.items()), key=lambda item: item[1])  # of equals the first by name, as reports have it
    pairs = differences([right[place] for place in ranked], units)
    return Comparison(chosen, len(order), entries, pairs, count, commonest)


def _run(folder: Path) -> Path:
    """A run's folder, also of the model folder in it."""
    inside = folder.absolute()
    return inside.parent if not (inside / PICTURES).exists() and (inside.parent / PICTURES).exists() else inside


_Part = dict[tuple[str, int], Outcome]


def _by_split(rows: Sequence[Outcome]) -> dict[str, _Part]:
    """Outcomes by split, then by digest; equal pictures are counted through."""
    found: dict[str, _Part] = {}
    for row in rows:
        part = found.setdefault(row.split, {})
        copies = 0
        while (row.digest, copies) in part:
            copies += 1
        part[row.digest, copies] = row
    return found


def _held_out(judged: Sequence[Mapping[str, _Part]]) -> list[_Part] | None:
    """Where some runs were judged by cross-validation and others on val: the pictures that all of them held out."""
    if any(all(split in parts for parts in judged) for split in HEADLINES):
        return None
    parts = [rows.get("val") or rows.get("cross-validation") or {} for rows in judged]
    common = set.intersection(*(set(part) for part in parts))
    return [{key: part[key] for key in common} for part in parts] if common else None


def _split(places: Sequence[Path], judged: Sequence[Mapping[str, _Part]], asked: str | None) -> str:
    for split in (asked,) if asked else HEADLINES:
        if all(split in parts for parts in judged):
            return split
    lacking = next(number for number, parts in enumerate(judged) if (asked or next(iter(judged[0]), "")) not in parts)
    there = ", ".join(judged[lacking]) or "nothing"
    raise JudgementError(
        f"the runs were not judged on the same split: this one was judged on {there}",
        where=places[lacking],
        hint=f"the first was judged on {', '.join(judged[0]) or 'nothing'}; fit again on the same data with one --seed",
    )


def _check_same(first: str, one: _Part, name: str, other: _Part, place: Path, split: str) -> None:
    if one.keys() != other.keys():
        raise JudgementError(
            f"{one_line(first)} and {one_line(name)} were judged on different pictures: "
            f"{len(one.keys() & other.keys())} of {len(one)} and {len(other)} are the same ({split})",
            where=place / PICTURES,
            hint="fit both on the same data with one --seed and --val, or give the data a val or test folder",
        )
    for key, row in one.items():
        if sorted(parted(row.label)) != sorted(parted(other[key].label)):  # older runs have them as they were given
            raise JudgementError(
                f"{one_line(row.name)} is {one_line(row.label)!r} in {one_line(first)} and "
                f"{one_line(other[key].label)!r} in {one_line(name)}",
                where=place / PICTURES,
                hint="the labels have changed between the runs: fit the older one again",
            )


def _entry(
    name: str, place: Path, split: str, right: NDArray[np.bool_], units: NDArray[np.integer] | None, *, own: str
) -> Entry:
    """split: that all were judged on. own: the one that these pictures are in for this run."""
    accuracy = share(right, units)
    try:
        result = RunResult.from_dict(json.loads(ordinary(place / "metrics.json").read_text(encoding="utf-8")))
    except (OSError, AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError, JudgementError):
        return Entry(name, place, "", "", accuracy, {}, None)  # its pictures say what is compared
    report = result.metrics.get(split)
    known = {key: figure.value for key, figure in report.figures.items() if key != "accuracy"} if report else {}
    return Entry(name, place, result.model, result.strategy, accuracy, known, result.seconds, result.chosen_on == own)


def _short(places: Sequence[Path]) -> list[str]:
    """The last parts of each path, as many as tell them apart."""
    for parts in range(1, max(len(place.parts) for place in places) + 1):
        names = ["/".join(place.parts[-parts:]) for place in places]
        if max(Counter(names).values()) == 1:
            return names
    return [str(place) for place in places]

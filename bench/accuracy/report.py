"""Write ``bench/ACCURACY.md`` from what has been measured, and from the log that people keep by hand."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from bench import peers
from bench.accuracy import ranking, results
from bench.accuracy.contestants import CONTESTANTS
from bench.accuracy.results import Result
from bench.report import commit, machine

TEXT = Path(__file__).parents[1] / "ACCURACY.md"
LOG = Path(__file__).parents[1] / "accuracy_log.md"
BASE = "scikit-learn"
_TEMPERATURES = (0.05, 20.0)  # the bounds of frostline.judge.calibrate

Table = Mapping[str, Mapping[str, Result]]
"""Contestant -> cell -> result, only those that were judged."""


def write() -> None:
    """ACCURACY.md anew."""
    lines = [
        "# Accuracy",
        "",
        "Written by `make accuracy` (`python -m bench.accuracy`) from `bench/accuracy/results.jsonl`; do not edit.",
        "",
        *_told(results.newest(results.load())),
        LOG.read_text(encoding="utf-8").rstrip() if LOG.exists() else "",
    ]
    TEXT.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _told(newest: Mapping[tuple[str, str], Result]) -> Iterator[str]:
    table: dict[str, dict[str, Result]] = {}
    refused = []
    for name in CONTESTANTS:
        judged = {cell: result for (who, cell), result in newest.items() if who == name and "accuracy" in result}
        refused += [result for (who, _), result in newest.items() if who == name and "error" in result]
        if judged:
            table[name] = judged
    if not table:
        yield "Nothing has been measured yet."
        return
    yield from _protocol(table)
    yield from _overall(table)
    yield from _paired(table)
    yield from _cells(table)
    if refused:
        yield from ("## Refused", "")
        yield from (f"- {one['contestant']}, {one['cell']}: {one['error'].splitlines()[0]}" for one in refused)
        yield ""


def _protocol(table: Table) -> Iterator[str]:
    versions = {name: sorted({one["version"] for one in by_cell.values()}) for name, by_cell in table.items()}
    seeds = {cell.rsplit("/", 1)[1] for by_cell in table.values() for cell in by_cell}
    yield from (
        "So many pictures of each class are learnt from (5, 20, 50; or the whole), everything else is the test; the",
        f"same draws for all ({len(seeds)} seeds). All start from the same backbone's weights. Seconds are of learning",
        "alone: what a contestant can keep (features) is computed before; fastai's are those of its three runs.",
        "",
        f"Machine: {machine()}. It was shared while this was measured: seconds are rough. Report of commit {commit()}.",
        "",
        "| contestant | what it is | version | cells |",
        "| --- | --- | --- | ---: |",
        *(
            f"| {name} | {CONTESTANTS[name].about} | {'; '.join(versions[name])} | {len(by_cell)} |"
            for name, by_cell in table.items()
        ),
        "",
    )
    found = peers.known_versions()
    if found:
        yield from ("With " + ", ".join(f"{name} {number}" for name, number in found.items()) + ".", "")


def _overall(table: Table) -> Iterator[str]:
    yield from ("## Over all cells", "")
    for names in ranking.groups(table):
        errors = {name: {cell: 1 - one["accuracy"] for cell, one in table[name].items()} for name in names}
        cells = ranking.shared(errors)
        ranks, ratings = ranking.mean_ranks(errors), ranking.elo(errors, BASE)
        yield from (
            f"Of {', '.join(names)}; ranks, means and seconds over the {len(cells)} cells that each of them has.",
            "",
            "| contestant | mean rank | Elo [95 %] | accuracy | log loss | ECE | worst, nats | median seconds |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        )
        for name in sorted(names, key=lambda one: ranks.get(one, 0)):
            here = [table[name][cell] for cell in cells]
            value, low, high = ratings[name]
            figures = "| | | | |" if not here else _means(here)
            yield f"| {name} | {ranks.get(name, float('nan')):.2f} | {value:.0f} [{low:.0f}, {high:.0f}] {figures}"
        yield ""


def _means(here: list[Result]) -> str:
    mean = {key: float(np.mean([one[key] for one in here])) for key in ("accuracy", "loss", "ece")}
    worst = max(one["worst"] for one in here)
    seconds = float(np.median([one["seconds"] for one in here]))
    return f"| {100 * mean['accuracy']:.1f} % | {mean['loss']:.3f} | {mean['ece']:.3f} | {worst:.1f} | {seconds:.1f} |"


def _paired(table: Table) -> Iterator[str]:
    if BASE not in table:
        return
    yield from (
        f"## Beside {BASE}, cell by cell",
        "",
        "Below: cells in which accuracy is more than one standard error (of its test pictures) lower.",
        "",
        "| contestant | cells | accuracy, points | below | log loss lower in | temperature at its bound |",
        "| --- | ---: | ---: | --- | ---: | ---: |",
    )
    for name, by_cell in table.items():
        cells = sorted(set(by_cell) & set(table[BASE]))
        if name == BASE or not cells:
            continue
        mine, base = [by_cell[cell] for cell in cells], [table[BASE][cell] for cell in cells]
        gains = [one["accuracy"] - other["accuracy"] for one, other in zip(mine, base, strict=True)]
        below = [cell for cell, gain, other in zip(cells, gains, base, strict=True) if gain < -_error_of(other)]
        lower = sum(one["loss"] < other["loss"] for one, other in zip(mine, base, strict=True))
        bound = sum(one.get("temperature") in _TEMPERATURES for one in mine)
        yield (
            f"| {name} | {len(cells)} | {100 * float(np.mean(gains)):+.2f} | {len(below)}"
            f"{': ' + ', '.join(below[:8]) if below else ''} | {lower} | {bound} |"
        )
    yield ""


def _error_of(one: Result) -> float:
    return float(np.sqrt(one["accuracy"] * (1 - one["accuracy"]) / one["n"]))


def _cells(table: Table) -> Iterator[str]:
    """A table for each data set and backbone: means over seeds."""
    groups: dict[tuple[str, str], set[str]] = {}
    for by_cell in table.values():
        for cell in by_cell:
            data, backbone, each, _ = cell.split("/")
            groups.setdefault((data, backbone), set()).add(each)
    for (data, backbone), sizes in sorted(groups.items()):
        yield from (
            f"## {data}, {backbone}",
            "",
            "Accuracy with the 95 % interval of its test pictures (mean over n seeds); log loss; ECE; seconds.",
            "",
            "| pictures a class | contestant | n | accuracy | log loss | ECE | seconds |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        )
        for each in sorted(sizes, key=lambda one: (one == "whole", one.zfill(3))):
            for name, by_cell in table.items():
                here = [one for cell, one in by_cell.items() if cell.startswith(f"{data}/{backbone}/{each}/")]
                if here:
                    yield f"| {each} | {name} {_row(here)}"
        yield ""


def _row(here: list[Result]) -> str:
    mean = {
        key: float(np.mean([one[key] for one in here])) for key in ("accuracy", "low", "high", "loss", "ece", "seconds")
    }
    return (
        f"| {len(here)} | {100 * mean['accuracy']:.1f} % [{100 * mean['low']:.1f}, {100 * mean['high']:.1f}] "
        f"| {mean['loss']:.3f} | {mean['ece']:.3f} | {mean['seconds']:.1f} |"
    )

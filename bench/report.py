"""Write ``bench/RESULTS.md`` from ``bench/results.json``, into which every section that is run is merged."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

from bench.peers import ROOT
from bench.rows import Found, Row, row_from
from bench.strategies import table

HERE = Path(__file__).parent
RESULTS, TEXT, NOTES = HERE / "results.json", HERE / "RESULTS.md", HERE / "notes.md"
STRATEGIES = HERE / "strategies.jsonl"


def merge(section: str, found: Found, versions: dict[str, str], *, at: Path = RESULTS) -> None:
    """Keep what a section found, in place of what it found before."""
    kept = load(at)
    kept[section] = {
        **found.to_dict(),
        "when": time.strftime("%Y-%m-%d %H:%M"),
        "commit": commit(),
        "machine": machine(),
        "versions": versions,
    }
    fresh = at.with_suffix(".tmp")
    fresh.write_text(json.dumps(kept, indent=1) + "\n")
    fresh.replace(at)


def load(at: Path = RESULTS) -> dict[str, Any]:
    """All sections that have been run, in the order of the report."""
    return dict(json.loads(at.read_text())) if at.exists() else {}


def text(kept: dict[str, Any], order: list[str]) -> str:
    """RESULTS.md."""
    sections = [kept[name] for name in order if name in kept]
    rows = [row_from(row) for section in sections for row in section["rows"]]
    lines = [
        "# Results",
        "",
        "Written by `make bench` (`python -m bench`); do not edit.",
        "",
        *(_compared(rows, kept, order) if rows else ["The comparison with other tools has not been run yet.", ""]),
        *_strategies(),
        *_curves(sections),
        *_gpu(),
        NOTES.read_text().rstrip() if NOTES.exists() else "",
    ]
    return "\n".join(lines) + "\n"


def _compared(rows: list[Row], kept: dict[str, Any], order: list[str]) -> list[str]:
    sections = [kept[name] for name in order if name in kept]
    return [
        "Whole processes, in turn, on the same pictures and the same trunk (`tf_efficientnet_lite0`); medians of n",
        "runs, ratios pair by pair; accuracy of the val split beside every time. Peers run at their defaults, as their",
        "documentation says ([`contestants/`](contestants)).",
        "",
        *_machine(kept, order),
        "",
        "| work | against | target | reached | ours | theirs | n | accuracy, ours / theirs |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_line(row) for row in rows),
        "",
        "## Where a target is missed, and why",
        "",
        *_misses(rows, sections),
        "",
        "## Single figures",
        "",
        "| figure | value |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for section in sections for name, value in section["facts"].items()),
        "",
        *_memory(rows),
        "",
    ]


def _machine(kept: dict[str, Any], order: list[str]) -> list[str]:
    """When, of which commit and where each section was measured: they are run one by one."""
    found = ["| section | measured | commit | machine |", "| --- | --- | --- | --- |"]
    found += [
        f"| {name} | {kept[name]['when']} | {kept[name]['commit']} | {kept[name]['machine']} |"
        for name in order
        if name in kept
    ]
    versions = dict.fromkeys(", ".join(f"{n} {v}" for n, v in section["versions"].items()) for section in kept.values())
    return [*found, "", *(f"Versions: {said}." for said in versions)]


def _line(row: Row) -> str:
    target = "" if row.target is None else f"{row.target:g}x"
    reached = f"{row.ratio:.1f}x" if row.reached else f"**{row.ratio:.1f}x**"
    runs = str(row.ours.n) if row.ours.n == row.theirs.n else f"{row.ours.n} / {row.theirs.n}"
    right = " / ".join("" if a is None else f"{a:.1%}" for a in (row.ours.accuracy, row.theirs.accuracy))
    return (
        f"| {row.work} | {row.theirs.name} | {target} | {reached} | {_seconds(row.ours.seconds)} | "
        f"{_seconds(row.theirs.seconds)} | {runs} | {right.strip(' /')} |"
    )


def _misses(rows: list[Row], sections: list[Any]) -> list[str]:
    found = [
        f"- {row.work}, against {row.theirs.name}: {row.ratio:.1f}x of {row.target:g}x. {_why(row)}."
        for row in rows
        if row.target is not None and not row.reached
    ]
    found += [f"- {name}: {why}" for section in sections for name, why in section["misses"].items()]
    return found or ["None is."]


def _why(row: Row) -> str:
    if row.target is not None and row.ratio < row.target:
        return f"What bounds it: {row.limit}"
    return f"It is fast enough, but less accurate: {row.ours.accuracy:.1%} for {row.theirs.accuracy:.1%}"


def _memory(rows: list[Row]) -> list[str]:
    sides = {(side.name, row.work): side for row in rows for side in (row.ours, row.theirs)}
    return [
        "Memory of the largest process and processor time, for each work:",
        "",
        "| who | work | peak memory | processor time |",
        "| --- | --- | --- | --- |",
        *(f"| {name} | {work} | {s.peak / 1e6:.0f} MB | {_seconds(s.cpu)} |" for (name, work), s in sides.items()),
    ]


def _strategies() -> list[str]:
    """What `bench.strategies` found, if its lines lie here."""
    if not STRATEGIES.exists():
        return []
    lines = [json.loads(line) for line in STRATEGIES.read_text(encoding="utf-8").splitlines()]
    how = "`python -m bench.strategies DATA --out bench/strategies.jsonl`: whole processes, on the default backbone."
    return ["## Every strategy", "", how, "", *table(lines)]


def _gpu() -> list[str]:
    """What `bench.gpu` wrote last."""
    _, _, *lines = HERE.joinpath("GPU.md").read_text(encoding="utf-8").splitlines()
    return ["## On a GPU", "", *lines, ""]


def _curves(sections: list[Any]) -> list[str]:
    curves = {name: points for section in sections for name, points in section["curves"].items()}
    found = []
    if curves:
        found += ["## How cost grows", "", "![time, memory and disk against pictures and classes](growth.svg)", ""]
    for by in ("pictures", "classes"):
        times = curves.get(f"seconds by {by}", [])
        if not times:
            continue
        found += [f"| {by} | time | peak memory | disk |", "| --- | --- | --- | --- |"]
        others = (dict(curves[f"{what} by {by}"]) for what in ("MB", "disk MB"))
        memory, disk = (dict(each.items()) for each in others)
        found += [f"| {x:,} | {_seconds(y)} | {memory[x]:.0f} MB | {disk[x]:.0f} MB |" for x, y in times]
        found.append("")
    return found


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value < 10 else f"{value:.1f} s" if value < 100 else f"{value:.0f} s"


def commit() -> str:
    """The commit that is checked out, with a mark if files differ from it that the benchmark does not write itself."""
    others = ("--", ".", *(f":!bench/{name}" for name in ("RESULTS.md", "results.json", "growth.svg", "speed.svg")))

    def asked(*words: str) -> str:
        return subprocess.check_output(("git", "-C", ROOT, *words), text=True, stderr=subprocess.DEVNULL).strip()

    try:
        return asked("rev-parse", "--short", "HEAD") + ("-dirty" if asked("status", "--porcelain", *others) else "")
    except (OSError, subprocess.CalledProcessError):
        return "not in git"


def machine() -> str:
    """Processor, cores, memory, system."""
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
        pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        pages = 0
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{name}, {os.cpu_count()} cores, {pages / 2**30:.0f} GiB, {system}"

"""How time, memory and disk grow, with pictures (500 to 50,000) and with classes (2 to 1,000): the probe, cold store.

Pictures are seen at 96 pixels here: what grows is the same, and fifty thousand fit into a benchmark.
"""

import sys
from pathlib import Path

from bench import pictures
from bench.place import Place
from bench.rows import Found
from bench.runner import Run, measure

PICTURES = (500, 2_000, 10_000, 50_000)
CLASSES = (2, 10, 100, 1_000)
OF_CLASSES = 3_000  # so that each of a thousand classes has two to learn from
SIDE = "96"


def by_pictures(place: Place) -> Found:
    """Each number of pictures once, whole processes; peak memory from 2,000 to 50,000 pictures must be flat."""
    counts = (50, 200) if place.quick else PICTURES
    folder = pictures.made(place.work / "made", place.ants_bees, counts[-1])
    found = _nothing_yet("pictures")
    peaks = {}
    for count in counts:
        run, disk = _fit(place, pictures.table(place.work / "table.csv", folder, count, 2))
        peaks[count] = run.peak
        _add(found, "pictures", count, run, disk)
    few, many = counts[1] if len(counts) > 2 else counts[0], counts[-1]
    growth = peaks[many] / peaks[few]
    found.facts[f"peak memory, {few:,} to {many:,} pictures"] = (
        f"{peaks[few] / 1e6:.0f} to {peaks[many] / 1e6:.0f} MB: {growth - 1:+.0%} (target: within 15 %)"
    )
    if growth > 1.15:
        found.misses["peak memory over pictures"] = f"{growth - 1:+.0%}, not within 15 %"
    seconds = dict(found.curves["seconds by pictures"])
    found.facts["pictures a second between the two largest sets"] = (
        f"{(counts[-1] - counts[-2]) / (seconds[counts[-1]] - seconds[counts[-2]]):.0f}"
    )
    return found


def by_classes(place: Place) -> Found:
    """Each number of classes once, over the same pictures."""
    count = 200 if place.quick else OF_CLASSES
    folder = pictures.made(place.work / "made", place.ants_bees, count)
    found = _nothing_yet("classes")
    for classes in (2, 10) if place.quick else CLASSES:
        run, disk = _fit(place, pictures.table(place.work / "table.csv", folder, count, classes))
        _add(found, "classes", classes, run, disk)
    return found


def _nothing_yet(by: str) -> Found:
    return Found(curves={f"{what} by {by}": [] for what in ("seconds", "MB", "disk MB")})


def _fit(place: Place, table: Path) -> tuple[Run, int]:
    """The run, and the bytes that its cache (store, digests, compiled networks) takes afterwards."""
    who = place.frostline(
        table.stem, "fit", table, "--strategy", "probe", "--image-size", SIDE, "--json", "--out", "run",
        cache="grow", cold=True,
    )  # fmt: skip
    run = measure(who)
    cache = Path(who.env["XDG_CACHE_HOME"])
    return run, sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())


def _add(found: Found, by: str, x: int, run: Run, disk: int) -> None:
    print(f"  {x:>7,} {by}: {run.seconds:.1f} s, {run.peak / 1e6:.0f} MB, disk {disk / 1e6:.0f} MB", file=sys.stderr)
    for what, value in (("seconds", run.seconds), ("MB", run.peak / 1e6), ("disk MB", disk / 1e6)):
        found.curves[f"{what} by {by}"].append((x, value))

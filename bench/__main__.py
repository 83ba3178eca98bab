"""``python -m bench``: frostline and its peers side by side, into ``bench/RESULTS.md``.

python -m bench                     everything but `solar-whole`, some 75 minutes on two quiet cores
python -m bench fit predict         some sections; the others keep what they found before
python -m bench --quick             small and once, to see that all of it runs; RESULTS.md stays as it is

Every run is kept as soon as it is over, so that a section that was stopped goes on where it was.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from bench import peers, pictures, plot, report
from bench.place import Place, data_folder
from bench.rows import row_from
from bench.sections import BY_NAME, SECTIONS


def main() -> int:
    """Run the sections asked for; 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; none: all")
    parser.add_argument("--data", type=Path, help="the lesson's ants and bees (train/ and val/)")
    parser.add_argument("--work", type=Path, default=peers.PLACE / "work", help="where pictures and caches are made")
    parser.add_argument("--quick", action="store_true", help="small and once: to try it out")
    parser.add_argument("--write", action="store_true", help="only write RESULTS.md anew from results.json")
    given = parser.parse_args()
    strange = [name for name in given.sections if name not in SECTIONS]
    if strange:
        parser.error(f"there is no section {strange[0]!r}; there are: {', '.join(SECTIONS)}")
    wanted = given.sections or [name for name in SECTIONS if name not in BY_NAME]
    failed = [] if given.write else _run(wanted, _place(given), given.quick)
    kept = report.load(peers.PLACE / "quick.json" if given.quick else report.RESULTS)
    written = report.text(kept, list(SECTIONS))
    if not given.quick:
        report.TEXT.write_text(written, encoding="utf-8")
        curves = {name: points for section in kept.values() for name, points in section["curves"].items()}
        rows = [row_from(row) for name in SECTIONS if name in kept for row in kept[name]["rows"]]
        report.HERE.joinpath("growth.svg").write_text(plot.growth(curves), encoding="utf-8")
        report.HERE.joinpath("speed.svg").write_text(plot.speed(rows), encoding="utf-8")
    print(written)
    for name in failed:
        print(f"the section {name} failed; its reason is above", file=sys.stderr)
    return bool(failed)


def _place(given: argparse.Namespace) -> Place:
    data = data_folder(given.data)
    work = given.work.resolve() / ("quick" if given.quick else "whole")
    work.mkdir(parents=True, exist_ok=True)
    if given.quick:
        data = pictures.some(work / "ants-bees", data, 12)
    return Place(work, data, peers.python(), peers.trunk(work), given.quick)


def _run(names: list[str], place: Place, quick: bool) -> list[str]:
    versions = peers.versions(place.peers)
    failed = []
    for name in names:
        began = time.perf_counter()
        # Of this commit alone: what was measured before another is not what is measured now.
        kept = place.work / f"{name}-{report.commit()}.jsonl"
        print(f"{name}:", file=sys.stderr, flush=True)
        try:
            found = SECTIONS[name](replace(place, kept=kept))
        except RuntimeError as error:  # one contestant that fails must not cost the others' figures
            print(error, file=sys.stderr)
            failed.append(name)
            continue
        report.merge(name, found, versions, at=peers.PLACE / "quick.json" if quick else report.RESULTS)
        kept.unlink(missing_ok=True)
        print(f"  {time.perf_counter() - began:.0f} s in all", file=sys.stderr, flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())

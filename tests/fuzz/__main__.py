"""``python -m tests.fuzz --mutants 20000``: prints a table of what was tried, and exits with 1 if a fault was found."""

import argparse
import sys
import time
from pathlib import Path

from tests.fuzz.harness import run
from tests.fuzz.targets import TARGETS


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mutants", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", choices=TARGETS, help="one target, all mutants")
    options.add_argument("--keep", type=Path, help="a folder for mutants that should not have done what they did")
    asked = options.parse_args()
    shares = {asked.only: 1.0} if asked.only else {name: target.share for name, target in TARGETS.items()}
    print("| what | mutants | read | refused | found | slowest |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    found: list[str] = []
    for name, share in shares.items():
        begun = time.monotonic()
        result = run(name, round(share * asked.mutants), seed=asked.seed, keep=asked.keep)
        of = {outcome: sum(n for (_, o), n in result.counts.items() if o == outcome) for outcome in ("read", "refused")}
        print(
            f"| {name} | {result.tried:,} | {of['read']:,} | {of['refused']:,} | {len(result.findings)} "
            f"| {result.slowest:.1f} s |",
            flush=True,
        )
        print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
        found += result.findings
    for finding in found:
        print(finding, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""Every strategy on a data set, over several seeds, each as a whole process: accuracy on val, seconds, what it trained.

    python -m bench.strategies hymenoptera_data --out strategies.jsonl
    python -m bench.strategies --table strategies.jsonl

A line is written as soon as a run is over, and runs that have a line already are not repeated. Processor seconds (user
and system, all threads) stand beside the clock's, because they hardly depend on what else the machine does.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

STRATEGIES = (
    "probe", "freeze", "discriminative", "layerwise", "gradual", "lp-ft", "full", "bitfit", "norm", "lora", "auto",
)  # fmt: skip


def one(data: Path, strategy: str, seed: int, more: Sequence[str]) -> dict[str, Any]:
    """One run in a process of its own, as a user starts it; the model it writes is thrown away."""
    with tempfile.TemporaryDirectory() as place:
        words = ["fit", str(data), "--strategy", strategy, "--seed", str(seed), "--out", f"{place}/run", "--json", "-q"]
        began, used = time.perf_counter(), os.times()
        done = subprocess.run(
            [sys.executable, "-m", "frostline", *words, *more], stdout=subprocess.PIPE, check=True, encoding="utf-8"
        )
        after = os.times()
    found = json.loads(done.stdout)
    accuracy = found["metrics"]["val"]["accuracy"]
    return {
        "data": data.resolve().stem,
        "strategy": strategy,
        "seed": seed,
        "more": list(more),
        "accuracy": accuracy["value"],
        "n": accuracy["n"],
        "chosen_on": found["chosen_on"],
        "seconds": time.perf_counter() - began,
        "cpu": after.children_user + after.children_system - used.children_user - used.children_system,
        "trainable": max(phase["trainable"] for phase in found["phases"]),
        "phases": found["phases"],
    }


def table(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The runs as Markdown, a row a strategy: the mean over seeds and the range that they span."""
    runs: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        runs[line["data"], line["strategy"]].append(line)
    for data in dict.fromkeys(line["data"] for line in lines):
        there = [(name, runs[data, name]) for name in STRATEGIES if (data, name) in runs]
        yield f"On `{data}`, val of {there[0][1][0]['n']} pictures:\n"
        columns = (
            "strategy",
            "seeds",
            "val accuracy, %",
            "range over seeds",
            "val chose",
            "seconds",
            "processor seconds",
        )
        yield f"| {' | '.join(columns)} | trained |"
        yield "| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: |"
        for name, found in there:
            shares = [100 * run["accuracy"] for run in found]
            seconds, cpu = (statistics.median(run[key] for run in found) for key in ("seconds", "cpu"))
            what = " ".join([name, *found[0]["more"]])
            yield (
                f"| `{what}` | {len(found)} | {statistics.mean(shares):.1f} | {min(shares):.1f} to {max(shares):.1f} "
                f"| {_chose(found)} | {seconds:.0f} | {cpu:.0f} | {max(run['trainable'] for run in found):,} |"
            )
        yield ""


def _chose(runs: Sequence[dict[str, Any]]) -> str:
    """What the val pictures chose: lines of before `chosen_on` was noted are of the best epoch, of all that trains."""
    if any("chosen_on" not in run for run in runs):
        return {"probe": "nothing", "auto": "the epoch and phases"}.get(runs[0]["strategy"], "the epoch")
    return "the epoch or phases" if any(run["chosen_on"] for run in runs) else "nothing"


def main() -> None:
    """Run what has no line yet, or print the table of what has."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, default=Path("strategies.jsonl"))
    parser.add_argument("--only", nargs="*", default=STRATEGIES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--table", type=Path, help="print what this file holds, and run nothing")
    parser.add_argument("--options", default="", help='options for every fit: "--epochs 5"')
    given = parser.parse_args()
    if given.table:
        print("\n".join(table([json.loads(line) for line in given.table.read_text().splitlines()])))
        return
    known = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    done = {(line["data"], line["strategy"], line["seed"]) for line in known}
    for seed in range(given.seeds):
        for strategy in given.only:
            if (given.data.resolve().stem, strategy, seed) in done:
                continue
            line = one(given.data, strategy, seed, shlex.split(given.options))
            with given.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(f"{strategy} seed {seed}: {line['accuracy']:.1%} in {line['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()

"""What has been measured, a line of JSON a contestant, cell and version; a run goes on where the last one stopped."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PLACE = Path(__file__).with_name("results.jsonl")

Result = dict[str, Any]


def append(result: Result, place: Path = PLACE) -> None:
    """Add a line, in one write."""
    with place.open("a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")


def load(place: Path = PLACE) -> list[Result]:
    """All lines, oldest first. A line that was cut off is left out, and its cell measured again."""
    found = []
    for line in place.read_text(encoding="utf-8").splitlines() if place.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def newest(results: Iterable[Result]) -> dict[tuple[str, str], Result]:
    """(contestant, cell) -> the result that was measured last."""
    return {(result["contestant"], result["cell"]): result for result in results}


def done(results: Iterable[Result]) -> set[tuple[str, str, str]]:
    """(contestant, cell, version) that need not be measured again."""
    return {(result["contestant"], result["cell"], result["version"]) for result in results}

"""How long one waits before anything happens: importing, and the command's help."""

import sys
from statistics import median

from bench.place import Place
from bench.rows import Found
from bench.runner import Contestant


def run(place: Place) -> Found:
    """Whole processes, Python's own start included."""
    runs = place.alternate(
        [
            Contestant("python", [sys.executable, "-c", "pass"]),
            Contestant("import frostline", [sys.executable, "-c", "import frostline"]),
            place.frostline("frostline --help", "--help"),
            place.frostline("frostline fit --help", "fit", "--help"),
        ],
        5,
    )
    wanted = {"import frostline": 0.2, "frostline --help": 0.5, "frostline fit --help": 0.5}
    found = Found()
    for name, each in runs.items():
        seconds = median(run.seconds for run in each)
        found.facts[f"`{name}`, whole process"] = f"{seconds:.2f} s" + (
            f" (target {wanted[name]} s)" if name in wanted else ""
        )
        if seconds > wanted.get(name, seconds):
            found.misses[name] = f"{seconds:.2f} s, not {wanted[name]} s"
    return found

"""What is measured: name -> a function of `Place` that returns what it found, in the order of the report."""

from collections.abc import Callable

from bench.place import Place
from bench.rows import Found
from bench.sections import fit, grow, peak, predict, solar, start, train

SECTIONS: dict[str, Callable[[Place], Found]] = {
    "start": start.run,
    "predict": predict.run,
    "fit": fit.run,
    "upper": train.upper_half,
    "full": train.full_epoch,
    "solar": solar.run,
    "solar-whole": solar.whole,
    "peak": peak.run,
    "pictures": grow.by_pictures,
    "classes": grow.by_classes,
}

BY_NAME = ("solar-whole",)
"""What runs only when it is asked for by name: 40 minutes for a row."""

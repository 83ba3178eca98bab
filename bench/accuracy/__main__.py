"""``python -m bench.accuracy``: accuracy beside other tools on the same backbones, into ``bench/ACCURACY.md``.

python -m bench.accuracy                          everything that is not measured yet; hours on two cores
python -m bench.accuracy scikit-learn probe       some contestants
python -m bench.accuracy --each 50 --data textile some cells
python -m bench.accuracy --write                  only write ACCURACY.md anew

Every result is kept as soon as it is there, so that a run may be stopped and goes on where it was.
"""

import argparse
import sys
from pathlib import Path

from bench import peers
from bench.accuracy import report, results
from bench.accuracy.cells import BACKBONES, EACH, WHOLE, cells, data_sets
from bench.accuracy.contestants import CONTESTANTS
from bench.accuracy.measure import Yard, measure
from bench.place import data_folder


def main() -> int:
    """Measure what is asked for and missing; 1 if a contestant's process failed."""
    given = _given()
    failed = False
    if not given.write:
        sets = data_sets(data_folder(given.lesson))
        chosen = {name: make for name, make in sets.items() if name in (given.data or sets)}
        wanted = list(cells(list(chosen), given.backbone, given.seeds, given.each))
        yard = Yard(given.work.resolve(), chosen, given.backbone)
        for name in given.contestants or CONTESTANTS:
            failed |= not measure(yard, CONTESTANTS[name], wanted)
            report.write()
    report.write()
    return failed


def _given() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("contestants", nargs="*", help=f"of {', '.join(CONTESTANTS)}; none: all")
    parser.add_argument("--lesson", type=Path, help="the folder of ants and bees (train/ and val/)")
    parser.add_argument("--work", type=Path, default=peers.PLACE / "accuracy", help="where features and caches lie")
    parser.add_argument("--data", nargs="*", help="some of the data sets")
    parser.add_argument("--backbone", nargs="*", default=list(BACKBONES))
    parser.add_argument("--each", nargs="*", type=int, default=[*EACH, WHOLE], help="pictures a class; 0: the whole")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help=f"only write {report.TEXT.name} from {results.PLACE.name}")
    given = parser.parse_args()
    strange = [name for name in given.contestants if name not in CONTESTANTS]
    if strange:
        parser.error(f"there is no contestant {strange[0]!r}; there are: {', '.join(CONTESTANTS)}")
    return given


if __name__ == "__main__":
    sys.exit(main())

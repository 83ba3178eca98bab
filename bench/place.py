"""Where a benchmark runs, and who takes part: folders, interpreters, and frostline's command."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import peers
from bench.runner import Contestant, Run, alternate, fresh

CONTESTANTS = Path(__file__).with_name("contestants")
LESSON = Path(__file__).with_name("lesson.py")
HYMENOPTERA = "hymenoptera_data"


@dataclass(frozen=True)
class Place:
    """work: a folder for all that is made. ants_bees: the lesson's pictures. peers: their interpreter. trunk: a folder.

    quick: small and once, to try things out; its figures are not to be believed. kept: where runs that are over are
    kept until their section is.
    """

    work: Path
    ants_bees: Path
    peers: Path
    trunk: Path
    quick: bool = False
    kept: Path | None = None

    def alternate(self, contestants: Sequence[Contestant], times: int = 3) -> dict[str, list[Run]]:
        """Everybody's runs in turn: each three times, so that no row rests on one run."""
        return alternate(contestants, 1 if self.quick else times, self.kept)

    def frostline(self, name: str, *words: str | Path, cache: str = "warm", cold: bool = False) -> Contestant:
        """frostline's command with a cache of that name, which `cold` empties before each run."""
        home = self.work / "caches" / cache
        command = [sys.executable, "-m", "frostline", *words]
        env = {"XDG_CACHE_HOME": str(home), "PYTHONPATH": os.pathsep.join([str(peers.ROOT / "src"), str(peers.ROOT)])}
        return Contestant(name, command, env, fresh(home) if cold else lambda: None)

    def peer(self, name: str, script: str, *words: str | Path) -> Contestant:
        """A contestant's script in the peers' environment, which does not see frostline."""
        file = LESSON if script == "lesson" else CONTESTANTS / f"{script}.py"
        return Contestant(name, [self.peers, file, *words], {"PYTHONPATH": ""})


def data_folder(given: Path | None) -> Path:
    """The lesson's pictures: given, in $FROSTLINE_TEST_DATA, or shared/data beside the checkout.

    Raises: SystemExit: they are nowhere.
    """
    candidates: Sequence[Path | None] = (
        given,
        *(Path(p) / HYMENOPTERA for p in [os.environ.get("FROSTLINE_TEST_DATA")] if p),
        peers.ROOT.parent / "shared" / "data" / HYMENOPTERA,
    )
    for place in candidates:
        if place and (place / "train").is_dir():
            return place.resolve()
    raise SystemExit(f"the lesson's pictures ({HYMENOPTERA}) are not here: name their folder with --data")

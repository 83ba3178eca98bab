"""Run a contestant over cells: the jobs of one process, its answers read as they come, each kept at once."""

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from bench import peers
from bench.accuracy import results
from bench.accuracy.cells import WHOLE, Cell, Picture, table
from bench.accuracy.contestants import Contestant
from bench.accuracy.scores import scores

SCRIPTS = Path(__file__).with_name("contestants")


@dataclass
class Yard:
    """Where it runs. work: features, tables and caches. data: the pictures of each data set."""

    work: Path
    data: Mapping[str, Callable[[], list[Picture]]]
    backbones: Sequence[str]

    @cached_property
    def pictures(self) -> dict[str, list[Picture]]:
        """By data set, in their order."""
        return {name: make() for name, make in self.data.items()}

    @cached_property
    def peers(self) -> Path:
        """The interpreter of the peers' environment."""
        return peers.python()

    def table(self, cell: Cell) -> Path:
        """The cell's table; its path does not depend on the backbone."""
        return table(self.work / "tables", self.pictures[cell.data], cell)

    def features(self, cell: Cell) -> Path:
        """What timm gives for all pictures of a data set, computed once."""
        place = self.work / "features" / f"{cell.data}-{cell.backbone}.npz"
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            whole = self.table(Cell(cell.data, cell.backbone, WHOLE, 0))
            made = place.with_suffix(".tmp.npz")
            script = SCRIPTS / "timm_features.py"
            subprocess.check_call([self.peers, script, whole, self.trunk(cell.backbone), made], env=_plain())
            made.rename(place)
        return place

    def trunk(self, backbone: str) -> Path:
        """The pretrained backbone as a folder that timm opens."""
        return peers.trunk(self.work, backbone)


def measure(yard: Yard, who: Contestant, cells: Sequence[Cell]) -> bool:
    """Measure the cells that are not known yet; False if the process failed."""
    version = _version(yard, who)
    known = results.done(results.load())
    missing = [cell for cell in cells if (who.name, cell.name, version) not in known]
    print(f"{who.name}: {len(missing)} of {len(cells)} cells", file=sys.stderr, flush=True)
    # By data set and backbone: the first results are there before the last features are.
    groups = [list(group) for _, group in groupby(missing, key=lambda cell: (cell.data, cell.backbone))]
    finished = [_group(yard, who, version, group) for group in groups]
    return all(finished)


def _group(yard: Yard, who: Contestant, version: str, cells: Sequence[Cell]) -> bool:
    jobs = {cell.name: _job(yard, who, cell) for cell in cells}
    if who.ours:
        _warm(yard, cells)
    for heard in _run(yard, who, list(jobs.values())):
        result = {"contestant": who.name, "version": version, "when": time.strftime("%Y-%m-%d %H:%M"), **heard}
        if "error" not in heard:
            result |= _judged(jobs[heard["cell"]])
        results.append(result)
        jobs.pop(heard["cell"])
        told = f"{result['accuracy']:.4f}  {result['loss']:.4f} nats" if "accuracy" in result else result["error"]
        print(f"  {heard['cell']:48} {told}  {heard.get('seconds', 0):.1f} s", file=sys.stderr, flush=True)
    return not jobs


def _job(yard: Yard, who: Contestant, cell: Cell) -> dict[str, Any]:
    job: dict[str, Any] = {
        "cell": cell.name,
        "table": str(yard.table(cell)),
        "seed": cell.seed,
        "model": cell.backbone,
        "out": str(yard.work / f"{who.name}.npy"),
    }
    if not who.ours:
        job["trunk"] = str(yard.trunk(cell.backbone))
    if who.script == "scikit":
        job["features"] = str(yard.features(cell))
    return job


def _judged(job: Mapping[str, Any]) -> dict[str, Any]:
    with Path(job["table"]).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    classes = sorted({row["label"] for row in rows})
    y = np.array([classes.index(row["label"]) for row in rows if row["split"] == "test"])
    probabilities = np.load(job["out"])
    if probabilities.shape != (len(y), len(classes)):
        return {"error": f"answers of shape {probabilities.shape} for {len(y)} pictures of {len(classes)} classes"}
    return scores(probabilities, y)


def _warm(yard: Yard, cells: Sequence[Cell]) -> None:
    """Every picture's features into frostline's store, so that no cell's seconds hold another's."""
    wholes = sorted({Cell(cell.data, cell.backbone, WHOLE, 0) for cell in cells})
    marks = {cell: yard.work / "warm" / f"{cell.data}-{cell.backbone}" for cell in wholes}
    who = Contestant("warm", "", "frostline_fit", ("probe",), ours=True)
    jobs = {cell.name: _job(yard, who, cell) for cell in wholes if not marks[cell].exists()}
    for heard in _run(yard, who, list(jobs.values())) if jobs else ():
        print(f"  features of {heard['cell']}: {heard.get('error', 'kept')}", file=sys.stderr, flush=True)
    for cell in wholes:
        marks[cell].parent.mkdir(parents=True, exist_ok=True)
        marks[cell].touch()


def _run(yard: Yard, who: Contestant, jobs: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """What a contestant says of each job; it is read as it comes."""
    place = yard.work / f"{who.name}.jobs"
    place.write_text("".join(json.dumps(job) + "\n" for job in jobs), encoding="utf-8")
    interpreter = sys.executable if who.ours else yard.peers
    env = _plain()
    if who.ours:
        env |= {"XDG_CACHE_HOME": str(yard.work / "cache"), "PYTHONPATH": str(peers.ROOT / "src")}
    command = [str(interpreter), str(SCRIPTS / f"{who.script}.py"), *who.words, str(place)]
    with subprocess.Popen(command, env=env, cwd=yard.work, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                yield json.loads(line)


def _plain() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": "", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}


def _version(yard: Yard, who: Contestant) -> str:
    """What a result is of: frostline's last commit, or the peers' packages."""
    if who.ours:
        said = subprocess.check_output(
            ["git", "log", "-1", "--format=%h", "--", "src/frostline"], cwd=peers.ROOT, text=True
        )
        changed = subprocess.check_output(["git", "status", "--short", "--", "src/frostline"], cwd=peers.ROOT)
        return said.strip() + ("+" if changed else "")
    names = ("scikit-learn", "timm") if who.script == "scikit" else ("fastai", "torch")
    known = peers.versions(yard.peers)
    return ", ".join(f"{name} {known.get(name, '?')}" for name in names)

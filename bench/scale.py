"""Many machines, tried on this one: a Ray cluster of two workers beside one process, with kills; and what a million
pictures cost.

    python -m bench.scale --data PICTURES --model RUN      all parts; writes bench/scale.json, bench/SCALE.md and the
                                                           table in docs/how-to/many-machines.md
    python -m bench.scale once memory                      these parts only, which need neither pictures nor a model
    python -m bench.scale speed --data PICTURES --model RUN [--pictures 4000]
    python -m bench.scale --dry ...                        prints, and writes nothing

once    20,000 small made pictures and a small network: predicted and embedded while workers are killed five times and
        the driver once, every picture must be answered once, bit for bit as by one process; the head of a `fit --on
        ray` on 5,000 must be that of `fit`.
memory  a tenth and the whole of as many, in files, WebDataset shards and Parquet: of one process and of a cluster.
nodes   two nodes in network namespaces, and a store that takes its time; needs root.
speed   pictures as they are on the web, a model as people have it: one process of one core beside a worker of one core,
        by the clock (which needs a quiet machine) and by processor time (which does not).
"""

import argparse
import hashlib
import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet
from PIL import Image

from bench.pictures import made
from bench.report import HERE, commit, machine
from bench.scale_memory import memory, memory_lines
from bench.scale_nodes import node_lines, nodes
from bench.scale_runs import ENV, WORKERS, Run, cluster, frostline, is_worker, of_ray, on_ray, run

RESULTS, TEXT = HERE / "scale.json", HERE / "SCALE.md"
PAGE = HERE.parent / "docs" / "how-to" / "many-machines.md"
BEGIN, END = "<!-- written by python -m bench.scale -->", "<!-- end of what bench.scale wrote -->"
SIDE = 64
PARTS = ("once", "memory", "nodes", "speed")
Rows = dict[str, bytes]
"""The bits of each picture's answer, by its name."""


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument("--data", type=Path, help="a folder of JPEGs that pictures are made from, for speed")
    parser.add_argument("--model", type=Path, help="a run's folder, for speed")
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=5, help="of workers; the driver is killed once beside them")
    parser.add_argument("--rounds", type=int, default=1, help="of speed: the fastest of so many counts")
    parser.add_argument("--place", type=Path, help="a folder for what is written on the way, kept [default: temporary]")
    parser.add_argument("--dry", action="store_true", help="print the page and write nothing")
    given = parser.parse_args()
    parts = given.parts or PARTS
    if "speed" in parts and (given.data is None or given.model is None):
        parser.error("speed needs --data and --model")
    place = given.place or Path(mkdtemp(prefix="bench-scale-"))
    place.mkdir(parents=True, exist_ok=True)
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    said = {"machine": machine(), "commit": commit()}
    try:
        if "once" in parts:
            found["once"] = said | once(given.pictures, given.kills, place)
        if "memory" in parts:
            pictures = small(place / "small", given.pictures)
            found["memory"] = said | memory(_fitted(place, pictures, 200), pictures, given.pictures, place)
        if "nodes" in parts:
            pictures = small(place / "small", 1500)
            found["nodes"] = said | nodes(_fitted(place, pictures, 200), pictures, 1500, place)
        if "speed" in parts:
            found["speed"] = said | speed(given.model, given.data, given.pictures, place, given.rounds)
    finally:
        if given.place is None:
            shutil.rmtree(place, ignore_errors=True)
    print(text(found))
    if not given.dry:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
        write(found)


def write(found: Mapping[str, Any]) -> None:
    """The page of results, and the block of the guide that says the same."""
    TEXT.write_text(text(found))
    guide = PAGE.read_text(encoding="utf-8")
    before, rest = guide.split(BEGIN)
    PAGE.write_text(f"{before}{block(found)}{rest.split(END)[1]}", encoding="utf-8")


def once(count: int, kills: int, place: Path) -> dict[str, Any]:
    """Every picture once, by the bits of one process, whatever is killed; and the head that `fit` gives."""
    pictures = small(place / "small", count)
    fitted = [_fitted(place, pictures, count // 4, *more) for more in ((), ("--on", "ray"))]
    model = fitted[0]
    heads = [hashlib.sha256((one / "model.safetensors").read_bytes()).hexdigest() for one in fitted]
    found: dict[str, Any] = {"pictures": count, "fit": {"pictures": count // 4, "same": heads[0] == heads[1]}}
    command = [*frostline("embed"), str(_labels(place / "all.csv", pictures, count)), *_backbone(place)]
    subprocess.run([*command, "--out", str(place / "one.parquet")], check=True, env=ENV, stdout=subprocess.DEVNULL)
    with cluster() as nodes:
        run([*frostline("predict"), str(model), str(pictures), *on_ray(place / "p-many")], nodes)
        killed = _killed([*frostline("predict"), str(model), str(pictures), *on_ray(place / "p-killed")], kills, nodes)
        embedded = _killed([*command, *on_ray(place / "e-killed")], kills, nodes)
    alone = _alone(model, pictures)
    found["predict"] = {"kills": killed, **compared(alone, _rows([place / "p-killed"], "probabilities"))}
    found["unkilled"] = compared(alone, _rows([place / "p-many"], "probabilities"))
    one = _rows([place / "one.parquet"], "features")
    found["embed"] = {"kills": embedded, **compared(one, _rows([place / "e-killed"], "features"))}
    return found


def speed(model: Path, sources: Path, count: int, place: Path, rounds: int) -> dict[str, Any]:
    """One process of one core beside workers of one core, by turns, on the same pictures; of each the fastest run."""
    pictures = made(place / "pictures", sources, count)
    predict = [*frostline("predict"), str(model), str(pictures)]
    alone: list[Run] = []
    first: list[Run] = []
    many: list[Run] = []
    for _ in range(rounds):
        shutil.rmtree(place / "one", ignore_errors=True)
        alone.append(run(["taskset", "-c", "0", *predict, "--out", str(place / "one"), "--shard", "0/1"]))
        with cluster() as nodes:
            # Actors that serve all of Ray Data begin with a cluster's first command, and stay.
            first.append(run([*predict, *on_ray(place / "many")], nodes))
            many.append(run([*predict, *on_ray(place / "many")], nodes))
    sizes = [path.stat().st_size for path in sorted(pictures.iterdir())[:1000]]
    result = sum(path.stat().st_size for path in (place / "many").glob("*.parquet")) / count
    return {
        "pictures": count,
        "one": asdict(min(alone, key=lambda run: run.seconds)),
        "first": asdict(min(first, key=lambda run: run.seconds)),
        "ray": asdict(min(many, key=lambda run: run.seconds)),
        "bytes": float(np.mean(sizes)),
        "result bytes": result,
    }


def small(folder: Path, count: int) -> Path:
    """Made pictures of `SIDE` pixels, no two alike, of two hues by turns."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"{number:06}.jpg"
        if not path.exists():
            hue = ((90, 150, 60), (150, 80, 60))[number % 2]
            coarse = rng.normal(hue, 40, (8, 8, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(coarse).resize((SIDE, SIDE)).save(path, comment=str(number).encode())
    return folder


def _labels(path: Path, pictures: Path, count: int) -> Path:
    lines = [f"{pictures}/{number:06}.jpg,{('green', 'red')[number % 2]}" for number in range(count)]
    path.write_text("path,label\n" + "\n".join(lines) + "\n")
    return path


def _fitted(place: Path, pictures: Path, count: int, *more: str) -> Path:
    """The model folder of a head that was fitted on so many."""
    out = place / f"model-{count}{''.join(more)}"
    shutil.rmtree(out, ignore_errors=True)
    table = str(_labels(place / "labels.csv", pictures, count))
    options = [*_backbone(place), "--image-size", str(SIDE), "--strategy", "probe", "--quiet", *more]
    env = {**ENV, "XDG_CACHE_HOME": str(place / f"cache-{out.name}")}
    subprocess.run(
        [*frostline("fit"), table, *options, "--out", str(out)], check=True, env=env, stdout=subprocess.DEVNULL
    )
    return out / "model"


def _backbone(place: Path) -> list[str]:
    return ["--model", "test_resnet", "--weights", str(_weights(place)), "--precision", "fp32"]


def _weights(place: Path) -> Path:
    import timm
    import torch

    path = place / "test_resnet.pth"
    if path.exists():
        return path
    torch.manual_seed(0)
    torch.save(timm.create_model("test_resnet", num_classes=5).state_dict(), path)
    return path


def _alone(model: Path, pictures: Path) -> Rows:
    """What `frostline predict` computes, before it is rounded for people."""
    from frostline.data.loose_pictures import pictures as listed
    from frostline.ship.open_predictor import open_predictor

    answers = open_predictor(model).predict(listed([str(pictures)]))
    return {Path(answer.name).name: answer.probabilities.tobytes() for answer in answers}  # type: ignore[union-attr]


def _rows(places: Sequence[Path], column: str) -> Rows:
    """The bits of a column of float32 lists, by the names of pictures.

    Raises: RuntimeError: a picture is there twice.
    """
    found: Rows = {}
    for place in places:
        for part in sorted(place.glob("*.parquet")) if place.is_dir() else [place]:
            table = pyarrow.parquet.read_table(part, columns=["path", column])
            for path, row in zip(table["path"].to_pylist(), table[column].to_pylist(), strict=True):
                if Path(path).name in found:
                    raise RuntimeError(f"{path} was answered twice")
                found[Path(path).name] = np.array(row, np.float32).tobytes()
    return found


def compared(wanted: Rows, found: Rows) -> dict[str, int]:
    """How many pictures were answered, are missing, and are answered by other bits."""
    return {
        "answered": len(found),
        "missing": len(wanted.keys() - found.keys()),
        "other": sum(wanted.get(name) != row for name, row in found.items()),
    }


def _killed(command: Sequence[str], kills: int, nodes: Sequence[psutil.Process]) -> int:
    """Run a command to its end while workers are killed, and the driver once; returns the kills."""
    out = Path(command[command.index("--out") + 1])
    rng, done, driver_killed = random.Random(0), 0, False
    while True:
        process = subprocess.Popen(command, env=ENV, stdout=subprocess.DEVNULL)
        due = time.monotonic() + rng.uniform(1, 4)
        while process.poll() is None:
            time.sleep(0.2)
            workers = [one for one in of_ray(nodes) if is_worker(one)] if time.monotonic() > due else []
            written = len(list(out.glob("*.parquet")))
            if not workers or not written:
                continue
            due = time.monotonic() + rng.uniform(1, 4)
            if not driver_killed and done >= kills // 2:
                process.send_signal(signal.SIGKILL)
                driver_killed = True
                process.wait()
            elif done - driver_killed < kills:
                rng.choice(workers).kill()
            else:
                continue
            done += 1
        if process.returncode == 0:
            return done
        if process.returncode != -signal.SIGKILL:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")


def text(found: Mapping[str, Any]) -> str:
    """The page of results."""
    return (
        "\n".join(["# Many machines", "", "Written by `python -m bench.scale`; do not edit.", "", *_lines(found)])
        + "\n"
    )


def block(found: Mapping[str, Any]) -> str:
    """The same, as it stands in the guide."""
    return "\n".join([BEGIN, *_lines(found), END])


def _lines(found: Mapping[str, Any]) -> list[str]:
    return [
        *(_once_lines(found["once"]) if "once" in found else ()),
        *(memory_lines(found["memory"], _where(found["memory"])) if "memory" in found else ()),
        *(node_lines(found["nodes"], _where(found["nodes"])) if "nodes" in found else ()),
        *(_speed_lines(found["speed"]) if "speed" in found else ()),
    ]


def _once_lines(found: Mapping[str, Any]) -> list[str]:
    def said(part: Mapping[str, int]) -> str:
        if part["missing"] or part["other"]:
            return f"{part['missing']:,} pictures are MISSING and {part['other']:,} have OTHER BITS"
        return f"{part['answered']:,} pictures, each once, the bits of one process"

    head = "the head of `fit`, bit for bit" if found["fit"]["same"] else "ANOTHER head"
    return [
        f"{found['pictures']:,} pictures of {SIDE} pixels, {WORKERS} workers of one core, {_where(found)}:",
        "",
        f"- `predict --on ray`: {said(found['unkilled'])}",
        f"- `predict --on ray`, {found['predict']['kills']} kills, one of them the driver: {said(found['predict'])}",
        f"- `embed --on ray`, {found['embed']['kills']} kills, one of them the driver: {said(found['embed'])}",
        f"- `fit --on ray`, {found['fit']['pictures']:,} pictures: {head}",
        "",
    ]


def _speed_lines(found: Mapping[str, Any]) -> list[str]:
    count, one, many = found["pictures"], found["one"], found["ray"]
    alone, steady = count / one["seconds"], many["steady"] / WORKERS
    first, each = (count / ran["seconds"] / WORKERS for ran in (found["first"], many))
    own, worked = 1000 * one["cpu"] / count, 1000 * many["cpu"] / count
    lines = [
        f"{count:,} pictures of {found['bytes'] / 1000:.0f} kB, {_where(found)}:",
        "",
        f"- one process of one core: {alone:.1f} pictures/s, {own:.1f} ms of processor time a picture",
        f"- Ray, {WORKERS} workers of one core: {each:.1f} pictures/s a core ({each / alone:.2f} of one process); "
        f"{steady:.1f} without the command's start ({steady / alone:.2f}); {first:.1f} ({first / alone:.2f}) for the "
        "first command of a cluster, with which actors of Ray Data begin",
        f"- a worker takes {worked:.1f} ms of processor time a picture ({own / worked:.2f} of one process's speed) and "
        f"had {many['busy']:.0%} of a core; the driver and Ray's own processes take {many['around']:.0f} s in all",
        "",
        "| pictures | core-hours | hours on 100 cores | read | a link of 10 Gbit/s reads it in | written |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for number in (10**6, 10**7, 10**9):
        hours, size = number * many["cpu"] / count / 3600, number * found["bytes"]
        cells = f"{number:,}", f"{hours:,.1f}", f"{hours / 100:,.2f}", f"{size / 1e12:,.2f} TB"
        written = number * found["result bytes"] / 1e9
        lines.append("| " + " | ".join((*cells, f"{size / 1.25e9 / 3600:,.2f} h", f"{written:,.2f} GB")) + " |")
    return [*lines, ""]


def _where(found: Mapping[str, Any]) -> str:
    return f"{found['machine']}, {found['commit']}"


if __name__ == "__main__":
    main()

"""``frostline predict``: one line a picture, as it comes."""

import csv
import json as _json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option


def predict(
    model: Annotated[Path, Argument(help="A model folder, or a run's folder.")],
    images: Annotated[list[str], Argument(help="Files, folders, globs, or - for names on standard input.")],
    top: Annotated[int, Option(help="How many classes to name.", min=1)] = 1,
    json: Annotated[bool, Option("--json", help="A JSON object a line.")] = False,
    as_csv: Annotated[bool, Option("--csv", help="Columns path, label, probability, label_2, ...")] = False,
    engine: Annotated[str, Option(help="auto, openvino or torch.")] = "auto",
    out: Annotated[
        Path | None, Option(help="A folder for the results of many processes; `frostline merge` joins them.")
    ] = None,
    shard: Annotated[
        str | None, Option(help="I/N: answer this share of the pictures; else RANK and WORLD_SIZE say it.")
    ] = None,
) -> None:
    """Name what pictures show.

    A picture that cannot be read is told on standard error, the others go on, and the exit code is 1.
    With --out a killed process goes on where it was, and what cannot be read is a line of the results.
    """
    from frostline.data.sources import pictures
    from frostline.errors import PlanError
    from frostline.ship import shards
    from frostline.ship.about import located
    from frostline.ship.predict import predictor
    from frostline.ship.stream import BATCH, Failure, best

    if json and as_csv:
        raise PlanError("--json and --csv exclude each other", hint="choose one")
    if out is None and (shard or shards.shard_of(None, os.environ).of > 1):
        raise PlanError("several processes need one place for their results", where="--out", hint="--out DIR")
    if out is not None and (json or as_csv):
        raise PlanError("--out writes CSV, and nothing on standard output", hint="leave --json and --csv out")
    answering = predictor(located(model), engine=engine)
    top = min(top, len(answering.about.classes))
    if out is not None:
        count = shards.work(
            out,
            shards.shard_of(shard, os.environ),
            pictures(images),
            answering,
            places=images,
            top=top,
            tell=lambda text: print(text, file=sys.stderr, flush=True),
        )
        print(f"{count.rows:,} pictures, {count.unreadable:,} of them could not be read", file=sys.stderr)
        return
    failed = 0
    lines = csv.writer(sys.stdout, lineterminator="\n")
    if as_csv:
        lines.writerow(
            ["path", "label", "probability", *(f"{n}_{i}" for i in range(2, top + 1) for n in ("label", "probability"))]
        )
    batch = 1 if "-" in images else BATCH
    for answer in answering.predict(pictures(images), batch=batch):
        if isinstance(answer, Failure):
            failed += 1
            print(f"{answer.name}: {answer.reason}", file=sys.stderr, flush=True)
            continue
        named = best(answer, answering.about, top)
        if json:
            found = [{"label": label, "probability": round(p, 6)} for label, p in named]
            print(_json.dumps({"path": answer.name, "classes": found}, ensure_ascii=False))
        elif as_csv:
            lines.writerow([answer.name, *(value for label, p in named for value in (label, f"{p:.6f}"))])
        else:
            print(answer.name, *(f"{label} {p:.1%}" for label, p in named), sep="\t")
        if batch == 1:
            sys.stdout.flush()
    if failed:
        raise typer.Exit(1)

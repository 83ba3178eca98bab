"""``frostline predict``: one line a picture, as it comes."""

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option

from frostline.cli import gc_settings, idle, output
from frostline.cli.answering import Engine, Precision, Trust, Tta, show
from frostline.cli.language import sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frostline.ship.model_info import ModelInfo
    from frostline.ship.predictor import Failure, Prediction


def predict(
    model: Annotated[Path, Argument(help="A model folder, or a run's folder.")],
    images: Annotated[list[str], Argument(help="Files, folders, globs, or - for names on standard input.")],
    top: Annotated[
        int, Option(help="How many classes to name; of several labels a picture, 1 is all of 50 % and more.", min=1)
    ] = 1,
    coverage: Annotated[
        float | None, Option(help="Name a set of classes that holds the right one so often: 0.95.")
    ] = None,
    json: Annotated[bool, Option("--json", help="A JSON object a line.")] = False,
    as_csv: Annotated[
        bool, Option("--csv", help="Columns path, label, probability, label_2, ..., set, novel.")
    ] = False,
    engine: Engine = "auto",
    precision: Precision = "fp32",
    tta: Tta = None,
    out: Annotated[
        Path | None, Option(help="A folder for the results of many processes; `frostline merge` joins them.")
    ] = None,
    on: Annotated[str | None, Option(help="ray: answer on a Ray cluster; --out is a folder of Parquet.")] = None,
    address: Annotated[
        str | None,
        Option(help="Address of the Ray cluster, or auto for this machine's; without one, it is started here."),
    ] = None,
    shard: Annotated[
        str | None, Option(help="I/N: answer this share of the pictures; else RANK and WORLD_SIZE say it.")
    ] = None,
    trust: Trust = None,
) -> None:
    """Name what pictures show.

    Pictures unlike all that the model was trained on are marked "none of these?". A picture that cannot be read is
    named on standard error, the others go on, and the exit code is 1. With --out a killed process goes on where it
    was, and what cannot be read is a line of the results.
    """
    with gc_settings.importing():
        from frostline.cli import console
        from frostline.data.loose_pictures import pictures
        from frostline.data.pictures.formats import kinds
        from frostline.data.places.place_options import PlaceOptions
        from frostline.data.places.remote import url_of
        from frostline.errors import PlanError
        from frostline.inference import both_views
        from frostline.ship import batch_predict
        from frostline.ship.model_info import located
        from frostline.ship.open_predictor import open_predictor
        from frostline.ship.prediction_table import Columns
        from frostline.ship.predictor import Failure, best, members

    if json and as_csv:
        raise PlanError("--json and --csv exclude each other", where="--json, --csv", hint="choose one")
    if out is None and (shard or batch_predict.shard_of(None, os.environ).of > 1):
        raise PlanError("several processes need one place for their results", where="--out", hint="--out DIR")
    if out is not None and (json or as_csv):
        raise PlanError(
            "--out writes CSV, and nothing on standard output", where="--out", hint="leave --json and --csv out"
        )
    if on is None:
        idle.refuse(without="--on", address=address is not None)
    else:
        idle.refuse(beside="--on", top=top != 1, shard=shard is not None, trust=trust is not None)
        if tta:
            raise PlanError("a cluster answers from one view", where="--tta", hint="leave --tta out, or leave --on out")
        _on_cluster(on, model, images, out, coverage=coverage, engine=engine, precision=precision, address=address)
        return
    if out is not None and url_of(out) is not None:
        raise PlanError("one process writes into a folder", where=f"--out {url_of(out)}", hint="--on ray writes there")
    show(trust)
    answering = open_predictor(located(model), engine=engine, precision=precision, trust=trust, tta=tta)
    if tta:
        console.aside(both_views.SAID)
    about = answering.about
    rows = pictures(images, how=PlaceOptions().looking_as(about.facts.get("given")))
    if coverage is not None:
        _promise(about, coverage, model)
    top = min(top, len(about.classes))
    if out is not None:
        part = batch_predict.shard_of(shard, os.environ)
        count = batch_predict.work(
            out, part, rows, answering, places=images, columns=Columns(top, coverage), tta=tta, tell=console.aside
        )
        console.aside(f"{count.rows:,} pictures, {count.unreadable:,} of them could not be read")
        if count.unreadable and part.of == 1:  # of several, a launcher would stop the others: `merge` says it
            raise typer.Exit(1)
        return
    failed = []
    line = output.table()
    columns = Columns(top, coverage, errors=False)
    if as_csv:
        line(columns.header)
    batch = 1 if "-" in images else None
    for answer in _watched(answering.predict(rows, batch=batch)):
        if isinstance(answer, Failure):
            failed.append(answer.reason)
            if not kinds.is_missing(answer.reason):
                console.aside(f"{answer.name}: {answer.reason}")
            continue
        named = best(answer, about, top)
        held = None if coverage is None else members(answer, about, coverage)
        if json:
            found = [{"label": label, "probability": round(p, 6)} for label, p in named]
            more = {} if held is None else {"coverage": coverage, "set": [label for label, _ in held]}
            output.json({"path": answer.name, "classes": found, **more, "novel": answer.novel})
        elif as_csv:
            line(columns.line(answer, about))
        else:
            named_so = [f"{label} {p:.1%}" for label, p in (named if held is None else held)] or [sentence("no label")]
            output.row(answer.name, *named_so, *([sentence("none of these?")] if answer.novel else []))
        if batch == 1:
            sys.stdout.flush()
    for text in kinds.left_out(failed):
        console.aside(text)
    if failed:
        raise typer.Exit(1)


def _watched(answers: "Iterator[Prediction | Failure]") -> "Iterator[Prediction | Failure]":
    """The answers, counted on the terminal while they themselves go into a file (a pager has the terminal too)."""
    if not (sys.stderr.isatty() and stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode)):
        yield from answers
        return
    from frostline.cli.screen import Screen
    from frostline.events import Work

    with Screen() as screen:
        for count, answer in enumerate(answers, start=1):
            screen(Work("pictures", count, 0))
            yield answer


def _on_cluster(on: str, model: Path, images: list[str], out: Path | None, *, address: str | None, **how: Any) -> None:
    """Answer pictures on a cluster.

    Raises: PlanError: another engine than Ray, or no place for the results.
    """
    from frostline.cli import console
    from frostline.data.loose_pictures import pictures
    from frostline.data.places.place_options import PlaceOptions
    from frostline.errors import PlanError
    from frostline.scale.on_ray import check_engine, run
    from frostline.scale.predict import Predict
    from frostline.ship import model_info

    check_engine(on)
    if out is None:
        raise PlanError("a cluster needs one place for its results", where="--out", hint="--out DIR")
    place = model_info.located(model)
    looks = PlaceOptions().looking_as(model_info.read(place).facts.get("given"))
    rows = pictures(images, how=looks)
    new = run(Predict, {"model": str(place), **how}, rows, out, address=address, tell=console.aside)
    console.parts(new, out)
    if new.unreadable:
        raise typer.Exit(1)


def _promise(about: "ModelInfo", coverage: float, model: Path) -> None:
    """Check that a coverage can be promised.

    Raises: PlanError: the model has no prediction sets. JudgementError: it is no coverage.
    """
    from frostline.cli import console
    from frostline.errors import PlanError

    if about.sets is None:
        why, hint = "it was saved without held-out pictures", "leave --coverage out, or fit again"
        if about.multilabel:
            why, hint = "its pictures may have several labels", "leave --coverage out"
        raise PlanError(f"this model has no prediction sets: {why}", where=model, hint=hint)
    if about.sets.threshold(coverage) == float("inf"):
        console.aside(
            f"{about.sets.n} held-out pictures can promise at most {about.sets.highest:.2%}: every set is all classes"
        )

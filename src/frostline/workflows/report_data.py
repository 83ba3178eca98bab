"""Gather what a report shows: of a run from its folder alone, of an evaluation from what it found.

`judge.report` draws it. A picture that is gone is named and not shown; heat maps are made while there is time.
"""

import csv
import json
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import TemplateError
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from frostline.data import csv_files
from frostline.data.manifest import Manifest, Skipped
from frostline.data.pictures.picture import Picture
from frostline.data.views import EvaluationView, Preprocessing
from frostline.errors import CheckpointError, FrostlineError, one_line
from frostline.judge.drift import Drift
from frostline.judge.figures import Report
from frostline.judge.predictions import PICTURES, Outcome, picture_at, read_outcomes
from frostline.judge.report import thumbnails
from frostline.judge.report.charts import Curve, Layer, Point
from frostline.judge.report.page import Page
from frostline.judge.report.render import render
from frostline.judge.report.thumbnails import Shown
from frostline.judge.result import REFIT, RunResult
from frostline.ordinary_file import ordinary
from frostline.run.run_folder import EVIDENCE
from frostline.ship.model_info import ModelInfo, read
from frostline.workflows.evaluate import BEFORE_REFIT, Evaluation

if TYPE_CHECKING:
    from torch import nn

REPORT = "report.html"
_ODD = (
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError),
    *(StopIteration, RecursionError, TemplateError),
)
"""What values of another kind than a run writes come to, wherever they are used first."""

HEAT_SECONDS = 0.8
"""For the heat maps of a fit: a small network makes all of them in that time, a large one its first mistake's."""

PATIENT_SECONDS = 60.0
"""For the heat maps of a report that somebody asked for by name."""

_FEW = 100
_UNEQUAL = 3.0

PictureOf = Callable[[Outcome], Picture | None]
Net = Callable[[], "nn.Module"]
"""Gives the network that heat maps are drawn by."""


def of_folder(folder: Path) -> Page:
    """The report of a finished run, from its folder: with its pictures if they are still where they were.

    Raises: CheckpointError: there is no finished run. JudgementError: its pictures.csv is damaged.
    """
    try:
        preprocessing = read(folder / "model").preprocessing
    except FrostlineError:  # a report without heat maps is a report all the same
        return of_run(folder)
    return of_run(folder, net=opened(folder / "model"), preprocessing=preprocessing, seconds=PATIENT_SECONDS)


def opened(folder: Path, *, trust: str | None = None) -> Net:
    """The network of a model folder, opened when called: torch is loaded only where there is a heat map to draw."""

    def net() -> "nn.Module":
        shipped: nn.Module = import_module("frostline.ship.open_folder").open_folder(folder, trust=trust).net
        return shipped

    return net


def of_run(
    folder: Path,
    *,
    net: Net | None = None,
    preprocessing: Preprocessing | None = None,
    picture_of: PictureOf | None = None,
    seconds: float = HEAT_SECONDS,
) -> Page:
    """What a run's folder says, with heat maps by its network while there is time.

    picture_of: the picture of a row; by default ``picture_at``.

    Raises: CheckpointError, JudgementError: as ``of_folder``.
    """
    metrics, plan = _json(folder / "metrics.json"), _json(folder / "plan.json")
    picture_of = picture_of or cache(picture_at)
    try:
        return _page(folder, metrics, plan, net, preprocessing, picture_of, seconds)
    except _ODD as error:
        raise _damaged(folder, error) from None


def html_of_folder(folder: Path, *, lang: str) -> str:
    """The page of a run's folder, which may be somebody else's.

    Raises: CheckpointError, JudgementError: as ``of_folder``, or its figures are not what they should be.
    """
    page = of_folder(folder)
    try:
        return render(page, lang=lang)
    except _ODD as error:
        raise _damaged(folder, error) from None


def _damaged(folder: Path, error: Exception) -> FrostlineError:
    if isinstance(error, FrostlineError):
        return error
    said = one_line(f"{type(error).__name__} {error}")[:200]
    return CheckpointError(f"the run's folder is damaged: {said}", where=folder, hint="fit again")


def of_evaluation(
    found: Evaluation, about: ModelInfo, manifest: Manifest, *, title: str, split: str = "", net: Net | None = None
) -> Page:
    """What an evaluation found, with heat maps if there is a network."""
    pictures = {row.digest: row.picture for row in manifest.rows}
    shown = _seen(
        found.outcomes,
        about.preprocessing,
        lambda row: pictures.get(row.digest),
        about.classes,
        net,
        PATIENT_SECONDS,
        several=about.multilabel,
    )
    counts = {split or "all": {row.name: row.support for row in found.report.per_class}}
    return Page(
        title=title,
        what="evaluation",
        model=about.name,
        split=split,
        report=found.report,
        classes=about.classes,
        outcomes=found.outcomes,
        probabilities=found.probabilities,
        shown=shown,
        strategy=str(about.facts.get("strategy", "")),
        when=datetime.now().strftime("%Y-%m-%d %H:%M"),
        pictures={split or "all": found.report.n},
        counts=counts,
        skipped=found.skipped,
        warnings=(*found.notes, *_warnings(found.report, counts, "val" if found.chose else "")),
        unseen=found.unseen,
        temperature=about.temperature,
        facts={"run": str(about.facts.get("run", ""))},
        versions=about.versions,
        coverage=found.coverage,
        novelty=about.novelty,
        drift="" if found.drift == Drift(None, None) else str(found.drift),
    )


def _page(
    folder: Path,
    metrics: Mapping[str, Any],
    plan: Mapping[str, Any],
    net: Net | None,
    preprocessing: Preprocessing | None,
    picture_of: PictureOf,
    seconds: float,
) -> Page:
    result = RunResult.from_dict(metrics, tuple(_skipped(folder / "skipped.csv")))
    if result.headline is None:
        raise CheckpointError("nothing was judged in this run", where=folder, hint="give it a val or a test split")
    split, report = result.headline
    several = report.confusion.ndim == 3
    resolved = plan["resolved"]
    outcomes = tuple(row for row in read_outcomes(folder / PICTURES) if row.split == split)
    evidence = _evidence(folder / EVIDENCE, len(outcomes))
    preprocessing = preprocessing or Preprocessing.from_dict(resolved["preprocessing"])
    curves, speed = _log(folder / "log.jsonl")
    rates = {phase["name"]: phase.get("rates", {}) for phase in resolved["plan"]["phases"]}
    sizes = plan.get("parameters", {})
    weights = plan["weights"] if isinstance(plan["weights"], dict) else {"loaded": plan["weights"], "digest": ""}
    facts = {
        "run": plan["run"],
        "seed": str(plan["seed"]),
        "weights": str(weights["loaded"]),
        "digest of the weights": str(weights["digest"]),
        "digest of the pictures": str(resolved["pictures"]),
        "preprocessing": ", ".join(f"{name} {value}" for name, value in resolved["preprocessing"].items()),
        "machine": str(plan.get("machine", "")),
    }
    counts = _in_the_end(plan["counts"], result.counts)
    warnings = list(_warnings(report, counts, split if result.chosen_on == split else ""))
    before = split == "val" and result.phases[-1].name == REFIT and result.phases[-1].val is None
    if before:
        warnings.insert(0, BEFORE_REFIT)
    if result.interrupted:
        warnings.insert(0, "The run was interrupted: this is the best model up to then.")
    return Page(
        title=Path(str(plan.get("source") or "")).name or result.model,
        what="fit",
        model=result.model,
        split=split,
        report=report,
        classes=result.classes,
        outcomes=outcomes,
        unseen=not before,
        shown=_seen(outcomes, preprocessing, picture_of, result.classes, net, seconds, several=several),
        strategy=result.strategy,
        when=datetime.fromtimestamp((folder / "metrics.json").stat().st_mtime).strftime("%Y-%m-%d %H:%M"),
        phases=result.phases,
        layers=tuple(Layer(name, int(sizes.get(name, 0))) for name in plan["stages"]),
        rates=tuple(rates.get(row.name, {}) for row in result.phases),
        curves=curves,
        pictures=result.counts,
        counts=counts,
        skipped=result.skipped,
        warnings=tuple(warnings),
        temperature=result.temperature,
        coverage=result.coverage,
        novelty=result.novelty,
        probabilities=evidence.get("probabilities"),
        places=evidence.get("places"),
        seconds=result.seconds,
        memory=result.memory or None,
        speed=speed,
        engine=result.engine,
        command=plan.get("command", ""),
        facts={name: value for name, value in facts.items() if value},
        versions=plan["versions"],
    )


def _in_the_end(planned: Mapping[str, Mapping[str, int]], splits: Container[str]) -> dict[str, Mapping[str, int]]:
    """Pictures by split and class; those of a val split that was learned from after all are in train."""
    counts = dict(planned)
    if "val" in counts and "val" not in splits:
        val = counts.pop("val")
        counts["train"] = {name: count + val[name] for name, count in counts["train"].items()}
    return counts


def _warnings(report: Report, counts: Mapping[str, Mapping[str, int]], decided: str) -> Iterator[str]:
    """decided: the split, if the figures are of pictures that something was chosen by."""
    if decided:
        yield (
            "These pictures also decided when to stop or what to keep, so the figures are a little too good. "
            "Those of a test split, read once at the end, are not."
        )
    if report.n < _FEW:
        yield "There are few pictures to judge by, so the interval is wide."
    if unjudged := sum(not row.support for row in report.per_class):
        n, m = f"{unjudged:,}", f"{len(report.per_class):,}"
        yield f"Classes without a picture to judge by: {n} of {m}. How well the model knows them was not measured."
    if any(max(own.values()) > _UNEQUAL * max(1, min(own.values())) for own in counts.values() if own):
        yield "The classes are of very different sizes: look at each class, not at the accuracy alone."


def _seen(
    outcomes: Sequence[Outcome],
    preprocessing: Preprocessing,
    picture_of: PictureOf,
    classes: Sequence[str],
    net: Net | None,
    seconds: float,
    *,
    several: bool,
) -> Shown:
    shown = thumbnails.seen(thumbnails.choose(outcomes, several=several), outcomes, preprocessing, picture_of)
    if net is None or not shown.large:
        return shown
    return thumbnails.with_heat(shown, _heat(shown, outcomes, preprocessing, picture_of, classes, net, seconds))


def _heat(
    shown: Shown,
    outcomes: Sequence[Outcome],
    preprocessing: Preprocessing,
    picture_of: PictureOf,
    classes: Sequence[str],
    net: Net,
    seconds: float,
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Heat over the large pictures, mistakes first, for the class that was said; at least one, if there can be any."""
    place = {name: index for index, name in enumerate(classes)}
    view = EvaluationView(preprocessing)
    until = time.monotonic() + seconds
    indices = [index for index in (*shown.mistakes, *shown.unsure) if index in shown.large]

    def asked() -> Iterator[tuple[NDArray[np.uint8], int | None]]:
        for index in indices:
            picture = picture_of(outcomes[index])
            assert picture is not None  # it was shown a moment ago
            yield view(picture), place.get(outcomes[index].predicted)

    explain = import_module("frostline.judge.explain")
    try:
        for index, heat in zip(indices, explain.heatmaps(net(), preprocessing, asked()), strict=False):
            large = thumbnails.viewed(picture_of(outcomes[index]), preprocessing, thumbnails.LARGE)
            if large is not None:
                yield index, explain.overlay(large, explain.resized(heat, large.shape[:2]))
            if time.monotonic() > until:
                return
    except FrostlineError:  # a report without heat maps is a report all the same
        return


def _evidence(path: Path, n: int) -> dict[str, NDArray[np.float32]]:
    """Probabilities (n, K) and places (n, 2), as far as they are there."""
    try:
        found = load_file(ordinary(path))
    except (OSError, SafetensorError):
        return {}
    known = {name: found[name] for name in ("probabilities", "places") if name in found}
    return {name: array for name, array in known.items() if array.ndim == 2 and len(array) == n}


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(ordinary(path).read_bytes())
    except OSError as error:
        raise CheckpointError(
            f"there is no finished run: {error.strerror}", where=path, hint="name the folder of a `frostline fit`"
        ) from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"damaged: {one_line(str(error))[:200]}", where=path, hint="fit again") from None
    if not isinstance(values, dict):
        raise CheckpointError("damaged: it should hold an object", where=path, hint="fit again")
    return values


def _log(path: Path) -> tuple[tuple[Curve, ...], float | None]:
    """The epochs of each phase, and the middle one of the speeds that were noted."""
    found: dict[str, dict[int, Point]] = {}
    speeds: list[float] = []
    own: dict[int, Point] | None = None
    try:
        lines = ordinary(path).read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return (), None
    for text in lines:
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue  # a kill may have cut a line short
        if "phase" in line:
            own = found.setdefault(line["phase"], {})
        elif "val_loss" in line and own is not None:
            own[line["epoch"]] = Point(line["epoch"], line["val_accuracy"], line["val_loss"], line["train_loss"])
            speeds.append(line["pictures_per_second"])
    curves = tuple(Curve(name, tuple(points[e] for e in sorted(points))) for name, points in found.items())
    return curves, float(np.median(speeds)) if speeds else None


def _skipped(path: Path) -> Iterator[Skipped]:
    try:
        with ordinary(path).open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            yield from (Skipped(row["path"], row["reason"]) for row in csv_files.records(file))
    except (OSError, csv.Error, KeyError):
        return

"""Conduct a plan over a manifest: phases one after another, each judged, the best model always on disk.

Only this place knows all listeners of the loop, and decides what is kept. `phases` does the work of one phase,
`resolve` says what will be done, `verdict` judges, `record` owns the run's folder.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frostline.data.manifest import Manifest
from frostline.errors import CheckpointError, Diverged
from frostline.events import Event, Listener, Note, Warn, quiet
from frostline.judge.calibrate import Calibration
from frostline.judge.conformal import PredictionSets
from frostline.judge.metrics import Report
from frostline.judge.ood import Novelty
from frostline.judge.predictions import outcomes
from frostline.judge.result import PhaseRow, RunResult
from frostline.options import seconds
from frostline.processors import launched_processes
from frostline.run import cross_validation
from frostline.run.model_selection import (
    Logits,
    calibration_of,
    hopeless,
    judged,
    probabilities_of,
    share_right,
    verdict,
)
from frostline.run.phase_context import PhaseContext, PhaseResult, judgeable, logits_of
from frostline.run.picture_map import places_of
from frostline.run.provenance import peak_memory
from frostline.run.resolve import Job, Settings, resolve
from frostline.run.run_folder import RunFolder
from frostline.run.solve_phase import solve_head
from frostline.run.train_phase import train_stages
from frostline.run.uncertainty import covered, novelty_of, sets_of
from frostline.ship import folder
from frostline.ship.model_info import ModelInfo
from frostline.train import checkpoint
from frostline.train.device import Device, open_device
from frostline.train.plan import Phase, Plan, Solve, Train


@dataclass(frozen=True)
class Fitted:
    """What a run leaves: the network in eval mode on the CPU, what belongs to it, and the figures.

    judged: the pictures that the figures are of, a manifest for each split.
    """

    net: nn.Module
    about: ModelInfo
    result: RunResult
    judged: tuple[Manifest, ...] = ()


@dataclass
class _BestSoFar:
    """The best model so far and how it came about; all that crosses from one phase to the next."""

    rows: list[PhaseRow] = field(default_factory=list)
    state: dict[str, Tensor] = field(default_factory=dict)
    val: Logits | None = None
    crossed: Logits | None = None
    distances: NDArray[np.float32] | None = None
    interrupted: bool = False

    def take(self, net: nn.Module, learnt: PhaseResult) -> None:
        """The network as it is now becomes the best one."""
        self.state = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
        self.val, self.crossed = learnt.val, learnt.crossed

    def tensors(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        held = {f"standing/{name}": tensor for name, tensor in self.state.items()}
        logits = {"standing_val": self.val, "standing_crossed": self.crossed}
        return held | {name: torch.from_numpy(array) for name, array in logits.items() if array is not None}


def fit(
    manifest: Manifest, settings: Settings, *, out: Path | None = None, resume: bool = False, listen: Listener = quiet
) -> Fitted:
    """Carry out a strategy's plan on labelled pictures.

    manifest: rows with labels; without a "val" split one is split off, unless all phases solve a head: that learns from
        every picture and is judged out of fold.
    out: the run's folder, or None to write nothing but the store.
    resume: go on from the folder's checkpoint, if it has one.

    Raises: DataError: too few usable pictures. WeightsError, HeadError, StageError, UnknownName, PlanError: the
        network or the plan cannot be made. CheckpointError: `out` cannot be written, or holds another run's checkpoint.
        Diverged: the first phase diverged. KeyboardInterrupt: interrupted before there was any model.
    """
    begun = time.monotonic()
    rank, _ = launched_processes()
    record = RunFolder(out, writes=rank == 0)
    record.open(resume=resume, overwrite=settings.overwrite)

    def tell(event: Event) -> None:
        record.log(event)
        if rank == 0:
            listen(event)

    try:
        job = resolve(manifest, settings, record, tell, begun)
        return _finish(job, _carry_out_in_folds(job) if settings.folds else _carry_out(job, resume=resume))
    except BaseException:
        record.discard()
        raise
    finally:
        record.close()


def _carry_out(job: Job, *, resume: bool) -> _BestSoFar:
    """The plan's phases, from the first or from a checkpoint; the network is left as the best of them left it."""
    plan, bench, net = job.plan, job.bench, job.bench.net
    anchors = {name: p.detach().clone() for name, p in net.named_parameters()} if _pulls(plan) else {}
    start = checkpoint.load(job.record.checkpoint) if resume and job.record.checkpoint else None
    standing, first = _recalled(job, start) if start else (_BestSoFar(), 0)
    machine: Device | None = None
    for number, phase in enumerate(plan.phases[first:], start=first):
        began = time.monotonic()

        def save(tensors: Mapping[str, Tensor], facts: Mapping[str, Any], number: int = number) -> None:
            _save(job, standing, number, tensors, facts)

        why = _not_worth_it(job, standing, phase)
        if why:
            standing.rows.append(PhaseRow(phase.name, phase.line, None, 0.0, kept=False, why=why))
            continue
        try:
            if isinstance(phase, Solve):
                learnt = solve_head(bench, phase)
            else:
                settings = job.settings
                machine = machine or open_device(settings.device, settings.precision, settings.track, job.record.folder)
                here = start if start is not None and "state" in start.facts else None
                seconds = _seconds_for(job, plan.phases[number:])
                learnt = train_stages(
                    bench, phase, machine, start=here, save=save, anchors=anchors, seconds=seconds, least=_least(plan)
                )
        except (KeyboardInterrupt, Diverged) as error:
            if not standing.state:
                raise
            stopped = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error.args[0])
            job.tell(Warn(f"{phase.name}: {stopped}; the best model so far stays"))
            learnt = PhaseResult(None, None, 0, stopped)
        start = None
        kept, why = _verdict(job, standing, learnt)
        standing.rows.append(_row(bench, phase, learnt, time.monotonic() - began, kept, why))
        if kept:
            standing.take(net, learnt)
            calibration = _calibration(bench, standing)
            _ship(job, _Trust(1.0 if calibration is None else calibration.temperature), graph=False)
        else:
            net.load_state_dict(standing.state)
        standing.interrupted = learnt.early == "interrupted"
        if standing.interrupted:
            break
        if number + 1 < len(plan.phases):
            _save(job, standing, number + 1, {}, {})
    if machine:
        machine.accelerator.end_training()
    net.load_state_dict(standing.state)
    return standing


def _carry_out_in_folds(job: Job) -> _BestSoFar:
    """The plan's phases, each judged by cross-validation; then the network itself learns it from every picture.

    Nothing is kept for a resumption: folds are for data so small that what lies in the store is most of the work.
    """
    plan, bench, net, settings = job.plan, job.bench, job.bench.net, job.settings
    k = settings.folds or 0
    anchors = {name: p.detach().clone() for name, p in net.named_parameters()} if _pulls(plan) else {}
    machine = open_device(settings.device, settings.precision, settings.track, job.record.folder)
    standing, parts = _BestSoFar(), cross_validation.begin(bench, k)
    standing_net = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
    job.tell(Note(f"{k} folds: each picture is judged by a model that has not seen it; the one that is kept has all"))
    for number, phase in enumerate(plan.phases):
        began = time.monotonic()
        why = _not_worth_it(job, standing, phase)
        if why:
            standing.rows.append(PhaseRow(phase.name, phase.line, None, 0.0, kept=False, why=why))
            continue
        total = _seconds_for(job, plan.phases[number:])
        seconds = None if total is None else total / (k + 1)
        crossed: cross_validation.CrossValidated | None = None
        try:
            crossed = cross_validation.cross_validate(bench, phase, parts, machine, anchors=anchors, seconds=seconds)
            learnt = PhaseResult(None, crossed.logits, 0)
            kept, why = _verdict(job, standing, learnt)
            net.load_state_dict(standing_net)
            if kept:
                if isinstance(phase, Solve):
                    learnt = solve_head(bench, phase)
                else:
                    learnt = train_stages(bench, phase, machine, anchors=anchors, seconds=seconds)
                learnt = replace(learnt, crossed=crossed.logits)
        except (KeyboardInterrupt, Diverged) as error:
            if not standing.state:
                raise
            stopped = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error.args[0])
            job.tell(Warn(f"{phase.name}: {stopped}; the best model so far stays"))
            learnt, kept, why = PhaseResult(None, None, 0, stopped), False, stopped
        standing.rows.append(_row(bench, phase, learnt, time.monotonic() - began, kept, why))
        if kept and crossed is not None:
            standing.take(net, learnt)
            standing_net, parts = standing.state, crossed.folds
            standing.distances = crossed.distances if crossed.distances is not None else standing.distances
        standing.interrupted = learnt.early == "interrupted"
        if standing.interrupted:
            break
    machine.accelerator.end_training()
    net.load_state_dict(standing.state)
    return standing


def _finish(job: Job, standing: _BestSoFar) -> Fitted:
    """Judge the model that stands, the test split last and once, and write everything."""
    bench, record, manifest = job.bench, job.record, job.manifest
    calibration = _calibration(bench, standing)
    if calibration is not None:
        say = Warn if calibration.useless else Note
        job.tell(say(f"temperature: {calibration.why}"))
    temperature = 1.0 if calibration is None else calibration.temperature
    seen: dict[str, tuple[Manifest, Logits]] = {}
    if standing.val is not None and bench.val is not None:
        seen["val"] = bench.val, standing.val
    elif standing.crossed is not None and (out_of_fold := judgeable(standing.crossed, bench.train)):
        seen["cross-validation"] = out_of_fold
    if "test" in manifest.splits:
        seen["test"] = logits_of(bench, manifest.part("test"))
        manifest = manifest.without([item for item in seen["test"][0].skipped if item not in manifest.skipped])
        record.skipped(manifest.skipped)
    answered = {split: (part, probabilities_of(logits, part, temperature)) for split, (part, logits) in seen.items()}
    reports = {split: judged(probabilities, part) for split, (part, probabilities) in answered.items()}
    record.pictures(
        [row for split, (part, probabilities) in answered.items() for row in outcomes(part, probabilities, split)]
    )
    if record.folder is not None and answered:
        part, probabilities = answered[next(s for s in ("test", "val", "cross-validation") if s in answered)]
        record.evidence(probabilities, places_of(bench, part))
    source = next((split for split in answered if split != "test"), "")
    sets = sets_of(answered.get(source), source)
    novelty = novelty_of(bench, bench.val if standing.val is not None else None, standing.distances)
    chosen = _chosen_on(job, standing)
    about = _ship(job, _Trust(temperature, sets, novelty, reports, chosen), graph=True)
    result = RunResult(
        strategy=job.plan.strategy,
        model=job.settings.model,
        phases=tuple(standing.rows),
        metrics=reports,
        folder=record.model,
        classes=manifest.classes,
        counts={split: len(manifest.part(split)) for split in manifest.splits} or {"train": len(manifest)},
        skipped=manifest.skipped,
        seconds=time.monotonic() - job.begun,
        engine=bench.activations.engine_used,
        temperature=temperature,
        calibration=calibration,
        coverage=covered(sets, answered.get(source), answered.get("test")),
        novelty=novelty,
        chosen_on=chosen,
        memory=peak_memory(),
        interrupted=standing.interrupted,
    )
    record.json("metrics.json", result.to_dict())
    if record.checkpoint and record.writes:
        checkpoint.clear(record.checkpoint)
    return Fitted(bench.net.eval(), about, result, tuple(part for part, _ in seen.values()))


def _pulls(plan: Plan) -> bool:
    return any(isinstance(phase, Train) and phase.recipe.l2sp for phase in plan.phases)


def _not_worth_it(job: Job, standing: _BestSoFar, phase: Phase) -> str:
    if job.plan.keep == "always" or isinstance(phase, Solve):
        return ""
    depth = job.bench.stages.names.index
    if any(depth(phase.line) < depth(row.line) for row in standing.rows if not row.kept):
        return "unfreezing less was not worth it"
    logits, part = _judged_by(job, standing)
    return "" if logits is None or part is None else hopeless(logits, part, phases=_deeper(job.plan))


def _deeper(plan: Plan) -> int:
    """How many phases ask to be kept: the chance of keeping one that is no better is shared by them."""
    return max(1, sum(isinstance(phase, Train) for phase in plan.phases))


def _chosen_on(job: Job, standing: _BestSoFar) -> str:
    """The split whose pictures chose an epoch or a phase, or ""."""
    split = "cross-validation" if job.settings.folds else "val" if job.bench.val is not None else ""
    ran = [row for row in standing.rows if row.val is not None]
    if job.plan.keep == "if-better" and len(ran) > 1:
        return split
    names = {row.name for row in ran if row.epochs > 1}
    by_epoch = any(
        isinstance(phase, Train) and phase.name in names and (phase.recipe.keep == "best" or phase.recipe.patience)
        for phase in job.plan.phases
    )
    return split if by_epoch and not job.settings.folds else ""


def _judged_by(job: Job, learnt: _BestSoFar | PhaseResult) -> tuple[Logits | None, Manifest | None]:
    """What phases are judged by: the val split, or with folds every training picture, out of fold."""
    if not job.settings.folds:
        return learnt.val, job.bench.val
    out_of_fold = None if learnt.crossed is None else judgeable(learnt.crossed, job.bench.train)
    return (None, None) if out_of_fold is None else (out_of_fold[1], out_of_fold[0])


def _least(plan: Plan) -> float:
    """The share of a phase's epochs below which it is left out: half-trained it would only be undone."""
    return 0.5 if plan.keep == "if-better" else 0.0


def _seconds_for(job: Job, ahead: tuple[Phase, ...]) -> float | None:
    """What a phase may take of the time that is left.

    An equal share if the plan needs all its phases; else all of it, for two phases cut short are worth less than one.
    """
    budget = job.plan.budget if job.settings.budget is None else seconds(job.settings.budget)
    if budget is None:
        return None
    left = max(0.0, budget - (time.monotonic() - job.begun))
    return left if job.plan.keep == "if-better" else left / sum(isinstance(phase, Train) for phase in ahead)


def _verdict(job: Job, standing: _BestSoFar, learnt: PhaseResult) -> tuple[bool, str]:
    if not standing.state:
        return True, "the first model"
    if learnt.val is None and learnt.crossed is None and not learnt.epochs:
        return False, learnt.early
    before, part = _judged_by(job, standing)
    return verdict(job.plan.keep, before, _judged_by(job, learnt)[0], part, phases=_deeper(job.plan))


def _row(bench: PhaseContext, phase: Phase, learnt: PhaseResult, seconds: float, kept: bool, why: str) -> PhaseRow:
    figure = None
    if learnt.val is not None and bench.val is not None:
        figure = share_right(learnt.val, bench.val)
    elif learnt.crossed is not None and (out_of_fold := judgeable(learnt.crossed, bench.train)):
        part, logits = out_of_fold
        figure = share_right(logits, part)
    early = "" if learnt.early == why else learnt.early
    return PhaseRow(phase.name, phase.line, figure, seconds, kept, why, learnt.epochs, early, learnt.trainable)


def _calibration(bench: PhaseContext, standing: _BestSoFar) -> Calibration | None:
    if standing.val is not None and bench.val is not None:
        return calibration_of(standing.val, bench.val)
    out_of_fold = None if standing.crossed is None else judgeable(standing.crossed, bench.train)
    return None if out_of_fold is None else calibration_of(out_of_fold[1], out_of_fold[0])


@dataclass(frozen=True)
class _Trust:
    """What belongs to a finished model beside its weights."""

    temperature: float = 1.0
    sets: PredictionSets | None = None
    novelty: Novelty | None = None
    reports: Mapping[str, Report] = field(default_factory=dict)
    chosen_on: str = ""


def _ship(job: Job, trust: _Trust, *, graph: bool) -> ModelInfo:
    """Write the model folder as it stands, between phases without a graph: only the last one needs it."""
    settings, bench = job.settings, job.bench
    about = ModelInfo(
        name=settings.model,
        classes=bench.train.classes,
        preprocessing=job.backbone.preprocessing,
        multilabel=bench.train.multilabel,
        temperature=trust.temperature,
        sets=trust.sets,
        novelty=trust.novelty,
        arguments={"img_size": settings.image_size} if settings.image_size else {},
        metrics={split: report.to_dict() for split, report in trust.reports.items()},
        plan=job.plan.to_dict(),
        facts={key: job.facts[key] for key in ("run", "strategy", "seed", "weights", "counts", "given", "labels")}
        | ({"chosen_on": trust.chosen_on} if trust.chosen_on else {}),
    )
    if job.record.model is None or not job.record.writes:
        return about
    return folder.save(job.record.model, bench.net, about, graph=graph)


def _save(job: Job, standing: _BestSoFar, phase: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    if job.record.checkpoint is None or not job.record.writes:
        return
    known = {"run": job.facts["run"], "phase": phase, "rows": [row.to_dict() for row in standing.rows]}
    checkpoint.save(job.record.checkpoint, checkpoint.Checkpoint({**standing.tensors(), **tensors}, {**known, **facts}))


def _recalled(job: Job, start: checkpoint.Checkpoint) -> tuple[_BestSoFar, int]:
    """What stood when a checkpoint was written, and the number of the phase to go on with.

    Raises: CheckpointError: it is another run's.
    """
    if start.facts.get("run") != job.facts["run"]:
        raise CheckpointError(
            "the checkpoint belongs to a run with other options, pictures or weights",
            where=job.record.checkpoint,
            hint="give the options of that run (its plan.json has them), or leave --resume out to begin again",
        )
    logits = {name: start.tensors.get(f"standing_{name}") for name in ("val", "crossed")}
    standing = _BestSoFar(
        rows=[PhaseRow.from_dict(row) for row in start.facts["rows"]],
        state=start.under("standing"),
        val=None if logits["val"] is None else logits["val"].numpy(),
        crossed=None if logits["crossed"] is None else logits["crossed"].numpy(),
    )
    if standing.state:
        job.bench.net.load_state_dict(standing.state)
    number = int(start.facts["phase"])
    job.tell(Note(f"going on with phase {number + 1} of {len(job.plan.phases)}, {job.plan.phases[number].name}"))
    return standing, number

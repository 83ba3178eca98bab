"""Conduct a plan over a manifest: phases one after another, each judged, the best model always on disk.

Only this place knows all listeners of the loop, and decides what is kept. `phases` does the work of one phase, `record`
owns the run's folder.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frostline.data.manifest import Manifest
from frostline.data.split import with_validation
from frostline.data.views import EvaluationView, Preprocessing
from frostline.errors import CheckpointError, Diverged, PlanError
from frostline.judge import calibrate, metrics
from frostline.judge.compare import attainable, paired
from frostline.judge.metrics import Report, accuracy
from frostline.judge.result import PhaseRow, RunResult
from frostline.net import zoo
from frostline.net.freeze import rates
from frostline.net.head import Head
from frostline.net.stages import stages
from frostline.run.phases import Bench, Learnt, Logits, solvable, solve_head, train_stages
from frostline.run.record import Record
from frostline.ship import folder
from frostline.ship.about import About
from frostline.train import checkpoint
from frostline.train.activations import BOTTOM, Activations
from frostline.train.events import Event, Listener, Note, Warn, quiet
from frostline.train.loop import predict
from frostline.train.machine import Machine, launched_processes, open_machine
from frostline.train.plan import Plan, Solve, Train, rates_of
from frostline.train.store import Store
from frostline.train.strategies import make_plan, make_recipe


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a run needs beside its pictures. The meaning of each field is `ImageClassifier`'s.

    options: training options that the user set, by name; `train.defaults` has the rest.
    budget: seconds, or None for the plan's own.
    """

    model: str
    weights: str | Path | None
    strategy: str
    store: Store
    cache: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    image_size: int | None = None
    drop_path: float | None = None
    engine: str = "auto"
    precision: str = "auto"
    device: str = "auto"
    budget: float | None = None
    val: float = 0.2
    track: str | None = None


@dataclass(frozen=True)
class Fitted:
    """What a run leaves: the network in eval mode on the CPU, what belongs to it, and the figures."""

    net: nn.Module
    about: About
    result: RunResult


@dataclass
class _Standing:
    """The best model so far and how it came about; all that crosses from one phase to the next."""

    rows: list[PhaseRow] = field(default_factory=list)
    state: dict[str, Tensor] = field(default_factory=dict)
    val: Logits | None = None
    crossed: Logits | None = None
    interrupted: bool = False


def fit(
    manifest: Manifest, settings: Settings, *, out: Path | None = None, resume: bool = False, listen: Listener = quiet
) -> Fitted:
    """Carry out a strategy's plan on labelled pictures.

    manifest: rows with labels; without a "val" split one is split off where something has to be judged.
    out: the run's folder, or None to write nothing but the store.
    resume: go on from the folder's checkpoint, if it has one.

    Raises: DataError: too few usable pictures. WeightsError, HeadError, StageError, UnknownName, PlanError: the network or
        the plan cannot be made. CheckpointError: `out` cannot be written, or holds another run's checkpoint. Diverged:
        the first phase diverged. KeyboardInterrupt: interrupted before there was any model.
    """
    begun = time.monotonic()
    rank, _ = launched_processes()
    record = Record(out, writes=rank == 0)
    record.open(resume=resume)

    def tell(event: Event) -> None:
        record.log(event)
        if rank == 0:
            listen(event)

    try:
        return _fit(manifest, settings, record, resume, tell, begun)
    finally:
        record.close()


def _fit(manifest: Manifest, settings: Settings, record: Record, resume: bool, tell: Listener, begun: float) -> Fitted:
    torch.manual_seed(settings.seed)
    backbone = zoo.build(
        settings.model,
        classes=len(manifest.classes),
        weights=settings.weights,
        seed=settings.seed,
        image_size=settings.image_size,
        drop_path=settings.drop_path,
    )
    tell(Note(str(backbone.loaded) if backbone.loaded else f"{settings.model} starts from random weights"))
    network_stages = stages(backbone.net)
    pictures = len(manifest.part("train")) if "train" in manifest.splits else len(manifest)
    plan = make_plan(settings.strategy, network_stages, settings.options, pictures=pictures)
    manifest = _split(manifest, plan, settings)
    activations = Activations(
        backbone.net,
        settings.model,
        backbone.preprocessing,
        settings.store,
        settings.cache,
        settings.engine,
        settings.precision,
        tell,
    )
    manifest = _readable(manifest, activations, plan)
    if manifest.skipped:
        tell(Warn(f"{len(manifest.skipped)} files are left out; skipped.csv names them"))
    record.skipped(manifest.skipped)
    train = manifest.part("train") if manifest.splits else manifest
    val = manifest.part("val") if "val" in manifest.splits else None
    bench = Bench(backbone.net, network_stages, backbone.head, activations, train, val, settings.seed, tell)
    plan = _feasible(plan, bench, settings, tell)
    for phase in plan.phases:
        if isinstance(phase, Train) and phase.line != network_stages.names[0]:
            still = network_stages.names[: network_stages.names.index(phase.line)]
            tell(Note(f"{phase.name}: the frost line lies under {phase.line}; {', '.join(still)} are computed once"))
    facts = _facts(settings, plan, manifest, backbone, network_stages.names)
    identity = hashlib.blake2b(json.dumps(facts["resolved"], sort_keys=True, default=str).encode()).hexdigest()[:16]
    record.json("plan.json", facts | {"run": identity})
    standing = _phases(plan, bench, settings, record, identity, tell, begun, resume, backbone, facts)
    return _finished(standing, bench, manifest, settings, record, tell, begun, backbone, plan, facts)


def _phases(
    plan: Plan,
    bench: Bench,
    settings: Settings,
    record: Record,
    identity: str,
    tell: Listener,
    begun: float,
    resume: bool,
    backbone: zoo.Backbone,
    facts: Mapping[str, Any],
) -> _Standing:
    standing = _Standing()
    start = checkpoint.load(record.checkpoint) if resume and record.checkpoint else None
    if start is not None and start.facts["run"] != identity:
        raise CheckpointError(
            "the checkpoint belongs to a run with other options, pictures or weights",
            where=record.checkpoint,
            hint="give the options of that run (its plan.json has them), or leave --resume out to begin again",
        )
    anchors = {name: t.detach().clone() for name, t in bench.net.named_parameters()} if _pulled(plan) else {}
    first = 0
    if start is not None:
        first = start.facts["phase"]
        standing = _Standing(
            rows=[PhaseRow.from_dict(row) for row in start.facts["rows"]],
            state=start.under("standing"),
            val=_array(start.tensors.get("standing_val")),
            crossed=_array(start.tensors.get("standing_crossed")),
        )
        if standing.state:
            bench.net.load_state_dict(standing.state)
        tell(Note(f"going on with phase {first + 1} of {len(plan.phases)}"))
    budget = settings.budget if settings.budget is not None else plan.budget
    machine: Machine | None = None
    for number, phase in enumerate(plan.phases[first:], start=first):
        phase_began = time.monotonic()
        here = start if start is not None and "state" in start.facts else None

        def save(tensors: Mapping[str, Tensor], more: Mapping[str, Any], number: int = number) -> None:
            if record.checkpoint is None or not record.writes:
                return
            held = dict(tensors) | {f"standing/{name}": t for name, t in standing.state.items()}
            held |= {"standing_val": torch.from_numpy(standing.val)} if standing.val is not None else {}
            held |= {"standing_crossed": torch.from_numpy(standing.crossed)} if standing.crossed is not None else {}
            known = {"run": identity, "phase": number, "rows": [row.to_dict() for row in standing.rows]}
            checkpoint.save(record.checkpoint, checkpoint.Checkpoint(held, known | dict(more)))

        if isinstance(phase, Train) and plan.keep == "if-better" and standing.val is not None and bench.val is not None:
            reason = _not_worth_it(standing, bench.val)
            if reason:
                standing.rows.append(_row(phase, bench, Learnt(None, None, 0, reason), 0.0, kept=False, why=reason))
                continue
        try:
            if isinstance(phase, Solve):
                learnt = solve_head(bench, phase)
            else:
                machine = machine or open_machine(settings.device, settings.precision, settings.track, record.folder)
                seconds = None
                if budget is not None:
                    remaining = sum(isinstance(p, Train) for p in plan.phases[number:])
                    seconds = max(0.0, (budget - (time.monotonic() - begun)) / remaining)
                learnt = train_stages(bench, phase, machine, start=here, save=save, anchors=anchors, seconds=seconds)
        except KeyboardInterrupt:
            if not standing.state:
                raise
            learnt = Learnt(None, None, 0, "interrupted")
        except Diverged as error:
            if not standing.state:
                raise
            tell(Warn(str(error)))
            learnt = Learnt(None, None, 0, error.what)
        start = None
        took = time.monotonic() - phase_began
        kept, why = _verdict(plan, standing, learnt, bench.val)
        standing.rows.append(_row(phase, bench, learnt, took, kept=kept, why=why))
        if kept:
            standing.state = {name: t.detach().clone() for name, t in bench.net.state_dict().items()}
            standing.val, standing.crossed = learnt.val, learnt.crossed
            _ship(standing, bench, record, backbone, settings, facts, plan)
        else:
            bench.net.load_state_dict(standing.state)
        if number + 1 < len(plan.phases):
            save({}, {"phase": number + 1})
        if learnt.early == "interrupted":
            standing.interrupted = True
            break
    bench.net.load_state_dict(standing.state)
    return standing


def _verdict(plan: Plan, standing: _Standing, learnt: Learnt, val: Manifest | None) -> tuple[bool, str]:
    """Whether a phase is kept, and why, in words."""
    if not standing.state:
        return True, "the first model"
    if learnt.epochs == 0 and learnt.val is None and learnt.crossed is None:
        return False, learnt.early or "nothing was trained"
    if plan.keep == "always":
        return True, "as planned"
    if learnt.val is None or standing.val is None or val is None:
        return False, "there is no val split to judge it by"
    test = paired(_right(standing.val, val), _right(learnt.val, val))
    if test.better:
        return True, f"measurably better: {test}"
    return False, f"not measurably better: {test}"


def _not_worth_it(standing: _Standing, val: Manifest) -> str:
    if standing.val is None or attainable(_right(standing.val, val)):
        return ""
    wrong = int((~_right(standing.val, val)).sum())
    return f"only {wrong} of {len(val)} val pictures are wrong: even a perfect model could not be told from chance"


def _right(logits: Logits, part: Manifest) -> NDArray[np.bool_]:
    targets = part.targets()
    if targets.ndim == 2:
        return ((logits > 0) == (targets > 0.5)).ravel()
    return np.asarray(logits.argmax(1) == targets)


def _row(phase: Solve | Train, bench: Bench, learnt: Learnt, seconds: float, *, kept: bool, why: str) -> PhaseRow:
    figure = None
    if learnt.val is not None and bench.val is not None:
        right = _right(learnt.val, bench.val)
        figure = metrics.wilson(int(right.sum()), len(right))
    elif learnt.crossed is not None:
        figure = accuracy(learnt.crossed, bench.train.targets().astype(np.int64))
    trainable = _trainable(phase, bench)
    return PhaseRow(phase.name, phase.line, figure, seconds, kept, why, learnt.epochs, learnt.early, trainable)


def _trainable(phase: Solve | Train, bench: Bench) -> int:
    above = {"head"} if isinstance(phase, Solve) else {stage for stage, rate in phase.rates if rate > 0}
    named = dict(bench.net.named_parameters())
    return sum(
        named[n].numel() for stage in bench.stages if stage.name in above for n in stage.parameters if n in named
    )


def _split(manifest: Manifest, plan: Plan, settings: Settings) -> Manifest:
    """A val split, unless the source has one or nothing of the plan needs it."""
    if "val" in manifest.splits:
        return manifest
    if not manifest.splits and manifest.source == "" and all(isinstance(phase, Solve) for phase in plan.phases):
        return manifest  # pictures from Python: a solved head is judged out of fold, and all of them can be learnt from
    return with_validation(manifest, share=settings.val, seed=settings.seed)


def _readable(manifest: Manifest, activations: Activations, plan: Plan) -> Manifest:
    """The manifest without pictures that cannot be decoded, found by filling the first shelf that will be needed."""
    first = plan.phases[0]
    learning = tuple(row for row in manifest.rows if row.split in (None, "train", "val"))
    view = EvaluationView(activations.preprocessing)
    line = "head" if isinstance(first, Solve) else BOTTOM if _from_pictures(first) else first.line
    _, skipped = activations.at(line, learning, view, what="pictures")
    manifest = manifest.without(skipped)
    manifest.require_usable()
    return manifest


def _from_pictures(phase: Train) -> bool:
    return phase.recipe.views == 0 or phase.recipe.frozen_norm == "update" or phase.line == phase.rates[0][0]


def _feasible(plan: Plan, bench: Bench, settings: Settings, tell: Listener) -> Plan:
    """The plan with heads that cannot be solved trained instead."""
    if not any(isinstance(phase, Solve) for phase in plan.phases) or solvable(bench):
        return plan
    tell(Warn(f"the head {bench.head.path!r} is not one linear layer over one vector, so it is trained, not solved"))
    recipe = make_recipe({**settings.options, "views": 1}, pictures=len(bench.train))
    epochs = int(settings.options.get("epochs") or 100)
    trained = Train("probe", rates_of(rates(bench.stages, head=1e-3)), epochs, recipe)
    return replace(plan, phases=tuple(trained if isinstance(phase, Solve) else phase for phase in plan.phases))


def _pulled(plan: Plan) -> bool:
    return any(isinstance(phase, Train) and phase.recipe.l2sp for phase in plan.phases)


def _array(tensor: Tensor | None) -> Logits | None:
    return None if tensor is None else tensor.numpy()


def _ship(
    standing: _Standing,
    bench: Bench,
    record: Record,
    backbone: zoo.Backbone,
    settings: Settings,
    facts: Mapping[str, Any],
    plan: Plan,
    *,
    reports: Mapping[str, Report] | None = None,
    graph: bool = False,
) -> About:
    """Write the model folder as it stands; between phases without a graph, which only the last one needs."""
    about = About(
        name=settings.model,
        classes=bench.train.classes,
        preprocessing=backbone.preprocessing,
        multilabel=bench.train.multilabel,
        temperature=_temperature(standing, bench),
        arguments={"img_size": settings.image_size} if settings.image_size else {},
        metrics={split: report.to_dict() for split, report in (reports or {}).items()},
        plan=plan.to_dict(),
        facts={key: facts[key] for key in ("seed", "weights", "counts", "strategy")},
    )
    if record.model is None or not record.writes:
        return about
    return folder.save(record.model, bench.net, about, graph=graph)


def _temperature(standing: _Standing, bench: Bench) -> float:
    if bench.train.multilabel:
        return 1.0
    if standing.val is not None and bench.val is not None:
        return calibrate.fit(standing.val, bench.val.targets().astype(np.int64)).temperature
    if standing.crossed is not None:
        return calibrate.fit(standing.crossed, bench.train.targets().astype(np.int64)).temperature
    return 1.0


def _finished(
    standing: _Standing,
    bench: Bench,
    manifest: Manifest,
    settings: Settings,
    record: Record,
    tell: Listener,
    begun: float,
    backbone: zoo.Backbone,
    plan: Plan,
    facts: Mapping[str, Any],
) -> Fitted:
    """Judge the model that stands, the test split last and once, and write everything."""
    temperature = _temperature(standing, bench)
    reports: dict[str, Report] = {}
    if standing.val is not None and bench.val is not None:
        reports["val"] = judged(standing.val, bench.val, temperature)
    elif standing.crossed is not None:
        reports["cross-validation"] = judged(standing.crossed, bench.train, temperature)
    if "test" in manifest.splits:
        part, logits = logits_of(bench, manifest.part("test"))
        reports["test"] = judged(logits, part, temperature)
        manifest = manifest.without([s for s in part.skipped if s not in manifest.skipped])
        record.skipped(manifest.skipped)
    about = _ship(standing, bench, record, backbone, settings, facts, plan, reports=reports, graph=True)
    result = RunResult(
        strategy=plan.strategy,
        model=settings.model,
        classes=bench.train.classes,
        phases=tuple(standing.rows),
        reports=reports,
        counts={split: len(manifest.part(split)) for split in manifest.splits} or {"train": len(manifest)},
        skipped=manifest.skipped,
        seconds=time.monotonic() - begun,
        folder=record.folder,
        interrupted=standing.interrupted,
    )
    record.json("metrics.json", result.to_dict())
    if record.checkpoint and record.writes:
        checkpoint.clear(record.checkpoint)
    return Fitted(bench.net.eval(), about, result)


def logits_of(bench: Bench, part: Manifest) -> tuple[Manifest, Logits]:
    """Logits of any pictures by the network as it stands, and the manifest without those that cannot be decoded."""
    view = EvaluationView(bench.activations.preprocessing)
    rows = part.rows
    read, skipped = bench.activations.at("head", rows, view, what=f"{rows[0].split or 'all'} pictures")
    part = part.without(skipped)
    from frostline.net.cut import cut

    _, suffix = cut(bench.net, "head")
    found = []
    with torch.no_grad():
        for start in range(0, len(part), 256):
            found.append(suffix(torch.from_numpy(read(np.arange(start, min(start + 256, len(part))))).float()).numpy())
    return part, np.concatenate(found)


def judged(logits: Logits, part: Manifest, temperature: float) -> Report:
    """All figures of logits (N, K) against a manifest's labels."""
    targets = part.targets()
    if targets.ndim == 2:
        probabilities = 1 / (1 + np.exp(-logits.astype(np.float64) / temperature))
        return metrics.report_multilabel(probabilities, targets.astype(np.int64), part.classes)
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(1, keepdims=True))
    return metrics.report(powers / powers.sum(1, keepdims=True), targets.astype(np.int64), part.classes)


def _facts(
    settings: Settings, plan: Plan, manifest: Manifest, backbone: zoo.Backbone, stage_names: tuple[str, ...]
) -> dict[str, Any]:
    packages = ("frostline", "torch", "torchvision", "timm", "numpy", "pillow", "scikit-learn", "accelerate")
    pictures = hashlib.blake2b(
        "\n".join(f"{r.digest} {r.split} {'|'.join(r.labels)}" for r in manifest.rows).encode(), digest_size=16
    ).hexdigest()
    loaded = backbone.loaded
    return {
        "strategy": plan.strategy,
        "seed": settings.seed,
        "weights": {"source": loaded.source, "digest": loaded.digest, "says": str(loaded)}
        if loaded
        else {"source": "random"},
        "counts": {split: manifest.part(split).counts() for split in manifest.splits} or {"train": manifest.counts()},
        "resolved": {
            "model": settings.model,
            "weights": backbone.loaded.digest if backbone.loaded else "random",
            "plan": plan.to_dict(),
            "seed": settings.seed,
            "pictures": pictures,
            "classes": list(manifest.classes),
            "preprocessing": backbone.preprocessing.to_dict(),
            "drop_path": settings.drop_path,
        },
        "stages": list(stage_names),
        "given": {key: value for key, value in settings.options.items() if value is not None},
        "machine": {"engine": settings.engine, "precision": settings.precision, "device": settings.device},
        "versions": {name: _version(name) for name in packages},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except ImportError:
        return "unknown"


__all__ = ["Fitted", "Settings", "fit", "judged"]
_ = (Head, Preprocessing, PlanError, predict)

"""Judge the best model of a run, the test split last and once, and write the run's folder.

Between phases the model folder is written too, without a graph: whatever the next one comes to, the best model so far
is on disk.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from frostline.data.manifest import Manifest
from frostline.events import Note, Warn
from frostline.judge.calibrate import Calibration
from frostline.judge.conformal import PredictionSets
from frostline.judge.figures import Report
from frostline.judge.ood import Novelty
from frostline.judge.predictions import outcomes
from frostline.judge.result import HEADLINES, RunResult
from frostline.run.best_so_far import BestSoFar, held_out
from frostline.run.model_selection import calibration_of, judged, probabilities_of
from frostline.run.phase_context import Logits, logits_of
from frostline.run.picture_map import places_of
from frostline.run.provenance import peak_memory
from frostline.run.resolve import Job
from frostline.run.uncertainty import Judged, covered, novelty_of, sets_of
from frostline.ship import folder
from frostline.ship.model_info import ModelInfo
from frostline.train import checkpoint
from frostline.train.plan import Train

_FACTS = ("run", "strategy", "seed", "weights", "counts", "units", "given", "labels", "refit")


@dataclass(frozen=True)
class Fitted:
    """What a run leaves: the network in eval mode on the CPU, what belongs to it, and the figures.

    judged: for each split the pictures that the figures are of, with the probabilities (N, K) that were judged.
    """

    net: nn.Module
    about: ModelInfo
    result: RunResult
    judged: tuple[Judged, ...] = ()


@dataclass(frozen=True)
class _Judgement:
    """What belongs to a finished model beside its weights.

    reports, pictures: by split, the figures, and the pictures they are of with calibrated probabilities (N, K).
    source: the split that sets and temperature come from, or "".
    """

    temperature: float = 1.0
    calibration: Calibration | None = None
    pictures: Mapping[str, Judged] = field(default_factory=dict)
    reports: Mapping[str, Report] = field(default_factory=dict)
    source: str = ""
    sets: PredictionSets | None = None
    novelty: Novelty | None = None
    chosen_on: str = ""


def finish(job: Job, best: BestSoFar) -> Fitted:
    """Judge the best model, the test split last and once, and write everything."""
    context, record = job.context, job.record
    found = _judgement(job, best)
    manifest = job.manifest
    if "test" in found.pictures:
        unread = found.pictures["test"][0].skipped
        manifest = manifest.without([item for item in unread if item not in manifest.skipped])
        record.skipped(manifest.skipped)
    pictures = found.pictures
    record.pictures([row for split, (part, share) in pictures.items() for row in outcomes(part, share, split)])
    headline = next((split for split in HEADLINES if split in pictures), None)
    if record.folder is not None and headline is not None:
        part, probabilities = pictures[headline]
        record.evidence(probabilities, places_of(context, part))
    about = _ship(job, found, graph=True)
    result = RunResult(
        strategy=job.plan.strategy,
        model=job.settings.model,
        phases=tuple(best.rows),
        metrics=found.reports,
        folder=record.model,
        classes=manifest.classes,
        counts={split: len(manifest.part(split)) for split in manifest.splits} or {"train": len(manifest)},
        skipped=manifest.skipped,
        seconds=time.monotonic() - job.begun,
        engine=context.activations.engine_used,
        temperature=found.temperature,
        calibration=found.calibration,
        coverage=covered(found.sets, pictures.get(found.source), pictures.get("test")),
        novelty=found.novelty,
        chosen_on=found.chosen_on,
        memory=peak_memory(),
        interrupted=best.interrupted,
    )
    record.json("metrics.json", result.to_dict())
    if record.checkpoint and record.writes:
        checkpoint.clear(record.checkpoint)
    return Fitted(context.net.eval(), about, result, tuple(pictures.values()))


def _judgement(job: Job, best: BestSoFar) -> _Judgement:
    """Calibrate on what was held out, then judge that and the test split."""
    context = job.context
    calibration = _calibration(job, best)
    if calibration is not None:
        say = Warn if calibration.useless else Note
        job.tell(say(f"temperature: {calibration.why}"))
    temperature = 1.0 if calibration is None else calibration.temperature
    source, seen = "", dict[str, tuple[Manifest, Logits]]()
    if out := held_out(job, best):
        source = "val" if best.val is not None else "cross-validation"
        seen[source] = out
    if "test" in job.manifest.splits:
        seen["test"] = logits_of(context, job.manifest.part("test"))
    pictures = {split: (part, probabilities_of(logits, part, temperature)) for split, (part, logits) in seen.items()}
    return _Judgement(
        temperature=temperature,
        calibration=calibration,
        pictures=pictures,
        reports={split: judged(probabilities, part) for split, (part, probabilities) in pictures.items()},
        source=source,
        sets=sets_of(pictures.get(source), source),
        novelty=novelty_of(context, context.val if best.val is not None else None, best.distances),
        chosen_on=_chosen_on(job, best),
    )


def write_between_phases(job: Job, best: BestSoFar) -> None:
    """The model folder of the best model so far, without a graph: only the last one needs it."""
    calibration = _calibration(job, best)
    _ship(job, _Judgement(1.0 if calibration is None else calibration.temperature), graph=False)


def _calibration(job: Job, best: BestSoFar) -> Calibration | None:
    out = held_out(job, best)
    return None if out is None else calibration_of(out[1], out[0])


def _ship(job: Job, found: _Judgement, *, graph: bool) -> ModelInfo:
    settings, context = job.settings, job.context
    about = ModelInfo(
        name=settings.model,
        classes=context.train.classes,
        preprocessing=job.backbone.preprocessing,
        multilabel=context.train.multilabel,
        temperature=found.temperature,
        sets=found.sets,
        novelty=found.novelty,
        arguments={"img_size": settings.image_size} if settings.image_size else {},
        metrics={split: report.to_dict() for split, report in found.reports.items()},
        plan=job.plan.to_dict(),
        facts={key: job.facts[key] for key in _FACTS if key in job.facts}
        | ({"chosen_on": found.chosen_on} if found.chosen_on else {}),
    )
    if job.record.model is None or not job.record.writes:
        return about
    return folder.save(job.record.model, context.net, about, graph=graph)


def _chosen_on(job: Job, best: BestSoFar) -> str:
    """The split whose pictures chose an epoch or a phase, or ""."""
    split = "cross-validation" if job.folds else "val" if job.context.val is not None else ""
    if job.sized:
        return "cross-validation" if job.context.val is None else split
    ran = [row for row in best.rows if row.val is not None]
    if job.plan.keep == "if-better" and len(ran) > 1:
        return split
    names = {row.name for row in ran if row.epochs > 1}
    by_epoch = any(
        isinstance(phase, Train)
        and phase.name in names
        and (phase.recipe.keep == "best" or phase.recipe.patience or phase.recipe.schedule == "plateau")
        for phase in job.plan.phases
    )
    return split if by_epoch and not job.folds else ""

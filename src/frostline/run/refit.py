"""Learn from the pictures that were held out to choose by, once the choice is made (AutoGluon's ``refit_full``).

Where the pictures to choose by were held out here, a model of the val path has not learned from them. A head that no
deeper phase betters is fitted once more, to all, and judged out of fold as `--strategy probe` is. Phases that train are
carried out again on all, from the start and to the epoch that was kept; their figures are those of the model before.
"""

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from frostline.errors import DataError, EngineError, StageError, StoreError
from frostline.events import Note, Warn
from frostline.judge import ood
from frostline.judge.result import REFIT, PhaseRow
from frostline.run.attempt import OpenDevice, repeated
from frostline.run.best_so_far import BestSoFar, held_out
from frostline.run.model_selection import share_right
from frostline.run.phase_context import PhaseContext
from frostline.run.provenance import counted
from frostline.run.resolve import Job
from frostline.run.uncertainty import distances_of, features_of
from frostline.train.plan import Train


def refit(job: Job, best: BestSoFar, initial: Mapping[str, Tensor], open_device: OpenDevice) -> Job:
    """The job as the model that is kept is to be judged, with `best` the one that learned from all pictures.

    The same job where it does not apply: somebody else said what is held out, the run was interrupted, or, for phases
    that train, folds have judged them (they learned from all already) or `--refit` or the time says no. The network is
    left as the best one. initial: its weights before the first phase.
    """
    kept = [(phase, row) for phase, row in zip(job.plan.phases, best.rows, strict=False) if row.kept]
    trained = [row.seconds for phase, row in kept if isinstance(phase, Train)]
    if job.settings.refit == "on" and job.context.val is not None and not job.split_off:
        job.tell(Warn("no refit: a val split or --few was asked for, so the val pictures are not learned from"))
    if not job.split_off or best.interrupted or job.settings.refit == "off":
        return job
    if trained and (job.folds or not _wanted(job, sum(trained), open_device)):
        return job
    if any(isinstance(phase, Train) and phase.recipe.schedule == "plateau" for phase, _ in kept):
        job.tell(Note("no refit: --schedule plateau lowers the rate by the val pictures, which would be learned from"))
        return job
    began = time.monotonic()
    whole = _of_all(job)
    train = whole.context.train
    if trained:
        job.tell(Note(f"the phases that are kept are carried out again on all {len(train)} pictures"))
        best.distances = _distances(job.context)
        job.context.net.load_state_dict(initial)
        for phase, row in kept:
            again = phase.shortened(row.best_epoch or row.epochs) if isinstance(phase, Train) else phase
            result = repeated(whole.context, again, open_device, judges=False)
        best.take(job.context.net, replace(result, val=best.val), None)
        figure, why = None, f"again on all {len(train)} pictures; the figures are of the model before"
        job = replace(job, facts={**job.facts, "refit": len(train)})
    else:
        job.tell(Note(f"nothing deeper is kept: the head is fitted to all {len(train)} pictures"))
        for phase, _ in kept:
            result = repeated(whole.context, phase, open_device, judges=True)
        best.take(job.context.net, result, None)
        judged = held_out(whole, best)
        figure = None if judged is None else share_right(judged[1], judged[0])
        why = f"fitted to all {len(train)} pictures, judged by cross-validation"
        job = whole
    job.record.training(train)
    line, took = kept[-1][0].line, time.monotonic() - began
    best.rows.append(PhaseRow(REFIT, line, figure, took, True, why, 0, "", result.trainable))
    return job


def _wanted(job: Job, took: float, open_device: OpenDevice) -> bool:
    """Whether phases that took so many seconds may take as many again, and a quarter more for the val pictures."""
    if job.settings.refit == "on" or job.budget is None:
        return job.settings.refit == "on"
    return open_device().agreed(time.monotonic() - job.begun) + 1.25 * took < job.budget


def _distances(context: PhaseContext) -> NDArray[np.float32] | None:
    """How far the val pictures lie from the others by a network that has not learned from them; None: not to be had."""
    kept = ood.remembered(context.train.targets(), seed=context.seed)
    try:
        known = features_of(context, context.train, kept)
        return None if context.val is None else distances_of(context, known, context.val)
    except (DataError, EngineError, StageError, StoreError):
        return None


def _of_all(job: Job) -> Job:
    """The job without a val split and without folds: every picture but those of test is learned from."""
    rows = tuple(replace(row, split="train") if row.split == "val" else row for row in job.manifest.rows)
    manifest = replace(job.manifest, rows=rows)
    train = manifest.part("train") if manifest.splits else manifest
    facts = {name: value for name, value in job.facts.items() if name != "units"}
    context = replace(job.context, train=train, val=None)
    return replace(job, manifest=manifest, context=context, facts=facts | counted(manifest), folds=None)

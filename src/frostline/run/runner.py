"""Carry out a plan on labelled pictures: phases one after another, each judged, the best model on disk before the next.

`resolve` says what will be done, `attempt` tries one phase and decides whether it is kept, `best_so_far` is what
crosses from one phase to the next, `finish` judges the model that is left, `run_folder` owns what is written.
"""

import time
from functools import cache, partial
from pathlib import Path

from frostline.data.manifest import Manifest
from frostline.events import Event, Listener, Note, Warn, quiet
from frostline.judge.result import PhaseRow
from frostline.net.undisturbed import undisturbed
from frostline.processors import launched_processes
from frostline.run import cross_validation
from frostline.run.attempt import OpenDevice, attempt, not_worth_it, row_of
from frostline.run.best_so_far import BestSoFar, recalled
from frostline.run.finish import Fitted, finish, write_between_phases
from frostline.run.refit import refit
from frostline.run.resolve import Job, Settings, resolve
from frostline.run.run_folder import RunFolder
from frostline.train import checkpoint
from frostline.train.device import open_device
from frostline.train.plan import Train


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
        with undisturbed():
            job = resolve(manifest, settings, record, tell, begun)
            net = job.context.net
            initial = {name: t.detach().clone() for name, t in net.state_dict().items()} if job.split_off else {}
            device = cache(partial(open_device, settings.device, settings.precision, settings.track, record.folder))
            best = _carry_out(job, device, resume=resume)
            job = refit(job, best, initial, device)
            fitted = finish(job, best)  # the processes still fill the store together here
            if device.cache_info().currsize:
                device().accelerator.end_training()
            return fitted
    except BaseException:
        record.discard()
        raise
    finally:
        record.close()


def _carry_out(job: Job, device: OpenDevice, *, resume: bool) -> BestSoFar:
    """The plan's phases, from the first or from a checkpoint; the network is left as the best of them left it."""
    plan, context, net = job.plan, job.context, job.context.net
    start = checkpoint.load(job.record.checkpoint) if resume and job.record.checkpoint else None
    best, first = recalled(job, start) if start else (BestSoFar(), 0)
    if not (resume or job.settings.overwrite) and job.record.checkpoint and any(job.record.checkpoint.glob("*")):
        job.tell(Warn("a run that was stopped in this folder is begun again: --resume would have gone on with it"))
    if job.folds:
        best.folds = cross_validation.begin(context, job.folds)
        said = f"{job.folds} folds: each picture is judged by a model that has not seen it"
        job.tell(Note(f"{said}; the model that is kept learns from all of them"))
    job.record.begin({**job.facts, **job.told}, context.train, job.manifest.skipped, anew=start is None)
    for number, phase in enumerate(plan.phases[first:], start=first):
        began = time.monotonic()
        if why := not_worth_it(job, best, phase):
            best.rows.append(PhaseRow(phase.name, phase.line, None, 0.0, kept=False, why=why))
            continue
        inside = start if start is not None and "state" in start.facts else None
        start = None
        tried = attempt(job, best, number, device, inside)
        best.rows.append(row_of(job, phase, tried, time.monotonic() - began))
        if tried.kept:
            best.take(net, tried.result, tried.crossed)
            follows = number + 1 < len(plan.phases) or "test" in job.manifest.splits
            if follows or isinstance(phase, Train):  # a fitted head that nothing follows is saved in the next second
                write_between_phases(job, best)
        else:
            net.load_state_dict(best.state)
        best.interrupted = tried.result.early == "interrupted"
        if best.interrupted:
            break
        if number + 1 < len(plan.phases):
            best.save(job, number + 1, {}, {})
    net.load_state_dict(best.state)
    return best

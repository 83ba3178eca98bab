"""Try one phase of a plan on the best model so far, and decide whether it is kept.

A phase is judged on the val split after it was trained; with folds it is cross-validated first, and trained on every
picture only if it is kept. Both end as one `Attempt`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from frostline.errors import Diverged, EngineError
from frostline.events import Warn
from frostline.judge.result import PhaseRow
from frostline.run import cross_validation
from frostline.run.best_so_far import BestSoFar, held_out
from frostline.run.cross_validation import CrossValidated
from frostline.run.model_selection import hopeless, share_right, verdict
from frostline.run.phase_context import PhaseContext, PhaseResult
from frostline.run.resolve import Job
from frostline.run.solve_phase import solve_head
from frostline.run.train_phase import Save, train_stages
from frostline.train.checkpoint import Checkpoint
from frostline.train.device import Device
from frostline.train.plan import Phase, Solve, Train

OpenDevice = Callable[[], Device]

_LEAST = 0.4


@dataclass(frozen=True)
class Attempt:
    """What a phase came to. crossed: where folds have judged it."""

    result: PhaseResult
    kept: bool
    why: str
    crossed: CrossValidated | None = None


def attempt(job: Job, best: BestSoFar, number: int, open_device: OpenDevice, start: Checkpoint | None) -> Attempt:
    """Carry out the phase of that number; the network is left with the weights that came of it if it is kept.

    open_device: asked only where one is needed, for what it imports takes a second. start: a checkpoint to go on from.
    Interrupted, diverged or too large for a GPU, the phase is not kept, and the best model so far stays.

    Raises: Diverged, EngineError, KeyboardInterrupt: there is no model yet that could stay.
    """
    phase = job.plan.phases[number]
    try:
        if best.folds:
            return _cross_validated(job, best, number, open_device)
        result = _carried_out(job, best, number, open_device, start)
    except (KeyboardInterrupt, Diverged, EngineError) as error:
        if not best.state:
            raise
        stopped = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error.args[0])
        job.tell(Warn(f"{phase.name}: {stopped}; the best model so far stays"))
        return Attempt(PhaseResult(None, None, 0, stopped), False, stopped)
    return Attempt(result, *_verdict(job, best, result))


def _cross_validated(job: Job, best: BestSoFar, number: int, open_device: OpenDevice) -> Attempt:
    context, phase = job.context, job.plan.phases[number]
    before = {name: tensor.detach().clone() for name, tensor in context.net.state_dict().items()}
    # k networks that learn from all but a kth, and the one that is kept, take as long as k that learn from all.
    k, total = len(best.folds), _seconds_for(job, number)
    each = None if total is None else total / k * (1 - 1 / k)
    standing = best.crossed if job.plan.keep == "if-better" else None
    crossed = cross_validation.cross_validate(
        context, phase, best.folds, open_device(), seconds=each, least=_least(job), before=standing
    )
    context.net.load_state_dict(before)
    if crossed.early:
        return Attempt(PhaseResult(None, None, crossed.epochs, crossed.early), False, crossed.early)
    result = PhaseResult(None, crossed.logits, crossed.epochs)
    kept, why = _verdict(job, best, result)
    if kept:
        again = repeated(job.context, crossed.phase, open_device, judges=False)
        result = replace(again, crossed=crossed.logits)
    return Attempt(result, kept, why, crossed)


def repeated(context: PhaseContext, phase: Phase, open_device: OpenDevice, *, judges: bool) -> PhaseResult:
    """Carry out a phase whose worth is known, whatever time it takes. judges: as for `solve_head`."""
    if isinstance(phase, Solve):
        return solve_head(context, phase, judges=judges)
    return train_stages(context, phase, open_device())


def _carried_out(
    job: Job, best: BestSoFar, number: int, open_device: OpenDevice, start: Checkpoint | None
) -> PhaseResult:
    phase = job.plan.phases[number]
    if isinstance(phase, Solve):
        return solve_head(job.context, phase)
    save: Save = partial(best.save, job, number)
    left, least = _seconds_for(job, number), _least(job)
    return train_stages(job.context, phase, open_device(), start=start, save=save, seconds=left, least=least)


def _verdict(job: Job, best: BestSoFar, result: PhaseResult) -> tuple[bool, str]:
    """Whether what a phase came to is kept, and why."""
    if not best.state:
        return True, "the first model"
    if result.val is None and result.crossed is None and not result.epochs:
        return False, result.early
    before, after = held_out(job, best), held_out(job, result)
    part = None if before is None else before[0]
    return verdict(
        job.plan.keep,
        None if before is None else before[1],
        None if after is None else after[1],
        part,
        phases=_asking(job),
    )


def not_worth_it(job: Job, best: BestSoFar, phase: Phase) -> str:
    """Why a phase need not be tried, or ""."""
    if job.plan.keep == "always" or isinstance(phase, Solve):
        return ""
    depth = job.context.stages.names.index
    if any(depth(phase.line) < depth(row.line) for row in best.rows if not row.kept):
        return "unfreezing less was not worth it"
    if any(depth(phase.line) > depth(row.line) for row in best.rows if row.epochs):
        return "unfreezing more has been tried"
    judged = held_out(job, best)
    if judged is None:
        return "" if not best.state else "there is no val split to judge it by"
    return hopeless(judged[1], judged[0], phases=_asking(job))


def _asking(job: Job) -> int:
    """How many phases may ask to be kept in one run: the chance of keeping one that is no better is shared by them.

    One that unfreezes less than another before it asks only in its place.
    """
    depths = [job.context.stages.names.index(phase.line) for phase in job.plan.phases if isinstance(phase, Train)]
    return max(1, sum(depth <= min(depths[: number + 1]) for number, depth in enumerate(depths)))


def _least(job: Job) -> float:
    """The share of a phase's epochs below which it is left out: half-trained it would only be undone."""
    return 0.0 if job.plan.keep == "always" else _LEAST


def _seconds_for(job: Job, number: int) -> float | None:
    """What a phase may take of the time that is left.

    An equal share if the plan needs all its phases; else all of it, for two phases cut short are worth less than one.
    """
    if job.budget is None:
        return None
    left = max(0.0, job.budget - (time.monotonic() - job.begun))
    ahead = sum(isinstance(phase, Train) for phase in job.plan.phases[number:])
    return left if job.plan.keep == "if-better" else left / max(1, ahead)


def row_of(job: Job, phase: Phase, tried: Attempt, seconds: float) -> PhaseRow:
    """The phase's line in the closing table. seconds: that it took."""
    result = tried.result
    judged = held_out(job, result)
    figure = None if judged is None else share_right(judged[1], judged[0])
    early = "" if result.early == tried.why else result.early
    ran = result.epochs, early, result.trainable, result.best_epoch
    return PhaseRow(phase.name, phase.line, figure, seconds, tried.kept, tried.why, *ran)

"""Carry out a phase that solves: the head by logistic regression over features that do not change."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from frostline.data.split import bound, fold_numbers
from frostline.data.views import Augment, EvaluationView, TrainingView, View
from frostline.errors import DataError, PlanError
from frostline.events import Note, PhaseStart, Warn, Work
from frostline.net.all_stages import AllStages
from frostline.net.head import Head, find_head
from frostline.net.trace import operations
from frostline.run.phase_context import Logits, PhaseContext, PhaseResult
from frostline.train.logistic import MOST_STEPS
from frostline.train.plan import HEAD_CROPS, Plan, Solve
from frostline.train.several_views import solve_several_views
from frostline.train.solve import Solved, solve

_FOLDS = 5
_FITTING = "fits of the head"
# Beside crops of 35 and 80 %, and mirror images, which may change the class: bench/accuracy_log.md.
_MILD = Augment(flip=0.0, scale=(0.7, 1.0), ratio=(0.9, 1.1))
_DOUBT = 0.5  # standard errors: of few pictures the loss says little, and such views pay more often than not
_MOST_WORK = 5e11  # floating-point operations that seeing the crops may take: 4 seconds on two cores
_COSTLY = 300_000  # weights from which fitting the folds takes longer than computing the features did


def solve_head(context: PhaseContext, phase: Solve, *, judges: bool = True) -> PhaseResult:
    """Solve the head over frozen features and put it into the network.

    judges: whether its out-of-fold logits judge the run, where there is no val split.

    Raises: PlanError: the network has more than one head, or one whose input is not one vector a picture.
    """
    context.listen(PhaseStart(phase.name, phase.line, 0))
    view = EvaluationView(context.activations.preprocessing)
    read, _ = context.activations.at("head", context.train.rows, view, what="training pictures")
    x = _vectors(read(np.arange(len(context.train))), context.head)
    others = _other_views(context, phase)
    solved = _of_several_views(context, phase, x, others) if others else _solved(context, phase, x)
    put_head(context.net, context.head, solved.weight, solved.bias)
    if isinstance(context.net, AllStages):
        _solve_plain_head(context, context.net, phase, x)
    context.listen(Note(_said(solved)))
    if not solved.converged:
        context.listen(
            Warn(f"the fit of the head did not converge in {MOST_STEPS} steps: its weights are not yet the best ones")
        )
    val = None
    if context.val is not None:
        read, _ = context.activations.at("head", context.val.rows, view, what="val pictures")
        val = _vectors(read(np.arange(len(context.val))), context.head) @ solved.weight.T + solved.bias
    crossed = _judged(context, solved) if judges and val is None else None
    return PhaseResult(val, crossed, 0, trainable=solved.weight.size + solved.bias.size)


def _how(context: PhaseContext, phase: Solve) -> dict[str, Any]:
    """What a solver is told beside features and labels."""
    return {
        "classes": len(context.train.classes),
        "balanced": phase.balanced,
        "seed": context.seed,
        "folds": _inner_folds(context),
        "ends": context.net.ends if isinstance(context.net, AllStages) else (),
    }


def _solved(context: PhaseContext, phase: Solve, x: NDArray[np.float32]) -> Solved:
    done = 0

    def tell(fits: int) -> None:
        nonlocal done
        done = fits
        context.listen(Work(_FITTING, fits, 0))

    solved = solve(x, context.train.targets(), **_how(context, phase), tell=tell)
    if done:
        context.listen(Work(_FITTING, done, done))
    return solved


def _other_views(context: PhaseContext, phase: Solve) -> list[View]:
    """What a head learns from beside the pictures as they are."""
    wants = context.activations.preprocessing
    mirrored: list[View] = [EvaluationView(wants, flip=True)] if phase.flips else []
    return mirrored + [TrainingView(wants, _MILD, number, context.seed) for number in range(phase.crops or 0)]


def _of_several_views(context: PhaseContext, phase: Solve, x: NDArray[np.float32], views: list[View]) -> Solved:
    """The head that learns from all views of each picture, or from one where that is better; it is said which."""
    what, doubt = ("random crops", _DOUBT) if phase.crops else ("mirror images", 0.0)
    others, rows = [], context.train.rows
    for number, view in enumerate(views, start=1):
        read, _ = context.activations.at("head", rows, view, what=f"training view {number} of {len(views)}")
        others.append(_vectors(read(np.arange(len(context.train))), context.head))
    how = _how(context, phase)
    chosen = solve_several_views(x, others, context.train.targets(), **how, doubt=doubt)
    figures = f"{chosen.loss_several:.3f} nats out of fold with them, {chosen.loss:.3f} without"
    context.listen(Note(f"{what} are {'' if chosen.several else 'not '}learned from: {figures}"))
    return chosen.solved


def with_crops(plan: Plan, context: PhaseContext) -> Plan:
    """The plan, with how many crops its heads learn from: `HEAD_CROPS` if nobody has said and it is little work."""
    if not any(isinstance(phase, Solve) and phase.crops is None for phase in plan.phases):
        return plan
    passes = len(context.train) * HEAD_CROPS
    little = passes * operations(context.net, context.activations.preprocessing) <= _MOST_WORK
    phases = (
        replace(phase, crops=HEAD_CROPS if little and not phase.flips else 0)
        if isinstance(phase, Solve) and phase.crops is None
        else phase
        for phase in plan.phases
    )
    return replace(plan, phases=tuple(phases))


def _said(solved: Solved) -> str:
    how = "chosen by cross-validation" if solved.judged.any() else "for no class has two pictures to choose by"
    end = ", the weakest of those tried" if solved.at_end else ""
    floor = "" if solved.floor == 1 else f", floor under deviations {solved.floor:g}"
    spread = "" if f"{solved.spread:.2g}" == "1" else f", logits × {solved.spread:.2g}"
    return f"the head is fitted: logistic regression, L2 {solved.strength:.3g}{spread}{end}{floor}, {how}"


def _judged(context: PhaseContext, solved: Solved) -> Logits:
    """Out-of-fold logits (N, K) of what can be judged, NaN elsewhere."""
    if solved.weight.size < _COSTLY or not solved.first.any():
        there, how = solved.judged, f"{_FOLDS}-fold cross-validation"
        logits = solved.out_of_fold()
    else:
        there, how = solved.first, "a fifth that was held out while the strength was chosen"
        logits = solved.out_of_first_fold()
    if there.any():
        context.listen(Note(f"judged by {how}; the head that is kept is fitted to all {len(there)} training pictures"))
    logits[~there] = np.nan
    return logits


def _solve_plain_head(context: PhaseContext, net: AllStages, phase: Solve, x: NDArray[np.float32]) -> None:
    """Solve the classifier of the network that a head over all stages wraps; its features are the last of x (N, D)."""
    plain = solve(x[:, -net.widths[-1] :], context.train.targets(), **_how(context, phase) | {"ends": ()})
    put_head(net.net, find_head(net.net), plain.weight, plain.bias)


def _inner_folds(context: PhaseContext) -> int | NDArray[np.int64]:
    """Folds that choose the strength; with duplicates and groups on one side, where there are any."""
    if not bound(context.train):
        return _FOLDS
    try:
        return fold_numbers(context.train, _FOLDS, seed=context.seed)
    except DataError:  # fewer units than folds
        return fold_numbers(context.train, 2, seed=context.seed)


def solvable(context: PhaseContext) -> bool:
    """Whether the head is one linear layer over one vector a picture."""
    if context.head.others:
        return False
    view = EvaluationView(context.activations.preprocessing)
    read, _ = context.activations.at("head", context.train.rows, view, what="training pictures")
    one = read(np.arange(1))
    return one.size == context.head.features


def _vectors(x: NDArray[np.generic], head: Head) -> NDArray[np.float32]:
    if x[0].size != head.features:
        raise PlanError(
            f"the head {head.path!r} reads {x.shape[1:]} a picture, not one vector of {head.features}",
            hint="it can be trained but not fitted as a logistic regression: use --strategy freeze",
        )
    return x.reshape(len(x), -1).astype(np.float32, copy=False)


def put_head(net: nn.Module, head: Head, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    """Copy a solved weight (K, D) and bias (K,) into a head of either form, linear layer or 1x1 convolution."""
    layer = net.get_submodule(head.path)
    with torch.no_grad():
        own, shift = layer.get_parameter("weight"), layer.get_parameter("bias")
        own.copy_(torch.from_numpy(weight).reshape(own.shape))
        shift.copy_(torch.from_numpy(bias))

"""Cross-validation of a whole plan: one network a fold, which goes through every phase and never sees its fold.

The folds go through a phase together, so that a phase is kept or not by all pictures at once. What lies below the frost
line is read from the store, so ten folds of a solved head cost seconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frostline.data.manifest import Manifest
from frostline.data.split import folds
from frostline.data.views import EvaluationView
from frostline.errors import PlanError
from frostline.events import Event, Listener, Warn, Work
from frostline.features.activations import BOTTOM
from frostline.inference.network import Normalise
from frostline.judge import ood
from frostline.net.stages import cut
from frostline.run.model_selection import harmed
from frostline.run.phase_context import Logits, PhaseContext
from frostline.run.solve_phase import solve_head
from frostline.run.train_phase import train_stages
from frostline.train.device import Device
from frostline.train.loader import in_memory
from frostline.train.loop import predict
from frostline.train.plan import Phase, Solve

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Fold:
    """Which rows it learns from, which it is judged by, and its network's weights so far."""

    learns: NDArray[np.int64]
    out: NDArray[np.int64]
    state: State


@dataclass(frozen=True)
class CrossValidated:
    """What a phase came to over all folds.

    logits: (N, K) of each training row, by the network of the fold that it was out of; NaN where that has learned from
        no picture of its class. distances: (N,) to the pictures
        which that network learnt from, or None where the trunk did not learn or its features cannot be had.
    folds: with the weights after the phase. phase: as each of them carried it out, in as many epochs as there was time
        for. epochs: their number, 0 for a fitted head. early: why not all folds were gone through, or ""; the logits,
        distances and folds then hold nothing.
    """

    logits: Logits
    distances: NDArray[np.float32] | None
    folds: tuple[Fold, ...]
    phase: Phase
    epochs: int
    early: str = ""


def begin(context: PhaseContext, k: int) -> tuple[Fold, ...]:
    """k folds of the training rows, duplicates and groups together, each with the network as it is now.

    Raises: PlanError, DataError: as ``data.split.folds``. PlanError: a fold would learn from a single class.
    """
    state = {name: tensor.detach().clone() for name, tensor in context.net.state_dict().items()}
    found = tuple(Fold(learns, out, state) for learns, out in folds(context.train, k, seed=context.seed))
    for fold in found:
        if len({label for row in _part(context.train, fold.learns).rows for label in row.labels}) < 2:
            raise PlanError(
                f"with {k} folds one of them would learn from a single class",
                where="--folds",
                hint="ask for more folds, or add pictures of the rarest class",
            )
    return found


def cross_validate(
    context: PhaseContext,
    phase: Phase,
    standing: tuple[Fold, ...],
    machine: Device,
    *,
    seconds: float | None,
    least: float = 0.0,
    before: Logits | None = None,
) -> CrossValidated:
    """Carry out a phase in every fold; the network is left with the weights of the last one.

    No epoch is chosen by the fold: the last one counts. seconds: that one fold may take; the first finds how many
    epochs fit, and the others take as many. least: the share of the epochs without which it is not begun.
    before: out-of-fold logits (N, K) before the phase; it ends after the first fold if that was only harmed.

    Raises: Diverged: the loss of a fold is not finite. KeyboardInterrupt: interrupted.
    """
    logits = np.zeros((len(context.train), len(context.train.classes)), np.float32)
    distances: NDArray[np.float32] | None = np.zeros(len(context.train), np.float32)
    after, epochs = [], 0
    what = f"{phase.name}, folds"
    for number, fold in enumerate(standing):
        context.listen(Work(what, number, len(standing)))
        context.net.load_state_dict(fold.state)
        learns, out = _part(context.train, fold.learns), _part(context.train, fold.out)
        inner = replace(context, train=learns, val=None, listen=_only_warnings(context.listen))
        if isinstance(phase, Solve):
            solve_head(inner, phase)
        else:
            result = train_stages(inner, phase, machine, seconds=seconds, least=least)
            if not result.epochs:
                return CrossValidated(logits, None, standing, phase, 0, result.early)
            phase, seconds, epochs = phase.shortened(result.epochs), None, result.epochs
        logits[fold.out], features = _answers(inner, phase, out, machine)
        logits[fold.out[~_known(out, learns)]] = np.nan
        if number == 0 and before is not None and (why := harmed(before[fold.out], logits[fold.out], out)):
            return CrossValidated(logits, None, standing, phase, epochs, f"the first of {len(standing)} folds: {why}")
        known = None
        if features is not None and not isinstance(phase, Solve):
            kept = ood.remembered(learns.targets(), seed=context.seed)
            _, known = _answers(inner, phase, _part(learns, kept), machine)
        if features is None or known is None:
            distances = None
        elif distances is not None:
            distances[fold.out] = ood.distances(known, features)
        after.append(replace(fold, state={name: t.detach().clone() for name, t in context.net.state_dict().items()}))
    context.listen(Work(what, len(standing), len(standing)))
    return CrossValidated(logits, distances, tuple(after), phase, epochs)


def _part(manifest: Manifest, indices: NDArray[np.int64]) -> Manifest:
    return replace(manifest, rows=tuple(manifest.rows[index] for index in indices))


def _known(out: Manifest, learns: Manifest) -> NDArray[np.bool_]:
    """Which rows (n,) have only labels that others have too; all where a picture may have several."""
    classes = {label for row in learns.rows for label in row.labels}
    return np.array([out.multilabel or classes.issuperset(row.labels) for row in out.rows], np.bool_)


def _answers(
    context: PhaseContext, phase: Phase, part: Manifest, machine: Device
) -> tuple[Logits, NDArray[np.float32] | None]:
    """Logits (n, K) by the network as it stands, from what is stored below the phase's line; and what its head read."""
    activations = context.activations
    line = phase.line if isinstance(phase, Solve) or phase.stored else BOTTOM
    suffix: nn.Module = context.net
    prepare: Callable[[Tensor], Tensor] = Normalise(activations.preprocessing)
    if line != BOTTOM:
        _, suffix = cut(context.net, line)
        prepare = torch.Tensor.float
    view = EvaluationView(activations.preprocessing)
    read, _ = activations.at(line, part.rows, view, what="held-out pictures")
    machine.wait()
    seen: list[NDArray[np.float32]] = []

    def note(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen.append(given[0].detach().float().flatten(1).cpu().numpy())

    suffix.to(machine.device)
    hook = context.net.get_submodule(context.head.path).register_forward_pre_hook(note)
    try:
        logits = predict(suffix, in_memory(read, len(part)), len(part), machine, prepare=prepare)
    finally:
        hook.remove()
        context.net.to("cpu")
    features = np.concatenate(seen) if seen else np.zeros((0, 0), np.float32)
    whole = features.shape == (len(part), context.head.features) and not context.head.others
    return logits, features if whole else None


def _only_warnings(listen: Listener) -> Listener:
    """Of what happens within a fold only warnings are told."""

    def told(event: Event) -> None:
        if isinstance(event, Warn):
            listen(event)

    return told

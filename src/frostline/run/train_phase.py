"""Carry out a phase that trains what lies above its frost line.

Here the parts of `train` meet: what reaches the line (`activations`), what is minimised (`objective`), the loop, and
the listener. Whether a phase was worth it is not decided here but in `conduct`.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frostline.errors import Diverged
from frostline.events import Judged, Note, PhaseStart, Step, Warn
from frostline.net import adapters
from frostline.run.phase_context import Logits, PhaseContext, PhaseResult
from frostline.run.phase_setup import PhaseSetup, objective_of, set_up, tear_down
from frostline.train import checkpoint
from frostline.train.cpu import malloc
from frostline.train.device import Device
from frostline.train.ema import WeightEMA
from frostline.train.loop import State, predict, train
from frostline.train.lr_finder import range_test, seconds_a_step
from frostline.train.optimizer import make_optimizer, optimizer_state, restore_optimizer
from frostline.train.plan import Lora, Train
from frostline.train.schedule import Schedule

CHECKPOINT_SECONDS = 30.0  # between checkpoints inside an epoch; each epoch ends with one anyway


@malloc.kept()
def train_stages(
    bench: PhaseContext,
    phase: Train,
    machine: Device,
    *,
    start: checkpoint.Checkpoint | None = None,
    save: Callable[[Mapping[str, Tensor], Mapping[str, Any]], None] = lambda tensors, facts: None,
    anchors: Mapping[str, Tensor] | None = None,
    seconds: float | None = None,
    least: float = 0.0,
) -> PhaseResult:
    """Train one phase to its end, or until `seconds` are over, or until somebody interrupts it.

    start: a checkpoint of this very phase to go on from. save: called with tensors and facts whenever one is due.
    anchors: where the pretrained weights were, for the L2-SP pull. least: the share of its epochs, in [0, 1], without
        which it is not begun; one epoch in any case.

    Raises: Diverged: the loss is not finite. KeyboardInterrupt: interrupted before the first epoch was judged.
    """
    begun = time.monotonic()
    recipe = phase.recipe
    if isinstance(phase.learns, Lora):
        rank, alpha = phase.learns.rank, phase.learns.alpha
        adapters.attach(bench.net, bench.stages, rank=rank, alpha=alpha, line=phase.line, seed=bench.seed)
    torch.manual_seed(bench.seed + machine.rank)
    shop = set_up(bench, phase, machine)
    came_with = _weights(shop.suffix, None) if recipe.interpolate < 1 else {}
    objective = objective_of(bench, phase, anchors or {}, shop.suffix, machine)
    found = dict(shop.suffix.named_parameters())
    own = tuple(replace(group, names=tuple(n for n in group.names if n in found)) for group in shop.groups)
    own = tuple(group for group in own if group.names)
    trainable = sum(found[name].numel() for group in own for name in group.names)
    if recipe.rate_search and start is None:
        factor = range_test(
            shop.suffix, objective, own, recipe, shop.rows, machine, prepare=shop.prepare, fusions=shop.fusions
        )
        bench.listen(Note(f"range test: all rates times {factor:.3g}"))
        own = tuple(replace(group, lr=group.lr * factor) for group in own)
    epochs = phase.epochs
    facts: dict[str, Any] = dict(start.facts["phase_facts"]) if start else {}
    if start:
        epochs, own = facts["epochs"], tuple(replace(g, lr=lr) for g, lr in zip(own, facts["rates"], strict=True))
    elif seconds is not None:
        a_step = machine.agreed(
            seconds_a_step(
                shop.suffix, objective, own, recipe, shop.rows, machine, prepare=shop.prepare, fusions=shop.fusions
            )
        )
        left = seconds - machine.agreed(time.monotonic() - begun)
        epochs = min(epochs, int(left / (a_step * shop.rows.order.steps * 1.1)))
        if epochs < max(1, least * phase.epochs):
            tear_down(bench, phase)
            what = "enough of its epochs" if epochs else "an epoch of it"
            return PhaseResult(None, None, 0, early=f"no time was left for {what}")
        if epochs < phase.epochs:
            bench.listen(Note(f"{epochs} of {phase.epochs} epochs fit into the time that is left"))
    bench.listen(PhaseStart(phase.name, phase.line, epochs))
    torch.manual_seed(bench.seed + machine.rank)  # filling a store may have drawn numbers, and a full one draws none
    optimizer = make_optimizer(shop.suffix, own, recipe)
    schedule = Schedule(recipe.schedule, epochs, shop.rows.order.steps, recipe.warmup, recipe.step_size, recipe.gamma)
    average = WeightEMA(shop.suffix, recipe.ema) if recipe.ema else None
    state = State()
    if start:
        state = _restore(start, shop.suffix, optimizer, average, machine)
    best = start.under("best") if start else {}
    best_logits = start.tensors["best_logits"].numpy() if start and "best_logits" in start.tensors else None
    network = machine.prepared(shop.suffix)
    if recipe.compile:
        network.compile()

    def keep() -> None:
        tensors, plain = optimizer_state(optimizer)
        held = {f"suffix/{name}": t for name, t in shop.suffix.state_dict().items()}
        held |= {f"best/{name}": t for name, t in best.items()}
        held |= {f"optimizer/{name}": t for name, t in tensors.items()}
        held |= {f"average/{name}": t for name, t in (average.values if average else {}).items()}
        if best_logits is not None:
            held["best_logits"] = torch.from_numpy(best_logits)
        for rank, states in enumerate(machine.collected(checkpoint.random_state(machine.device))):
            held |= {f"random.{rank}/{name}": t for name, t in states.items()}
        save(
            held,
            {
                "phase_facts": {"epochs": epochs, "rates": [g.lr for g in own]},
                "state": asdict(state),
                "optimizer": plain,
                "averaged": average.updates if average else 0,
            },
        )

    early, losses, seen = "", [], 0
    epoch_began = last_kept = time.monotonic()
    deadline = None if seconds is None else begun + 1.25 * seconds
    try:
        for event in train(
            network, objective, optimizer, schedule, shop.rows, state, machine,
            prepare=shop.prepare, fusions=shop.fusions, clip=recipe.clip, accumulate=recipe.accumulate, average=average,
        ):  # fmt: skip
            bench.listen(event)
            if isinstance(event, Step):
                losses.append(event.loss)
                seen += event.pictures
                due = time.monotonic() - last_kept > CHECKPOINT_SECONDS
                if machine.processes == 1 and event.stepped and state.batch and due:
                    keep()
                    last_kept = time.monotonic()
                continue
            judged = _judge(bench, shop, machine, average)
            took = time.monotonic() - epoch_began
            if judged is not None and bench.val is not None:
                right, loss = figures(judged, bench.val.targets())
                better = not state.losses or (right, -loss) > max(
                    zip(state.accuracies, (-x for x in state.losses), strict=True)
                )
                state.losses.append(loss)
                state.accuracies.append(right)
                if better or recipe.keep == "last":
                    best, best_logits = _weights(shop.suffix, average), judged
                rate = max(g["lr"] for g in optimizer.param_groups)
                mean = float(torch.stack(losses).mean()) if losses else float("nan")
                bench.listen(Judged(event.epoch, epochs, right, loss, mean, rate, seen / max(took, 1e-9)))
                early = _patience_spent(state, recipe.patience)
            else:
                best = _weights(shop.suffix, average)
            keep()
            epoch_began = last_kept = time.monotonic()
            losses, seen = [], 0
            if deadline is not None and machine.agreed(time.monotonic() > deadline) and state.epoch < epochs:
                early = "the time was over"
            if early:
                break
    except KeyboardInterrupt:
        if not state.epoch:
            tear_down(bench, phase)
            raise
        early = "interrupted"
    except Diverged as error:
        if not state.epoch:
            tear_down(bench, phase)
            raise
        early = error.what
        bench.listen(Warn(f"{error}; the best epoch so far is kept"))
    if best:
        shop.suffix.load_state_dict(best)
    if came_with:
        _go_back(shop.suffix, came_with, recipe.interpolate)
        best_logits = _judge(bench, shop, machine, None)
    tear_down(bench, phase)
    return PhaseResult(best_logits, None, state.epoch, early, trainable)


def _judge(bench: PhaseContext, shop: PhaseSetup, machine: Device, average: WeightEMA | None) -> Logits | None:
    if shop.read_val is None or bench.val is None:
        return None
    if average is None:
        return predict(shop.suffix, shop.read_val, len(bench.val), machine, prepare=shop.prepare)
    with average.in_place():
        return predict(shop.suffix, shop.read_val, len(bench.val), machine, prepare=shop.prepare)


def figures(logits: Logits, targets: NDArray[np.generic]) -> tuple[float, float]:
    """(share right, mean log loss) of logits (N, K); for multi-label targets (N, K) the share of labels right."""
    values = torch.from_numpy(logits)
    wanted = torch.from_numpy(targets)
    if wanted.ndim == 2:
        loss = nn.functional.binary_cross_entropy_with_logits(values, wanted.float())
        return float(((values > 0) == (wanted > 0.5)).float().mean()), float(loss)
    return float((values.argmax(1) == wanted).float().mean()), float(nn.functional.cross_entropy(values, wanted))


def _weights(suffix: nn.Module, average: WeightEMA | None) -> dict[str, Tensor]:
    state = {name: t.detach().cpu().clone() for name, t in suffix.state_dict().items()}
    return state | ({name: t.cpu().clone() for name, t in average.values.items()} if average else {})


def _go_back(suffix: nn.Module, came_with: Mapping[str, Tensor], share: float) -> None:
    """Leave the weights at a share of the way from those that the phase came with."""
    with torch.no_grad():
        for name, tensor in suffix.state_dict().items():
            if tensor.is_floating_point():
                tensor.lerp_(came_with[name].to(tensor.device), 1 - share)


def _restore(
    start: checkpoint.Checkpoint,
    suffix: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: WeightEMA | None,
    machine: Device,
) -> State:
    suffix.load_state_dict(start.under("suffix"))
    restore_optimizer(optimizer, start.under("optimizer"), start.facts["optimizer"])
    if average:
        average.restore(start.under("average"), start.facts["averaged"])
    checkpoint.restore_random_state(start.under(f"random.{machine.rank}"), machine.device)
    return State(**start.facts["state"])


def _patience_spent(state: State, patience: int) -> str:
    if not patience or len(state.losses) <= patience:
        return ""
    waited = len(state.losses) - 1 - int(np.argmin(state.losses))
    return f"no better val loss for {patience} epochs" if waited >= patience else ""

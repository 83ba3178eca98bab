"""Carry out a phase that trains the layers above its frost line.

Here the parts of `train` meet: the task, the loop, and who listens to it. Whether a phase was worth it is decided in
`runner`.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frostline.errors import Diverged, EngineError
from frostline.events import Epoch, Judged, Note, PhaseStart, Step, Warn
from frostline.features.activations import Reader
from frostline.inference.torch_gpu import out_of_memory
from frostline.net.undisturbed import seed_torch
from frostline.run.model_selection import all_right
from frostline.run.phase_context import Logits, PhaseContext, PhaseResult
from frostline.run.phase_setup import set_up, tear_down
from frostline.train import checkpoint
from frostline.train.checkpoint import Checkpoint
from frostline.train.cpu import malloc, self_test
from frostline.train.device import Device
from frostline.train.ema import WeightEMA
from frostline.train.loop import State, predict, train
from frostline.train.lr_finder import range_test, seconds_a_step
from frostline.train.optimizer import make_optimizer, optimizer_state, restore_optimizer
from frostline.train.plan import Train
from frostline.train.schedule import Schedule
from frostline.train.task import Task

_ASTRAY = 20.0  # nats: guessing among a million classes costs 14
CHECKPOINT_SECONDS = 30.0  # between checkpoints inside an epoch; each epoch ends with one anyway

Save = Callable[[Mapping[str, Tensor], Mapping[str, Any]], None]


@malloc.kept()
def train_stages(
    context: PhaseContext,
    phase: Train,
    device: Device,
    *,
    start: Checkpoint | None = None,
    save: Save = lambda tensors, facts: None,
    seconds: float | None = None,
    least: float = 0.0,
) -> PhaseResult:
    """Train one phase to its end, or until `seconds` are over, or until somebody interrupts it.

    start: a checkpoint of this very phase to go on from. save: called with tensors and facts whenever one is due.
    least: the share of its epochs, in [0, 1], without which it is not begun; one epoch in any case.

    Raises: Diverged: the loss is not finite. EngineError: a batch does not fit into the memory of a GPU.
        KeyboardInterrupt: interrupted before the first epoch was judged.
    """
    began = time.monotonic()
    if device.low_on_cpu and (why := self_test.disagreement()):
        context.listen(Warn(f"fast bfloat16 kernels are not used, they disagree with this version of torch: {why}"))
    try:
        task, read_val = set_up(context, phase, device)
        initial = _weights(task.suffix, None) if phase.recipe.interpolate < 1 else {}
        task = _with_rates(task, start, context)
        epochs = start.facts["phase_facts"]["epochs"] if start else _affordable(task, phase, seconds, began, context)
        if epochs < max(1, least * phase.epochs):
            what = "enough of its epochs" if epochs else "an epoch of it"
            return PhaseResult(None, None, 0, early=f"no time was left for {what}")
        if epochs < phase.epochs:
            task = replace(task, recipe=phase.shortened(epochs).recipe)
            if not start:
                context.listen(Note(f"{epochs} of {phase.epochs} epochs fit into the time that is left"))
        context.listen(PhaseStart(phase.name, phase.line, epochs))
        training = _begun(phase.name, context, task, read_val, epochs, start)
        early = _until_stopped(training, save, None if seconds is None else began + 1.25 * seconds)
        logits = _settled(training, initial)
        trainable = sum(p.numel() for group in training.optimizer.param_groups for p in group["params"])
        return PhaseResult(logits, None, training.judged, early, trainable, _best_epoch(training))
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        size, times = phase.recipe.batch_size, phase.recipe.accumulate
        raise EngineError(
            f"a batch of {size} does not fit into the memory of {device.device}",
            where="--batch-size",
            hint=f"--batch-size {max(1, size // 2)} --accumulate {2 * times}, or a smaller --image-size",
        ) from None
    finally:
        tear_down(context, phase)


@dataclass
class _Training:
    """A phase while it trains. best: weights of the epoch that will be kept, with its logits on val.

    judged: epochs that were, one less than were trained while the last one is being judged.
    losses: of the batches of the epoch that it is in. loss: their mean over the last epoch.
    """

    name: str
    context: PhaseContext
    task: Task
    read_val: Reader | None
    epochs: int
    optimizer: torch.optim.Optimizer
    average: WeightEMA | None
    state: State
    judged: int = 0
    best: dict[str, Tensor] = field(default_factory=dict)
    best_logits: Logits | None = None
    losses: list[Tensor] = field(default_factory=list)
    loss: float = 0.0

    def track(self, step: int, **values: float) -> None:
        """Log figures to the experiment trackers, a chart for each phase's."""
        self.task.device.track({f"{self.name}/{name}": value for name, value in values.items()}, step)


def _with_rates(task: Task, start: Checkpoint | None, context: PhaseContext) -> Task:
    """The task with the rates that a range test finds, or those that the checkpoint was trained at."""
    if start:
        rates = start.facts["phase_facts"]["rates"]
        return replace(task, groups=tuple(replace(g, lr=lr) for g, lr in zip(task.groups, rates, strict=True)))
    if not task.recipe.rate_search:
        return task
    factor = range_test(task)
    context.listen(Note(f"range test: all rates times {factor:.3g}"))
    return replace(task, groups=tuple(replace(group, lr=group.lr * factor) for group in task.groups))


def _affordable(task: Task, phase: Train, seconds: float | None, began: float, context: PhaseContext) -> int:
    """How many of the phase's epochs fit into the time."""
    if seconds is None:
        return phase.epochs
    device = task.device
    a_step = device.agreed(seconds_a_step(task))
    left = seconds - device.agreed(time.monotonic() - began)
    return min(phase.epochs, int(left / (a_step * task.rows.order.steps * 1.1)))


def _begun(
    name: str, context: PhaseContext, task: Task, read_val: Reader | None, epochs: int, start: Checkpoint | None
) -> _Training:
    """Optimizer, moving average and state, from the beginning or from a checkpoint."""
    device, recipe = task.device, task.recipe
    seed_torch(context.seed + device.rank)  # filling a store may have drawn numbers, and a full one draws none
    optimizer = make_optimizer(task.suffix, task.groups, recipe)
    average = WeightEMA(task.suffix, recipe.ema) if recipe.ema else None
    training = _Training(name, context, task, read_val, epochs, optimizer, average, State())
    if start:
        task.suffix.load_state_dict(start.under("suffix"))
        restore_optimizer(optimizer, start.under("optimizer"), start.facts["optimizer"])
        if average:
            average.restore(start.under("average"), start.facts["averaged"])
        checkpoint.restore_random_state(start.under(f"random.{device.rank}"), device.device)
        training.state = State(**start.facts["state"])
        training.judged = training.state.epoch
        training.losses = list(torch.tensor(start.facts.get("losses", []), device=device.device))
        training.best = start.under("best")
        training.best_logits = start.tensors["best_logits"].numpy() if "best_logits" in start.tensors else None
    return training


def _until_stopped(training: "_Training", save: Save, deadline: float | None) -> str:
    """As `_carry_out`; what stops it after its first epoch was judged is a reason like others."""
    listen = training.context.listen
    try:
        early = _carry_out(training, save, deadline)
    except (KeyboardInterrupt, Diverged) as error:
        if not training.judged:
            raise
        early = error.what if isinstance(error, Diverged) else "interrupted"
        if isinstance(error, Diverged):
            listen(Warn(f"{error}; the best epoch so far is kept"))
        else:
            listen(Warn(f"interrupted after {training.judged} of {training.epochs} epochs: what it learned is kept"))
    loss = max([training.loss, *training.state.losses[-1:]])
    if loss > _ASTRAY:
        rate = max(group.lr for group in training.task.groups)
        listen(Warn(f"the loss ended at {loss:.3g}, far above guessing: try a tenth of --lr {rate:.2g}"))
    return early


def _carry_out(training: _Training, save: Save, deadline: float | None) -> str:
    """Run the loop and listen to it; returns why it ended before its last epoch, or ""."""
    task, state, context, device = training.task, training.state, training.context, training.task.device
    recipe = task.recipe
    # A run that was killed between its last checkpoint and its end goes on from one that had ended.
    if not state.batch and (early := _patience_spent(state, recipe.patience)):
        return early
    schedule = Schedule(
        recipe.schedule, training.epochs, task.rows.order.steps, recipe.warmup, recipe.step_size, recipe.gamma
    )
    network = device.prepared(task.suffix)
    if recipe.compile:
        network.compile()
    pictures, epoch_began = 0, time.monotonic()
    last_saved = epoch_began
    for event in train(task, training.optimizer, schedule, state, network=network, average=training.average):
        context.listen(event)
        if isinstance(event, Step):
            training.losses.append(event.loss)
            pictures += event.pictures
            if device.tracked:
                training.track(step=event.step, train_loss=float(event.loss), lr=max(event.rates))
            due = time.monotonic() - last_saved > CHECKPOINT_SECONDS
            if device.processes == 1 and event.stepped and state.batch and due:
                _save(training, save)
                last_saved = time.monotonic()
            continue
        speed = pictures / max(time.monotonic() - epoch_began, 1e-9)
        early = _judge_epoch(training, event, speed)
        _save(training, save)
        epoch_began = last_saved = time.monotonic()
        pictures = 0
        if deadline is not None and device.agreed(time.monotonic() > deadline) and state.epoch < training.epochs:
            early = "the time was over"
        if early:
            return early
    return ""


def _judge_epoch(training: _Training, event: Epoch, speed: float) -> str:
    """Judge an epoch on val and keep its weights if they are wanted; returns why to stop here, or ""."""
    context, state, recipe = training.context, training.state, training.task.recipe
    logits = _val_logits(training, training.average)
    training.judged = state.epoch
    mean = training.loss = float(torch.stack(training.losses).mean())
    training.losses = []
    if logits is None or context.val is None:
        training.best = _weights(training.task.suffix, training.average)
        return ""
    right, loss = figures(logits, context.val.targets())
    state.losses.append(loss)
    state.accuracies.append(right)
    if _best_epoch(training) == len(state.losses) or recipe.keep == "last":
        training.best, training.best_logits = _weights(training.task.suffix, training.average), logits
    rate, accuracy = max(group["lr"] for group in training.optimizer.param_groups), right
    if context.val.multilabel:  # single decisions choose the epoch, accuracy is that of whole pictures
        accuracy = float(all_right(logits, context.val).mean())
    context.listen(Judged(event.epoch, training.epochs, accuracy, loss, mean, rate, speed))
    training.track(step=state.step, epoch_loss=mean, val_loss=loss, val_accuracy=accuracy, pictures_per_second=speed)
    return _patience_spent(state, recipe.patience)


def _best_epoch(training: _Training) -> int:
    state = training.state
    if training.task.recipe.keep == "last" or not state.losses:
        return training.judged
    figures = list(zip(state.accuracies, (-loss for loss in state.losses), strict=True))
    return 1 + figures.index(max(figures))


def _settled(training: _Training, initial: Mapping[str, Tensor]) -> Logits | None:
    """Put the weights that are kept into the network; returns their logits on val."""
    suffix = training.task.suffix
    if training.best:
        suffix.load_state_dict(training.best)
    if not initial:
        return training.best_logits
    _interpolate(suffix, initial, training.task.recipe.interpolate)
    return _val_logits(training, None)


def _save(training: _Training, save: Save) -> None:
    task, average, device = training.task, training.average, training.task.device
    tensors, plain = optimizer_state(training.optimizer)
    held = {f"suffix/{name}": t for name, t in task.suffix.state_dict().items()}
    held |= {f"best/{name}": t for name, t in training.best.items()}
    held |= {f"optimizer/{name}": t for name, t in tensors.items()}
    held |= {f"average/{name}": t for name, t in (average.values if average else {}).items()}
    if training.best_logits is not None:
        held["best_logits"] = torch.from_numpy(training.best_logits)
    for rank, states in enumerate(device.collected(checkpoint.random_state(device.device))):
        held |= {f"random.{rank}/{name}": t for name, t in states.items()}
    facts = {
        "phase_facts": {"epochs": training.epochs, "rates": [group.lr for group in task.groups]},
        "state": asdict(training.state),
        "losses": [float(loss) for loss in training.losses],
        "optimizer": plain,
        "averaged": average.updates if average else 0,
    }
    save(held, facts)


def _val_logits(training: _Training, average: WeightEMA | None) -> Logits | None:
    val = training.context.val
    if training.read_val is None or val is None:
        return None
    with average.in_place() if average else nullcontext():
        task = training.task
        return predict(task.suffix, training.read_val, len(val), task.device, prepare=task.prepare)


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


def _interpolate(suffix: nn.Module, initial: Mapping[str, Tensor], share: float) -> None:
    """Leave the weights at a share of the way from those before the phase (WiSE-FT, arXiv:2109.01903)."""
    with torch.no_grad():
        for name, tensor in suffix.state_dict().items():
            if tensor.is_floating_point():
                tensor.lerp_(initial[name].to(tensor.device), 1 - share)


def _patience_spent(state: State, patience: int) -> str:
    if not patience or len(state.losses) <= patience:
        return ""
    waited = len(state.losses) - 1 - int(np.argmin(state.losses))
    return f"no better val loss for {patience} epochs" if waited >= patience else ""

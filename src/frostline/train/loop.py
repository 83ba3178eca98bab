"""One phase of gradient descent: the only training loop of the project.

`train` yields what happened and never prints, saves, judges or stops by itself. Who listens is an ordinary ``for``;
stopping is ``break``. `objective` says what is minimised, `batches` who comes when, `schedule` how fast.
"""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from frostline.errors import Diverged, PlanError
from frostline.net.freeze import Group
from frostline.train.average import Average
from frostline.train.batches import Rows
from frostline.train.events import Epoch, Step
from frostline.train.machine import Machine
from frostline.train.objective import Objective
from frostline.train.plan import Recipe
from frostline.train.schedule import Schedule


@dataclass
class State:
    """Where a phase stands; with weights, optimizer and RNG it is all that a resume needs.

    epoch, batch: the next batch to be seen. step: batches seen since the phase began.
    losses, accuracies: val figures of the epochs that are done.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)


def train(
    suffix: nn.Module,
    objective: Objective,
    optimizer: Optimizer,
    schedule: Schedule,
    rows: Rows,
    state: State,
    machine: Machine,
    *,
    prepare: Callable[[Tensor], Tensor],
    clip: float = 0.0,
    accumulate: int = 1,
    average: Average | None = None,
) -> Iterator[Step | Epoch]:
    """Train until the schedule's last epoch, from wherever `state` stands.

    prepare: turns a batch of the rows, on the device, into what the suffix takes (normalises pictures).
    clip: largest gradient norm, 0 is off. accumulate: batches an optimizer step.

    Raises: Diverged: the loss is not finite; raised before the step, so that no checkpoint can hold it.
    """
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    while state.epoch < schedule.epochs:
        suffix.train()
        for batch in rows.epoch(state.epoch, after=state.batch):
            rates = schedule.apply(optimizer, state.step, state.losses)
            last = (state.batch + 1) % accumulate == 0 or state.batch + 1 == rows.order.steps
            with machine.autocast(), machine.syncing(suffix, when=last):
                loss = objective(suffix, prepare(batch.x.to(machine.device)), batch.y.to(machine.device))
                (loss * (batch.share / _window(state.batch, accumulate, rows.order.steps))).backward()
            if not loss.isfinite():
                raise Diverged(
                    f"the loss is {float(loss.detach())} at rates {_few(rates)}",
                    where=f"epoch {state.epoch + 1}, batch {state.batch + 1} (step {state.step})",
                    hint=f"try a tenth of the rate (--lr {max(rates) / 10:.2g}), --clip 1, or --precision fp32",
                )
            if last:
                if clip:
                    torch.nn.utils.clip_grad_norm_(trained, clip)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                if average:
                    average.update(suffix)
            state.batch += 1
            state.step += 1
            yield Step(state.epoch, state.step, loss.detach(), rates, batch.pictures)
        state.epoch += 1
        state.batch = 0
        yield Epoch(state.epoch - 1)


def predict(
    suffix: nn.Module,
    read: Callable[[NDArray[np.int64]], NDArray[np.generic]],
    pictures: int,
    machine: Machine,
    *,
    prepare: Callable[[Tensor], Tensor],
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Logits (N, K) float32 in eval mode; several processes share the work and each gets all of it."""
    was_training = suffix.training
    suffix.eval()
    mine = np.array_split(np.arange(pictures), machine.processes)[machine.rank]
    found = []
    with torch.no_grad(), machine.autocast():
        for start in range(0, len(mine), batch_size):
            x = torch.from_numpy(read(mine[start : start + batch_size])).to(machine.device)
            found.append(suffix(prepare(x)).float().cpu().numpy())
    suffix.train(was_training)
    return machine.gathered(found)


def make_optimizer(net: nn.Module, groups: Sequence[Group], recipe: Recipe) -> Optimizer:
    """An optimizer of timm's factory over groups given as data.

    "sgd" is torch's own SGD with momentum, as in the lesson; timm's "sgd", which is Nesterov's, is called "nesterov".

    Raises: PlanError: timm knows no such optimizer.
    """
    from timm.optim import create_optimizer_v2, list_optimizers

    name = "momentum" if recipe.optimizer == "sgd" else recipe.optimizer
    named = dict(net.named_parameters())
    plain = [
        {
            "params": [named[n] for n in g.names],
            "lr": g.lr,
            "initial_lr": g.lr,
            "weight_decay": g.weight_decay,
            "name": g.stage,
        }
        for g in groups
    ]
    try:
        optimizer: Optimizer = create_optimizer_v2(
            plain, opt=name, lr=max(g.lr for g in groups), momentum=recipe.momentum
        )
    except (ValueError, AssertionError, ImportError) as error:
        raise PlanError(
            f"the optimizer {recipe.optimizer!r} cannot be made: {error}",
            where="--optimizer",
            hint=f"one of: {', '.join(list_optimizers(exclude_filters=['bnb*', 'fused*']))}",
        ) from None
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer


def range_test(
    suffix: nn.Module,
    objective: Objective,
    groups: Sequence[Group],
    recipe: Recipe,
    rows: Rows,
    machine: Machine,
    *,
    prepare: Callable[[Tensor], Tensor],
    steps: int = 60,
) -> float:
    """The factor by which to multiply every rate: Smith's learning-rate range test (arXiv:1506.01186).

    The rates rise geometrically from 1e-3 to 1e2 times their given values over `steps` batches; the answer is where the
    smoothed loss falls most steeply, or 1 if it never falls. The network is as before afterwards.
    """
    factors = np.geomspace(1e-3, 1e2, steps)
    seen: list[float] = []
    smooth = 0.0
    for loss in _rehearsal(suffix, objective, groups, recipe, rows, machine, factors, prepare=prepare):
        smooth = 0.9 * smooth + 0.1 * loss
        seen.append(smooth / (1 - 0.9 ** (len(seen) + 1)))
        if not np.isfinite(seen[-1]) or seen[-1] > 4 * min(seen):
            break
    lowest = int(np.nanargmin(seen))
    if lowest < 3:
        return 1.0
    return float(factors[int(np.gradient(np.asarray(seen[: lowest + 1]), np.log(factors[: lowest + 1])).argmin())])


def seconds_a_step(
    suffix: nn.Module,
    objective: Objective,
    groups: Sequence[Group],
    recipe: Recipe,
    rows: Rows,
    machine: Machine,
    *,
    prepare: Callable[[Tensor], Tensor],
) -> float:
    """What a batch costs here, the median of four after one to warm up. The network is as before afterwards."""
    times = [time.perf_counter()]
    for _ in _rehearsal(suffix, objective, groups, recipe, rows, machine, np.zeros(5), prepare=prepare):
        times.append(time.perf_counter())
    return float(np.median(np.diff(times)[1:])) if len(times) > 2 else float(np.diff(times).max(initial=0.0))


def _rehearsal(
    suffix: nn.Module,
    objective: Objective,
    groups: Sequence[Group],
    recipe: Recipe,
    rows: Rows,
    machine: Machine,
    factors: NDArray[np.floating],
    *,
    prepare: Callable[[Tensor], Tensor],
) -> Iterator[float]:
    """Real steps whose losses are told and whose effects on weights and random state are undone at the end."""
    kept = {name: tensor.clone() for name, tensor in suffix.state_dict().items()}
    random = torch.get_rng_state()
    optimizer = make_optimizer(suffix, groups, recipe)
    batches = (batch for epoch in itertools.count() for batch in rows.epoch(epoch))
    suffix.train()
    try:
        for factor, batch in zip(factors, batches, strict=False):
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
            with machine.autocast():
                loss = objective(suffix, prepare(batch.x.to(machine.device)), batch.y.to(machine.device))
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            yield float(loss.detach())
    finally:
        suffix.load_state_dict(kept)
        torch.set_rng_state(random)


def _window(batch: int, accumulate: int, steps: int) -> int:
    """Batches in the optimizer step that this batch belongs to; the last of an epoch may be shorter."""
    start = batch - batch % accumulate
    return min(accumulate, steps - start)


def _few(rates: Sequence[float]) -> str:
    return ", ".join(f"{rate:.3g}" for rate in sorted(set(rates), reverse=True)[:3])


def optimizer_state(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's state as tensors by name and plain values, so that nothing has to be pickled."""
    state = optimizer.state_dict()
    tensors = {
        f"{i}.{key}": value
        for i, slot in state["state"].items()
        for key, value in slot.items()
        if isinstance(value, Tensor)
    }
    plain = {
        f"{i}.{key}": value
        for i, slot in state["state"].items()
        for key, value in slot.items()
        if not isinstance(value, Tensor)
    }
    return tensors, plain


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
    """Put back what `optimizer_state` took."""
    slots: dict[int, dict[str, Any]] = {}
    for name, value in {**tensors, **plain}.items():
        index, _, key = name.partition(".")
        slots.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})

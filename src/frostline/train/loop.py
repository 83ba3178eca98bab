"""One phase of gradient descent: the only training loop of the project.

`train` yields what happened and never prints, saves, judges or stops by itself. Who listens is an ordinary ``for``;
stopping is ``break``. The `Task` says what is minimised over which batches, the `schedule` how fast.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from timm.optim.lookahead import Lookahead
from torch import Tensor, nn
from torch.optim import Optimizer

from frostline.errors import Diverged
from frostline.events import Epoch, Step
from frostline.train.device import Device
from frostline.train.ema import WeightEMA
from frostline.train.schedule import Schedule
from frostline.train.task import Task


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
    task: Task,
    optimizer: Optimizer,
    schedule: Schedule,
    state: State,
    *,
    network: nn.Module | None = None,
    average: WeightEMA | None = None,
) -> Iterator[Step | Epoch]:
    """Train until the schedule's last epoch, from wherever `state` stands.

    network: the task's suffix as `Device.prepared` gave it; by default the suffix itself.
    average: moving average of the weights, updated after each optimizer step.

    Raises: Diverged: the loss or its gradient is not finite; raised before the step, so that no checkpoint can hold it.
    """
    device, rows = task.device, task.rows
    clip, accumulate = task.recipe.clip, task.recipe.accumulate
    network = task.suffix if network is None else network
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.zero_grad(set_to_none=True)  # a phase that diverged leaves gradients behind
    sizes = rows.order.sizes
    while state.epoch < schedule.epochs:
        network.train()
        for batch in rows.epoch(state.epoch, after=state.batch):
            rates = schedule.apply(optimizer, state.step, state.losses)
            stepping = (state.batch + 1) % accumulate == 0 or state.batch + 1 == len(sizes)
            with device.syncing(network, when=stepping):
                loss = task.loss(network, batch.x, batch.y)
                # Every process sees the same mean, so that all of them stop or none.
                mean = device.mean(loss.detach() * batch.share)
                weight = batch.pictures / _in_window(state.batch, accumulate, sizes)
                (loss * (batch.share * weight)).backward()  # type: ignore[no-untyped-call]
            norm = _clipped(trained, clip) if stepping else mean
            if not (mean.isfinite() & norm.isfinite()):  # asked once: a GPU has to be waited for
                said = f"loss is {float(mean)}" if not mean.isfinite() else f"gradient's norm is {float(norm)}"
                raise _diverged(f"the {said}", state, rates)
            if stepping:
                optimizer.step()
                # An epoch ends, and is judged, at the slow weights, as in timm's training script.
                if state.batch + 1 == len(sizes) and isinstance(optimizer, Lookahead):
                    optimizer.sync_lookahead()  # type: ignore[no-untyped-call]
                optimizer.zero_grad(set_to_none=True)
                if average:
                    average.update()
            state.batch += 1
            state.step += 1
            yield Step(state.epoch, state.step, mean, rates, batch.pictures, stepping)
        device.alike(network.buffers())
        if average:
            device.alike(average.values.values())
        state.epoch += 1
        state.batch = 0
        yield Epoch(state.epoch - 1)


def _clipped(trained: Sequence[Tensor], clip: float) -> Tensor:
    """The norm of the gradient, which is scaled down to `clip` if that is above 0."""
    if clip:
        return torch.nn.utils.clip_grad_norm_(trained, clip)
    return torch.nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None])


def predict(
    suffix: nn.Module,
    read: Callable[[NDArray[np.int64]], NDArray[np.generic]],
    pictures: int,
    device: Device,
    *,
    prepare: Callable[[Tensor], Tensor],
    batch_size: int = 64,
) -> NDArray[np.float32]:
    """Logits (N, K) float32 in eval mode; several processes share the work and each gets all of it.

    suffix: the module itself, not as `Device.prepared` gave it: the processes need not take the same number of
    batches, and what averages gradients would wait for that. pictures: N, 1 or more.
    """
    was_training = suffix.training
    suffix.eval()
    mine = np.array_split(np.arange(pictures), device.processes)[device.rank]
    found = []
    with torch.no_grad(), device.autocast():
        for start in range(0, len(mine), batch_size):
            x = device.sent(torch.from_numpy(read(mine[start : start + batch_size])))
            found.append(suffix(prepare(x)).float().cpu().numpy())
    suffix.train(was_training)
    return device.gathered(found)


def _in_window(batch: int, accumulate: int, sizes: Sequence[int]) -> int:
    """Pictures in the optimizer step that a batch belongs to; the last step of an epoch may have fewer batches."""
    start = batch - batch % accumulate
    return sum(sizes[start : start + accumulate])


def _diverged(what: str, state: State, rates: Sequence[float]) -> Diverged:
    if not state.step:
        return Diverged(
            f"{what} before the first step",
            where="epoch 1, batch 1",
            hint="no rate has been used yet: is --image-size too small for the network, or a weight damaged? "
            "--precision fp32 may help",
        )
    few = ", ".join(f"{rate:.3g}" for rate in sorted(set(rates), reverse=True)[:3])
    return Diverged(
        f"{what} at rates {few}",
        where=f"epoch {state.epoch + 1}, batch {state.batch + 1} (step {state.step})",
        hint=f"try a tenth of the rate (--lr {max(rates) / 10:.2g}), --clip 1, or --precision fp32",
    )

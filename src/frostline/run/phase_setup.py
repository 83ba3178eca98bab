"""A phase of training is set up: the network cut and frozen as it asks, what it reads, what it minimises.

Afterwards it is torn down: the network is whole again, on the CPU and in eval mode.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

import torch
from torch import Tensor, nn

from frostline.data.decode_ahead import pictures_ahead
from frostline.data.views import EvaluationView, TrainingView
from frostline.features.activations import BOTTOM, Reader, augmentation, training_views
from frostline.inference.network import Normalise
from frostline.net import adapters
from frostline.net.freeze import Group, freeze, groups, hold_statistics, is_held, unfreeze
from frostline.net.stages import cut
from frostline.net.undisturbed import seed_torch
from frostline.run.phase_context import PhaseContext
from frostline.train.cpu.frozen_batchnorm_fusion import Fusion, find_fusions
from frostline.train.device import Device
from frostline.train.loader import Fresh, Order, Rows, Stored, in_memory
from frostline.train.loss import Anchor, Objective, class_weights
from frostline.train.plan import Lora, Train
from frostline.train.task import Task


def set_up(context: PhaseContext, phase: Train, device: Device) -> tuple[Task, Reader | None]:
    """The network cut and frozen as the phase asks, with what reaches its frost line; and what reads the val split.

    Raises: StageError: the network cannot be cut there. StoreError, EngineError: see `features.activations`.
    """
    if isinstance(phase.learns, Lora):
        rank, alpha = phase.learns.rank, phase.learns.alpha
        adapters.attach(context.net, context.stages, rank=rank, alpha=alpha, line=phase.line, seed=context.seed)
    seed_torch(context.seed + device.rank)
    line = phase.line if phase.stored else BOTTOM
    unfreeze(context.net)
    chosen = _learning(context, phase)
    suffix, prepare = _cut(context, phase, line)
    if phase.recipe.frozen_norm == "hold-all":
        hold_statistics(suffix)
    learning = {name for group in chosen for name in group.names}
    for name, parameter in context.net.named_parameters():
        parameter.requires_grad_(name in learning)
    own = _renamed(chosen, context.net, suffix)
    rows = _rows(context, phase, device, line)
    read_val = _val(context, device, line)
    # Only now: what reaches the line may have to be computed first, and cutting there runs the whole network.
    suffix.to(device.device)
    if device.device.type == "cuda":
        suffix.to(memory_format=torch.channels_last)  # what its convolutions are fastest in
    objective = _objective(context, phase, suffix, device)
    fusions = _fusions(suffix, rows, prepare, device)
    return Task(suffix, objective, own, phase.recipe, rows, device, prepare, fusions), read_val


def _cut(context: PhaseContext, phase: Train, line: str) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """What is trained, and what prepares its batches."""
    if line != BOTTOM:
        return cut(context.net, phase.line)[1], activations_last
    if phase.line != context.stages.names[0]:
        freeze(context.net, below=phase.line, hold_norm=phase.recipe.frozen_norm != "update")
    return context.net, Normalise(context.activations.preprocessing)


def _renamed(chosen: Sequence[Group], net: nn.Module, suffix: nn.Module) -> tuple[Group, ...]:
    """Groups of the network's parameters under the suffix's names, less what does not belong to the suffix."""
    names = {id(p): name for name, p in suffix.named_parameters()}
    by_name = dict(net.named_parameters())
    own = (replace(g, names=tuple(names[id(by_name[n])] for n in g.names if id(by_name[n]) in names)) for g in chosen)
    return tuple(group for group in own if group.names)


def _rows(context: PhaseContext, phase: Train, device: Device, line: str) -> Rows:
    recipe, activations, train = phase.recipe, context.activations, context.train
    targets = torch.from_numpy(train.targets())
    order = Order(
        len(train),
        recipe.batch_size,
        context.seed,
        balanced_over=targets if recipe.balance == "sampling" else None,
        rank=device.rank,
        processes=device.processes,
        even=phase.even_batches,
    )
    if recipe.views == 0:
        options = augmentation(recipe.augment, recipe.erasing)
        plain = EvaluationView(activations.preprocessing)

        def view(epoch: int) -> EvaluationView | TrainingView:
            return plain if options is None else TrainingView(activations.preprocessing, options, epoch, context.seed)

        if device.device.type != "cuda":
            return Fresh(order, train.rows, view, targets)
        ahead = max(2, pictures_ahead(activations.preprocessing.size) // recipe.batch_size)
        return Fresh(order, train.rows, view, targets, ahead=ahead, in_processes=True)
    views = training_views(activations.preprocessing, recipe.augment, recipe.erasing, recipe.views, context.seed)
    views = views[: phase.epochs]
    readers = [
        activations.at(line, train.rows, v, what=f"training view {i + 1} of {len(views)}")[0]
        for i, v in enumerate(views)
    ]
    device.wait()
    return Stored(order, [in_memory(read, len(train)) for read in readers], targets)


def _val(context: PhaseContext, device: Device, line: str) -> Reader | None:
    if context.val is None:
        return None
    view = EvaluationView(context.activations.preprocessing)
    read = context.activations.at(line, context.val.rows, view, what="val pictures")[0]
    device.wait()
    return in_memory(read, len(context.val))


def _fusions(suffix: nn.Module, rows: Rows, prepare: Callable[[Tensor], Tensor], device: Device) -> tuple[Fusion, ...]:
    """Looked for only where there may be some that are used: it takes a batch and a forward pass."""
    if not device.fast_kernels or not any(is_held(module) for module in suffix.modules()):
        return ()
    with closing(rows.epoch(0)) as batches:
        first = next(batches).x[:1].to(device.device)
    return find_fusions(suffix, prepare(first))


def activations_last(stored: Tensor) -> Tensor:
    """Activations as the suffix takes them: float32, maps (N, C, H, W) with the channels last in memory.

    Convolutions train up to twice as fast over that, on a CPU and on a GPU; pictures come so by themselves.
    """
    if stored.ndim == 4:
        return stored.float().contiguous(memory_format=torch.channels_last)
    return stored.float()


def _learning(context: PhaseContext, phase: Train) -> tuple[Group, ...]:
    """The phase's parameter groups, less what `learns` leaves out; the head always learns whole."""
    net = context.net
    chosen = groups(net, context.stages, dict(phase.rates), weight_decay=phase.recipe.weight_decay)
    if phase.learns == "all":
        return tuple(chosen)
    if isinstance(phase.learns, Lora):
        wanted = adapters.parameters(net)
    elif phase.learns == "bias":
        wanted = {name for name, _ in net.named_parameters() if name.endswith("bias")}
    else:
        wanted = norm_parameters(net)
    kept = (
        replace(g, names=g.names if g.stage == "head" else tuple(n for n in g.names if n in wanted)) for g in chosen
    )
    return tuple(group for group in kept if group.names)


def norm_parameters(net: nn.Module) -> set[str]:
    """Names of the parameters of normalisation layers: modules with "norm" in their class's name."""
    return {
        f"{path}.{name}" if path else name
        for path, module in net.named_modules()
        if "norm" in type(module).__name__.lower()
        for name, _ in module.named_parameters(recurse=False)
    }


def _objective(context: PhaseContext, phase: Train, suffix: nn.Module, device: Device) -> Objective:
    """What the phase minimises."""
    recipe, classes = phase.recipe, len(context.train.classes)
    weights = None
    if recipe.balance == "weights":
        weights = class_weights(torch.from_numpy(context.train.targets()), classes).to(device.device)
    own = {id(p) for p in suffix.parameters() if p.requires_grad}
    pulled = [
        Anchor(p, context.anchors[name].to(device.device))
        for name, p in context.net.named_parameters()
        if name in context.anchors and id(p) in own and context.stages.of(name) != "head"
    ]
    return Objective(
        classes,
        recipe.label_smoothing,
        weights,
        context.train.multilabel,
        recipe.mixup,
        recipe.cutmix,
        recipe.l2sp,
        pulled,
    )


def tear_down(context: PhaseContext, phase: Train) -> None:
    """Make the network whole again, whatever the phase has done to it."""
    if isinstance(phase.learns, Lora):
        adapters.merge(context.net)
    context.net.to("cpu").to(memory_format=torch.contiguous_format)
    unfreeze(context.net)
    context.net.eval()

"""A phase of training is set up: the network cut and frozen as it asks, what it reads, what it minimises.

Afterwards it is torn down: the network is whole again, on the CPU and in eval mode.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from frostline.data.views import EvaluationView, TrainingView
from frostline.features.activations import BOTTOM, Reader, augmentation, training_views
from frostline.inference.engine import normalise
from frostline.net import adapters
from frostline.net.freeze import Group, freeze, groups, hold_statistics, is_held, unfreeze
from frostline.net.stages import cut
from frostline.run.phase_context import PhaseContext
from frostline.train.cpu.frozen_batchnorm_fusion import Fusion, find_fusions
from frostline.train.device import Device
from frostline.train.loader import Fresh, Order, Rows, Stored, in_memory
from frostline.train.loss import Anchor, Objective, class_weights
from frostline.train.plan import Lora, Train


@dataclass(frozen=True)
class PhaseSetup:
    """A phase's suffix with what it reads."""

    suffix: nn.Module
    groups: tuple[Group, ...]
    prepare: Callable[[Tensor], Tensor]
    rows: Rows
    read_val: Reader | None
    fusions: tuple[Fusion, ...]


def set_up(bench: PhaseContext, phase: Train, machine: Device) -> PhaseSetup:
    """Cut and freeze the network as the phase asks, and bring what reaches its frost line into the store.

    Raises: StageError: the network cannot be cut there. StoreError, EngineError: see `activations`.
    """
    recipe, activations = phase.recipe, bench.activations
    rates = dict(phase.rates)
    line = phase.line if phase.stored else BOTTOM
    unfreeze(bench.net)
    chosen = _learning(bench, phase, groups(bench.net, bench.stages, rates, weight_decay=recipe.weight_decay))
    if line == BOTTOM:
        suffix: nn.Module = bench.net
        if phase.line != bench.stages.names[0]:
            freeze(bench.net, below=phase.line, hold_norm=recipe.frozen_norm != "update")
        prepare = normalise(activations.preprocessing)
    else:
        _, suffix = cut(bench.net, phase.line)
        prepare = activations_last
    if recipe.frozen_norm == "hold-all":
        hold_statistics(suffix)
    learning = {name for group in chosen for name in group.names}
    for name, parameter in bench.net.named_parameters():
        parameter.requires_grad_(name in learning)
    names = {id(p): name for name, p in suffix.named_parameters()}
    by_name = dict(bench.net.named_parameters())
    own = tuple(
        replace(g, names=tuple(names[id(by_name[n])] for n in g.names if id(by_name[n]) in names)) for g in chosen
    )
    suffix.to(machine.device)
    targets = torch.from_numpy(bench.train.targets())
    order = Order(
        len(bench.train),
        recipe.batch_size,
        bench.seed,
        balanced_over=targets if recipe.balance == "sampling" else None,
        rank=machine.rank,
        processes=machine.processes,
    )
    rows: Rows
    if recipe.views == 0:
        options = augmentation(recipe.augment, recipe.erasing)
        still = EvaluationView(activations.preprocessing)

        def view(epoch: int) -> EvaluationView | TrainingView:
            return still if options is None else TrainingView(activations.preprocessing, options, epoch, bench.seed)

        rows = Fresh(order, bench.train.rows, view, targets)
    else:
        views = training_views(activations.preprocessing, recipe.augment, recipe.erasing, recipe.views, bench.seed)
        views = views[: phase.epochs]
        readers = [
            activations.at(line, bench.train.rows, v, what=f"training view {i + 1} of {len(views)}")[0]
            for i, v in enumerate(views)
        ]
        machine.wait()
        rows = Stored(order, [in_memory(read, len(bench.train)) for read in readers], targets)
    read_val = None
    if bench.val is not None:
        view_val = EvaluationView(activations.preprocessing)
        read_val = activations.at(line, bench.val.rows, view_val, what="val pictures")[0]
        machine.wait()
        read_val = in_memory(read_val, len(bench.val))
    return PhaseSetup(suffix, own, prepare, rows, read_val, _fusions(suffix, rows, prepare, machine))


def _fusions(suffix: nn.Module, rows: Rows, prepare: Callable[[Tensor], Tensor], machine: Device) -> tuple[Fusion, ...]:
    """Looked for only where there may be some that are used: it takes a batch and a forward pass."""
    if not machine.detours or not any(is_held(module) for module in suffix.modules()):
        return ()
    with closing(rows.epoch(0)) as batches:
        first = next(batches).x[:1].to(machine.device)
    return find_fusions(suffix, prepare(first))


def activations_last(stored: Tensor) -> Tensor:
    """Activations as the suffix takes them: float32, maps (N, C, H, W) with the channels last in memory.

    Convolutions train up to twice as fast over that, on a CPU and on a GPU; pictures come so by themselves.
    """
    if stored.ndim == 4:
        return stored.float().contiguous(memory_format=torch.channels_last)
    return stored.float()


def _learning(bench: PhaseContext, phase: Train, chosen: Sequence[Group]) -> tuple[Group, ...]:
    """The groups, less what `learns` leaves out; the head always learns whole."""
    if phase.learns == "all":
        return tuple(chosen)
    if isinstance(phase.learns, Lora):
        wanted = adapters.parameters(bench.net)
    elif phase.learns == "bias":
        wanted = {name for name, _ in bench.net.named_parameters() if name.endswith("bias")}
    else:
        wanted = norm_parameters(bench.net)
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


def objective_of(
    bench: PhaseContext, phase: Train, anchors: Mapping[str, Tensor], suffix: nn.Module, machine: Device
) -> Objective:
    """What the phase minimises. anchors: where the pretrained weights were, by their names in the whole network."""
    recipe, classes = phase.recipe, len(bench.train.classes)
    weights = None
    if recipe.balance == "weights":
        weights = class_weights(torch.from_numpy(bench.train.targets()), classes).to(machine.device)
    own = {id(p) for p in suffix.parameters() if p.requires_grad}
    pulled = [
        Anchor(p, anchors[name].to(machine.device))
        for name, p in bench.net.named_parameters()
        if name in anchors and id(p) in own and bench.stages.of(name) != "head"
    ]
    return Objective(
        classes,
        recipe.label_smoothing,
        weights,
        bench.train.multilabel,
        recipe.mixup,
        recipe.cutmix,
        recipe.l2sp,
        pulled,
    )


def tear_down(bench: PhaseContext, phase: Train) -> None:
    """Make the network whole again, whatever the phase has done to it."""
    if isinstance(phase.learns, Lora):
        adapters.merge(bench.net)
    bench.net.to("cpu")
    unfreeze(bench.net)
    bench.net.eval()

"""Carry out one phase of a plan on one network: solve its head, or train what lies above its frost line.

Here the parts of `train` meet: what reaches the line (`activations`), what is minimised (`objective`), the loop, and
the listener. Whether a phase was worth it is not decided here but in `conduct`.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frostline.data.manifest import Manifest
from frostline.data.split import bound, fold_numbers
from frostline.data.views import EvaluationView, TrainingView
from frostline.errors import DataError, Diverged, PlanError
from frostline.net import adapters
from frostline.net.freeze import Group, freeze, groups, hold_statistics, is_held, thaw
from frostline.net.head import Head
from frostline.net.stages import Stages, cut
from frostline.train import checkpoint, heap
from frostline.train.activations import BOTTOM, Activations, Reader, augmentation, training_views
from frostline.train.average import Average
from frostline.train.batches import Fresh, Order, Rows, Stored, in_memory
from frostline.train.engines import normalise
from frostline.train.events import Judged, Listener, Note, PhaseStart, Step, Warn
from frostline.train.fusing import Fusion, find_fusions
from frostline.train.loop import State, predict, train
from frostline.train.machine import Machine
from frostline.train.objective import Anchor, Objective, class_weights
from frostline.train.optimizer import make_optimizer, optimizer_state, restore_optimizer
from frostline.train.plan import Lora, Solve, Train
from frostline.train.rehearsal import range_test, seconds_a_step
from frostline.train.schedule import Schedule
from frostline.train.solve import solve

Logits = NDArray[np.float32]
_FOLDS = 5
CHECKPOINT_SECONDS = 30.0  # between checkpoints inside an epoch; each epoch ends with one anyway


@dataclass(frozen=True)
class Bench:
    """A network on the bench, with the data it learns from.

    train, val: manifests without undecodable pictures; val may be None. seed: of everything random.
    """

    net: nn.Module
    stages: Stages
    head: Head
    activations: Activations
    train: Manifest
    val: Manifest | None
    seed: int
    listen: Listener


@dataclass(frozen=True)
class Learnt:
    """What a phase left behind, besides the network's weights.

    val: logits (N, K) of the val split after the phase, or None without one.
    crossed: for a solved head without a val split, out-of-fold logits of the training split.
    epochs: that were run. early: why it ended before its last epoch, or "". trainable: parameters that learnt.
    """

    val: Logits | None
    crossed: Logits | None
    epochs: int
    early: str = ""
    trainable: int = 0


def solve_head(bench: Bench, phase: Solve) -> Learnt:
    """Solve the head over frozen features and put it into the network.

    Raises: PlanError: the network has more than one head, or one whose input is not one vector a picture.
    """
    bench.listen(PhaseStart(phase.name, phase.line, 0))
    view = EvaluationView(bench.activations.preprocessing)
    read, _ = bench.activations.at("head", bench.train.rows, view, what="training pictures")
    x = _vectors(read(np.arange(len(bench.train))), bench.head)
    solved = solve(
        x,
        bench.train.targets(),
        classes=len(bench.train.classes),
        balanced=phase.balanced,
        seed=bench.seed,
        folds=_inner_folds(bench),
    )
    put_head(bench.net, bench.head, solved.weight, solved.bias)
    bench.listen(Note(f"the head is solved, its strength {solved.strength:.3g} chosen by cross-validation"))
    val = None
    if bench.val is not None:
        read, _ = bench.activations.at("head", bench.val.rows, view, what="val pictures")
        val = _vectors(read(np.arange(len(bench.val))), bench.head) @ solved.weight.T + solved.bias
    crossed = solved.out_of_fold() if val is None else None
    return Learnt(val, crossed, 0, trainable=solved.weight.size + solved.bias.size)


def _inner_folds(bench: Bench) -> int | NDArray[np.int64]:
    """Folds that choose the strength; with duplicates and groups on one side, where there are any."""
    if not bound(bench.train):
        return _FOLDS
    try:
        return fold_numbers(bench.train, _FOLDS, seed=bench.seed)
    except DataError:  # fewer units than folds
        return fold_numbers(bench.train, 2, seed=bench.seed)


def solvable(bench: Bench) -> bool:
    """Whether the head is one linear layer over one vector a picture."""
    if bench.head.others:
        return False
    view = EvaluationView(bench.activations.preprocessing)
    read, _ = bench.activations.at("head", bench.train.rows, view, what="training pictures")
    one = read(np.arange(1))
    return one.size == bench.head.features


def _vectors(x: NDArray[np.generic], head: Head) -> NDArray[np.float32]:
    if x[0].size != head.features:
        raise PlanError(
            f"the head {head.path!r} reads {x.shape[1:]} a picture, not one vector of {head.features}",
            hint="it can be trained but not solved: use --strategy freeze",
        )
    return x.reshape(len(x), -1).astype(np.float32, copy=False)


def put_head(net: nn.Module, head: Head, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
    """Copy a solved weight (K, D) and bias (K,) into a head of either form, linear layer or 1x1 convolution."""
    layer = net.get_submodule(head.path)
    with torch.no_grad():
        own, shift = layer.get_parameter("weight"), layer.get_parameter("bias")
        own.copy_(torch.from_numpy(weight).reshape(own.shape))
        shift.copy_(torch.from_numpy(bias))


@dataclass(frozen=True)
class _SetUp:
    """A phase's suffix with what it reads."""

    suffix: nn.Module
    groups: tuple[Group, ...]
    prepare: Callable[[Tensor], Tensor]
    rows: Rows
    read_val: Reader | None
    fusions: tuple[Fusion, ...]


@heap.kept()
def train_stages(
    bench: Bench,
    phase: Train,
    machine: Machine,
    *,
    start: checkpoint.Checkpoint | None = None,
    save: Callable[[Mapping[str, Tensor], Mapping[str, Any]], None] = lambda tensors, facts: None,
    anchors: Mapping[str, Tensor] | None = None,
    seconds: float | None = None,
    least: float = 0.0,
) -> Learnt:
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
    shop = _set_up(bench, phase, machine)
    came_with = _weights(shop.suffix, None) if recipe.interpolate < 1 else {}
    objective = _objective(bench, phase, anchors or {}, shop.suffix, machine)
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
            _tear_down(bench, phase)
            what = "enough of its epochs" if epochs else "an epoch of it"
            return Learnt(None, None, 0, early=f"no time was left for {what}")
        if epochs < phase.epochs:
            bench.listen(Note(f"{epochs} of {phase.epochs} epochs fit into the time that is left"))
    bench.listen(PhaseStart(phase.name, phase.line, epochs))
    torch.manual_seed(bench.seed + machine.rank)  # filling a store may have drawn numbers, and a full one draws none
    optimizer = make_optimizer(shop.suffix, own, recipe)
    schedule = Schedule(recipe.schedule, epochs, shop.rows.order.steps, recipe.warmup, recipe.step_size, recipe.gamma)
    average = Average(shop.suffix, recipe.ema) if recipe.ema else None
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
            _tear_down(bench, phase)
            raise
        early = "interrupted"
    except Diverged as error:
        if not state.epoch:
            _tear_down(bench, phase)
            raise
        early = error.what
        bench.listen(Warn(f"{error}; the best epoch so far is kept"))
    if best:
        shop.suffix.load_state_dict(best)
    if came_with:
        _go_back(shop.suffix, came_with, recipe.interpolate)
        best_logits = _judge(bench, shop, machine, None)
    _tear_down(bench, phase)
    return Learnt(best_logits, None, state.epoch, early, trainable)


def _set_up(bench: Bench, phase: Train, machine: Machine) -> _SetUp:
    recipe, activations = phase.recipe, bench.activations
    rates = dict(phase.rates)
    line = phase.line if phase.stored else BOTTOM
    thaw(bench.net)
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
    return _SetUp(suffix, own, prepare, rows, read_val, _fusions(suffix, rows, prepare, machine))


def _fusions(
    suffix: nn.Module, rows: Rows, prepare: Callable[[Tensor], Tensor], machine: Machine
) -> tuple[Fusion, ...]:
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


def _learning(bench: Bench, phase: Train, chosen: Sequence[Group]) -> tuple[Group, ...]:
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


def _objective(
    bench: Bench, phase: Train, anchors: Mapping[str, Tensor], suffix: nn.Module, machine: Machine
) -> Objective:
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


def logits_of(bench: Bench, part: Manifest) -> tuple[Manifest, Logits]:
    """Logits (N, K) by the network as it stands, and the manifest without pictures that cannot be decoded."""
    what = f"{part.rows[0].split or 'all'} pictures"
    read, skipped = bench.activations.at("head", part.rows, EvaluationView(bench.activations.preprocessing), what=what)
    part = part.without(skipped)
    _, suffix = cut(bench.net, "head")
    batches = np.array_split(np.arange(len(part)), len(part) // 256 + 1)
    with torch.no_grad():
        return part, np.concatenate([suffix(torch.from_numpy(read(batch)).float()).numpy() for batch in batches])


def _judge(bench: Bench, shop: _SetUp, machine: Machine, average: Average | None) -> Logits | None:
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


def _weights(suffix: nn.Module, average: Average | None) -> dict[str, Tensor]:
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
    average: Average | None,
    machine: Machine,
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


def _tear_down(bench: Bench, phase: Train) -> None:
    if isinstance(phase.learns, Lora):
        adapters.merge(bench.net)
    bench.net.to("cpu")
    thaw(bench.net)
    bench.net.eval()

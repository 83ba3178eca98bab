"""Freeze a network below a line, and split what learns into groups for an optimizer: in anybody's training loop.

Frozen means that the function does not change. No gradient reaches what lies below the line, and normalisation and
dropout there stay in eval mode even after `net.train()`; `requires_grad = False` alone would leave the running
statistics of BatchNorm moving.

Groups are plain data first (`groups`), so that they can be printed and tested; `param_groups` makes them what an
optimizer takes.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from frostline.errors import PlanError
from frostline.net.stages import HEAD, Line, Stages, stages
from frostline.net.trace import Shape


@dataclass(frozen=True, slots=True)
class Group:
    """One optimizer group as data.

    stage: whose parameters they are. names: as `net.named_parameters()` gives them.
    """

    stage: str
    lr: float
    weight_decay: float
    names: tuple[str, ...]


def freeze(net: nn.Module, below: Line = HEAD, *, hold_norm: bool = True, shape: Shape | None = None) -> None:
    """Make everything below a line a fixed function, in place; what lies above is left as it is.

    below: the stage right above the line, or how many stages above it learn beside the head.
    hold_norm: False lets the running statistics of normalisation layers below the line move on in train mode, as in
        many a tutorial; then the function does change.

    Raises: StageError: there is no such stage.
    """
    found = stages(net, shape=shape)
    frozen = set(found.below(below))
    for name, parameter in net.named_parameters():
        if found.of(name) in frozen:
            parameter.requires_grad_(False)
            parameter.grad = None  # an optimizer steps by whatever gradient is there, if only by its momentum
    for module in _modules(net, found, frozen):
        _release(module)
        if hold_norm or not _has_statistics(module):
            _hold(module)


def hold_statistics(net: nn.Module) -> None:
    """Keep the running statistics of normalisation as they are, in place, while its scale and shift learn.

    Batches of a small data set estimate them badly, and the layers above were trained with those that are there
    (Keras's guide to fine-tuning, keras.io/guides/transfer_learning). `unfreeze` lets them move again.
    """
    for module in net.modules():
        if _has_statistics(module):
            _hold(module)


def is_held(module: nn.Module) -> bool:
    """Whether this module keeps running statistics of normalisation, and they stay as they are (see `freeze`)."""
    return _has_statistics(module) and _hold_still in module._forward_pre_hooks.values()


def unfreeze(net: nn.Module, below: Line | None = None, *, shape: Shape | None = None) -> None:
    """Let everything above a line learn again, in place; what lies below is left as it is.

    below: the stage right above the line, or how many stages above it learn beside the head; None unfreezes all.

    Raises: StageError: there is no such stage.
    """
    if below is None:
        net.requires_grad_(True)
        unfrozen = list(net.modules())
    else:
        found = stages(net, shape=shape)
        above = set(found.names) - set(found.below(below))
        for name, parameter in net.named_parameters():
            if found.of(name) in above:
                parameter.requires_grad_(True)
        unfrozen = _modules(net, found, above)
    for module in unfrozen:
        if _release(module):
            module.training = net.training


def rates(stages: Stages, *, head: float, trunk: float = 0.0, decay: float | None = None) -> dict[str, float]:
    """A learning rate for each stage.

    head: of the head. trunk: of all stages below it; 0 freezes them.
    decay: if given, each stage learns at this share of the rate of the stage above it, down from the head, or from
        `trunk` at the topmost stage of the trunk if that is not 0 (layer-wise decay: ULMFiT, arXiv:1801.06146; for
        image models BEiT, arXiv:2106.08254, with 0.65 to 0.85).

    Raises: PlanError: a rate is negative or not finite, the head's is 0, or the decay is not in (0, 1].
    """
    if not (0 < head < math.inf and 0 <= trunk < math.inf):
        raise PlanError(
            f"the head learns at {head:g} and the backbone at {trunk:g}", hint="head above 0, backbone 0 or more"
        )
    if decay is None:
        return {name: head if name == HEAD else trunk for name in stages.names}
    if not 0 < decay <= 1:
        raise PlanError(f"a layer-wise decay of {decay:g}", hint="more than 0, 1 at most; 0.75 is usual")
    top = trunk or head * decay
    depth = len(stages) - 2
    return {name: head if name == HEAD else top * decay ** (depth - i) for i, name in enumerate(stages.names)}


def groups(
    net: nn.Module, stages: Stages, rates: Mapping[str, float], *, weight_decay: float = 0.0
) -> tuple[Group, ...]:
    """Split the parameters that learn into groups, head first, each parameter in exactly one.

    A stage with rate 0 lies below the frost line and has no group. Weights decay if they have two dimensions or more:
    norms and biases do not.

    rates: by stage name, all stages, as `rates` makes them.

    Raises: StageError: `rates` names a stage that the network lacks, or leaves one out.
    """
    stages.must_match(rates)
    found: dict[tuple[str, bool], list[str]] = defaultdict(list)
    for name, parameter in net.named_parameters():
        if rates[stages.of(name)] > 0:
            found[stages.of(name), parameter.ndim > 1].append(name)
    order = [(stage, decays) for stage in reversed(stages.names) for decays in (True, False)]
    return tuple(
        Group(stage, rates[stage], weight_decay if decays else 0.0, tuple(found[stage, decays]))
        for stage, decays in order
        if (stage, decays) in found
    )


def param_groups(
    net: nn.Module,
    *,
    head: float,
    trunk: float = 0.0,
    decay: float | None = None,
    weight_decay: float = 0.0,
    shape: Shape | None = None,
) -> list[dict[str, Any]]:
    """What an optimizer of torch takes, head and backbone at rates of their own: `SGD(param_groups(net, ...))`.

    Parameters that were frozen before are in no group. With a trunk at rate 0 and no decay the trunk is frozen here, as
    `freeze(net)` does: a rate of 0 alone would leave its normalisation moving.

    head, trunk, decay: as in `rates`. weight_decay: of weights with two dimensions or more.

    Returns: dicts with "params", "lr", "weight_decay" and "name" (the stage).

    Raises: PlanError: a rate makes no sense, or nothing is left that learns.
    """
    found = stages(net, shape=shape)
    by_stage = rates(found, head=head, trunk=trunk, decay=decay)
    if trunk == 0 and decay is None:
        freeze(net, shape=shape)
    named = {name: p for name, p in net.named_parameters() if p.requires_grad}
    made = [
        {"params": params, "lr": group.lr, "weight_decay": group.weight_decay, "name": group.stage}
        for group in groups(net, found, by_stage, weight_decay=weight_decay)
        if (params := [named[name] for name in group.names if name in named])
    ]
    if not made:
        raise PlanError(
            "no parameter learns: all of them are frozen", hint="unfreeze(net) first, or unfreeze(net, below=STAGE)"
        )
    return made


@dataclass(frozen=True, slots=True)
class StageSummary:
    """A stage in a summary: how many parameters it has, and how many of them learn."""

    name: str
    parameters: int
    learning: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What of a network learns, stage by stage, stem first. As text it is a table with the frost line drawn in."""

    stages: tuple[StageSummary, ...]

    @property
    def parameters(self) -> int:
        """How many there are."""
        return sum(stage.parameters for stage in self.stages)

    @property
    def learning(self) -> int:
        """How many of them learn."""
        return sum(stage.learning for stage in self.stages)

    @property
    def line(self) -> str | None:
        """The stage right above the frost line, the lowest that learns; None if none does."""
        return next((stage.name for stage in self.stages if stage.learning), None)

    def __str__(self) -> str:
        width = max(len("stage"), *(len(stage.name) for stage in self.stages))
        rows = [f"{'stage':<{width}}  {'parameters':>12}  learns", ""]
        for stage in reversed(self.stages):
            share = "yes" if stage.learning == stage.parameters else f"{stage.learning:,} of them"
            rows.append(f"{stage.name:<{width}}  {stage.parameters:>12,}  {share if stage.learning else 'no'}")
            if stage.name == self.line and stage is not self.stages[0]:
                rows.append("❄ ".ljust(width + 24, "─"))
        return "\n".join([*rows, "", f"{self.learning:,} of {self.parameters:,} parameters learn"])


def summary(net: nn.Module, *, shape: Shape | None = None) -> Summary:
    """Which stages of a network learn, and how much of each.

    Raises: StageError, HeadError: as `stages`.
    """
    found = stages(net, shape=shape)
    sizes = {name: (p.numel(), p.numel() if p.requires_grad else 0) for name, p in net.named_parameters()}
    return Summary(
        tuple(
            StageSummary(
                stage.name, sum(sizes[n][0] for n in stage.parameters), sum(sizes[n][1] for n in stage.parameters)
            )
            for stage in found
        )
    )


def _hold_still(module: nn.Module, _inputs: object) -> None:
    # here and not in freeze alone, so that a later net.train() cannot wake BatchNorm or dropout
    module.training = False


def _hold(module: nn.Module) -> None:
    _release(module)
    module.register_forward_pre_hook(_hold_still)
    module.training = False


def _release(module: nn.Module) -> bool:
    held = [key for key, hook in module._forward_pre_hooks.items() if hook is _hold_still]
    for key in held:
        del module._forward_pre_hooks[key]
    return bool(held)


def _has_statistics(module: nn.Module) -> bool:
    return "running_mean" in module._buffers


def _modules(net: nn.Module, found: Stages, names: set[str]) -> list[nn.Module]:
    tops = [net.get_submodule(path) for stage in found if stage.name in names for path in stage.modules]
    return list({id(module): module for top in tops for module in top.modules()}.values())

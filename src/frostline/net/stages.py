"""The stages of a network in the order in which they run, and the lines between them at which it can be cut.

    found = stages(net)                      # stem, layer1, layer2, layer3, layer4, head
    prefix, suffix = cut(net, "layer4")      # suffix(prefix(pictures)) is net(pictures), bit for bit, in eval mode

A line is named by the stage right above it, by a module's path, or by how many stages above it learn beside the head.
How a network is cut is in `cuts`, where its head is in `head`.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import torch
from torch import nn

from frostline.errors import StageError
from frostline.net.cuts import Prefix, Suffix, cut_at, differs
from frostline.net.head import find_in
from frostline.net.trace import Shape, Trace, trace

STEM, HEAD = "stem", "head"
Line = str | int

MOST = 0.8  # a container with more of the trunk than this is no stage but holds them
ALONE = 0.25  # the same for the only one that holds several blocks: a wide last layer may outweigh it
STEM_MOST = 0.2  # a stem with more of the trunk than this ends: a chain of plain layers (VGG) is not all stem


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a network that is frozen or learns as one.

    modules: paths in the order in which they run. parameters: names of all parameters that belong to it.
    """

    name: str
    modules: tuple[str, ...]
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class Stages(Sequence[Stage]):
    """The stages of a network, "stem" first and "head" last; every parameter is in exactly one."""

    all: tuple[Stage, ...]

    @overload
    def __getitem__(self, index: int) -> Stage: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Stage, ...]: ...
    def __getitem__(self, index: int | slice) -> Stage | tuple[Stage, ...]:
        return self.all[index]

    def __len__(self) -> int:
        return len(self.all)

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, stem first."""
        return tuple(stage.name for stage in self.all)

    @cached_property
    def _stage_of(self) -> Mapping[str, str]:
        return {name: stage.name for stage in self.all for name in stage.parameters}

    def of(self, parameter: str) -> str:
        """The name of the stage that a parameter belongs to.

        Raises: StageError: no stage holds it.
        """
        if parameter in self._stage_of:
            return self._stage_of[parameter]
        # an adapter's, put in after the stages were found: it goes with the module that it sits in
        holders = [(path, stage.name) for stage in self.all for path in stage.modules if _within(parameter, path)]
        if not holders:
            hint = f"the stages are: {', '.join(self.names)}"
            raise StageError(f"no stage holds a parameter {parameter!r}", hint=hint)
        return max(holders, key=lambda holder: len(holder[0]))[1]

    def named(self, line: Line) -> str:
        """The name of the stage right above a line, for a stage's name or a number of stages below the head.

        Raises: StageError: there is no such stage; the message lists those that there are.
        """
        if isinstance(line, int):
            if not 0 <= line < len(self):
                raise StageError(
                    f"{line} stages above the line beside the head are asked for, and there are {len(self) - 1}",
                    hint=f"the stages are: {', '.join(self.names)}",
                )
            return self.names[-1 - line]
        if line not in self.names:
            near = difflib.get_close_matches(line, self.names, n=1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise StageError(f"there is no stage {line!r}", hint=f"{meant}the stages are: {', '.join(self.names)}")
        return line

    def index(self, value: object, start: int = 0, stop: int | None = None) -> int:
        """Where a stage, or the stage of that name, stands: 0 is the stem."""
        names: Sequence[object] = self.names if isinstance(value, str) else self.all
        return names.index(value, start, len(names) if stop is None else stop)

    def below(self, line: Line) -> tuple[str, ...]:
        """Names of the stages below a line.

        Raises: StageError: as `named`.
        """
        return self.names[: self.names.index(self.named(line))]

    def must_match(self, rates: Mapping[str, float]) -> None:
        """Raises: StageError: the keys are not these stages' names, each of them."""
        strange, lacking = sorted(rates.keys() - set(self.names)), [n for n in self.names if n not in rates]
        if strange or lacking:
            told = "; ".join(f"{w}: {', '.join(n)}" for w, n in (("strange", strange), ("lacking", lacking)) if n)
            hint = f"give one for each stage: {', '.join(self.names)}"
            raise StageError(f"the rates do not match the stages; {told}", hint=hint)


def stages(net: nn.Module, *, shape: Shape | None = None) -> Stages:
    """The stages of a network, found by running it once on one picture.

    All that runs before the first block is the stem, the classifier alone is the head. A container that holds nearly
    the whole trunk is opened; otherwise containers of blocks stay together. Parameters that no module of a stage owns
    (class tokens, position embeddings) belong to the stage below the container that owns them, which for the network's
    own is the stem.

    shape: (channels, height, width) of a picture, for a network that does not say it and takes no usual one.

    Raises: StageError: the network does not run. HeadError: it has no classifier.
    """
    return _stages(net, trace(net, shape))


def resolve(net: nn.Module, line: Line, *, shape: Shape | None = None) -> str:
    """The path of the first module above a line.

    line: a stage's name, a module's path, or a number: how many stages above the line learn beside the head.

    Raises: StageError: there is no such stage or module.
    """
    seen = trace(net, shape)
    return _resolve(net, _stages(net, seen), seen, line)


def cut(net: nn.Module, line: Line | None, *, shape: Shape | None = None) -> tuple[Prefix, Suffix]:
    """A network in two: `suffix(prefix(pictures))` equals `net(pictures)` bit for bit in eval mode.

    Both hold the network's own tensors: training the suffix trains the network, which itself stays as it is and can be
    used besides. The cut is proved on noise before it is given out, on one picture and on two.

    line: as `resolve` takes it; None, or the stem, is the bottom: the prefix changes nothing and the suffix is all.
    shape: (channels, height, width) of the pictures, where they are not of the size that the network names.

    Raises: StageError: there is no such line, or the network cannot be cut there; the hint names lines where it can.
    """
    if line is None:
        return Prefix(None), Suffix(net)
    with torch.inference_mode(False):  # which keeps no count of what writes into a tensor
        return _cut(net, line, shape)


def _cut(net: nn.Module, line: Line, shape: Shape | None) -> tuple[Prefix, Suffix]:
    one = trace(net, shape)
    found = _stages(net, one)
    path = _resolve(net, found, one, line)
    if path == found[0].modules[0]:
        return Prefix(None), Suffix(net)
    two = trace(net, one.shape, batch=2, like=one)
    try:
        prefix, suffix = cut_at(net, path, one, two)
        for seen, value in ((one, 0.0), (two, float("nan"))):
            if fault := differs(suffix, prefix(seen.pictures), seen.output, value):
                raise StageError(fault)
    except StageError as error:
        near = _legal_near(net, found, path, one)
        raise StageError(
            f"the network cannot be cut at {line!r}: {error.what}",
            where=f"{type(net).__name__}, module {path!r}",
            hint=f"it can be cut at {' or '.join(near)}" if near else "it can be cut nowhere: let all of it learn",
        ) from None
    return prefix, suffix


def lines(net: nn.Module, *, shape: Shape | None = None) -> tuple[str, ...]:
    """The stages right above which the network can be cut, from the stem (which always can) to the head.

    Raises: StageError, HeadError: as `stages`.
    """
    one = trace(net, shape)
    return tuple(_legal(net, _stages(net, one), one.shape))


def _legal(net: nn.Module, found: Stages, shape: Shape, only: Sequence[str] | None = None) -> Iterator[str]:
    candidates = [stage for stage in found if only is None or stage.name in only]
    keep = frozenset(stage.modules[0] for stage in candidates)
    one = trace(net, shape, keep=keep)
    two = trace(net, shape, batch=2, like=one)
    for stage in candidates:
        if stage is found[0]:
            yield stage.name
            continue
        try:
            _, suffix = cut_at(net, stage.modules[0], one, two)
        except StageError:
            continue
        reached = one.kept[stage.modules[0]]
        if not any(differs(suffix, reached, one.output, value) for value in (0.0, float("nan"))):
            yield stage.name


def _legal_near(net: nn.Module, found: Stages, path: str, one: Trace) -> list[str]:
    at, *starts = (_began(one, module) for module in (path, *(stage.modules[0] for stage in found)))
    below = [s.name for s, start in zip(found, starts, strict=True) if start < at]
    above = [s.name for s, start in zip(found, starts, strict=True) if start > at]
    good = set(_legal(net, found, one.shape, [*below[-3:], *above[:3]]))
    near = [n for n in below if n in good][-1:] + [n for n in above if n in good][:1]
    return near or list(_legal(net, found, one.shape))


def _resolve(net: nn.Module, found: Stages, seen: Trace, line: Line) -> str:
    if isinstance(line, int) or line in found.names:
        return found[found.names.index(found.named(line))].modules[0]
    inside = [path for path in seen.calls if path == line or path.startswith(f"{line}.")]
    if line and inside:
        # a list of modules never runs itself: the first of it that does is the line
        return line if line in seen.calls else min(inside, key=lambda path: _began(seen, path))
    if line and line in dict(net.named_modules()):
        raise StageError(f"the module {line!r} does not run", hint=f"the stages are: {', '.join(found.names)}")
    found.named(line)
    raise AssertionError(line)


@dataclass
class _Part:
    """A stage while it is found."""

    modules: list[str]
    weights: int


def _stages(net: nn.Module, seen: Trace) -> Stages:
    heads = find_in(net, seen).paths
    plan = _Plan(net, seen, heads)
    units = plan.units()
    parts = list(_joined(plan, units))
    names = [STEM, *(part.modules[0] for part in parts[1:])] if parts else []
    names = [f"trunk.{name}" if name in (STEM, HEAD) and i else name for i, name in enumerate(names)]
    names.append(HEAD)
    ran = sorted((path for path in heads if path in seen.calls), key=lambda path: seen.calls[path][0].start)
    modules = [*(tuple(part.modules) for part in parts), tuple(ran or heads)]
    owners = {path: index for index, paths in enumerate(modules) for path in paths}
    owned: list[list[str]] = [[] for _ in names]
    for name, _ in net.named_parameters():
        owned[_owner(name, owners, plan, modules)].append(name)
    return Stages(tuple(Stage(n, m, tuple(p)) for n, m, p in zip(names, modules, owned, strict=True)))


def _owner(parameter: str, owners: Mapping[str, int], plan: "_Plan", modules: Sequence[tuple[str, ...]]) -> int:
    path = parameter.rpartition(".")[0]
    holder = path
    while holder:
        if holder in owners:
            return owners[holder]
        holder = holder.rpartition(".")[0]
    if path in plan.heads:
        return len(modules) - 1
    # nobody runs it: it goes with what lies below the container that holds it, where a cut inside of that leaves it
    while path and path not in plan.opened:
        path = path.rpartition(".")[0]
    inside = [i for i, paths in enumerate(modules) if any(m.startswith(f"{path}.") for m in paths)] if path else [0]
    first = min(inside, default=0)
    starts_within = bool(path) and modules[first][0].startswith(f"{path}.")
    return max(0, first - 1 if starts_within else first)


class _Plan:
    """Which modules a network's stages are made of: containers opened until none holds nearly all of the trunk."""

    def __init__(self, net: nn.Module, seen: Trace, heads: tuple[str, ...]) -> None:
        self.net, self.seen, self.heads = net, seen, heads
        self.opened: set[str] = {""}
        own = {id(p) for path in heads for p in net.get_submodule(path).parameters()}
        self.trunk = max(1, sum(p.numel() for p in net.parameters() if id(p) not in own))

    def units(self) -> list[str]:
        """Paths in the order in which they run, none inside another, the heads left out."""
        units = self._children("")
        while (index := self._to_open(units)) is not None:
            self.opened.add(units[index])
            units[index : index + 1] = self._children(units[index])
        return sorted((u for u in units if u not in self.heads), key=lambda unit: _began(self.seen, unit))

    def weights(self, path: str) -> int:
        """How many numbers its parameters have."""
        return sum(p.numel() for p in self.net.get_submodule(path).parameters())

    def matrices(self, path: str) -> int:
        """How many of its parameters are matrices or kernels: 2 make a block."""
        return sum(p.ndim > 1 for p in self.net.get_submodule(path).parameters())

    def blocks(self, path: str) -> int:
        """How many of its parts are blocks; what holds one part alone counts as that part."""
        parts = [child for child in self._children(path) if self.matrices(child) > 1]
        return self.blocks(parts[0]) if len(parts) == 1 else len(parts)

    def _children(self, path: str) -> list[str]:
        prefix = f"{path}." if path else ""
        names = [f"{prefix}{name}" for name, _ in self.net.get_submodule(path).named_children()]
        return [name for name in names if any(_within(called, name) for called in self.seen.calls)]

    def _to_open(self, units: Sequence[str]) -> int | None:
        trains = [u for u in units if self.blocks(u) > 1]
        for index, unit in enumerate(units):
            if unit in self.heads or not self._children(unit):
                continue
            share = self.weights(unit) / self.trunk
            holds_head = any(_within(head, unit) for head in self.heads)
            alone = share > ALONE and trains == [unit]
            nearly_all = share > MOST and len(trains) < 3  # of three or more, none is the trunk
            if holds_head or alone or nearly_all or self._is_chain(unit) or self._is_interrupted(unit):
                return index
        return None

    def _is_chain(self, unit: str) -> bool:
        """Whether it is a plain sequence of single layers: features of a VGG, a deep stem. A block of many is none."""
        holder = self.net.get_submodule(unit.rpartition(".")[0])
        if isinstance(holder, nn.Sequential) and sum(isinstance(m, nn.Sequential) for m in holder.children()) > 1:
            return False
        counts = [self.matrices(child) for child in self._children(unit)]
        return isinstance(self.net.get_submodule(unit), nn.Sequential) and max(counts) < 2 <= sum(counts)

    def _is_interrupted(self, unit: str) -> bool:
        """Whether it is a list between whose modules others run."""
        if unit in self.seen.calls:
            return False
        calls = [call for name, calls in self.seen.calls.items() for call in calls if _within(name, unit)]
        start, end = min(call.start for call in calls), max(call.end for call in calls)
        holders = {unit.rpartition(".")[0][:i] for i in range(len(unit))}
        return any(
            start < call.start < end and not _within(name, unit) and name not in holders
            for name, calls in self.seen.calls.items()
            for call in calls
        )


def _joined(plan: _Plan, units: Sequence[str]) -> Iterator[_Part]:
    """Single layers joined into stages: the stem up to the first block, norms to the layer or block they follow, as
    timm's layer decay counts them."""
    has_blocks = any(plan.matrices(unit) > 1 for unit in units)
    part: _Part | None = None
    in_stem = True
    for unit in units:
        weights, matrices = plan.weights(unit), plan.matrices(unit)
        if part is None:
            part = _Part([unit], weights)
            continue
        if not part.weights:
            stays = True  # nothing with weights ran yet
        elif in_stem and has_blocks:
            stays = matrices < 2 and (not matrices or (part.weights + weights) / plan.trunk < STEM_MOST)
        else:
            stays = not matrices
        if stays:
            part.modules.append(unit)
            part.weights += weights
        else:
            yield part
            part, in_stem = _Part([unit], weights), False
    if part is not None:
        yield part


def _began(seen: Trace, path: str) -> int:
    """When a module first ran: a list of modules, when the first in it did."""
    return min(calls[0].start for name, calls in seen.calls.items() if _within(name, path))


def _within(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}.")

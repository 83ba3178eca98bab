"""One forward of a network, written down: which modules ran, in what order, what went in and what came out.

Everything that frostline knows of an architecture it knows from here, so nothing is found by position or by a table
of names. The network itself is never touched: what runs is a *twin*, new modules over the same tensors, so no hook
and no mode is left behind, and another thread may use the network meanwhile.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from frostline.data.views import Preprocessing
from frostline.errors import StageError, one_line

Shape = tuple[int, int, int]
"""Channels, height and width of one picture as the network takes it."""

MARKS = 64
SIDES = (224, 32, 28, 64, 128, 256, 384)


class Opaque:
    """Stands for a value that is neither tensor nor number nor a nest of them: a module giving one is never stubbed."""


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """A tensor that went by: its shape, and a few of its numbers to tell whether it depends on the picture."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    marks: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call of a module.

    start, end: places on the clock of the forward; one whose end is below the start of another was over before it.
    takes: what the first positional argument was, None if it was no tensor.
    gives: the result, each tensor in it replaced by a `Traced`.
    """

    path: str
    start: int
    end: int
    takes: Traced | None
    gives: Any


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One forward.

    calls: by module path, in the order of the first call.
    output: what the network gave.
    kept: first inputs of the modules that were asked for, copied before the module could overwrite them.
    """

    shape: Shape
    pictures: Tensor
    calls: Mapping[str, tuple[Call, ...]]
    output: Any
    kept: Mapping[str, Tensor]

    def before(self, path: str, line: int) -> bool:
        """Whether every call of a module was over before that place on the clock."""
        return path in self.calls and all(call.end < line for call in self.calls[path])

    def after(self, path: str, line: int) -> bool:
        """Whether every call of a module began at or behind that place on the clock."""
        return path in self.calls and all(call.start >= line for call in self.calls[path])


def twin(net: nn.Module, stand_ins: Mapping[nn.Module, nn.Module] | None = None) -> nn.Module:
    """New modules over the same tensors; `stand_ins` take the place of the modules that they are given for.

    A module that stands in for itself is shared, not copied. References between modules, in lists and bound methods
    too, lead to the new ones.
    """
    memo: dict[int, Any] = {}
    for module in net.modules():
        tensors = [*module._parameters.values(), *module._buffers.values(), *vars(module).values()]
        memo.update({id(tensor): tensor for tensor in tensors if isinstance(tensor, Tensor)})
    memo.update({id(old): new for old, new in (stand_ins or {}).items()})
    made: nn.Module = copy.deepcopy(net, memo)
    return made


def trace(
    net: nn.Module,
    shape: Shape | None = None,
    *,
    batch: int = 1,
    like: Trace | None = None,
    keep: frozenset[str] = frozenset(),
) -> Trace:
    """Run a network once in eval mode over noise, and write down what happened.

    shape: of one picture; by default the one the network itself names, else the first of some usual ones that it takes.
    like: an earlier trace; the numbers noted of each tensor are then those at the same places as in that one.
    keep: paths of modules whose first input is wanted.

    Raises: StageError: the network cannot be run on pictures of that shape, or on none of the usual ones.
    """
    shapes = [shape] if shape is not None else list(input_shapes(net))
    failure = ""
    for candidate in shapes:
        # a fresh twin for each: a forward that broke off may have left things in it
        runner = twin(net).eval()
        pictures = noise(net, candidate, batch, seed=batch)
        recorder = _Recorder(like, keep)
        recorder.listen(runner)
        try:
            with torch.no_grad():
                output = runner(pictures)
        except Exception as error:  # whatever a stranger's forward raises on a shape that it does not take
            failure = failure or f"{candidate}: {type(error).__name__}: {one_line(str(error))[:200]}"
            continue
        return Trace(candidate, pictures, recorder.by_path(), output, recorder.kept)
    raise StageError(
        f"the network {type(net).__name__} does not run on pictures of shape {' or '.join(map(str, shapes))}",
        where=failure,
        hint="pass the shape of one of its pictures: shape=(channels, height, width)",
    )


def noise(net: nn.Module, shape: Shape, batch: int, *, seed: int) -> Tensor:
    """(batch, channels, height, width) of normal noise in the weights' dtype, from a generator of its own."""
    weight = next((p for p in net.parameters() if p.is_floating_point()), torch.zeros(()))
    pictures = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(seed), device="cpu")
    return pictures.to(device=weight.device, dtype=weight.dtype)


def input_shapes(net: nn.Module) -> Iterator[Shape]:
    """Shapes that one picture may have, the likeliest first: what the net was built for, what timm says, usual ones."""
    told = _told(net)
    first = next((m.in_channels for m in net.modules() if isinstance(m, nn.Conv2d)), None)
    channels = first or (told[0] if told else 3)
    seen: set[Shape] = set()
    for side in [*_built_for(net), *([told[1:]] if told else []), *((s, s) for s in SIDES)]:
        shape = (channels, side[0], side[1])
        if shape not in seen:
            seen.add(shape)
            yield shape


def _told(net: nn.Module) -> Shape | None:
    config = getattr(net, "pretrained_cfg", None)
    size = config.get("input_size") if isinstance(config, Mapping) else None
    return (int(size[0]), int(size[1]), int(size[2])) if size is not None and len(size) == 3 else None


def _built_for(net: nn.Module) -> Iterator[tuple[int, int]]:
    for module in net.modules():
        for name in ("img_size", "image_size", "input_size"):
            size = vars(module).get(name)
            if isinstance(size, int):
                yield size, size
            elif isinstance(size, tuple | list) and len(size) == 2 and all(isinstance(s, int) for s in size):
                yield size[0], size[1]


class _Recorder:
    def __init__(self, like: Trace | None, keep: frozenset[str]) -> None:
        self.clock = 0
        self.calls: list[Call] = []
        self.kept: dict[str, Tensor] = {}
        self._open: list[tuple[str, int, Traced | None]] = []
        self._like = like
        self._count: dict[str, int] = {}
        self._keep = keep

    def listen(self, net: nn.Module) -> None:
        for path, module in net.named_modules():
            # ours stand outermost: whatever other hooks change belongs to the module
            module.register_forward_pre_hook(self._enter(path), prepend=True)
            module.register_forward_hook(self._leave(path))

    def by_path(self) -> dict[str, tuple[Call, ...]]:
        found: dict[str, list[Call]] = {}
        for call in sorted(self.calls, key=lambda call: call.start):
            found.setdefault(call.path, []).append(call)
        return {path: tuple(calls) for path, calls in found.items()}

    def _tick(self) -> int:
        self.clock += 1
        return self.clock

    def _reference(self, path: str) -> Call | None:
        index = self._count.get(path, 0)
        calls = self._like.calls.get(path, ()) if self._like is not None else ()
        return calls[index] if index < len(calls) else None

    def _enter(self, path: str) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def enter(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
            takes = None
            if inputs and isinstance(inputs[0], Tensor):
                reference = self._reference(path)
                takes = _seen(inputs[0], reference.takes if reference is not None else None)
                if path in self._keep:
                    self.kept[path] = inputs[0].detach().clone()
            self._open.append((path, self._tick(), takes))

        return enter

    def _leave(self, path: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def leave(_module: nn.Module, _inputs: tuple[Any, ...], output: Any) -> None:
            while True:  # a module that was left by an exception, and so never closed, lies on top
                opened, start, takes = self._open.pop()
                if opened == path:
                    break
            reference = self._reference(path)
            gives = describe(output, reference.gives if reference is not None else None)
            self._count[path] = self._count.get(path, 0) + 1
            self.calls.append(Call(path, start, self._tick(), takes, gives))

        return leave


def describe(value: Any, like: Any = None) -> Any:
    """A nest of tensors with each tensor replaced by a `Traced`, and what cannot be described by `Opaque`."""
    if isinstance(value, Tensor):
        return _seen(value, like if isinstance(like, Traced) else None)
    if isinstance(value, list | tuple):
        likes = like if isinstance(like, list | tuple) and len(like) == len(value) else [None] * len(value)
        parts = [describe(part, other) for part, other in zip(value, likes, strict=True)]
        return rebuilt(value, parts)
    if isinstance(value, dict):
        others = like if isinstance(like, dict) else {}
        return refilled(value, {key: describe(part, others.get(key)) for key, part in value.items()})
    return value if value is None or isinstance(value, bool | int | float | str) else Opaque()


def rebuilt(old: Any, parts: list[Any]) -> Any:
    """A sequence of the same type over other parts (a named tuple takes them one by one)."""
    return type(old)(*parts) if hasattr(old, "_fields") else type(old)(parts)


def refilled(old: dict[Any, Any], parts: dict[Any, Any]) -> dict[Any, Any]:
    """A mapping of the same type over other parts: those of transformers are read by attribute as well."""
    made = copy.copy(old)
    for key, part in parts.items():
        made[key] = part
    return made


def _seen(tensor: Tensor, like: Traced | None) -> Traced:
    view = tensor.detach()
    if like is not None and len(like.shape) == view.ndim:
        for dim, size in enumerate(like.shape):
            view = view.narrow(dim, 0, min(size, view.shape[dim]))
    step = max(1, view.numel() // MARKS)
    return Traced(tuple(tensor.shape), tensor.dtype, view.reshape(-1)[::step][:MARKS].clone())


def operations(net: nn.Module, wants: Preprocessing) -> int:
    """Floating-point operations of the network for one picture, an addition and a multiplication counted each."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        twin(net).eval()(torch.zeros(1, wants.channels, *wants.size))
    return int(counter.get_total_flops())

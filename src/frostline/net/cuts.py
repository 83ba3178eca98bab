"""A network in two: the prefix below a line and the suffix above it, each the network's own forward on a grafted tree.

Nothing is traced into a graph, so every `if` and every shape in somebody's forward keeps its meaning. The line is a
module:

- the *prefix* is a twin of the network that breaks off at the line, and gives what the line would have got;
- the *suffix* runs the network's forward over modules that give empty tensors of the right shape in place of all that
  lies below the line, and puts the activation in where the line is. What lies above is not copied but shared: training
  the suffix trains the network.

A line is legal if what the blanks hold makes no difference. They are filled once with zeros and once with NaN, which
shows through a product with zero too, and both times the suffix must give what the network gives, bit for bit.
"""

import copy
import functools
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from frostline.errors import StageError, one_line
from frostline.net.trace import Call, Opaque, Trace, Traced, rebuilt, refilled, twin


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor known by its shape alone.

    shape: for one picture. growing: which of its dimensions grow with the number of pictures.
    """

    shape: tuple[int, ...]
    growing: tuple[bool, ...]
    dtype: torch.dtype

    def filled(self, batch: int, like: Tensor, value: float) -> Tensor:
        """For that many pictures, where `like` is: one number, expanded, so that it takes no memory."""
        shape = [size * batch if grows else size for size, grows in zip(self.shape, self.growing, strict=True)]
        floating = self.dtype.is_floating_point
        # the activation's type rules, so that a suffix in bfloat16 sees no float32 from below
        dtype = like.dtype if floating and like.dtype.is_floating_point else self.dtype
        return torch.full((), value if floating else 0, dtype=dtype, device=like.device).expand(shape)

    def pictures(self, activation: Tensor) -> int:
        """How many pictures an activation of this form is of.

        Raises: StageError: it has another form.
        """
        counts = {
            there / here if grows else 1.0 if there == here else -1.0
            for here, there, grows in zip(self.shape, activation.shape, self.growing, strict=False)
        }
        count = max(counts, default=1.0)
        if activation.ndim != len(self.shape) or not counts <= {1.0, count} or count != int(count):
            form = ", ".join(
                f"{size} x pictures" if grows and size > 1 else "pictures" if grows else str(size)
                for size, grows in zip(self.shape, self.growing, strict=True)
            )
            raise StageError(
                f"the suffix takes activations of shape ({form}), not {tuple(activation.shape)}",
                hint="it was cut for pictures of another size; cut again with shape=(channels, height, width)",
            )
        return int(count)


def tensor_spec(one: Any, two: Any) -> Any:
    """The blanks for what a module gave for one picture and for two.

    Raises: StageError: what it gave is no nest of tensors, or its shapes do not follow the number of pictures.
    """
    if isinstance(one, Traced) and isinstance(two, Traced) and len(one.shape) == len(two.shape):
        if all(b in (a, 2 * a) for a, b in zip(one.shape, two.shape, strict=True)):
            return TensorSpec(one.shape, tuple(a != b for a, b in zip(one.shape, two.shape, strict=True)), one.dtype)
    elif isinstance(one, list | tuple) and isinstance(two, list | tuple) and len(one) == len(two):
        return rebuilt(one, [tensor_spec(a, b) for a, b in zip(one, two, strict=True)])
    elif isinstance(one, dict) and isinstance(two, dict) and one.keys() == two.keys():
        return refilled(one, {key: tensor_spec(one[key], two[key]) for key in one})
    elif not isinstance(one, Traced | Opaque) and one == two:
        return one
    raise StageError("a module below the line gives something that has no empty copy")


class Inputs:
    """What a suffix is given at one forward, seen by its line and its stubs.

    dense: whether blanks have memory of their own, for a network that writes into what it got from below the line.
    """

    def __init__(self, dense: bool = False) -> None:
        self.dense = dense
        self.activation: Tensor | None = None
        self.batch = 0
        self.value = 0.0
        self.turns: Counter[int] = Counter()

    def __reduce__(self) -> tuple[type["Inputs"], tuple[bool]]:
        # a copy starts empty: the last batch is no part of a network
        return Inputs, (self.dense,)

    def swap(self, _module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """The pre-hook of the line: the activation comes in, whatever the blanks became is dropped."""
        return (self.activation, *inputs[1:])

    def fill(self, blanks: Any) -> Any:
        """A nest of blanks as tensors."""
        assert self.activation is not None
        if isinstance(blanks, TensorSpec):
            filled = blanks.filled(self.batch, self.activation, self.value)
            return filled.clone(memory_format=torch.contiguous_format) if self.dense else filled
        if isinstance(blanks, list | tuple):
            return rebuilt(blanks, [self.fill(part) for part in blanks])
        if isinstance(blanks, dict):
            return refilled(blanks, {key: self.fill(part) for key, part in blanks.items()})
        return blanks


class Placeholder(nn.Module):
    """A module's attributes and methods without its weights, its children and its forward."""

    _original: type[nn.Module]

    def _load_from_state_dict(self, *_args: Any, **_named: Any) -> None:
        # The original's way to load asks for weights of its own.
        return

    def extra_repr(self) -> str:
        """Nothing: the original's would name attributes that are gone."""
        return ""

    def __reduce__(self) -> tuple[Any, ...]:
        return _new, (_kind(type(self)), self._original), vars(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Placeholder":
        made = memo[id(self)] = _new(_kind(type(self)), self._original)
        made.__dict__.update(copy.deepcopy(vars(self), memo))
        return made


class _Stub(Placeholder):
    """Gives blanks where the module gave tensors."""

    def forward(self, *_args: Any, **_named: Any) -> Any:
        feed, blanks = self.__dict__["_feed"], self.__dict__["_blanks"]
        if len(blanks) == 1:
            return feed.fill(blanks[0])
        turn = feed.turns[id(self)]
        feed.turns[id(self)] += 1
        return feed.fill(blanks[turn % len(blanks)])


class _EarlyExit(Placeholder):
    """Breaks the forward off, carrying what came in."""

    def forward(self, *args: Any, **_named: Any) -> Any:
        raise _Reached(args[0])


class _Reached(Exception):
    """No error: it ends the prefix's forward, and carries what came to the line."""

    def __init__(self, activation: Tensor) -> None:
        self.activation = activation


@functools.cache
def _hollow_class(kind: type[Placeholder], original: type[nn.Module]) -> type[Placeholder]:
    return type(f"{kind.__name__}{original.__name__}", (kind, original), {"_original": original})


def _kind(made: type[nn.Module]) -> type[Placeholder]:
    return _Stub if issubclass(made, _Stub) else _EarlyExit


def _new(kind: type[Placeholder], original: type[nn.Module]) -> Placeholder:
    made = _hollow_class(kind, original)  # type: ignore[arg-type]  # classes are hashable
    empty: Placeholder = made.__new__(made)
    return empty


def _hollow(kind: type[Placeholder], module: nn.Module) -> Placeholder:
    made = _new(kind, type(module))
    fresh = nn.Module().__dict__  # empty weights, children and hooks
    made.__dict__.update({k: v for k, v in vars(module).items() if k != "forward"} | fresh)
    return made


class Prefix(nn.Module):
    """What lies below a line, as a fixed function: pictures (N, C, H, W) in, what reaches the line out.

    It stays in eval mode whatever is done to it or to the network, and no gradient comes out of it. Its parameters are
    the network's own; those above the line are not among them. `net` is None at the bottom, where it changes nothing.
    """

    def __init__(self, net: nn.Module | None) -> None:
        super().__init__()
        self.net = net
        super().train(False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Raises: StageError: the forward came to its end without passing the line."""
        if self.net is None:
            return pictures
        with torch.no_grad():
            try:
                self.net(pictures)
            except _Reached as reached:
                return reached.activation
        raise StageError("the network's forward did not pass the line where it was cut")

    def train(self, mode: bool = True) -> Self:
        """Nothing: what lies below the line does not change."""
        return self


class Suffix(nn.Module):
    """What lies above a line: what the prefix gives in, what the network gives out, for any number of pictures.

    Its parameters are the network's own objects, and only those above the line, so training it trains the network; a
    deep copy stands on its own. Their names are the network's with "net." before them. Weights of modules that hold
    the line but lie below it (a class token, position embeddings) are buffers here. One forward at a time.
    """

    def __init__(self, net: nn.Module, entry: TensorSpec | None = None, picture: TensorSpec | None = None) -> None:
        super().__init__()
        self.net = net
        self.feed = Inputs()
        self.still: tuple[str, ...] = ()
        self.careful = False
        self._entry = entry
        self._picture = picture

    def forward(self, activation: Tensor) -> Any:
        """Raises: StageError: the activation is of another form than the line was cut for."""
        if self._entry is None or self._picture is None:
            return self.net(activation)
        feed = self.feed
        feed.batch = self._entry.pictures(activation)
        # some blocks work in place, and what was fed may be a row that is read again
        feed.activation = activation.clone() if self.careful else activation
        feed.turns.clear()
        return self.net(self._picture.filled(feed.batch, activation, 0.0))

    def train(self, mode: bool = True) -> Self:
        """As any module; what is kept from below the line stays in eval mode."""
        super().train(mode)
        for path in self.still:
            self.net.get_submodule(path).training = False
        return self


def cut_at(net: nn.Module, line: str, one: Trace, two: Trace) -> tuple[Prefix, Suffix]:
    """Cut a network at a module, without a proof yet that the line is legal: see `differs`.

    one, two: traces of one picture and of two.

    Raises: StageError: the module does not run once with one tensor, or weights are used on both sides of it.
    """
    entry = _entry(line, one, two)
    start = one.calls[line][0].start
    names = dict(net.named_modules())
    prefix = Prefix(twin(net, {names[p]: _hollow(_EarlyExit, names[p]) for p in _tops(net, one, start, line)}))
    suffix = _suffix(net, line, one, two, entry)
    ours = {id(p) for p in suffix.parameters()}
    both = [name.removeprefix("net.") for name, p in prefix.named_parameters() if id(p) in ours]
    if both:
        raise StageError(f"{both[0]} is used below it and above it")
    return prefix, suffix


def _tops(net: nn.Module, seen: Trace, start: int, line: str) -> Iterator[str]:
    yield line
    for path, _ in net.named_modules():
        if path != line and seen.after(path, start) and not path.startswith(f"{line}."):
            yield path


def _entry(line: str, one: Trace, two: Trace) -> TensorSpec:
    calls, again = one.calls.get(line, ()), two.calls.get(line, ())
    if len(calls) != 1 or len(again) != 1:
        raise StageError(f"it runs {len(calls)} times in a forward, not once")
    if calls[0].takes is None or again[0].takes is None:
        raise StageError("what goes into it is no tensor")
    entry = tensor_spec(calls[0].takes, again[0].takes)
    assert isinstance(entry, TensorSpec)
    if not any(entry.growing):
        raise StageError("what goes into it does not depend on the pictures")
    return entry


def _suffix(net: nn.Module, line: str, one: Trace, two: Trace, entry: TensorSpec) -> Suffix:
    channels, height, width = one.shape
    picture = TensorSpec((1, channels, height, width), (True, False, False, False), one.pictures.dtype)
    suffix = Suffix(net, entry, picture)
    stand_ins = dict(_stand_ins(net, line, one, two, suffix.feed))
    suffix.net = twin(net, stand_ins)
    keep = {id(module) for module in stand_ins.values()}
    for module in stand_ins.values():
        if not isinstance(module, Placeholder):
            keep.update(id(child) for child in module.modules())
    still = []
    for path, module in suffix.net.named_modules():
        if id(module) in keep:
            continue
        _weights_to_buffers(module)
        if path and not line.startswith(f"{path}."):
            still.append(path)
        module.training = module.training and path not in still
    suffix.still = tuple(still)
    suffix.training = net.training
    return suffix


def _stand_ins(
    net: nn.Module, line: str, one: Trace, two: Trace, feed: Inputs
) -> Iterator[tuple[nn.Module, nn.Module]]:
    start = one.calls[line][0].start
    top = ""
    for path, module in net.named_modules():
        calls = one.calls.get(path, ())
        if not path or line.startswith(f"{path}.") or not calls or (top and path.startswith(f"{top}.")):
            continue  # it holds the line, or never runs itself (a list, a module used by methods), or was dealt with
        top = path
        if path == line:
            yield module, _line(module, feed)
        elif not one.before(path, start) or (len(calls) > 1 and next(module.parameters(), None) is None):
            yield module, module  # above the line, or an activation function that serves many places
        elif len(calls) == len(two.calls[path]) and _depends(calls, two.calls[path]):
            stub = _hollow(_Stub, module)
            pairs = zip(calls, two.calls[path], strict=True)
            stub.__dict__.update(_feed=feed, _blanks=tuple(tensor_spec(a.gives, b.gives) for a, b in pairs))
            yield module, stub
        # else it gives the same for every picture, and runs as it is


def _line(module: nn.Module, feed: Inputs) -> nn.Module:
    made = copy.copy(module)
    made._forward_pre_hooks = OrderedDict(module._forward_pre_hooks)
    made.register_forward_pre_hook(feed.swap, prepend=True)
    return made


def _weights_to_buffers(module: nn.Module) -> None:
    weights = {name: p for name, p in module._parameters.items() if p is not None}
    module._parameters = {name: p for name, p in module._parameters.items() if p is None}
    module._buffers.update({name: p.detach() for name, p in weights.items()})
    # none is persistent: the state of a suffix is what lies above the line
    module._non_persistent_buffers_set.update(module._buffers)


def _depends(calls: tuple[Call, ...], again: tuple[Call, ...]) -> bool:
    return any(_marks_differ(a.gives, b.gives) for a, b in zip(calls, again, strict=True))


def _marks_differ(one: Any, two: Any) -> bool:
    if isinstance(one, Traced) and isinstance(two, Traced):
        return not torch.equal(one.marks, two.marks)
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return any(_marks_differ(a, b) for a, b in zip(one, two, strict=False))
    if isinstance(one, dict) and isinstance(two, dict):
        return any(_marks_differ(one[key], two[key]) for key in one.keys() & two.keys())
    return False


def differs(suffix: Suffix, activation: Tensor, output: Any, value: float) -> str:
    """Why a suffix with its blanks filled with a value does not give the network's output, or "" if it does.

    The suffix learns here whether it writes into what it is fed, or into blanks, and gives itself copies from then on.
    """
    runner = twin(suffix).eval()
    assert isinstance(runner, Suffix)
    runner.feed.value = value
    given = activation.clone()
    version = given._version
    try:
        with torch.no_grad():
            got = runner(given)
    except Exception as error:  # whatever a stranger's forward raises on blanks
        if not suffix.feed.dense:
            suffix.feed.dense = True
            return differs(suffix, activation, output, value)
        return f"the layers above it do not run alone: {type(error).__name__}: {one_line(str(error))[:200]}"
    suffix.careful = suffix.careful or given._version != version
    return "" if same(got, output) else "more than one tensor goes from below it to above it"


def same(one: Any, two: Any) -> bool:
    """Whether two nests of tensors are equal, bit for bit."""
    if isinstance(one, Tensor) and isinstance(two, Tensor):
        return torch.equal(one, two)
    if isinstance(one, list | tuple) and isinstance(two, list | tuple):
        return len(one) == len(two) and all(same(a, b) for a, b in zip(one, two, strict=True))
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    return bool(one == two)

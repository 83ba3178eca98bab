"""Make a state dict's names fit a network, load it, and keep a table of what was taken.

`checkpoint_file` reads the file, `weight_sources` finds it, `tensor_names` shortens its names, `zoo` joins the three.
Only the head may differ: whatever else is missing, or of another shape, is an error and never silence.
"""

import copy
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from frostline.errors import WeightsError
from frostline.net import tensor_names
from frostline.net.checkpoint_file import Checkpoint, preference
from frostline.net.head import Head
from frostline.net.loaded import COUNTER, Loaded, Mismatch
from frostline.net.tensor_names import Reading, State
from frostline.net.true_numbers import refuse_not_finite, refuse_odd

# Under these names timm's model files keep what turns their authors' checkpoints into timm's names.
_FAMILY_FILTERS = ("checkpoint_filter_fn", "_filter_fn", "pretrained_filter_fn", "_filter_torchvision_pretrained")
# of transformers' networks, and of none of timm's and torchvision's
_OF_TRANSFORMERS = re.compile(r"(^|\.)(embeddings|embedder|first_conv)\.")
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")


@dataclass(frozen=True, slots=True)
class _Fit:
    """How one reading of a file's names fits a network."""

    taken: dict[str, Tensor]
    left_out: tuple[Mismatch, ...]
    missing: tuple[str, ...]
    strange: tuple[str, ...]
    reading: Reading
    by_order: str = ""
    resampled: tuple[Mismatch, ...] = ()


def load(
    net: nn.Module,
    state: State | Checkpoint,
    *,
    head: Head,
    source: str,
    digest: str,
    classes: Sequence[str] | None = None,
    file: Path | None = None,
) -> Loaded:
    """Fill a network from a state dict. Only the head may differ; the network is touched only if everything else fits.

    Names are tried as they are, without the prefixes that wrappers leave (wherever they stand), as timm's own converter
    for the family reads them, and at last by order. Of several state dicts in a file the averaged weights are taken if
    they fit, else the next.

    head: the network's classifier: tensors under it that the file lacks, or has in another shape, keep their values.
    classes: what the network's outputs mean. The file's head is kept only if the file names the same classes, and its
        rows are put into their order; without it a head of the same size is kept.
    file: the file itself, for formats that only timm's own code for the architecture reads (JAX's .npz).

    Raises: WeightsError: a tensor beyond the head is missing, of another shape, or has no place in the network; numbers
        that are not finite; or two parts of the file that fit equally well.
    """
    checkpoint = state if isinstance(state, Checkpoint) else Checkpoint({"": state})
    wanted = net.state_dict()
    best: _Fit | None = None
    part = ""
    for place, tensors in checkpoint.states.items():
        if best is not None and not best.strange and preference(place) > preference(part):
            break
        fit = _best_fit(net, tensors, wanted, head, ordered=checkpoint.ordered, file=file, source=source)
        if best is None or (best.strange and not fit.strange):
            best, part = fit, place
        elif not fit.strange and _differ(best, fit):
            raise _two_of(part, place, source)
    assert best is not None  # a checkpoint holds one state dict or more
    if best.strange:
        raise _misfit(best, wanted, source)
    refuse_odd(net, best.taken, source)
    best, said = _with_head(best, head, classes, checkpoint.classes)
    refuse_not_finite(net, best.taken, source)
    net.load_state_dict(best.taken, strict=False)  # the whole difference was just shown to be the head
    return Loaded(
        tuple(best.taken),
        best.left_out,
        best.missing,
        source,
        digest,
        best.reading.prefix,
        part if len(checkpoint.states) > 1 else "",
        best.by_order,
        said,
        _another(net, checkpoint),
        resampled=best.resampled,
    )


def _another(net: nn.Module, checkpoint: Checkpoint) -> str:
    """Sisters of one shape differ in padding, activation or what is normalised by: what loads may compute nonsense."""
    named = (checkpoint.architecture or "").partition(".")[0]
    return named if _architecture(net) not in ("", named) and timm.is_model(named) else ""


def _architecture(net: nn.Module) -> str:
    config = getattr(net, "pretrained_cfg", None)
    return str(config.get("architecture") or "") if isinstance(config, Mapping) else ""


def by_order(net: nn.Module, state: State, *, head: Head) -> dict[str, Tensor] | None:
    """A state dict of another code base under this network's names, if it agrees with it one by one.

    See `tensor_names.by_order`. Two layers of one shape that the other code base defines in the other order cannot be
    told apart so: whoever loads by order says it.

    Returns: the renamed state dict, or None if it disagrees anywhere.
    """
    wanted = net.state_dict()
    return tensor_names.by_order(state, wanted, frozenset(name for name in wanted if _under(name, head)))


def _best_fit(
    net: nn.Module, state: State, wanted: State, head: Head, *, ordered: bool, file: Path | None, source: str
) -> _Fit:
    found = list(tensor_names.readings(state, wanted))
    fits = [_compare(net, reading, wanted, head) for reading in found]
    if whole := [fit for fit in fits if not fit.strange]:
        _check_one(whole, source)
        return whole[0]
    for reading in found:
        for translate in _translations(net, file):
            translated = translate(reading.state)
            if translated is not None:
                fit = _compare(net, replace(reading, state=dict(translated)), wanted, head)
                if not fit.strange:
                    return replace(fit, resampled=_resampled(reading.state, fit.taken))
    for reading in found if ordered else ():
        renamed = by_order(net, reading.state, head=head)
        if renamed is not None:
            there, here = next(iter(reading.state)), next(iter(renamed))
            said = "" if _checked(net, state) else f"`{there}` is `{here}`"
            return replace(_compare(net, replace(reading, state=renamed), wanted, head), by_order=said)
    return max(fits, key=lambda fit: (len(fit.taken), -len(fit.strange)))


def _resampled(given: State, taken: State) -> tuple[Mismatch, ...]:
    """What has another count of numbers than in the file: of another size of picture or patch."""
    both = {name: (tuple(given[name].shape), tuple(t.shape)) for name, t in taken.items() if name in given}
    return tuple(Mismatch(n, *shapes) for n, shapes in both.items() if math.prod(shapes[0]) != math.prod(shapes[1]))


def _check_one(fits: Sequence[_Fit], source: str) -> None:
    """Two networks of one file, neither of which is known to be the better one, are not chosen from in silence."""
    first = fits[0]
    for other in fits[1:]:
        copies = first.reading.prefix and other.reading.prefix and first.reading.prefix != other.reading.prefix
        if copies and other.reading.rank == first.reading.rank and _differ(first, other):
            raise _two_of(first.reading.prefix, other.reading.prefix, source)


def _differ(one: _Fit, other: _Fit) -> bool:
    shared = one.taken.keys() & other.taken.keys()
    return any(not torch.equal(one.taken[name], other.taken[name]) for name in shared)


def _two_of(first: str, second: str, source: str) -> WeightsError:
    return WeightsError(
        f"two networks of the file fit equally well: `{first}` and `{second}`",
        where=source,
        hint="save the one that is meant into a file of its own",
    )


@dataclass(frozen=True, slots=True)
class Dialect:
    """A code base that defines the same layers in the same order as timm, checked by outputs and not by shapes alone.

    marks: names by which its files are known.  targets: pattern of the timm architectures it was checked against.
    """

    name: str
    marks: tuple[str, ...]
    targets: str


# tests/net/test_weights.py checks them: of these it need not be said that they are taken by order
_DIALECTS = (
    Dialect("EfficientNet-PyTorch", ("_conv_stem.weight", "_blocks.0._depthwise_conv.weight"), "tf_efficientnet_lite*"),
    Dialect("MobileNetV2 as torchvision has it", ("features.0.0.weight", "features.18.0.weight"), "mobilenetv2_100"),
)


def _checked(net: nn.Module, state: State) -> bool:
    architecture = _architecture(net)
    names = {tensor_names.without_wrapper(name) for name in state}
    return any(all(m in names for m in d.marks) and fnmatchcase(architecture, d.targets) for d in _DIALECTS)


def _with_head(fit: _Fit, head: Head, classes: Sequence[str] | None, there: Sequence[str] | None) -> tuple[_Fit, str]:
    """The fit with the file's head only if the names of its classes agree, its rows in the network's order.

    Returns: the fit, and what is to be said of the head beside its size.

    Without `classes` it stays as it is: whoever loads does not say what the outputs mean.
    """
    own = [name for name in fit.taken if _under(name, head)]
    if classes is None or not own:
        return fit, ""
    if there is not None and len(there) == len(classes) and set(there) == set(classes):
        rows = torch.tensor([list(there).index(name) for name in classes])
        taken = {name: t[rows] if name in own else t for name, t in fit.taken.items()}
        return replace(fit, taken=taken), "head kept: its classes are the same"
    why = (
        f"its classes are {', '.join(there[:3])}{' ...' if len(there) > 3 else ''}" if there else "it names no classes"
    )
    left = tuple(Mismatch(name, tuple(fit.taken[name].shape), tuple(fit.taken[name].shape)) for name in own)
    taken = {name: t for name, t in fit.taken.items() if name not in own}
    size = fit.taken[own[0]].shape[0]
    return replace(
        fit, taken=taken, left_out=(*fit.left_out, *left)
    ), f"head new: the file has one of {size}, and {why}"


def _under(name: str, head: Head) -> bool:
    return any(name == path or name.startswith(f"{path}.") for path in head.paths)


def _compare(net: nn.Module, reading: Reading, wanted: State, head: Head) -> _Fit:
    given = reading.state
    taken = {name: t for name, t in given.items() if name in wanted and t.shape == wanted[name].shape}
    missing = [name for name in wanted if name not in given]
    left = [
        Mismatch(name, tuple(t.shape), tuple(wanted[name].shape) if name in wanted else None)
        for name, t in given.items()
        if name not in taken
    ]
    strange = [name for name in missing if not _under(name, head) and not name.endswith(COUNTER)]
    strange += [m.key for m in left if not _may_be_left(m, net, head)]
    return _Fit(taken, tuple(left), tuple(missing), tuple(strange), reading)


def _may_be_left(mismatch: Mismatch, net: nn.Module, head: Head) -> bool:
    """The old head may, and what the network has no part of. A further block of a stage that the network has may not:
    the file is then of a deeper sister, of which every shape fits (a resnet34 in a resnet18)."""
    key = mismatch.key
    if _under(key, head) or (key.endswith(COUNTER) and mismatch.here is None):
        return True
    if mismatch.here is not None:
        return False
    parent = key.rpartition(".")[0]
    beside_head = any(path.startswith(f"{parent}.") for path in head.paths)
    return beside_head or key.partition(".")[0] not in dict(net.named_children())


def _translations(net: nn.Module, file: Path | None) -> Iterator[Callable[[State], State | None]]:
    yield lambda given: {_OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in given.items()}
    if file is not None and callable(getattr(net, "load_pretrained", None)):
        yield partial(_read_by_timm, net, file)
    module = type(net).__module__
    if not module.startswith("timm."):
        return
    for name in _FAMILY_FILTERS:
        if (convert := getattr(sys.modules[module], name, None)) is not None:
            yield partial(_converted, convert, net)


def _read_by_timm(net: nn.Module, file: Path, given: State) -> State | None:
    """JAX's arrays as timm's own code for the architecture reads them; None if it cannot, or leaves some unread."""
    if not any("/" in name for name in given):
        return None
    filled = copy.deepcopy(net)
    for tensor in filled.state_dict().values():
        if tensor.is_floating_point():
            tensor.fill_(torch.nan)
    with suppress(Exception):  # whatever timm's code makes of foreign names: then nothing is filled
        filled.load_pretrained(str(file))  # type: ignore[operator]
    read = {name: t for name, t in filled.state_dict().items() if not t.is_floating_point() or not t.isnan().any()}
    # positions are resampled to another size of picture; all else must be used up, or the file is of a deeper network
    of_file = sum(t.numel() for name, t in given.items() if not re.search(r"head|pos_?emb|pre_logits", name))
    of_net = sum(t.numel() for name, t in read.items() if not re.search(r"head|pos_?emb|pre_logits", name))
    return read if of_file == of_net else None


def _converted(convert: Callable[..., object], net: nn.Module, given: State) -> State | None:
    """timm's converter of the family applied to a copy; None if it cannot read these names."""
    try:
        try:
            made = convert(dict(given), net)
        except TypeError:  # some converters take the state dict only
            made = convert(dict(given))
    except Exception:  # a converter may stumble over any foreign name; the names as given, and their error, are kept
        return None
    if not isinstance(made, Mapping):
        return None
    return {str(name): tensor for name, tensor in made.items() if isinstance(tensor, Tensor)}


def _misfit(fit: _Fit, wanted: State, source: str) -> WeightsError:
    shapes = {m.key: m for m in fit.left_out}

    def describe(name: str) -> str:
        if name not in shapes:
            return f"{name} is missing"
        m = shapes[name]
        return f"{name} is {m.there} in the file and {m.here} here" if m.here else f"{name} has no place in the network"

    first = "; ".join(describe(name) for name in fit.strange[:3])
    more = f"; and {len(fit.strange) - 3} more" if len(fit.strange) > 3 else ""
    return WeightsError(
        f"{len(fit.taken)} of {len(wanted)} tensors fit, and {len(fit.strange)} beyond the head do not: {first}{more}",
        where=source,
        hint=_why_not(fit, wanted),
    )


def _why_not(fit: _Fit, wanted: State) -> str:
    if any(".lora_" in name for name in fit.reading.state):
        return "these are low-rank adapters, not a network: merge them into its weights first, and save those"
    if any(_OF_TRANSFORMERS.search(name) for name in fit.reading.state):
        return (
            "its names are those of transformers, which lays out its networks otherwise: give a function of yours that "
            "returns that network, with logits for an answer (--model package.module:factory)"
        )
    shapes = {m.key: m for m in fit.left_out}
    if len(fit.strange) == 1 and (m := shapes.get(fit.strange[0])) and m.there and m.here and len(m.there) == 4:
        alike = m.there[0] == m.here[0] and m.there[2:] == m.here[2:]
        if alike:
            return f"its network takes pictures of {m.there[1]} bands, and this one {m.here[1]}"
    return "is it a checkpoint of another architecture? try --model, or `frostline models PATTERN`"

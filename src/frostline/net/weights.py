"""Make a state dict's names fit a network, load it, and keep a table of what was taken.

`checkpoint_file` reads the file, `origins` finds it, `zoo` puts the three together. Only the head may differ: whatever
else is missing, or of another shape, is an error and never silence.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial

from torch import Tensor, nn

from frostline.errors import WeightsError, one_line
from frostline.net.checkpoint_file import read_checkpoint
from frostline.net.head import Head

__all__ = ["Loaded", "Mismatch", "by_order", "load", "read_checkpoint"]

# What DistributedDataParallel, torch.compile, training frameworks and self-supervised trainers put before every name.
_PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")
_COUNTER = "num_batches_tracked"
# Under these names timm's model files keep what turns their authors' checkpoints into timm's names.
_FAMILY_FILTERS = ("checkpoint_filter_fn", "_filter_fn", "pretrained_filter_fn", "_filter_torchvision_pretrained")
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")

State = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A tensor of the file that was left out. there: its shape in the file; here: in the network, if it has it."""

    key: str
    there: tuple[int, ...] | None
    here: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was loaded, left out and missing. It goes into the run's plan.json and into the model card.

    taken: names in the network that were filled from the file.
    left_out: tensors of the file that the network has no place for: the old head, auxiliary classifiers.
    missing: names in the network that the file lacks: the head, counters of files older than torch 0.4.1.
    source: file, package or hub repository.  digest: sha256 of the file, hexadecimal.
    prefix_removed: what stood before every name, e.g. "module.", or "".
    """

    taken: tuple[str, ...]
    left_out: tuple[Mismatch, ...]
    missing: tuple[str, ...]
    source: str
    digest: str
    prefix_removed: str = ""

    def __str__(self) -> str:
        total = len(self.taken) + len(self.missing) + sum(m.here is not None for m in self.left_out)
        parts = [f"{len(self.taken)} of {total} tensors from {self.source}"]
        if self.prefix_removed:
            parts.append(f"prefix `{self.prefix_removed}` removed")
        heads = [m for m in self.left_out if m.here and m.there and m.key.endswith("weight")]
        parts += [f"head {m.there[0]} -> {m.here[0]}" for m in heads if m.there and m.here]
        if any(not name.endswith(_COUNTER) for name in self.missing):
            parts.append("head new")
        if strangers := [m.key for m in self.left_out if m.here is None]:
            parts.append(f"left out {', '.join(strangers[:3])}{' ...' if len(strangers) > 3 else ''}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Dialect:
    """Another code base that names its tensors otherwise, but defines the same layers in the same order as timm.

    marks: names by which its files are known.  targets: pattern of the timm architectures it was checked against.
    """

    name: str
    marks: tuple[str, ...]
    targets: str


# Each was checked by outputs, not by shapes alone: tests/net/test_weights.py.
_DIALECTS = (
    Dialect("EfficientNet-PyTorch", ("_conv_stem.weight", "_blocks.0._depthwise_conv.weight"), "tf_efficientnet_lite*"),
    Dialect("MobileNetV2 as torchvision has it", ("features.0.0.weight", "features.18.0.weight"), "mobilenetv2_100"),
)


@dataclass(frozen=True, slots=True)
class _Fit:
    """How one reading of a file's names fits a network."""

    taken: dict[str, Tensor]
    left_out: tuple[Mismatch, ...]
    missing: tuple[str, ...]
    strange: tuple[str, ...]


def load(net: nn.Module, state: State, *, head: Head, source: str, digest: str) -> Loaded:
    """Fill a network from a state dict. Only the head may differ; the network is touched only if everything else fits.

    Names are tried as they are, without the prefixes that wrappers leave (repeated, in any order), by order if the file
    is of a code base known to agree in order, and as timm's own converter for the family reads them.

    head: the network's classifier: tensors under it that the file lacks, or has in another shape, keep their values.
    Raises: WeightsError: a tensor beyond the head is missing, of another shape, or has no place in the network, or
        one is not finite.
    """
    wanted = net.state_dict()
    given, prefix = _without_prefixes(state, wanted)
    best = first = _compare(net, given, wanted, head)
    for translate in _translations(net, head):
        if not best.strange:
            break
        if (translated := translate(given)) is not None:
            best = _compare(net, translated, wanted, head)
    if best.strange:
        raise _misfit(first, wanted, source)
    refuse_not_finite(net, best.taken, source)
    net.load_state_dict(best.taken, strict=False)  # the whole difference was just shown to be the head
    return Loaded(tuple(best.taken), best.left_out, best.missing, source, digest, prefix)


def refuse_not_finite(net: nn.Module, state: State, where: object) -> None:
    """Notice weights that hold NaN or infinity, before anything is computed with them. Buffers may: masks do.

    Raises: WeightsError: a parameter or a running statistic of the network that the state has is not finite.
    """
    learnt = {name for name, _ in net.named_parameters()}
    for name, tensor in state.items():
        if not (name in learnt or name.endswith(("running_mean", "running_var"))) or not tensor.is_floating_point():
            continue
        if not tensor.isfinite().all():
            count = int((~tensor.isfinite()).sum())
            raise WeightsError(
                f"{one_line(name)} holds {count:,} of {tensor.numel():,} numbers that are not finite (NaN or infinity)",
                where=where,
                hint="training diverged before they were saved, or the file is damaged: use an earlier checkpoint",
            )


def by_order(net: nn.Module, state: State, *, head: Head) -> dict[str, Tensor] | None:
    """A state dict of another code base under this network's names, if it agrees with it one by one.

    Accepted only from the code bases in the table above, and only if every tensor agrees in kind (last part of its
    name) and shape with the one at the same place; the head alone may differ in shape or be absent altogether.

    Returns: the renamed state dict, or None if the file is of no such code base or disagrees anywhere.
    """
    architecture = str((getattr(net, "pretrained_cfg", None) or {}).get("architecture", ""))
    dialect = next((d for d in _DIALECTS if all(mark in state for mark in d.marks)), None)
    if dialect is None or not fnmatchcase(architecture, dialect.targets):
        return None
    counted = any(name.endswith(_COUNTER) for name in state)
    wanted = {name: t for name, t in net.state_dict().items() if counted or not name.endswith(_COUNTER)}
    trunk = {name: t for name, t in wanted.items() if not _under(name, head)}
    places = {len(wanted): wanted, len(trunk): trunk}.get(len(state))
    if places is None:
        return None
    for (theirs, tensor), (ours, place) in zip(state.items(), places.items(), strict=True):
        kind = theirs.rpartition(".")[2] == ours.rpartition(".")[2]
        if not kind or (tensor.shape != place.shape and not _under(ours, head)):
            return None
    return dict(zip(places, state.values(), strict=True))


def _without_prefixes(state: State, wanted: State) -> tuple[dict[str, Tensor], str]:
    """The reading of the names that fits best among all ways of taking prefixes off; of equals, the shortest."""
    best = dict(state)
    removed, score = "", _hits(best, wanted)
    readings: list[tuple[dict[str, Tensor], str]] = [(best, "")]
    for names, gone in readings:
        for prefix in _PREFIXES:
            if len(readings) > 64 or not any(name.startswith(prefix) for name in names):
                continue
            shorter = {name.removeprefix(prefix): tensor for name, tensor in names.items()}
            if len(shorter) < len(names):
                continue
            readings.append((shorter, gone + prefix))
            if (hits := _hits(shorter, wanted)) > score:
                best, removed, score = shorter, gone + prefix, hits
    if score == 0:  # no reading fits as it stands: let the translations see the barest one
        best, removed = max(readings, key=lambda reading: len(reading[1]))
    return best, removed


def _hits(given: State, wanted: State) -> int:
    return sum(name in wanted for name in given)


def _under(name: str, head: Head) -> bool:
    return any(name == path or name.startswith(f"{path}.") for path in head.paths)


def _compare(net: nn.Module, given: State, wanted: State, head: Head) -> _Fit:
    taken = {name: t for name, t in given.items() if name in wanted and t.shape == wanted[name].shape}
    missing = [name for name in wanted if name not in given]
    left = [
        Mismatch(name, tuple(t.shape), tuple(wanted[name].shape) if name in wanted else None)
        for name, t in given.items()
        if name not in taken
    ]
    strange = [name for name in missing if not _under(name, head) and not name.endswith(_COUNTER)]
    strange += [m.key for m in left if not _may_be_left(m, net, head)]
    return _Fit(taken, tuple(left), tuple(missing), tuple(strange))


def _may_be_left(mismatch: Mismatch, net: nn.Module, head: Head) -> bool:
    """The old head may, and what the network has no part of. A further block of a stage that the network has may not:
    the file is then of a deeper sister, of which every shape fits (a resnet34 in a resnet18)."""
    key = mismatch.key
    if _under(key, head) or (key.endswith(_COUNTER) and mismatch.here is None):
        return True
    if mismatch.here is not None:
        return False
    parent = key.rpartition(".")[0]
    beside_head = any(path.startswith(f"{parent}.") for path in head.paths)
    return beside_head or key.partition(".")[0] not in dict(net.named_children())


def _translations(net: nn.Module, head: Head) -> Iterator[Callable[[State], State | None]]:
    yield lambda given: by_order(net, given, head=head)
    yield lambda given: {_OLD_DENSENET.sub(r"\1\2", name): tensor for name, tensor in given.items()}
    module = type(net).__module__
    if not module.startswith("timm."):
        return
    for name in _FAMILY_FILTERS:
        if (convert := getattr(sys.modules[module], name, None)) is not None:
            yield partial(_converted, convert, net)


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
        hint="is it a checkpoint of another architecture? try --model, or `frostline models PATTERN`",
    )

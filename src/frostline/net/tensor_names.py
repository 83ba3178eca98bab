"""Other people's names of the same tensors: prefixes that wrappers leave, and code bases that agree in order.

A *reading* is a state dict under names that a network may know. Which reading is taken is for `weights` to say, which
compares each with the network.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

State = Mapping[str, Tensor]

# What DistributedDataParallel, torch.compile, FSDP, activation checkpointing and DeepSpeed put into names, anywhere.
_WRAPPERS = frozenset(
    ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module", "_model")
)
# Of two networks in one file: averaged weights first (as their authors publish them), then what was trained itself.
AVERAGED = frozenset(("ema", "teacher", "averaged", "swa", "averager"))
_TRAINED = frozenset(("student", "online", "query", "q"))
_FOLLOWING = frozenset(("momentum", "target", "key", "k"))  # of two, what only followed it; papers judge the other
_KINDS = {
    **{name: name for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")},
    **{"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"},
    **{"scale": "weight", "kernel": "weight"},
}
_MOST_READINGS = 12
_ENOUGH = 0.5  # of the best prefix's hits: what has fewer is another part of the file, not another copy


@dataclass(frozen=True, slots=True)
class Reading:
    """A state dict under shorter names. prefix: what was taken off, or "" (with "+" before it: put before each name).

    rank: of two copies of a network in one file the lower one is preferred; copies of equal rank are alike.
    """

    state: dict[str, Tensor]
    prefix: str = ""
    rank: int = 1


def readings(state: State, wanted: State) -> Iterator[Reading]:
    """Ways to read a file's names, the likeliest first; every tensor of the file is in each."""
    raw = dict(state)
    known = {name: name for name in wanted}
    yield from _prefixed(raw, known, wanted)
    bare = _without_wrappers(raw)
    if list(bare) != list(raw):
        # the network's own names may have such parts too: both are compared without them
        yield from _prefixed(bare, {without_wrapper(name): name for name in wanted}, wanted)
    yield Reading(bare)
    while len(heads := {name.partition(".")[0] for name in bare}) == 1 and all("." in name for name in bare):
        bare = {name.partition(".")[2]: tensor for name, tensor in bare.items()}
        yield Reading(bare, f"{next(iter(heads))}.")


def without_wrapper(name: str) -> str:
    """A name without the parts that wrappers put into it."""
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def by_order(state: State, wanted: State, optional: frozenset[str]) -> dict[str, Tensor] | None:
    """A state dict of another code base under this network's names, if both define the same tensors in the same order.

    Every tensor must agree in kind (the last part of its name) and shape with the one at the same place, and tensors
    of one module there must be of one module here. Only the head may differ in shape or be absent.

    optional: names in the network that are its head's.

    Returns: the renamed state dict, or None if anything disagrees.
    """
    counted = any(name.endswith("num_batches_tracked") for name in state)
    whole = {name: t for name, t in wanted.items() if counted or not name.endswith("num_batches_tracked")}
    backbone = {name: t for name, t in whole.items() if name not in optional}
    places = {len(whole): whole, len(backbone): backbone}.get(len(state))
    if places is None:
        return None
    before: tuple[str, str] | None = None
    for (theirs, tensor), (ours, place) in zip(state.items(), places.items(), strict=True):
        (their_module, _, their_kind), (our_module, _, our_kind) = theirs.rpartition("."), ours.rpartition(".")
        if _KINDS.get(their_kind, "") != our_kind or (tensor.shape != place.shape and ours not in optional):
            return None
        if before and before[0] == their_module and before[1] != our_module:
            return None
        before = their_module, our_module
    return dict(zip(places, state.values(), strict=True))


def _prefixed(state: dict[str, Tensor], known: Mapping[str, str], wanted: State) -> Iterator[Reading]:
    """Readings by the prefixes that leave most names and shapes that the network has.

    known: the network's names, by what they are compared as.
    """
    removed: Counter[str] = Counter()
    added: Counter[str] = Counter()
    for name, tensor in state.items():
        for cut in (0, *(found.end() for found in re.finditer(r"\.", name))):
            if (ours := known.get(name[cut:])) is not None and wanted[ours].shape == tensor.shape:
                removed[name[:cut]] += 1
    for compared, ours in known.items():
        for found in re.finditer(r"\.", compared):
            tensor_there = state.get(compared[found.end() :])
            if tensor_there is not None and tensor_there.shape == wanted[ours].shape:
                added[compared[: found.end()]] += 1
    most = max((*removed.values(), *added.values()), default=0)
    likely = [(prefix, count, False) for prefix, count in removed.items() if count > _ENOUGH * most]
    likely += [(prefix, count, True) for prefix, count in added.items() if count > _ENOUGH * most]
    likely.sort(key=lambda found: (_rank(found[0]), -found[1], found[2], len(found[0])))
    for prefix, _, put_before in likely[:_MOST_READINGS]:
        if put_before:
            # what the network knows as it stands (the head of one's own around a backbone) stays
            renamed = {
                known.get(prefix + name, known.get(name, prefix + name)): tensor for name, tensor in state.items()
            }
            yield Reading(renamed, f"+{prefix}", _rank(prefix))
        else:
            yield Reading(_stripped(state, prefix, known), prefix, _rank(prefix))


def _stripped(state: dict[str, Tensor], prefix: str, known: Mapping[str, str]) -> dict[str, Tensor]:
    """Names under a prefix without it; others as they are, unless they would take the place of one of those."""
    found = {
        known.get(name[len(prefix) :], name[len(prefix) :]): tensor
        for name, tensor in state.items()
        if name.startswith(prefix)
    }
    for name, tensor in state.items():
        if not name.startswith(prefix):
            ours = known.get(name, name)
            found[ours if ours not in found else f"{name} "] = tensor
    return found


def _rank(prefix: str) -> int:
    words = set(re.split(r"[._]", prefix))
    if words & AVERAGED:
        return 0
    return 3 if words & _FOLLOWING else 1 if words & _TRAINED or not prefix else 2


def _without_wrappers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    shorter = {without_wrapper(name): tensor for name, tensor in state.items()}
    return shorter if len(shorter) == len(state) else state

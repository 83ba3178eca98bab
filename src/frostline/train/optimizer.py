"""Optimizers by name over groups given as data, and their state as plain values and tensors for a checkpoint."""

import difflib
from collections.abc import Mapping, Sequence
from functools import cache
from types import NoneType
from typing import Any

import torch
from timm.optim import create_optimizer_v2, get_optimizer_info, list_optimizers  # type: ignore[attr-defined]
from torch import Tensor, nn
from torch.optim import Optimizer

from frostline.errors import PlanError
from frostline.net.freeze import Group
from frostline.train.plan import Recipe

_KEPT = (Tensor, int, float, str, list, tuple, NoneType)  # of a group; a dtype, say, is an option and not state
_TENSOR = "tensor"  # the key under which a plain value says that it is a tensor, and by which name it is kept


def make_optimizer(net: nn.Module, groups: Sequence[Group], recipe: Recipe) -> Optimizer:
    """An optimizer of timm's factory over groups given as data; each group's peak rate is its ``initial_lr``.

    "sgd" is torch's own SGD with momentum, as in the lesson; timm's "sgd", which is Nesterov's, is called "nesterov".

    Raises: PlanError: timm knows no such optimizer, or it refuses its arguments.
    """
    if fault := fault_of(recipe.optimizer):
        raise PlanError(fault, where="--optimizer", hint="sgd and adamw are usual")
    named = dict(net.named_parameters())
    plain = [
        {
            "params": [named[name] for name in group.names],
            "lr": group.lr,
            "initial_lr": group.lr,
            "weight_decay": group.weight_decay,
            "name": group.stage,
        }
        for group in groups
    ]
    try:
        optimizer: Optimizer = create_optimizer_v2(
            plain, opt=_at_timm(recipe.optimizer), lr=max(group.lr for group in groups), momentum=recipe.momentum
        )
    except (ValueError, TypeError, AssertionError, ImportError) as error:
        raise PlanError(
            f"the optimizer {recipe.optimizer!r} cannot be made: {error}",
            where="--optimizer",
            hint="sgd and adamw are usual",
        ) from None
    _fuse(optimizer)
    return optimizer


def _fuse(optimizer: Optimizer) -> None:
    """On CUDA torch's usual optimizers step in one kernel in place of several a tensor: a GPU waits for launches."""
    usual = type(optimizer) in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
    if usual and all(p.is_cuda for group in optimizer.param_groups for p in group["params"]):
        for group in optimizer.param_groups:
            group["fused"] = True


@cache
def optimizers() -> tuple[str, ...]:
    """The names that `make_optimizer` takes; "lookahead_" before one of them wraps it (arXiv:1907.08610)."""
    # bitsandbytes' and apex' need packages and devices of their own; Kron compiles itself and keeps a generator of its
    # own beside its state.
    names = map(str, list_optimizers(exclude_filters=["bnb*", "fused*", "kron*", "momentum"]))
    return tuple(name for name in names if not get_optimizer_info(name).second_order)


def fault_of(name: str, *, momentum: bool = False) -> str:
    """What is wrong with an optimizer's name, or "". momentum: it is asked for with a momentum of its own."""
    plain = name.lower().removeprefix("lookahead_")
    if plain not in optimizers():
        near = difflib.get_close_matches(plain, optimizers(), n=3) or optimizers()
        return f"there is no optimizer {name!r}; there are: {', '.join(near)}"
    if momentum and not get_optimizer_info(_at_timm(plain)).has_momentum:
        return f"the optimizer {name!r} has no use for momentum"
    return ""


def _at_timm(name: str) -> str:
    wrapper = "lookahead_" if name.lower().startswith("lookahead_") else ""
    plain = name.lower().removeprefix(wrapper)
    return wrapper + ("momentum" if plain == "sgd" else plain)


def optimizer_state(optimizer: Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's whole state as tensors by name and JSON values, so that nothing has to be pickled."""
    whole = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    groups = [
        {key: value for key, value in group.items() if key != "params" and isinstance(value, _KEPT)}
        for group in whole["param_groups"]
    ]
    return tensors, {
        "state": [[key, _flat(slot, f"{key}", tensors)] for key, slot in whole["state"].items()],
        "groups": [_flat(group, f"group{i}", tensors) for i, group in enumerate(groups)],
    }


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
    """Put back what `optimizer_state` took into an optimizer over the same parameters."""
    own = optimizer.state_dict()["param_groups"]
    groups = [_like(group, _whole(kept, tensors)) for group, kept in zip(own, plain["groups"], strict=True)]
    state = {key: _whole(slot, tensors) for key, slot in plain["state"]}
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    for parameter, slot in optimizer.state.items():
        for key, value in slot.items():
            # In the parameter's own order in memory, which a checkpoint does not keep and a fused step asks for.
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                slot[key] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _like(own: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """A kept group with the parameters of our own, and tuples where JSON made lists of them."""
    return {**own, **{key: tuple(v) if isinstance(own.get(key), tuple) else v for key, v in kept.items()}}


def _flat(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """The same value with each tensor in it replaced by its name; the tensors go into `tensors`."""
    if isinstance(value, Tensor):
        tensors[name] = value
        return {_TENSOR: name}
    if isinstance(value, dict):
        return {key: _flat(part, f"{name}.{key}", tensors) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [_flat(part, f"{name}.{i}", tensors) for i, part in enumerate(value)]
    return value


def _whole(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, dict):
        if value.keys() == {_TENSOR}:
            return tensors[value[_TENSOR]].clone()  # an optimizer that steps must not change the checkpoint
        return {key: _whole(part, tensors) for key, part in value.items()}
    return [_whole(part, tensors) for part in value] if isinstance(value, list) else value

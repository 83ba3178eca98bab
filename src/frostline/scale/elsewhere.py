"""Which machines compute features: this one, or a cluster. Ray is imported only if it is asked for."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from frostline.errors import PlanError
from frostline.features.activations import Elsewhere


def elsewhere(on: str | None, address: str | None) -> Callable[[Mapping[str, Any]], Elsewhere] | None:
    """What makes the other machines that compute features; None where this one does.

    Raises: PlanError: there is no such engine.
    """
    if on is None:
        return None
    if on != "ray":
        raise PlanError(f"there is no cluster engine {on!r}", where="--on", hint="--on ray, or leave it out")
    return partial(import_module("frostline.scale.fill_on_ray").filling, address=address)

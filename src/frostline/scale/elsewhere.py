"""Which machines compute features: this one, or a cluster. Ray is imported only if it is asked for."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any

from frostline.errors import PlanError
from frostline.features.activations import Elsewhere
from frostline.scale.on_ray import check_engine


def elsewhere(on: str | None, address: str | None) -> Callable[[Mapping[str, Any]], Elsewhere] | None:
    """What makes the other machines that compute features; None where this one does.

    Raises: PlanError: there is no such engine; an address without one.
    """
    if on is None:
        if address is not None:
            raise PlanError("an address is that of a cluster", where="--address", hint="--on ray, or leave it out")
        return None
    check_engine(on)
    return partial(import_module("frostline.scale.fill_on_ray").filling, address=address)

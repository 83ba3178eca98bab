"""What can be built, and which of it has its weights on this machine. No torch is loaded where the list is known.

timm and torchvision have to be imported to say what they offer, which takes seconds: their list is kept on disk, by
their versions.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from frostline import atomic
from frostline.data.cache_folder import default_cache
from frostline.net import weight_sources
from frostline.net.weight_sources import Published
from frostline.registry import Registry

if TYPE_CHECKING:
    from torch import nn

factories: Registry[Callable[..., "nn.Module"]] = Registry("model", "frostline.models", option="--model")


@dataclass(frozen=True)
class AvailableModel:
    """A model that can be built. weights: "package x" or "cache" if they are on this machine, else ""."""

    name: str
    weights: str = ""


def available(pattern: str = "*", *, cache: Path | None = None) -> list[AvailableModel]:
    """What can be built, and which of it has its weights on this machine now. No network is built, no hub is asked.

    pattern: with * and ?, else a part of the name. cache: where the list of names is kept.
    """
    matches = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    listed = _listed(default_cache() if cache is None else cache)
    found = {name: place for name, place in listed.items() if fnmatchcase(name, matches)}
    local = dict.fromkeys(weight_sources.cached_names(found), "cache")
    for name, package in weight_sources.packages:
        if name in found and weight_sources.locate(package) is not None:
            local[name] = f"package {package.distribution}"
    architectures = [name for name in found if "." not in name or name in local]
    own = [name for name in factories.names() if fnmatchcase(name, matches)]
    return [AvailableModel(name, local.get(name, "")) for name in sorted({*architectures, *own})]


def _listed(cache: Path) -> Mapping[str, Published]:
    """Every name of timm (with each tag too) and torchvision, and where its weights are published."""
    kept = cache / f"models-{version('timm')}-{version('torchvision')}.json"
    with suppress(OSError, ValueError, TypeError, KeyError):
        says = json.loads(kept.read_bytes())
        return {name: Published(facts["hub"], tuple(facts["files"]), facts["url"]) for name, facts in says.items()}
    found = dict(import_module("frostline.net.published").published())
    with suppress(OSError):
        atomic.write(kept, json.dumps({name: asdict(place) for name, place in found.items()}))
    return found

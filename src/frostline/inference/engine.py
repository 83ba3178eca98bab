"""What runs a network as a function of pictures: one protocol and one registry for every command. No torch is loaded.

    Function    what an engine is asked to run
    Engine      pictures in, arrays out
    engines     name -> what opens an engine; ``auto`` asks them one after another, see `in_order`

An engine computes a picture's row from that picture alone, whatever stands beside it in a batch.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from frostline.errors import PlanError
from frostline.processors import gpu_driver
from frostline.registry import Registry, did_you_mean

if TYPE_CHECKING:
    from torch import nn

Batch = NDArray[np.uint8]
Outputs = tuple[NDArray[np.generic], ...]

PRECISIONS = ("auto", "fp32", "bf16")
"""The one vocabulary of precisions. "auto" is the fastest that agrees with float32, see `choose`."""

COSINE = 0.999
"""What a picture's row must have in common with that of plain torch in float32."""

_TOP1_TOLERANCE = 0.01  # of a cosine: two samples may be near twins


@dataclass
class Function:
    """A network that takes pictures (N, H, W, C) uint8 and gives one or more arrays (N, ...) float32.

    module: makes it as a torch module in eval mode (`network.Network`), for engines that need that; asked once.
    digest: of all that it computes. size: (H, W). channels: C.
    graph: gives the path of the same as an OpenVINO model, checked, where there is one.
    graph_digest: of the graph's files. device: "cpu" keeps torch off a GPU; else it takes the one that is here.
    """

    module: Callable[[], "nn.Module"]
    digest: str
    size: tuple[int, int]
    graph: Callable[[], Path] | None = None
    graph_digest: str = ""
    channels: int = 3
    device: str = "auto"
    _module: Any = field(default=None, repr=False)
    _converted: dict[str, Any] = field(default_factory=dict, repr=False)

    def torch(self) -> Any:
        """The torch module, the same one at each call."""
        if self._module is None:
            self._module = self.module()
        return self._module

    def converted(self, name: str, convert: Callable[[Any], Any]) -> Any:
        """The module in another library's form, made once: two precisions share one conversion."""
        if name not in self._converted:
            self._converted[name] = convert(self.torch())
        return self._converted[name]


class Engine(Protocol):
    """What computes a function. One thread at a time.

    An engine that is fast only with many pictures a call says so by a property ``at_once``.
    """

    @property
    def name(self) -> str:
        """As in the registry."""

    @property
    def precision(self) -> str:
        """What it computes in: "fp32" or "bf16"."""

    def run(self, pictures: Batch) -> Outputs:
        """Each output (N, ...) float32 of pictures (N, H, W, 3) uint8, new arrays."""


Maker = Callable[[Function, str, int, Path], Engine]
"""(function, precision, pictures computed at once, cache folder) -> engine.

Raises: EngineError: the engine is not installed, or cannot run the function in that precision.
"""


class Pixels:
    """The engine of an empty prefix: what reaches the line are the pictures themselves."""

    name = "decode"
    precision = "uint8"

    def run(self, pictures: Batch) -> Outputs:
        """The pictures."""
        return (pictures.copy(),)


def _lazily(module: str) -> Maker:
    def make(function: Function, precision: str, streams: int, cache: Path) -> Engine:
        made: Engine = import_module(module).make(function, precision, streams, cache)
        return made

    return make


engines: Registry[Maker] = Registry("engine", "frostline.engines", option="--engine")
for _found in iter_modules([str(Path(__file__).parent)]):  # a module NAME_engine here with `make` is the engine NAME
    if _found.name.endswith("_engine"):
        engines.register(_found.name.removesuffix("_engine"), _lazily(f"{__package__}.{_found.name}"))


def in_order(device: str = "auto") -> list[str]:
    """The names that "auto" tries, one after another: OpenVINO, plugins', torch, which runs everything.

    In fp32 OpenVINO is faster than torch in bf16, on a CPU. Where torch finds a CUDA card it comes last: plugins',
    torch, OpenVINO. device: "cpu" if a GPU is not to be used.
    """
    order = ("torch", "openvino") if device != "cpu" and _cuda() else ("torch",)
    return sorted(engines.names(), key=lambda name: order.index(name) if name in order else -1)


def _cuda() -> bool:
    return gpu_driver() and bool(import_module("torch").cuda.is_available())


def checked_precision(precision: str, allowed: tuple[str, ...] = PRECISIONS) -> str:
    """The precision itself.

    Raises: PlanError: it is none of those allowed.
    """
    if precision not in allowed:
        near = did_you_mean(precision, allowed) or f"one of: {', '.join(allowed)}"
        raise PlanError(f"there is no precision {precision!r}", where="--precision", hint=near)
    return precision


def disagreement(given: NDArray[np.generic], wanted: NDArray[np.generic]) -> str:
    """Why one engine's rows (N, ...) cannot stand for another's; "" if they can.

    They can if every row's cosine is above `COSINE`, and a reference head, which tells the rows apart by what is not
    common to them, gives each the same top-1.
    """
    if given.shape != wanted.shape:
        return f"shape {given.shape} instead of {wanted.shape}"
    ours, theirs = (rows.reshape(len(rows), -1).astype(np.float64) for rows in (given, wanted))
    if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        return "values that are not finite"
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    cosines = np.where(
        lengths > 0, (ours * theirs).sum(1) / np.where(lengths > 0, lengths, 1), ours.any(1) == theirs.any(1)
    )
    if cosines.min() <= COSINE:
        return f"cosine {cosines.min():.5f}"
    common = theirs.mean(0)
    head = theirs - common
    sizes = np.linalg.norm(head, axis=1)
    apart = sizes > 1e-3 * np.linalg.norm(theirs, axis=1)  # less is lost in float32 itself
    if apart.sum() < 2:
        return ""
    head, rows = head[apart] / sizes[apart, None], ours[apart] - common
    logits = rows @ head.T / np.maximum(np.linalg.norm(rows, axis=1), 1e-30)[:, None]
    if (logits.max(1) - np.diag(logits)).max() > _TOP1_TOLERANCE:
        return "another top-1 of the reference head"
    return ""

"""Run a prefix on the fastest engine whose numbers agree with the network's own.

    Engine         pictures in, activations out
    open_engine    the fastest one that agrees with plain torch on some sample pictures; the verdict is kept on disk
    settled        that verdict, without opening anything

Every engine computes a picture's row from that picture alone: OpenVINO runs pictures one by one, a core each, and torch
always runs batches of one size, so that a row does not depend on its neighbours.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frostline import atomic
from frostline.data.views import Preprocessing
from frostline.errors import EngineError, PlanError
from frostline.inference import openvino_engine, torch_engine
from frostline.inference.precision import best_precision
from frostline.inference.torch_engine import Network
from frostline.registry import Registry

Batch = NDArray[np.uint8]

PRECISIONS = ("auto", "fp32", "bf16")
COSINE = 0.999
"""What a picture's row must have in common with that of plain torch in float32."""

_TOP1_TOLERANCE = 0.01  # of a cosine: two samples may be near twins


class Engine(Protocol):
    """What computes activations. One thread at a time."""

    @property
    def name(self) -> str:
        """As in the registry."""

    @property
    def precision(self) -> str:
        """What it computes in: "fp32" or "bf16"."""

    def run(self, batch: Batch) -> NDArray[np.generic]:
        """Activations (N, ...) float32 of pictures (N, H, W, 3) uint8, a new array."""


Maker = Callable[[Network, str, Batch, str, Path], Engine]
"""(network, precision, one sample, digest of network and sample shape, cache folder) -> engine, or EngineError."""

engines: Registry[Maker] = Registry("engine", "frostline.engines")
engines.register("openvino", openvino_engine.make)
engines.register("torch", torch_engine.make)


class Pixels:
    """The engine of an empty prefix: what reaches the line are the pictures themselves."""

    name = "decode"
    precision = "uint8"

    def run(self, batch: Batch) -> NDArray[np.generic]:
        """The pictures."""
        return batch.copy()


def normalise(preprocessing: Preprocessing) -> Callable[[Tensor], Tensor]:
    """What makes pictures (N, H, W, 3) uint8 into what a network is fed: (N, 3, H, W) float32."""
    return torch_engine.Normalise(preprocessing)


def settled(digest: str, cache: Path, *, engine: str = "auto", precision: str = "auto") -> tuple[str, str] | None:
    """(name, precision) that ``open_engine`` chose for this prefix on such a machine; None if it never did."""
    try:
        kept = json.loads(_verdict(digest, cache, engine, precision).read_bytes())
        return str(kept["engine"]), str(kept["precision"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def open_engine(
    prefix: nn.Module,
    preprocessing: Preprocessing,
    *,
    engine: str = "auto",
    precision: str = "auto",
    samples: Batch,
    digest: str,
    cache: Path,
) -> Engine:
    """The fastest engine that agrees with plain torch in float32 on the samples.

    Agreeing is a cosine above `COSINE` for every sample, and the same top-1 of a reference head that tells the samples
    apart by what is not common to them.

    engine: "auto" or a name in the registry. precision: one of `PRECISIONS`; bf16 is tried where the hardware has it.
    samples: a few pictures (N, H, W, 3) uint8 as the view gives them.
    digest: of all that the prefix computes. cache: where compiled networks and verdicts are kept.

    Raises: EngineError: no engine allowed agrees. PlanError: there is no such precision. UnknownName: no such engine.
    """
    network = Network(prefix, preprocessing).eval()
    key = _hash(digest, json.dumps(preprocessing.to_dict()), samples.shape[1:])
    verdict = settled(digest, cache, engine=engine, precision=precision)
    if verdict is not None:
        with suppress(EngineError):
            return engines.get(verdict[0])(network, verdict[1], samples[:1], key, cache)
    wanted: NDArray[np.generic] | None = None
    refused = []
    for name, kind in _candidates(engine, precision):
        try:
            found = engines.get(name)(network, kind, samples[:1], key, cache)
            if wanted is None:
                wanted = torch_engine.Plain(network).run(samples)
            reason = disagreement(found.run(samples), wanted)
        except EngineError as error:
            reason = error.what
        if not reason:
            _keep(_verdict(digest, cache, engine, precision), name, kind)
            return found
        refused.append(f"{name} {kind}: {reason}")
    raise EngineError(
        "no engine gives the numbers that the network gives",
        where="; ".join(refused),
        hint="try --engine auto --precision auto; if that was tried, look for weights that are not finite",
    )


def disagreement(given: NDArray[np.generic], wanted: NDArray[np.generic]) -> str:
    """Why one engine's rows (N, ...) cannot stand for another's; "" if they can."""
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


def _candidates(engine: str, precision: str) -> list[tuple[str, str]]:
    if precision not in PRECISIONS:
        raise PlanError(f"the precision {precision!r} is not one of {', '.join(PRECISIONS)}", where="--precision")
    kinds = [precision] if precision != "auto" else ["bf16", "fp32"] if best_precision() == "bf16" else ["fp32"]
    if engine != "auto":
        names = [engine]
        engines.get(engine)
    else:
        # OpenVINO in fp32 is still faster than torch in bf16, on a CPU; it has nothing to say about CUDA.
        names = ["torch"] if torch.cuda.is_available() else engines.names()
    return [(name, kind) for name in names for kind in kinds]


def _verdict(digest: str, cache: Path, engine: str, precision: str) -> Path:
    machine = torch.backends.cpu.get_cpu_capability(), best_precision(), torch.cuda.is_available()
    return (
        cache / "engines" / f"{_hash(digest, engine, precision, torch.__version__, _version('openvino'), machine)}.json"
    )


def _keep(path: Path, engine: str, precision: str) -> None:
    with suppress(OSError):  # without it the next run checks again, and that is all
        atomic.write(path, json.dumps({"engine": engine, "precision": precision}))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _hash(*parts: object) -> str:
    return blake2b(repr(parts).encode(), digest_size=16).hexdigest()

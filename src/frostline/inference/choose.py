"""The fastest engine whose numbers agree with the network's own; the choice is kept on disk.

open_engine    tries engines on some sample pictures, beside plain torch in float32
settled        an earlier choice, without opening anything
"""

import json
from contextlib import suppress
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from frostline import atomic
from frostline.errors import EngineError, UnknownName
from frostline.inference.engine import (
    Batch,
    Engine,
    Function,
    Outputs,
    checked_precision,
    disagreement,
    engines,
    in_order,
)
from frostline.inference.precision import best_precision
from frostline.inference.torch_engine import Plain
from frostline.processors import processors


def settled(
    digest: str, cache: Path, *, engine: str = "auto", precision: str = "auto", device: str = "auto"
) -> tuple[str, str] | None:
    """(name, precision) that ``open_engine`` chose for this function on such a machine; None if it never did."""
    try:
        kept = json.loads(_choice(digest, cache, engine, precision, device).read_bytes())
        found = str(kept["engine"]), str(kept["precision"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if found in _candidates(engine, precision, device) else None  # a damaged one is chosen again


def open_engine(
    function: Function, *, engine: str = "auto", precision: str = "auto", samples: Batch, cache: Path
) -> Engine:
    """The fastest engine that agrees with plain torch in float32 on the samples, see ``engine.disagreement``.

    engine: "auto" or a name in the registry. precision: one of `PRECISIONS`; bf16 is tried where the hardware has it.
    samples: a few pictures (N, H, W, 3) uint8 as the view gives them. cache: where compiled networks and choices are
        kept.

    Raises: EngineError: no engine allowed agrees. PlanError: there is no such precision. UnknownName: no such engine.
    """
    device = function.device
    earlier = settled(function.digest, cache, engine=engine, precision=precision, device=device)
    if earlier is not None:
        with suppress(EngineError, UnknownName):
            return engines.get(earlier[0])(function, earlier[1], processors(), cache)
    wanted: Outputs | None = None
    refused = []
    for name, kind in _candidates(engine, precision, device):
        try:
            found = engines.get(name)(function, kind, processors(), cache)
            wanted = Plain(function.torch()).run(samples) if wanted is None else wanted
            reasons = [disagreement(*pair) for pair in zip(found.run(samples), wanted, strict=True)]
            reason = "; ".join(filter(None, reasons))
        except (EngineError, UnknownName) as error:  # or a plugin's package cannot be imported
            reason = error.what
        if not reason:
            with suppress(OSError):  # without it the next run checks again, and that is all
                kept = {"engine": name, "precision": kind}
                atomic.write(_choice(function.digest, cache, engine, precision, device), json.dumps(kept))
            return found
        refused.append(f"{name} {kind}: {reason}")
    raise EngineError(
        "no engine gives the numbers that the network gives",
        where="; ".join(refused),
        hint="try --engine auto --precision auto; if that was tried, look for weights that are not finite",
    )


def _candidates(engine: str, precision: str, device: str) -> list[tuple[str, str]]:
    checked_precision(precision)
    kinds = [precision] if precision != "auto" else ["bf16", "fp32"] if _best(device) == "bf16" else ["fp32"]
    if engine != "auto":
        names = [engine]
        engines.get(engine)
    else:
        names = in_order(device)
    return [(name, kind) for name in names for kind in kinds]


def _best(device: str) -> str:
    return best_precision("cpu" if device == "cpu" else "auto")


def _choice(digest: str, cache: Path, engine: str, precision: str, device: str) -> Path:
    cuda = device != "cpu" and torch.cuda.is_available()
    machine = torch.backends.cpu.get_cpu_capability(), _best(device), cuda
    parts = (digest, engine, precision, *engines.names(), torch.__version__, _version("openvino"), machine)
    return cache / "engines" / f"{blake2b(repr(parts).encode(), digest_size=16).hexdigest()}.json"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""

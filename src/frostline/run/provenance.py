"""All that a run was resolved to, for ``plan.json``: enough to repeat it, and to know it again when it is resumed."""

import hashlib
import json
import os
import platform
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from frostline.data.label_text import joined
from frostline.data.manifest import Manifest
from frostline.data.split import units
from frostline.inference.precision import best_precision
from frostline.net.zoo import Backbone
from frostline.options import OPTIONS, FitOptions
from frostline.train.plan import Plan

PACKAGES = ("frostline", "torch", "torchvision", "timm", "numpy", "pillow", "scikit-learn", "accelerate", "openvino")


def facts_of(
    plan: Plan, manifest: Manifest, backbone: Backbone, stages: Sequence[str], options: FitOptions, folds: int | None
) -> dict[str, Any]:
    """Plain values. "run" identifies plan, pictures, weights and seed together."""
    loaded = backbone.loaded
    resolved = {
        "model": backbone.name,
        "weights": loaded.digest if loaded else "random",
        "plan": plan.to_dict(),
        "seed": options.seed,
        "pictures": pictures_digest(manifest),
        "classes": list(manifest.classes),
        "preprocessing": backbone.preprocessing.to_dict(),
        "drop_path": options.drop_path,
        "precision": best_precision(options.device) if options.precision == "auto" else options.precision,
    }
    if folds is not None:
        resolved["folds"] = folds
    if options.engine != "auto":
        resolved["engine"] = options.engine
    return {
        "run": hashlib.blake2b(json.dumps(resolved, sort_keys=True).encode(), digest_size=8).hexdigest(),
        "strategy": plan.strategy,
        "seed": options.seed,
        "weights": {"source": loaded.source, "digest": loaded.digest, "loaded": str(loaded)} if loaded else "random",
        **counted(manifest),
        "labels": manifest.label_type,
        "stages": list(stages),
        "given": {option.name: _plain(value) for option, value in options.given()},
        "resolved": resolved,
        "versions": {name: _version(name) for name in PACKAGES},
    }


def counted(manifest: Manifest) -> dict[str, dict[str, dict[str, int]]]:
    """ "counts": how many pictures each class has, by split; "units": the same of duplicates and groups counted once,
    where that is fewer."""
    parts = {split: manifest.part(split) for split in manifest.splits} or {"train": manifest}
    counts = {split: part.counts() for split, part in parts.items()}
    drawn = {split: units_of(part) for split, part in parts.items()}
    return {"counts": counts} if drawn == counts else {"counts": counts, "units": drawn}


def command_of(source: str, options: FitOptions) -> str:
    """The line that repeats a run: ``frostline fit DATA --model ...``. Model, weights and strategy are always named."""
    words = ["frostline", "fit", source or "PICTURES"]
    always = {name: (OPTIONS[name], getattr(options, name)) for name in ("model", "weights", "strategy")}
    for option, value in {**always, **{option.name: (option, value) for option, value in options.given()}}.values():
        words += [option.flag] if value is True else [option.flag, "none" if value is None else str(value)]
    return shlex.join(words)


def units_of(part: Manifest) -> dict[str, int]:
    """How many units (duplicates, the pictures of a group, else single pictures) have each class."""
    together = units(part)
    own = range(len(part)) if together is None else together.tolist()
    pairs = {(label, unit) for row, unit in zip(part.rows, own, strict=True) for label in row.labels}
    counts = Counter(label for label, _ in pairs)
    return {name: counts[name] for name in part.classes}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def machine() -> str:
    """What this run was measured on, in a few words."""
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return f"{system}, {os.cpu_count()} cores"


def peak_memory() -> int:
    """The most that this process held at once so far, in bytes; 0 where the system does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def pictures_digest(manifest: Manifest) -> str:
    """A digest over all pictures with their splits and labels, blake2b, 128 bits."""
    lines = (f"{row.digest} {row.split} {joined(row.labels)}" for row in manifest.rows)
    return hashlib.blake2b("\n".join(lines).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"

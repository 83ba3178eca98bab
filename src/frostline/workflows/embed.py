"""Features of pictures as a table: path, label, split and what a pretrained backbone gives below its head."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline import atomic
from frostline.data.arrow_table import arrow_table
from frostline.data.label_text import as_text
from frostline.data.manifest import Manifest, Row, Skipped
from frostline.data.places.remote import url_of
from frostline.data.views import EvaluationView
from frostline.errors import DataError, PlanError
from frostline.events import Listener, quiet
from frostline.features.activations import Activations
from frostline.features.store import Store
from frostline.net import zoo

_BATCH = 1024


@dataclass(frozen=True, eq=False)
class Embedded:
    """rows: the pictures that could be read. features: (N, D) float32, a row each. skipped: the others, and why.

    several: whether a picture may have several labels: they are then joined.
    """

    rows: tuple[Row, ...]
    features: NDArray[np.float32]
    skipped: tuple[Skipped, ...]
    several: bool = False


def embed(
    manifest: Manifest,
    *,
    store: Store,
    cache: Path,
    model: str = "tf_efficientnet_lite0",
    weights: str | Path | None = "auto",
    line: str = "head",
    engine: str = "auto",
    precision: str = "auto",
    listen: Listener = quiet,
) -> Embedded:
    """What reaches a frost line of a backbone, for every picture; what is in the store is not computed again.

    line: "head", or a stage (``blocks.4``) whose maps are averaged over their pixels.

    Raises: WeightsError, UnknownName, StageError: the backbone cannot be made or cut. EngineError, StoreError: see
        `features`. DataError: no picture can be read.
    """
    backbone = zoo.build(model, classes=max(2, len(manifest.classes)), weights=weights)
    activations = Activations(backbone.net, model, backbone.preprocessing, store, cache, engine, precision, listen)
    read, skipped = activations.at(line, manifest.rows, EvaluationView(backbone.preprocessing), what="pictures")
    rows = manifest.without(skipped).rows
    if not rows:
        raise DataError("no picture can be read", where=manifest.source or None, hint=skipped[0].reason)
    parts = [pooled(read(np.arange(n, min(n + _BATCH, len(rows))))) for n in range(0, len(rows), _BATCH)]
    return Embedded(rows, np.concatenate(parts), (*manifest.skipped, *skipped), manifest.multilabel)


def check_place(place: Path) -> None:
    """Refuse a file that `write` could not make, before anything is computed for it.

    Raises: PlanError: another ending, a URL. MissingExtra: pyarrow is not installed.
    """
    if url_of(place) is not None:
        raise PlanError("one process writes a file", where=f"--out {url_of(place)}", hint="--on ray writes there")
    if place.suffix not in (".npz", ".parquet"):
        raise PlanError(f"features are not written as {place.suffix!r}", where=place, hint="name it .npz or .parquet")
    if place.suffix == ".parquet":
        arrow_table({})  # which needs pyarrow


def write(found: Embedded, place: Path) -> None:
    """Write ``.npz`` (arrays path, label, split, digest, features) or ``.parquet`` (the same as columns).

    Raises: PlanError, MissingExtra: as `check_place`. DataError: it cannot be written.
    """
    check_place(place)
    columns = {
        name: [_said(row, name, several=found.several) for row in found.rows]
        for name in ("path", "label", "split", "digest")
    }
    try:
        with atomic.beside(place) as fresh:
            if place.suffix == ".npz":
                path, label, split, digest = map(np.array, columns.values())
                with fresh.open("wb") as file:
                    np.savez(file, path=path, label=label, split=split, digest=digest, features=found.features)
            else:
                table = arrow_table({**columns, "features": found.features})
                import_module("pyarrow.parquet").write_table(table, fresh)
    except OSError as error:
        raise DataError(
            f"the features cannot be written: {atomic.reason(error)}",
            where=place,
            hint="free some space, or name another file with --out",
        ) from None


def pooled(rows: NDArray[Any]) -> NDArray[np.float32]:
    """(n, D) of rows (n, D) or of maps (n, D, H, W)."""
    return rows.astype(np.float32).reshape(*rows.shape[:2], -1).mean(2) if rows.ndim > 2 else rows.astype(np.float32)


def _said(row: Row, name: str, *, several: bool) -> str:
    if name == "path":
        return str(row.picture) if isinstance(row.picture, Path) else row.name
    return {"label": as_text(row.labels, several=several), "split": row.split or "", "digest": row.digest}[name]

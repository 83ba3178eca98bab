"""The store filled by a Ray cluster: actors decode and compute, this process writes what they give.

A row is addressed by its picture's content and by the engine that computed it, so the head that is fitted afterwards is
the one that a fit on one machine gives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.data.cache_folder import default_cache
from frostline.data.manifest import Row, Skipped
from frostline.data.views import Noting, View
from frostline.errors import EngineError
from frostline.events import quiet
from frostline.features.activations import SAMPLES, Activations, Elsewhere
from frostline.features.fill import BlockWriter, Progress, computed, missing
from frostline.features.store import Address, Shelf, Store
from frostline.inference.convert import samples
from frostline.inference.engine import Engine
from frostline.net import zoo
from frostline.scale.batches import alike, column_of, named, rows_of, use_given_cores
from frostline.scale.on_ray import answered, in_blocks, on_cluster


class FeaturesOf:
    """What one actor does: the rows of a line for batches of pictures.

    built: what `zoo.build` is given. line: of the network. view: how pictures are seen. address: of the shelf that is
    to be filled. Batches have a column "digest" and one with pictures; the answer has "digest", "row" (bytes, empty
    where there is an error), "shape", "dtype", "error" and "note" (see `Noting`).

    Raises: WeightsError, UnknownName: the network cannot be made there. EngineError: the engine is not to be had there,
        or the network has other weights there.
    """

    def __init__(self, built: Mapping[str, Any], line: str, view: View, address: Address) -> None:
        self.built, self.line, self.view, self.address = dict(built), line, view, address
        self._opened: Engine | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """See the class."""
        digests = list(map(str, batch["digest"]))
        listed = list(zip(rows_of(batch[column_of(batch, None)]), digests, strict=True))
        errors = {digest: row for row, digest in listed if isinstance(row, str)}
        rows = [replace(row, digest=digest) for row, digest in listed if isinstance(row, Row)]
        found: dict[str, NDArray[np.generic]] = {}
        for part in computed(rows, self.view, lambda _: self._engine(), kept=True):
            found |= zip((row.digest for row in part.rows), part.found, strict=True)
            errors |= {row.digest: reason for row, reason in part.failed}
        one = next(iter(found.values()), np.zeros(0, np.float32))
        columns = {
            "digest": digests,
            "row": [b"" if digest in errors else found[digest].tobytes() for digest in digests],
            "shape": [",".join(map(str, one.shape))] * len(digests),
            "dtype": [one.dtype.str] * len(digests),
            "error": [errors.get(digest, "") for digest in digests],
            "note": [self.view.note_of(d) if isinstance(self.view, Noting) else b"" for d in digests],
        }
        return {name: np.array(values, dtype=object) for name, values in columns.items()}

    def _engine(self) -> Engine:
        if self._opened is None:
            use_given_cores(None)
            backbone = zoo.build(**self.built)
            wants, cache = backbone.preprocessing, default_cache()
            engine, precision = self.address.engine, self.address.precision
            store = Store(cache / "store")
            held = Activations(backbone.net, backbone.name, wants, store, cache, engine, precision, quiet)
            if held.digest_of(self.line) != self.address.prefix:
                raise EngineError(
                    f"{backbone.name} has other weights on a worker than here",
                    where="--weights",
                    hint="name a file of weights that every machine reaches, and install the same versions",
                )
            self._opened = held.engine_at(self.line, samples(wants, SAMPLES))
        return self._opened


def filling(built: Mapping[str, Any], *, address: str | None = None, cpus: float = 1) -> Elsewhere:
    """What fills a shelf on a Ray cluster. built: what `zoo.build` is given. address, cpus: as ``on_ray.run``."""

    def fill(line: str, shelf: Shelf, rows: Sequence[Row], view: View, progress: Progress) -> list[Skipped]:
        todo = missing(shelf, rows)
        if not todo:
            return []
        asked = [
            block for some in in_blocks(todo) for block in alike(named(row) | {"digest": row.digest} for row in some)
        ]
        arguments = {"built": dict(built), "line": line, "view": view, "address": shelf.address}
        reasons: dict[str, str] = {}
        writer, done = BlockWriter(shelf, len(todo)), 0
        progress(0, len(todo))
        with on_cluster(address) as ray:
            try:
                for batch in answered(ray, FeaturesOf, arguments, asked, cpus=cpus):
                    _take(batch, writer, reasons, view)
                    done += len(batch["digest"])
                    progress(done, len(todo))
            finally:
                writer.flush()
        return [Skipped(row.name, reasons[row.digest]) for row in rows if row.digest in reasons]

    return fill


def _take(batch: Mapping[str, Any], writer: BlockWriter, reasons: dict[str, str], view: View) -> None:
    names = ("digest", "row", "shape", "dtype", "error", "note")
    for digest, row, shape, dtype, error, note in zip(*(batch[name] for name in names), strict=True):
        if note and isinstance(view, Noting):
            view.noted(str(digest), note)
        if error:
            reasons[str(digest)] = str(error)
            continue
        sides = [int(side) for side in str(shape).split(",")]
        writer.add([str(digest)], np.frombuffer(row, np.dtype(str(dtype))).reshape(1, *sides))

"""The store filled by a Ray cluster: actors decode and compute, this process writes what they give.

A row is addressed by its picture's content and by the engine that computed it, so the head that is fitted afterwards is
the one that a fit on one machine gives.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from frostline.data.manifest import Row, Skipped
from frostline.data.sources import default_cache
from frostline.data.views import View
from frostline.errors import DecodeError, EngineError
from frostline.events import quiet
from frostline.features.activations import SAMPLES, Activations, Elsewhere
from frostline.features.fill import BlockWriter, Progress, missing
from frostline.features.store import Address, Shelf, Store
from frostline.inference.convert import samples
from frostline.inference.engine import Engine
from frostline.net import zoo
from frostline.scale.batches import use_given_cores
from frostline.scale.on_ray import answered, on_cluster, path_of


class FeaturesOf:
    """What one actor does: the rows of a line for batches of pictures.

    built: what `zoo.build` is given. line: of the network. view: how pictures are seen. address: of the shelf that is
    to be filled. Batches have columns "digest" and "path"; the answer has "digest", "row" (bytes, empty where there is
    an error), "shape", "dtype" and "error".

    Raises: WeightsError, UnknownName: the network cannot be made there. EngineError: the engine is not to be had there,
        or the network has other weights there.
    """

    def __init__(self, built: Mapping[str, Any], line: str, view: View, address: Address) -> None:
        self.built, self.line, self.view, self.address = dict(built), line, view, address
        self._opened: Engine | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """See the class."""
        errors: list[str] = []
        pixels = []
        for path, digest in zip(batch["path"], batch["digest"], strict=True):
            try:
                pixels.append(self.view(Path(str(path)), str(digest)))
                errors.append("")
            except DecodeError as error:
                errors.append(error.what)
        rows = self._engine().run(np.stack(pixels))[0] if pixels else np.zeros((0, 0), np.float32)
        given = iter(rows)
        return {
            "digest": batch["digest"],
            "row": np.array([b"" if error else next(given).tobytes() for error in errors], dtype=object),
            "shape": np.array([",".join(map(str, rows.shape[1:]))] * len(errors), dtype=object),
            "dtype": np.array([rows.dtype.str] * len(errors), dtype=object),
            "error": np.array(errors, dtype=object),
        }

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
        asked = [{"digest": row.digest, "path": path_of(row)} for row in todo]
        arguments = {
            "built": dict(built),
            "line": line,
            "view": view,
            "address": shelf.address,
        }
        reasons: dict[str, str] = {}
        writer, done = BlockWriter(shelf, len(todo)), 0
        progress(0, len(todo))
        with on_cluster(address) as ray:
            found = answered(ray, FeaturesOf, arguments, asked, cpus=cpus)
            try:
                for batch in found.iter_batches(batch_size=None, batch_format="numpy"):
                    _take(batch, writer, reasons)
                    done += len(batch["digest"])
                    progress(done, len(todo))
            finally:
                writer.flush()
        return [Skipped(row.name, reasons[row.digest]) for row in rows if row.digest in reasons]

    return fill


def _take(batch: Mapping[str, Any], writer: BlockWriter, reasons: dict[str, str]) -> None:
    for digest, row, shape, dtype, error in zip(
        *(batch[name] for name in ("digest", "row", "shape", "dtype", "error")), strict=True
    ):
        if error:
            reasons[str(digest)] = str(error)
            continue
        sides = [int(side) for side in str(shape).split(",")]
        writer.add([str(digest)], np.frombuffer(row, np.dtype(str(dtype))).reshape(1, *sides))

"""What reaches a frost line, ready to be read by index: the bridge between a cut network and the store.

`features` fills a shelf, `store` keeps it, `engines` computes; this says which shelf belongs to a line and a view.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from frostline.data.manifest import Row, Skipped
from frostline.data.views import Augment, EvaluationView, Preprocessing, TrainingView, View
from frostline.net.stages import cut
from frostline.net.zoo import state_digest
from frostline.train.batches import in_memory
from frostline.train.engines import Engine, Pixels, open_engine, settled
from frostline.train.events import Listener, Note, Work
from frostline.train.features import fill
from frostline.train.machine import launched_processes
from frostline.train.store import Address, Store

Reader = Callable[[NDArray[np.int64]], NDArray[np.generic]]

BOTTOM = ""  # the line below which there is nothing: what reaches it are the pictures themselves


@dataclass
class Activations:
    """Readers of what reaches any line of one network.

    engine, precision: "auto" or a name, see `engines`. cache: where compiled engines are kept.
    engine_used: the engine and precision that computed last, "" if none had to.
    """

    net: nn.Module
    name: str
    preprocessing: Preprocessing
    store: Store
    cache: Path
    engine: str
    precision: str
    listen: Listener
    engine_used: str = ""

    def at(self, line: str, rows: Sequence[Row], view: View, *, what: str) -> tuple[Reader, list[Skipped]]:
        """A reader of one view of the rows, and the rows that cannot be decoded (the reader has no place for them).

        line: a stage or module path of the network, or `BOTTOM` for pictures (n, H, W, 3) uint8.
        what: a name for the progress that is told to the listener.

        Raises: StageError: the network cannot be cut at that line. StoreError, EngineError: see there.
        """
        if line == BOTTOM:
            return self._shelf(Address("pictures", view.key, "decode", "uint8"), lambda _: Pixels(), rows, view, what)
        prefix, _ = cut(self.net, line)
        digest = state_digest(prefix, f"{self.name} below {line}")

        def opened(samples: NDArray[np.uint8]) -> Engine:
            engine = open_engine(
                prefix,
                self.preprocessing,
                engine=self.engine,
                precision=self.precision,
                samples=samples,
                digest=digest,
                cache=self.cache,
            )
            self.listen(Note(f"{engine.name} {engine.precision} computes what lies below {line}"))
            return engine

        verdict = settled(digest, self.cache, engine=self.engine, precision=self.precision)
        if verdict is None:
            sample = _first_readable(rows, view)
            engine = opened(sample)
            verdict = engine.name, engine.precision
            return self._shelf(Address(digest, view.key, *verdict), lambda _: engine, rows, view, what)
        return self._shelf(Address(digest, view.key, *verdict), opened, rows, view, what)

    def _shelf(
        self,
        address: Address,
        opened: Callable[[NDArray[np.uint8]], Engine],
        rows: Sequence[Row],
        view: View,
        what: str,
    ) -> tuple[Reader, list[Skipped]]:
        shelf = self.store.shelf(address)
        rank, processes = launched_processes()
        mine = rows[rank::processes]
        skipped = fill(shelf, mine, view, opened, on_progress=lambda done, total: self.listen(Work(what, done, total)))
        return shelf, skipped


def training_views(preprocessing: Preprocessing, augment: str, erasing: float, views: int, seed: int) -> list[View]:
    """The views that epochs of training go through; one view, or no augmentation, is the evaluation view."""
    options = augmentation(augment, erasing)
    if views <= 1 or options is None:
        return [EvaluationView(preprocessing)]
    return [TrainingView(preprocessing, options, index, seed) for index in range(views)]


def augmentation(name: str, erasing: float = 0.0) -> Augment | None:
    """The augmentation of a name in `plan.AUGMENTATIONS`; None is none."""
    whole = {"scale": (1.0, 1.0), "ratio": (1.0, 1.0)}
    return {
        "none": None if not erasing else Augment(flip=0.0, erasing=erasing),
        "flip": Augment(scale=(0.9, 1.0), erasing=erasing),
        "basic": Augment(scale=(0.35, 1.0), erasing=erasing),
        "resized-crop": Augment(erasing=erasing),
        "trivial": Augment(scale=(0.35, 1.0), policy="trivial", erasing=erasing),
        "rand": Augment(scale=(0.35, 1.0), policy="rand", erasing=erasing),
    }[name]

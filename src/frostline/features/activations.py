"""What reaches a frost line, ready to be read by index: the bridge between a cut network and the store.

`fill` fills a shelf, `store` keeps it, `inference` computes; this says which shelf belongs to a line and a view.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from frostline.data.manifest import Row, Skipped
from frostline.data.views import Augment, EvaluationView, Preprocessing, TrainingView, View
from frostline.errors import DataError, DecodeError
from frostline.events import Listener, Note, Work
from frostline.features.fill import Progress, fill
from frostline.features.store import Address, Shelf, Store
from frostline.inference.choose import open_engine, settled
from frostline.inference.engine import Engine, Function, Pixels
from frostline.inference.network import Network
from frostline.net.code_digest import code_digest
from frostline.net.stages import cut
from frostline.net.zoo import state_digest
from frostline.processors import launched_processes

Reader = Callable[[NDArray[np.int64]], NDArray[np.generic]]

Elsewhere = Callable[[str, Shelf, Sequence[Row], View, Progress], list[Skipped]]
"""Fills the shelf of a line on other machines, as `fill` does it on this one: line, shelf, rows, view, progress."""

SAMPLES = 8
BOTTOM = ""  # the line below which there is nothing: what reaches it are the pictures themselves


@dataclass
class Activations:
    """Readers of what reaches any line of one network.

    engine, precision: "auto" or a name, see `inference`. device: "cpu" leaves a GPU alone.
    cache: where compiled engines are kept.
    engine_used: the engine and precision that computed last, "" if none had to. elsewhere: other machines that compute
    what the store lacks. collected: gives every launched process's value, in order of rank, and so waits for them; with
    it each fills its share of the rows, without it this process fills all.
    """

    net: nn.Module
    name: str
    preprocessing: Preprocessing
    store: Store
    cache: Path
    engine: str
    precision: str
    listen: Listener
    device: str = "auto"
    engine_used: str = ""
    elsewhere: Elsewhere | None = None
    collected: Callable[[Any], list[Any]] | None = None
    _prefixes: dict[str, nn.Module] = field(default_factory=dict, repr=False)
    _codes: dict[str, str] = field(default_factory=dict, repr=False)
    _announced: str = field(default="", repr=False)

    def at(self, line: str, rows: Sequence[Row], view: View, *, what: str) -> tuple[Reader, list[Skipped]]:
        """A reader of one view of the rows, and the rows that cannot be decoded (the reader has no place for them).

        line: a stage or module path of the network, or `BOTTOM` for pictures (n, H, W, 3) uint8.
        what: a name for the progress that is told to the listener.

        Raises: StageError: the network cannot be cut at that line. StoreError, EngineError: see there.
        """
        if line == BOTTOM:
            shelf = self.store.shelf(Address("pictures", view.key, "decode", "uint8"))
            return self._filled(shelf, partial(fill, opened=lambda _: Pixels()), rows, view, what)
        prefix = self._prefix(line)
        digest = self.digest_of(line)
        opened: list[Engine] = []

        def engine(samples: NDArray[np.uint8]) -> Engine:
            if not opened:
                opened.append(self._opened(prefix, samples, digest, line))
            return opened[0]

        verdict = settled(digest, self.cache, engine=self.engine, precision=self.precision, device=self.device)
        if verdict is None:
            chosen = engine(_samples(rows, view))
            verdict = chosen.name, chosen.precision
        self.engine_used = " ".join(verdict)
        by = partial(fill, opened=engine) if self.elsewhere is None else partial(self.elsewhere, line)
        return self._filled(self.store.shelf(Address(digest, view.key, *verdict)), by, rows, view, what)

    def engine_at(self, line: str, samples: NDArray[np.uint8]) -> Engine:
        """What computes the activations at a line, without a store. samples: pictures to try engines on.

        Raises: StageError: the network cannot be cut at that line. EngineError: see there.
        """
        return self._opened(self._prefix(line), samples, self.digest_of(line), line)

    def _prefix(self, line: str) -> nn.Module:
        # A prefix holds the network's own tensors and stays right when they change; proving a cut costs some forwards.
        if line not in self._prefixes:
            self._prefixes[line], _ = cut(self.net, line)
            self._codes[line] = code_digest(self._prefixes[line])  # once: what a module keeps, computing may change
        return self._prefixes[line]

    def digest_of(self, line: str) -> str:
        """Of all that is computed below a line: code, weights, line, and what normalises the pictures.

        Raises: StageError: the network cannot be cut at that line.
        """
        prefix = self._prefix(line)
        computes = f"{state_digest(prefix)} {self._codes[line]}"
        says = f"{self.name} {line} {self.preprocessing.mean} {self.preprocessing.std} {computes}"
        return blake2b(says.encode(), digest_size=16).hexdigest()

    def _opened(self, prefix: nn.Module, samples: NDArray[np.uint8], digest: str, line: str) -> Engine:
        function = Function(
            lambda: Network(prefix, self.preprocessing).eval(),
            digest,
            (samples.shape[1], samples.shape[2]),
            channels=samples.shape[3],
            device=self.device,
        )
        engine = open_engine(function, engine=self.engine, precision=self.precision, samples=samples, cache=self.cache)
        says = f"frozen layers are computed by {engine.name}, {engine.precision}"
        if says != self._announced:  # once, not for every frost line of a plan
            self._announced = says
            self.listen(Note(says))
        return engine

    def _filled(
        self,
        shelf: Shelf,
        by: Callable[[Shelf, Sequence[Row], View, Progress], list[Skipped]],
        rows: Sequence[Row],
        view: View,
        what: str,
    ) -> tuple[Reader, list[Skipped]]:
        rank, processes = launched_processes() if self.collected else (0, 1)
        skipped = by(shelf, rows[rank::processes], view, lambda done, total: self.listen(Work(what, done, total)))
        if self.collected is not None:
            found = {item.name: item for part in self.collected(skipped) for item in part}
            skipped = [found[row.name] for row in rows if row.name in found]
        left_out = {item.name for item in skipped}
        digests = [row.digest for row in rows if row.name not in left_out]
        return lambda indices: shelf.read([digests[index] for index in indices]), skipped


def training_views(preprocessing: Preprocessing, augment: str, erasing: float, views: int, seed: int) -> list[View]:
    """The views that epochs of training go through; one view, or no augmentation, is the evaluation view."""
    options = augmentation(augment, erasing)
    if views <= 1 or options is None:
        return [EvaluationView(preprocessing)]
    return [TrainingView(preprocessing, options, index, seed) for index in range(views)]


def augmentation(name: str, erasing: float = 0.0) -> Augment | None:
    """The augmentation of a name in `plan.AUGMENTATIONS`; None changes nothing."""
    if name == "none":
        return Augment(flip=0.0, scale=(1.0, 1.0), ratio=(1.0, 1.0), erasing=erasing) if erasing else None
    return replace(_AUGMENTATIONS[name], erasing=erasing)


_AUGMENTATIONS = {
    "flip": Augment(scale=(0.9, 1.0)),
    "basic": Augment(scale=(0.35, 1.0)),
    "resized-crop": Augment(),
    "trivial": Augment(scale=(0.35, 1.0), policy="trivial"),
    "rand": Augment(scale=(0.35, 1.0), policy="rand"),
}


def _samples(rows: Sequence[Row], view: View) -> NDArray[np.uint8]:
    """A few pictures to try an engine on.

    Raises: DataError: none of the first hundred can be decoded.
    """
    found, why = [], ""
    for row in rows[:100]:
        try:
            found.append(view(row.picture, row.digest))
        except DecodeError as error:
            why = why or error.what
        if len(found) == SAMPLES:
            break
    if not found:
        raise DataError(
            f"none of the first hundred pictures can be decoded, the first: {why}",
            where=rows[0].name,
            hint="are they pictures, and are they still there?",
        )
    return np.stack(found)

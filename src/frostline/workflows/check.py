"""Look at a data set before anyone trains on it: decode every picture once, ask a trunk and a probe, run the checks.

The checks are `judge.audit`'s; here is only where their arrays come from.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.data.manifest import Manifest, Row
from frostline.data.pictures.picture import Picture
from frostline.data.pictures.reading import AS_IT_IS, Reading
from frostline.data.places.inventory import Inventory
from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import as_found
from frostline.data.split import folds
from frostline.data.survey import survey
from frostline.data.views import EvaluationView, placed
from frostline.errors import DataError, FrostlineError
from frostline.events import Listener, Note, Warn, Work, quiet
from frostline.features.activations import Activations, Elsewhere
from frostline.features.store import Store
from frostline.inference.probabilities import softmax
from frostline.judge.audit.findings import Subject
from frostline.judge.audit.image_stats import AT_LEAST, LOOK, ImageStats, look, look_at
from frostline.judge.audit.near_duplicates import NearDuplicates, find_copies
from frostline.judge.audit.run_checks import Audit, audited, require_libraries
from frostline.net import zoo
from frostline.processors import processors
from frostline.train.solve import solve

Features = NDArray[np.float32]

_FOLDS = 5
_MANY = 10**9  # pictures x features x classes: past it, as of 4,000 pictures of 1,000 classes, a probe takes minutes
_DIRECTIONS = 256


def check_files(
    place: str | Path,
    *,
    cache: Path,
    reading: Reading = AS_IT_IS,
    how: PlaceOptions | None = None,
    listen: Listener = quiet,
) -> Audit:
    """What can be said of a data set without a network: files, copies, classes, light, shortcuts.

    reading: what was said of intensity, bands and background, as for a fit.

    Raises: DataError: there is nothing to look at. MissingExtra: a library is not installed.
    """
    listing, notes = _listed(place, cache, reading, how, listen)
    listing, looks = _look_at_the_rest(listing, notes, listen)
    why = "wrong labels and outliers: no network was asked"
    return audited(Subject(listing, find_copies(listing, looks), looks), not_checked=[why])


def check(
    place: str | Path,
    *,
    store: Store,
    cache: Path,
    model: str = "tf_efficientnet_lite0",
    weights: str | Path | None = "auto",
    engine: str = "auto",
    seed: int = 0,
    reading: Reading = AS_IT_IS,
    how: PlaceOptions | None = None,
    listen: Listener = quiet,
    elsewhere: Callable[[Mapping[str, Any]], Elsewhere] | None = None,
) -> Audit:
    """Everything `check_files` says, and what the features of a pretrained trunk add: wrong labels and outliers.

    What the trunk cannot be asked is listed in the audit's ``not_checked``, and the rest is checked all the same.
    elsewhere: given what `zoo.build` was given, makes what decodes and computes on other machines.

    Raises: DataError: there is nothing to look at. MissingExtra: a library is not installed.
    """
    listing, notes = _listed(place, cache, reading, how, listen)
    not_checked: list[str] = []
    features: Features | None = None
    try:
        classes = max(2, len(listing.classes))
        built: dict[str, Any] = {
            "name": model,
            "classes": classes,
            "weights": weights,
            "seed": seed,
            "reading": listing.reading,
        }
        backbone = zoo.build(**built)
        activations = Activations(backbone.net, model, backbone.preprocessing, store, cache, engine, "auto", listen)
        activations.elsewhere = None if elsewhere is None else elsewhere(built)
        if backbone.loaded:
            listen(Note(str(backbone.loaded)))
        listing, features = _features(listing, activations, notes, backbone.head.features)
    except FrostlineError as error:
        not_checked.append(f"wrong labels and outliers: {error.what}")
        listen(Warn(not_checked[-1]))
    listing, looks = _look_at_the_rest(listing, notes, listen)
    copies = find_copies(listing, looks)
    probabilities = None
    if features is not None:
        try:
            listen(Note(f"asking a probe about the labels of {len(listing):,} pictures"))
            probabilities = _probed(listing, copies, features, seed)
        except FrostlineError as error:
            not_checked.append(f"wrong labels: {error.what}")
    return audited(Subject(listing, copies, looks, features, probabilities), not_checked=not_checked)


class _Notes:
    """Image statistics by digest, as they come from any thread; as much memory at the beginning as at the end."""

    def __init__(self, listing: Inventory) -> None:
        digests = sorted({row.digest for row in listing.rows if row.digest})
        self.place = {digest: number for number, digest in enumerate(digests)}
        self.looks = np.zeros(len(digests), LOOK)
        self.there = np.zeros(len(digests), bool)

    def add(self, digest: str, seen: np.void) -> None:
        number = self.place[digest]
        self.looks[number], self.there[number] = seen, True

    def has(self, digest: str) -> bool:
        return bool(self.there[self.place[digest]])

    def of(self, rows: Sequence[Row]) -> ImageStats:
        """(N,); zeros for pictures that nobody saw."""
        numbers = np.array([self.place.get(row.digest, -1) for row in rows])
        found = self.looks[numbers] if len(self.looks) else np.zeros(len(rows), LOOK)
        found[numbers < 0] = np.zeros((), LOOK)
        return found


class _Sent:
    """Notes of another machine, until they are sent home."""

    def __init__(self) -> None:
        self._held: dict[str, bytes] = {}

    def add(self, digest: str, seen: np.void) -> None:
        self._held[digest] = seen.tobytes()

    def pop(self, digest: str) -> bytes:
        return self._held.pop(digest, b"")


class _Noting:
    """An evaluation view that looks at the picture on its way, so that one decode serves the trunk and the audit.

    On another machine it keeps its notes until ``note_of`` sends them; at home ``noted`` takes them.
    """

    def __init__(self, view: EvaluationView, notes: _Notes | _Sent) -> None:
        self._view, self._notes = view, notes

    def __reduce__(self) -> tuple[Any, ...]:
        return _Noting, (self._view, _Sent())

    def note_of(self, digest: str) -> bytes:
        return self._notes.pop(digest) if isinstance(self._notes, _Sent) else b""

    def noted(self, digest: str, note: bytes) -> None:
        self._notes.add(digest, np.frombuffer(note, LOOK)[0])

    @property
    def key(self) -> str:
        return self._view.key

    def __call__(self, picture: Picture, digest: str) -> NDArray[np.uint8]:
        opened = self._view.decoded(picture)
        self._notes.add(digest, look(picture, opened, self._view.preprocessing.reading))
        return placed(opened, self._view.preprocessing)


def _listed(
    place: str | Path, cache: Path, asked: Reading, how: PlaceOptions | None, listen: Listener
) -> tuple[Inventory, _Notes]:
    require_libraries()
    listing = as_found(place, how=how, cache=cache, progress=lambda done: listen(Work("files", done, 0)))
    listen(Note(listing.summary()))
    for line in listing.understood.warnings:
        listen(Warn(line))
    there = [row for row in listing.rows if row.digest]
    found = survey(there, asked, progress=lambda done, total: listen(Work("values", done, total)), strict=False)
    for line in found.notes:
        listen(Note(line))
    for line in found.warnings:
        listen(Warn(line))
    return replace(listing, reading=found.reading), _Notes(listing)


def _features(listing: Inventory, activations: Activations, notes: _Notes, width: int) -> tuple[Inventory, Features]:
    """(N, width) of what reaches the head, 0 for pictures that cannot be decoded, and the listing that names those."""
    plain = EvaluationView(activations.preprocessing)
    view = _Noting(plain, notes) if plain.least >= AT_LEAST else plain
    asked = [row for row in listing.rows if row.digest]
    if not asked:
        raise DataError("no picture can be read", where=listing.source, hint="are the paths in it right?")
    read, skipped = activations.at("head", asked, view, what="pictures")
    reasons = {item.name: item.reason for item in skipped}
    listing = listing.with_faults({row.digest: reasons[row.name] for row in asked if row.name in reasons})
    there = np.array([row.digest != "" and row.name not in reasons for row in listing.rows])
    if not there.any():
        raise DataError("no picture can be decoded", where=listing.source)
    found = read(np.arange(there.sum()))
    if found[0].size != width:
        raise DataError(f"the network's head reads {found.shape[1:]} a picture, not one vector")
    features = np.zeros((len(listing), width), np.float32)
    features[there] = found.reshape(len(found), -1)
    return listing, features


def _look_at_the_rest(listing: Inventory, notes: _Notes, listen: Listener) -> tuple[Inventory, ImageStats]:
    """Image statistics (N,) of every picture, and the listing that names those which cannot be decoded."""
    todo: dict[str, Row] = {}
    for row, fault in zip(listing.rows, listing.faults, strict=True):
        if not fault and not notes.has(row.digest):
            todo.setdefault(row.digest, row)
    reasons: dict[str, str] = {}

    def tell(done: int, total: int) -> None:
        listen(Work("looking at pictures", done, total))

    for digest, seen in look_at(list(todo.values()), threads=processors(), reading=listing.reading, progress=tell):
        if isinstance(seen, str):
            reasons[digest] = seen
        else:
            notes.add(digest, seen)
    return listing.with_faults(reasons), notes.of(listing.rows)


def _probed(listing: Inventory, copies: NearDuplicates, features: Features, seed: int) -> Features | None:
    """(N, K) probabilities of a solved head that saw neither the row nor a copy of it; else 0.

    Raises: DataError: several labels a picture; too few pictures or classes.
    """
    if listing.multilabel:
        raise DataError("a picture has several labels")
    asked = np.flatnonzero(listing.readable & (listing.targets >= 0))
    if not len(asked):
        return None
    rows = tuple(replace(listing.rows[number], digest=f"copies {copies.near[number]}") for number in asked)
    fold = np.zeros(len(asked), np.int64)
    for number, (_, held) in enumerate(folds(Manifest(rows, listing.classes), _FOLDS, seed=seed)):
        fold[held] = number
    x = features[asked]
    if x.size * len(listing.classes) > _MANY and np.isfinite(x).all():
        x = _strongest(x)
    solved = solve(x, listing.targets[asked], classes=len(listing.classes), folds=fold, seed=seed)
    if not solved.judged.any():
        raise DataError("no class has two different pictures, so none can be held out")
    logits = solved.out_of_fold()
    found = np.zeros((len(listing), len(listing.classes)), np.float32)
    found[asked] = softmax(logits) * solved.judged[:, None]
    return found


def _strongest(x: Features) -> Features:
    """(n, `_DIRECTIONS`) of (n, D): the standardised features along their principal axes, which know no label."""
    z = (x - x.mean(0)) / np.maximum(x.std(0), 1e-6)
    _, axes = np.linalg.eigh(z.T @ z)
    return np.asarray(z @ axes[:, -_DIRECTIONS:], np.float32)

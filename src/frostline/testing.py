"""For who writes a source or a strategy: checks that it does what frostline expects, as scikit-learn's check_estimator.

    from frostline.testing import check_source, check_strategy

    def test_my_source(tmp_path):
        check_source(my_plugin.listed, made_in(tmp_path))

Every fault is found first, and then all of them are one AssertionError. Any test runner will do.
"""

import inspect
import itertools
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from frostline.classifier import ImageClassifier
from frostline.data.manifest import SPLITS, Manifest, Row, Skipped
from frostline.data.pictures.picture import Crop, Item, Slice, content_digest
from frostline.data.pictures.samples import Samples
from frostline.data.sources import Source
from frostline.data.understood import Understood
from frostline.errors import FrostlineError
from frostline.net import zoo
from frostline.net.stages import stages
from frostline.train.defaults import TABLE
from frostline.train.strategies import Strategy, plan_by

_NETWORKS = ("test_resnet", "test_vit")  # timm's smallest, one of either kind
_GIVEN: dict[str, Any] = {"lr": 1e-3, "trunk_lr": 1e-4, "decay": 0.5, "epochs": 2, "rank": 2, "budget": 60.0}


def check_source(source: Source, place: object) -> Manifest:
    """Check a source on a place that it should read, and give the Manifest of it.

    It claims the place, and neither an empty folder nor one that is not there; it gives rows whose pictures, labels,
    splits, groups and names are what ``Row`` says, the same ones again when asked again, and leaves the place as it is.

    source: what ``@frostline.data.sources.source`` made. place: with at least one picture of two classes.

    Raises: AssertionError: it does not; all faults are listed. FrostlineError: what the source itself raises.
    """
    faults: list[str] = []
    before = _listing(place)
    if not source.claims(place):
        faults.append("it does not claim the place")
    if source.of is Path:
        with tempfile.TemporaryDirectory() as empty:
            for other in (Path(empty), Path(empty) / "not there"):
                if source.claims(other):
                    faults.append(f"it claims {'an empty folder' if other.exists() else 'a place that is not there'}")
    given = source.rows(place)
    if not isinstance(given, Iterator):
        faults.append(f"its rows are {type(given).__name__}: yield them one by one, so that memory stays flat")
    rows = [row for row in given if not isinstance(row, Understood)]
    again = [row for row in source.rows(place) if not isinstance(row, Understood)]
    if [_plain(row) for row in rows] != [_plain(row) for row in again]:
        faults.append("it gives other rows when it is asked again: sort what it lists, draw nothing at random")
    faults += [fault for number, row in enumerate(rows) for fault in _faults(number, row)]
    called = Counter(item.name for item in rows if isinstance(item, Row | Skipped) and item.name)
    faults += [f"{count} rows are called {name!r}" for name, count in called.most_common(3) if count > 1]
    if _listing(place) != before:
        faults.append("it changed the place")
    _raise(faults)
    return Manifest.of(rows)


def check_strategy(strategy: Strategy) -> None:
    """Check a strategy on a small convolutional network and a small transformer.

    It makes a plan for little data and much with nothing given, and with every option that it takes; the same plan from
    the same options; a plan that can be written down. One that can be imported (no function within a function) also
    learns from a few pictures, to its end.

    Raises: AssertionError: it does not; all faults are listed.
    """
    faults: list[str] = []
    name = getattr(strategy, "__name__", repr(strategy))
    takes = {option for option in list(inspect.signature(strategy).parameters)[1:] if option in TABLE}
    given = {option: value for option, value in _GIVEN.items() if option in takes}
    for network, options, pictures in itertools.product(_NETWORKS, ({}, given), (50, 5_000)):
        order = stages(zoo.build(network, classes=3, weights="none").net)
        called = f"for {network}, {pictures:,} pictures and {options or 'no options'}"
        try:
            plan = plan_by(strategy, name, order, options, pictures=pictures)
            json.dumps(plan.to_dict(), allow_nan=False)
        except FrostlineError as error:
            faults.append(f"{called}: {error}")
        except (TypeError, ValueError) as error:
            faults.append(f"{called}: its plan cannot be written as JSON: {error}")
        else:
            if plan != plan_by(strategy, name, order, options, pictures=pictures):
                faults.append(f"{called}: another plan from the same options")
    if not faults and "<locals>" not in strategy.__qualname__:
        faults += _learns(f"{strategy.__module__}:{strategy.__qualname__}", takes)
    _raise(list(dict.fromkeys(faults)))


def _learns(name: str, takes: set[str]) -> Iterator[str]:
    rng = np.random.default_rng(0)
    labels = ["dark", "light"] * 12
    pictures = [rng.integers(0, 100, (32, 32, 3), np.uint8) + (100 if label == "light" else 0) for label in labels]
    options: dict[str, Any] = {"epochs": 1} if "epochs" in takes else {}
    made = ImageClassifier(model=_NETWORKS[0], weights="none", image_size=32, strategy=name, engine="torch", **options)
    try:
        made.fit([picture.astype(np.uint8) for picture in pictures], labels)
    except FrostlineError as error:
        yield f"it does not learn: {error}"
        return
    if not all(tensor.isfinite().all() for tensor in made.net_.state_dict().values()):
        yield "the trained weights are not finite"


def _faults(number: int, row: object) -> Iterator[str]:
    if isinstance(row, Skipped):
        if not row.name or not row.reason:
            yield f"row {number}: a Skipped without a name or a reason"
        return
    if not isinstance(row, Row):
        yield f"row {number}: {type(row).__name__} is neither Row nor Skipped"
        return
    if not row.name:
        yield f"row {number}: it has no name"
    if not isinstance(row.picture, Path | bytes | np.ndarray | Samples | Slice | Item | Crop):
        yield f"row {number}: {type(row.picture).__name__} is no picture: see frostline.data.pictures.picture.Picture"
        return
    if not isinstance(row.labels, tuple) or not all(isinstance(label, str) and label for label in row.labels):
        yield f"row {number}: labels {row.labels!r} are no tuple of text"
    if row.split is not None and row.split not in SPLITS:
        yield f"row {number}: the split {row.split!r} is none of {', '.join(SPLITS)}, nor None"
    if row.group is not None and not isinstance(row.group, str):
        yield f"row {number}: the group {row.group!r} is no text"
    if row.digest and row.digest != content_digest(row.picture):
        yield f"row {number}: a digest that is not content_digest's; leave it empty"


def _plain(item: object) -> object:
    """What must be equal of equal rows: fetched pictures and pixels by their content."""
    if isinstance(item, Row) and isinstance(item.picture, Item | np.ndarray):
        return replace(item, picture=b"", digest=content_digest(item.picture))
    return item


def _listing(place: object) -> list[tuple[str, int, int]]:
    if not isinstance(place, Path) or not place.exists():
        return []
    found = sorted(place.rglob("*")) if place.is_dir() else [place]
    return [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in found if path.is_file()]


def _raise(faults: list[str]) -> None:
    if faults:
        shown = [*faults[:20], *([f"and {len(faults) - 20} more"] if len(faults) > 20 else [])]
        raise AssertionError("\n".join(shown))

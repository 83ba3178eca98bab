"""Servers that the tests of this folder share: one as it comes, and one of narrow limits."""

from collections.abc import Iterator

import pytest

from frostline.data.pictures.picture import content_digest
from frostline.judge.predictions import PICTURES, Outcome, to_csv
from tests.data.pictures import encoded, scene
from tests.ship.conftest import CLASSES
from tests.ship.serve.client import Served, serving


@pytest.fixture(scope="session")
def served(model) -> Iterator[Served]:
    """With what a run notes of held-out pictures beside the model: three of each class, and one that is gone."""
    run = model[0].parent
    rows = []
    for number in range(9):
        label, place = CLASSES[number % 3], run / f"{CLASSES[number % 3]} {number // 3}.png"
        place.write_bytes(encoded(scene(90, 70, number)))
        rows.append(Outcome(f"val/{place.name}", str(place), content_digest(place), "val", label, label, 0.9, True))
    rows.insert(3, Outcome("val/gone.png", str(run / "gone.png"), "x", "val", "ants", "ants", 0.9, True))
    (run / PICTURES).write_text(to_csv(rows), encoding="utf-8")
    with serving(model[0]) as server:
        yield server


@pytest.fixture(scope="session")
def narrow(model) -> Iterator[Served]:
    limits = "--max-bytes 200000 --max-pixels 100000 --max-files 3 --queue 8 --timeout 0.5"
    with serving(model[0], *limits.split()) as server:
        yield server

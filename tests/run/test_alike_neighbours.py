"""Consecutive pictures of one source are found by their features; single ones, and kinds sorted by name, are not."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from frostline import ImageClassifier
from frostline.data.manifest import Row
from frostline.events import Event, Warn
from frostline.run import alike_neighbours
from frostline.run.alike_neighbours import counting_up, said_of
from tests.run.test_every_picture import SMALL


def rows_of(names: list[str]) -> list[Row]:
    return [Row(name, (name.split("/")[0],), name=name) for name in names]


def test_names_that_count_up_are_put_in_order_within_class_folder_and_form() -> None:
    names = [f"{label}/x/shot{number}.png" for label in "ab" for number in (10, 9, 100, 1, 2, 3, 4, 5)]
    names += [f"a/y/shot{number}.png" for number in range(7)] + [f"a/x/{word}.png" for word in ("who", "what")]
    rows = rows_of(names)
    rows += [Row(names[0], ("a",), name="a/x/shot11.png", digest="copy") for _ in range(3)]
    found = [[rows[place].name for place in places] for places in counting_up(rows)]
    in_order = [1, 2, 3, 4, 5, 9, 10, 100]
    assert found == [
        [f"a/x/shot{n}.png" for n in sorted([*in_order, 11])],
        [f"b/x/shot{n}.png" for n in in_order],
    ]
    assert counting_up(rows_of(["a/" + "0" * 5000 + "1.png"] * 9))[0].tolist() == list(range(9))


def said(monkeypatch: pytest.MonkeyPatch, rows: list[Row], x: NDArray[np.float64]) -> str:
    monkeypatch.setattr(alike_neighbours, "features_of", lambda _context, _train, chosen: x[chosen])
    context: Any = SimpleNamespace(train=SimpleNamespace(rows=rows))
    return said_of(context)


def test_consecutive_pictures_of_one_source_are_found_and_hardly_ever_others(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, found = np.random.default_rng(0), {"single": 0, "of four": 0, "kinds": 0, "grouped": 0}
    names = [f"{label}/frame_{number}.png" for label in "ab" for number in range(24)]
    kinds = [f"{label}/{kind}_{number}.png" for label in "ab" for kind in ("pug", "tit") for number in range(12)]
    for _ in range(20):
        noise, of_four, of_kind = (np.repeat(rng.normal(size=(48 // n, 64)), n, axis=0) for n in (1, 4, 12))
        drawn = {
            "single": (rows_of(names), noise),
            "of four": (rows_of(names), noise + 0.7 * of_four),
            "kinds": (rows_of(kinds), noise + of_kind),
            "grouped": ([Row(row.picture, row.labels, None, "g", row.name) for row in rows_of(names)], noise + of_four),
        }
        for what, (rows, x) in drawn.items():
            found[what] += "--group" in said(monkeypatch, rows, x)
    assert found == {"single": 0, "of four": 20, "kinds": 0, "grouped": 0}


def test_a_fit_says_so_where_it_draws_what_is_held_out() -> None:
    rng = np.random.default_rng(0)
    scenes = np.repeat(rng.integers(0, 256, (8, 8, 8, 3)), 4, axis=0).repeat(8, axis=1).repeat(8, axis=2)
    pictures = list(np.clip(scenes + rng.normal(0, 20, scenes.shape), 0, 255).astype(np.uint8))
    warned: list[Event] = []
    labels = ["a"] * 16 + ["b"] * 16
    ImageClassifier(**SMALL, head_crops=0).fit(pictures, labels, listen=warned.append)
    assert any("nearer names" in event.text for event in warned if isinstance(event, Warn))

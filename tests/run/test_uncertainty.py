"""What is said of new pictures holds for them, where more pictures were held out than are measured."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from frostline.data.manifest import Manifest, Row
from frostline.data.views import Preprocessing
from frostline.judge.drift import Drift, distance
from frostline.run.uncertainty import novelty_of

MIDDLES = np.random.default_rng(9).normal(size=(2, 64))
MIDDLES /= np.linalg.norm(MIDDLES, axis=1, keepdims=True)


def drawn(rng: np.random.Generator, n: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features (n, 64) and classes: nine in ten are of one whose pictures differ, the others of one that are alike."""
    kind = (rng.random(n) > 0.9).astype(int)
    x = MIDDLES[kind] + np.where(kind == 0, 0.16, 0.05)[:, None] * rng.normal(size=(n, 64))
    return x.astype(np.float32), kind


class _Pictures:
    """Manifests of pictures whose features are known, and the context of a run that has a trunk for them."""

    def __init__(self, rng: np.random.Generator, sizes: dict[str, int]) -> None:
        self._features: dict[str, NDArray[np.float32]] = {}
        self.parts = {split: self._part(rng, split, n) for split, n in sizes.items()}

    def _part(self, rng: np.random.Generator, split: str, n: int) -> Manifest:
        x, kind = drawn(rng, n)
        rows = tuple(
            Row(f"{split}{i}", ("common" if k == 0 else "rare",), split, None, f"{split}{i}", f"{split}{i}")
            for i, k in enumerate(kind)
        )
        self._features |= {row.name: one for row, one in zip(rows, x, strict=True)}
        return Manifest(rows, ("common", "rare"))

    def context(self) -> Any:
        def at(line: str, rows: list[Row], view: object, *, what: str) -> Any:
            x = np.stack([self._features[row.name] for row in rows])
            return (lambda indices: x[indices]), []

        head = SimpleNamespace(others=(), features=64, path="fc")
        activations = SimpleNamespace(at=at, preprocessing=Preprocessing())
        return SimpleNamespace(
            train=self.parts["train"], seed=0, head=head, activations=activations, listen=lambda event: None
        )


@pytest.mark.parametrize("split", ["val", None])
def test_strange_pictures_are_as_rare_as_is_said_and_no_drift_is_called(split: str | None) -> None:
    """Measured class by class in turn, half of what is measured were of the rare class: drift in every draw."""
    rng = np.random.default_rng(0)
    alarms, called = [], 0
    for _ in range(6):
        pictures = _Pictures(rng, {"train": 4000, "val": 3000} if split else {"train": 4000})
        found = novelty_of(pictures.context(), pictures.parts[split] if split else None)
        assert found is not None
        assert found.n == 1000
        far = found.distances(drawn(rng, 800)[0])
        alarms.append((far > found.threshold).mean())
        called += bool(Drift(distance(found, far), None).signs)
    assert np.mean(alarms) == pytest.approx(0.01, abs=3 * np.sqrt(0.01 * 0.99 * (1 / 6_000 + 1 / 4_800)))
    assert called <= 2


def test_too_few_groups_are_not_called_too_few_pictures() -> None:
    pictures, said = _Pictures(np.random.default_rng(0), {"train": 400, "val": 60}), list[str]()
    context, val = pictures.context(), pictures.parts["val"]
    context.listen = lambda event: said.append(event.text)
    grouped = replace(val, rows=tuple(replace(row, group=f"g{i // 10}") for i, row in enumerate(val.rows)))
    assert novelty_of(context, grouped) is None
    assert said[0].endswith("fewer than 19 groups and single pictures were held out")

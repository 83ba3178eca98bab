"""The cells of the yardstick: a data set, a backbone, how many pictures to learn from, and a seed.

The protocol is ELEVATER's (Li et al. 2022, arXiv:2204.08790): so many pictures of each class, drawn three times, and
the whole. What is not learnt from is the test; of the whole it is the data set's own val folder, or one in five.
"""

import csv
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

BACKBONES = ("tf_efficientnet_lite0", "mobilenetv2_100")
EACH = (5, 20, 50)
WHOLE = 0


@dataclass(frozen=True)
class Picture:
    """A labelled picture. held: whether the data set itself keeps it apart from what is learnt from."""

    path: Path
    label: str
    held: bool = False


@dataclass(frozen=True, order=True)
class Cell:
    """One fit. each: pictures of each class, `WHOLE` for all of them."""

    data: str
    backbone: str
    each: int
    seed: int

    @property
    def name(self) -> str:
        """What results are kept under."""
        return f"{self.data}/{self.backbone}/{self.each or 'whole'}/{self.seed}"


def ants_bees(folder: Path) -> list[Picture]:
    """The lesson's pictures; its val folder is kept apart of the whole."""
    return [
        Picture(path, path.parent.name, held=path.parent.parent.name == "val")
        for path in sorted(folder.glob("*/*/*.jpg"))
    ]


def solar_cells() -> list[Picture]:
    """elpv-dataset: a cell is defective from a probability above 0.5 (as ``frostline demo --data solar-cells``)."""
    folder = _package("elpv_dataset", "elpv-dataset")
    lines = [line.split() for line in (folder / "labels.csv").read_text(encoding="utf-8").splitlines()]
    return _one_in_five(
        [Picture(folder / path, "defective" if float(p) > 0.5 else "functional") for path, p, _ in lines]
    )


def textile() -> list[Picture]:
    """conformal-clip-data: simulated woven textile without defects, with local and with global ones (MIT)."""
    folder = _package("conformal_clip_data", "conformal-clip-data") / "textile_images" / "simulated"
    return _one_in_five([Picture(path, path.parent.name) for path in sorted(folder.glob("*/*.jpg"))])


def data_sets(lesson: Path) -> Mapping[str, Callable[[], list[Picture]]]:
    """All that there are, by name. lesson: the folder of ants and bees."""
    return {"ants-bees": lambda: ants_bees(lesson), "solar-cells": solar_cells, "textile": textile}


def cells(data: Sequence[str], backbones: Sequence[str], seeds: int, each: Sequence[int] = EACH) -> Iterator[Cell]:
    """Every cell, by backbone and data set. seeds: draws of each size; the whole is fitted once."""
    for backbone in backbones:
        for name in data:
            for count in each:
                for seed in range(seeds if count != WHOLE else 1):
                    yield Cell(name, backbone, count, seed)


def drawn(pictures: Sequence[Picture], cell: Cell) -> np.ndarray:
    """Which pictures are learnt from, (N,) of bool; the same for every backbone."""
    if cell.each == WHOLE:
        return np.array([not picture.held for picture in pictures])
    rng = np.random.default_rng([zlib.crc32(cell.data.encode()), cell.seed])
    labels = np.array([picture.label for picture in pictures])
    learnt = np.zeros(len(pictures), bool)
    for label in np.unique(labels):
        # A longer draw begins with the shorter one: 20 pictures are the 5 and 15 more.
        learnt[rng.permutation(np.flatnonzero(labels == label))[: cell.each]] = True
    return learnt


def table(folder: Path, pictures: Sequence[Picture], cell: Cell) -> Path:
    """The cell as a table with the columns path, label and split, as frostline and pandas read it."""
    place = folder / f"{cell.data}-{cell.each or 'whole'}-{cell.seed}.csv"
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "split"))
        for picture, learnt in zip(pictures, drawn(pictures, cell), strict=True):
            writer.writerow((picture.path, picture.label, "train" if learnt else "test"))
    return place


def _one_in_five(pictures: Sequence[Picture]) -> list[Picture]:
    """With one in five of each class kept apart, by their order."""
    seen: dict[str, int] = {}
    found = []
    for picture in pictures:
        number = seen[picture.label] = seen.get(picture.label, -1) + 1
        found.append(Picture(picture.path, picture.label, number % 5 == 4))
    return found


def _package(module: str, distribution: str) -> Path:
    """The data folder of an installed package, which is not imported."""
    found = find_spec(module)
    if found is None or found.origin is None:
        raise SystemExit(f"the pictures come with the package {distribution}: pip install {distribution}")
    return Path(found.origin).parent / "data"

"""What all tests share: a cache of their own, and a small labelled data set that a small network can learn."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the networks here are so small that threads only wait for each other

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HYMENOPTERA = "hymenoptera_data"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing of the user's is read or written: the store, digests and compiled engines lie in a temporary folder."""
    place = tmp_path_factory.mktemp("cache")
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(place)
    os.environ["HF_HUB_OFFLINE"] = "1"
    yield place / "frostline"
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture(scope="session")
def leaves(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 training, 24 val and 24 test pictures of two classes that differ in hue, with noise; 64 x 48 PNG."""
    top = tmp_path_factory.mktemp("data") / "leaves"
    rng = np.random.default_rng(7)
    for split, count in (("train", 24), ("val", 12), ("test", 12)):
        for name, hue in (("green leaf", (70, 150, 60)), ("red leaf", (150, 70, 60))):
            folder = top / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                noise = rng.normal(0, 45, (12, 16, 3)).repeat(4, 0).repeat(4, 1)
                pixels = np.clip(np.array(hue) + noise + rng.normal(0, 25, 3), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return top


@pytest.fixture(scope="session")
def ants_bees() -> Path:
    """The lesson's data, where it is on this machine: $FROSTLINE_TEST_DATA, or shared/data beside the checkout."""
    root = Path(__file__).parents[1]
    for place in (os.environ.get("FROSTLINE_TEST_DATA"), root.parent / "shared" / "data"):
        if place and (Path(place) / HYMENOPTERA).is_dir():
            return Path(place) / HYMENOPTERA
    pytest.skip("the lesson's data is not on this machine: set FROSTLINE_TEST_DATA")

"""Real pictures to try frostline on, that need no account and no model hub.

solar-cells  2,624 electroluminescence pictures of solar cells, from the PyPI package ``elpv-dataset`` (the extra
             ``frostline[demo]``). The pictures are CC BY-NC-SA 4.0: not for commercial use, and to be cited.
ants-bees    398 pictures of ants and bees, the lesson's own, from pytorch.org with a digest check.
"""

import csv
import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from frostline import atomic
from frostline.data.manifest import Row
from frostline.errors import DataError, MissingExtra

ANTS_BEES = "https://download.pytorch.org/tutorial/hymenoptera_data.zip"
ANTS_BEES_SHA256 = "fbc41b31d544714d18dd1230b1e2b455e1557766e13e67f9f5a7a23af7c02209"  # as in pytorch/tutorials


@dataclass(frozen=True, slots=True)
class Demo:
    """A data set to try.

    about: a line on what it shows. licence: of the pictures. place: a folder or table that ``read`` takes; the argument
    is a folder where something may be kept.
    """

    name: str
    about: str
    licence: str
    place: Callable[[Path], Path]


def solar_cells(keep: Path) -> Path:
    """A table of the package's pictures: "functional" below a defect probability of 0.5, "defective" above.

    Raises: MissingExtra: the package is not installed.
    """
    package = find_spec("elpv_dataset")
    if package is None or package.origin is None:
        raise MissingExtra(
            "the solar cells come with the package elpv-dataset, which is not installed",
            hint='pip install "frostline[demo]"',
        )
    data = Path(package.origin).parent / "data"
    table = keep / "solar-cells.csv"
    with atomic.beside(table) as fresh, fresh.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label"))
        writer.writerows((row.picture, row.labels[0]) for row in _cells(data))
    return table


def _cells(data: Path) -> Iterator[Row]:
    for line in (data / "labels.csv").read_text(encoding="utf-8").splitlines():
        path, probability, _ = line.split()
        yield Row(data / path, labels=("defective" if float(probability) > 0.5 else "functional",))


def ants_bees(keep: Path) -> Path:
    """The lesson's data as a zip file, fetched once and checked against its digest.

    Raises: DataError: it cannot be fetched, or what came is not what was published.
    """
    archive = keep / "hymenoptera_data.zip"
    if archive.exists():
        return archive
    try:
        with atomic.beside(archive) as fresh:
            _fetch(fresh)
    except (urllib.error.URLError, OSError) as error:
        raise DataError(
            f"the pictures of ants and bees (47 MB) cannot be fetched: {error}",
            where=ANTS_BEES,
            hint="with the data on disk: frostline demo --data PATH; without: frostline demo --data solar-cells",
        ) from None
    return archive


def _fetch(place: Path) -> None:
    digest = hashlib.sha256()
    with urllib.request.urlopen(ANTS_BEES, timeout=20) as answer, place.open("wb") as file:
        while block := answer.read(1 << 20):
            digest.update(block)
            file.write(block)
    if digest.hexdigest() != ANTS_BEES_SHA256:
        raise DataError(
            f"what was fetched has the SHA-256 {digest.hexdigest()[:16]}…, not {ANTS_BEES_SHA256[:16]}…",
            where=ANTS_BEES,
            hint="try again; if it stays so, the file was changed: take the data from elsewhere with --data PATH",
        )


DEMOS: dict[str, Demo] = {
    demo.name: demo
    for demo in (
        Demo("solar-cells", "is a solar cell defective?", "CC BY-NC-SA 4.0 (elpv-dataset, ZAE Bayern)", solar_cells),
        Demo(
            "ants-bees", "the ants and bees of the transfer-learning lesson.", "as published by pytorch.org", ants_bees
        ),
    )
}

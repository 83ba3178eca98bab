"""The pictures of the benchmark: real ones as they are, and as many as one likes, made from them.

A made picture is a real one cropped, tinted and encoded again, so that its bytes, and with them its digest, differ from
all others'. It belongs to one of 1,000 kinds (source and tint), from which labels of fewer classes follow.
"""

import csv
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

KINDS = 1000
_SIDE = 320  # of the longer side of what pictures are made from, so that they are as large as pictures on the web


def made(folder: Path, sources: Path, count: int) -> Path:
    """A folder with at least so many JPEGs, 000000.jpg and on; those that are there stay.

    sources: a folder of real JPEGs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [number for number in range(count) if not _path(folder, number).exists()]
    if missing:
        real = sorted(sources.rglob("*.jpg"))
        by_source: dict[int, list[int]] = {}
        for number in missing:
            by_source.setdefault(_source(number, len(real)), []).append(number)
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            jobs = [pool.submit(_make, real[index], folder, numbers) for index, numbers in by_source.items()]
            for job in jobs:
                job.result()
    return folder


def table(path: Path, folder: Path, count: int, classes: int) -> Path:
    """A CSV table of the first pictures of a folder that `made` filled, with labels of so many classes."""
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("path", "label"))
        lines.writerows((_path(folder, n), f"class {n % KINDS % classes:04}") for n in range(count))
    return path


def first(folder: Path, pictures: Path, count: int) -> Path:
    """A folder with only the first so many pictures of one that `made` filled, by links."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in range(count):
        os.link(_path(pictures, number), folder / _path(pictures, number).name)
    return folder


def solar_cells(folder: Path, *, at_most: int | None = None) -> Path:
    """The solar cells of the package elpv-dataset as train/CLASS and val/CLASS, one in five for val, by their order."""
    if (folder / "val").is_dir():
        return folder
    from frostline.data.demos import solar_cells as demo

    half_made = folder.with_suffix(".tmp")
    shutil.rmtree(half_made, ignore_errors=True)
    with demo(folder.parent).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:at_most]
    dealt: dict[str, int] = {}
    for row in rows:
        number = dealt[row["label"]] = dealt.get(row["label"], -1) + 1
        place = half_made / ("val" if number % 5 == 4 else "train") / row["label"]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(row["path"], place)
    half_made.rename(folder)
    return folder


def few(place: Path, pictures: Path, each: int, test: int | None = None) -> Path:
    """A CSV table of a folder of split/class/picture: so many of each class to learn from, val as the test split.

    test: at most so many of each class.
    """
    with place.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("path", "label", "split"))
        for kind in sorted(pictures.glob("*/*")):
            train = kind.parent.name == "train"
            for path in sorted(kind.iterdir())[: each if train else test]:
                lines.writerow((path, kind.name, "train" if train else "test"))
    return place


def some(folder: Path, pictures: Path, each: int) -> Path:
    """A small copy of a folder of split/class/picture: so many of each class and split."""
    for place in sorted(pictures.glob("*/*")):
        there = folder / place.relative_to(pictures)
        there.mkdir(parents=True, exist_ok=True)
        for path in sorted(place.iterdir())[:each]:
            shutil.copy(path, there)
    return folder


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:06}.jpg"


def _source(number: int, sources: int) -> int:
    return number % KINDS % sources


def _make(source: Path, folder: Path, numbers: Sequence[int]) -> None:
    from PIL import Image

    with Image.open(source) as opened:
        whole = opened.convert("RGB")
    whole.thumbnail((_SIDE, _SIDE))
    for number in numbers:
        tint, change = number % KINDS // 100, number // KINDS
        left, top = change % 8, change // 8 % 8
        view = whole.crop((left, top, whole.width - 7 + left, whole.height - 7 + top))
        red, green, blue = ((1.0 - 0.05 * (tint >> bit & 3)) for bit in (0, 1, 2))
        view = Image.merge(
            "RGB", [b.point(lambda v, f=f: v * f) for b, f in zip(view.split(), (red, green, blue), strict=True)]
        )
        # The number itself goes into the file as a comment: no two are alike, however small the change.
        view.save(_path(folder, number), quality=90, comment=str(number).encode())

"""Memory at a tenth and at the whole of many pictures, in files, in WebDataset shards and in Parquet: it must not grow.

Pictures and network are small, so that it takes minutes: what grows with the number of pictures does so here too.
"""

import io
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from bench.pictures import first
from bench.scale_runs import cluster, frostline, on_ray, run

_OF_A_SHARD = 2000
_OF_A_GROUP = 500


def memory(model: Path, pictures: Path, count: int, place: Path) -> dict[str, Any]:
    """Bytes by kind of source and by number of pictures: of one process, of the driver and of the largest worker."""
    found: dict[str, Any] = {"pictures": count}
    for kind, make in SOURCES.items():
        for size, number in (("few", count // 10), ("many", count)):
            source = [str(one) for one in make(place / f"{kind}-{size}", pictures, number)]
            alone = run([*frostline("predict"), str(model), *source, "--csv"])
            with cluster() as nodes:
                many = run([*frostline("predict"), str(model), *source, *on_ray(place / "memory-out")], nodes)
            held = {"one process": alone.driver, "driver": many.driver, "worker": many.worker}
            found.setdefault(kind, {})[size] = held
            print(kind, number, {name: value >> 20 for name, value in held.items()}, flush=True)
    return found


def files(folder: Path, pictures: Path, count: int) -> list[Path]:
    """A folder with the first so many, by links."""
    return [first(folder, pictures, count)]


def shards(folder: Path, pictures: Path, count: int) -> list[Path]:
    """The same as WebDataset: tar files of pictures with labels."""

    def write(place: Path, some: Sequence[Path]) -> None:
        with tarfile.open(place, "w") as tar:
            for path in some:
                tar.add(path, path.name)
                label = tarfile.TarInfo(f"{path.stem}.cls")
                label.size = 1
                tar.addfile(label, io.BytesIO(b"0"))

    return _parted(folder, pictures, count, ".tar", write)


def parquet(folder: Path, pictures: Path, count: int) -> list[Path]:
    """The same as Parquet: the encoded pictures in one column."""

    def write(place: Path, some: Sequence[Path]) -> None:
        table = pyarrow.table({"image": [path.read_bytes() for path in some], "label": ["0"] * len(some)})
        pyarrow.parquet.write_table(table, place, row_group_size=_OF_A_GROUP)

    return _parted(folder, pictures, count, ".parquet", write)


SOURCES = {"files": files, "WebDataset": shards, "Parquet": parquet}


def _parted(
    folder: Path, pictures: Path, count: int, ending: str, write: Callable[[Path, Sequence[Path]], None]
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(pictures.iterdir())[:count]
    places = [folder / f"{start:06}{ending}" for start in range(0, count, _OF_A_SHARD)]
    for number, place in enumerate(places):
        write(place, paths[number * _OF_A_SHARD :][:_OF_A_SHARD])
    return places


def memory_lines(found: Mapping[str, Any], where: str) -> list[str]:
    """What the page says of it."""

    def said(few: int, many: int) -> str:
        return f"{few >> 20} and {many >> 20}"

    few, many = found["pictures"] // 10, found["pictures"]
    return [
        f"The most memory in MiB, with {few:,} and {many:,} pictures of 64 pixels, {where}:",
        "",
        "| pictures in | one process | driver on Ray | largest worker on Ray |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {kind} | " + " | ".join(said(held["few"][name], held["many"][name]) for name in held["few"]) + " |"
            for kind, held in found.items()
            if kind in SOURCES
        ),
        "",
    ]

"""What is damaged, and who has to refuse it. Each seed is a good file; ``seal`` makes checksums right again.

An attacker's file has right checksums, a broken disk's has not: of a sealed seed, half of the mutants are of either.
"""

import bz2
import csv
import gzip
import hashlib
import io
import json
import lzma
import os
import pickle
import shutil
import struct
import tarfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.pictures import encoded, scene

Seal = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Seed:
    """name: of the file, whose suffix may matter. data: what is damaged. seal: what is done to it afterwards."""

    name: str
    data: bytes
    seal: Seal | None = None


@dataclass(frozen=True)
class Target:
    """share: of all mutants. seeds: made in a folder. attempt: reads a damaged file, with the seeds' folder."""

    share: float
    seeds: Callable[[Path], list[Seed]]
    attempt: Callable[[Path, Path], None]


def pictures(_: Path) -> list[Seed]:
    rgb = Image.fromarray(scene(61, 43))
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = [Image.fromarray(scene(20, 20, seed)) for seed in range(3)]
    moving = {"save_all": True, "append_images": frames[1:]}
    deep = Image.fromarray(np.arange(64 * 40, dtype=np.uint16).reshape(40, 64) * 25)
    made = [
        Seed("a.jpg", encoded(rgb, "JPEG", exif=exif)),
        Seed("progressive.jpg", encoded(rgb, "JPEG", progressive=True, quality=60)),
        Seed("cmyk.jpg", encoded(rgb.convert("CMYK"), "JPEG")),
        Seed("a.png", encoded(rgb), _png),
        Seed("deep.png", encoded(deep), _png),
        Seed("palette.png", encoded(rgb.quantize(16), "PNG", transparency=3), _png),
        Seed("a.gif", encoded(frames[0], "GIF", **moving)),
        Seed("a.webp", encoded(rgb, "WEBP")),
        Seed("moving.webp", encoded(frames[0], "WEBP", **moving)),
        Seed("a.bmp", encoded(rgb, "BMP")),
        Seed("a.tif", encoded(rgb, "TIFF")),
        Seed("lzw.tif", encoded(rgb, "TIFF", compression="tiff_lzw")),
        Seed("float.tif", encoded(Image.fromarray(np.random.default_rng(0).normal(size=(9, 9)).astype("f4")), "TIFF")),
        Seed("a.ppm", encoded(rgb, "PPM")),
        Seed("a.ico", encoded(rgb.resize((32, 32)), "ICO")),
        Seed("a.jp2", encoded(rgb, "JPEG2000")),
    ]
    return [*made, Seed("a.avif", encoded(rgb, "AVIF"))] if "AVIF" in Image.SAVE else made


def read_picture(file: Path, _: Path) -> None:
    from frostline.data.decode import decode
    from frostline.data.pictures.picture import content_digest
    from frostline.data.pictures.reading import Reading
    from frostline.data.views import EvaluationView, Preprocessing

    content_digest(file)
    decode(file)
    EvaluationView(Preprocessing(size=(32, 32), reading=Reading(window=(-3.0, 3.0))))(file)


def tables(folder: Path) -> list[Seed]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = _data(folder)
    rows = [(name, name.split("/")[1], name.split("/")[0], f"g{n % 3}") for n, name in enumerate(names)]
    made = []
    for suffix, delimiter in ((".csv", ","), (".csv", ";"), (".tsv", "\t")):
        text = io.StringIO()
        csv.writer(text, delimiter=delimiter).writerows([("path", "label", "split", "group"), *rows])
        made.append(Seed(f"t{suffix}", text.getvalue().encode()))
    columns = dict(zip(("path", "label", "split", "group"), map(list, zip(*rows, strict=True)), strict=True))
    held = [(folder / name).read_bytes() for name in names]
    for image in (columns["path"], held, [{"bytes": content, "path": "x"} for content in held]):
        out = io.BytesIO()
        pq.write_table(pa.table({**columns, "path": image}), out, row_group_size=5, compression="snappy")
        made.append(Seed("t.parquet", out.getvalue()))
    return made


def archives(folder: Path) -> list[Seed]:
    _data(folder / "data")
    out = {}
    for form in ("zip", "tar"):
        out[form] = Path(shutil.make_archive(str(folder / "packed"), form, folder, "data")).read_bytes()
    stored = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(out["zip"])) as packed, zipfile.ZipFile(stored, "w") as again:
        for info in packed.infolist():
            again.writestr(info.filename, packed.read(info) if not info.is_dir() else b"")
    return [
        Seed("a.zip", out["zip"]),
        Seed("stored.zip", stored.getvalue()),
        Seed("a.tar", out["tar"], _tar),
        Seed("a.tar.gz", out["tar"], lambda data: gzip.compress(_tar(data), 1)),
        Seed("b.tar.gz", gzip.compress(out["tar"])),
        Seed("a.tar.xz", lzma.compress(out["tar"])),
        Seed("a.tar.bz2", bz2.compress(out["tar"])),
        Seed("shard.tar", _shard(folder / "data"), _tar),
    ]


def read_data(file: Path, folder: Path) -> None:
    """Whatever it is, as `fit` reads it; and the first pictures of it."""
    from frostline.data.decode import decode
    from frostline.data.sources import read
    from frostline.errors import DecodeError

    for row in read(file, cache=folder / "cache").rows[:4]:
        try:
            decode(row.picture)
        except DecodeError as error:
            check_words(error.what, str(error.where))


def checkpoints(_: Path) -> list[Seed]:
    import torch
    from safetensors.torch import save

    state = {f"layer.{n}.weight": torch.randn(8, 4) for n in range(4)} | {"steps": torch.tensor(7)}
    whole = {"state_dict": state, "epoch": 3, "arch": "resnet", "args": {"lr": 0.1}}
    new, old = io.BytesIO(), io.BytesIO()
    torch.save(whole, new)
    torch.save(whole, old, _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(io.BytesIO(new.getvalue())) as packed:
        members = {info.filename: packed.read(info) for info in packed.infolist()}
    inner = next(name for name in members if name.endswith("data.pkl"))

    def repacked(data: bytes) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as packed:
            for name, content in members.items():
                packed.writestr(name, data if name == inner else content)
        return out.getvalue()

    safe = save(state)
    length = struct.unpack("<Q", safe[:8])[0]
    return [
        Seed("new.pth", new.getvalue()),
        Seed("inner.pth", members[inner], repacked),
        Seed("old.pth", old.getvalue()),
        Seed("evil.pth", pickle.dumps(_Evil()), repacked),
        Seed("a.safetensors", safe),
        Seed(
            "header.safetensors",
            safe[8 : 8 + length],
            lambda header: struct.pack("<Q", len(header)) + header + safe[8 + length :],
        ),
    ]


class _Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("import pathlib; pathlib.Path('was-executed').touch()",)


def read_checkpoint(file: Path, folder: Path) -> None:
    from frostline.net.checkpoint_file import read_checkpoint as read

    try:
        read(file)
    finally:
        assert not Path("was-executed").exists(), "a checkpoint ran code"


_MEMBERS = ("frostline.json", "config.json", "model.safetensors", "graph.xml", "graph.bin")


def model_folders(folder: Path) -> list[Seed]:
    from frostline.data.views import Preprocessing
    from frostline.net import zoo
    from frostline.ship import folder as ship
    from frostline.ship.model_info import ModelInfo

    backbone = zoo.build("test_resnet", classes=3, weights="none", image_size=32)
    about = ModelInfo(
        name="test_resnet",
        classes=("a", "b", "c"),
        preprocessing=Preprocessing(size=(32, 32)),
        arguments={"img_size": 32},
    )
    ship.save(folder / "good", backbone.net, about)
    return [Seed(name, (folder / "good" / name).read_bytes(), lambda data: data) for name in _MEMBERS]


def read_model_folder(file: Path, folder: Path) -> None:
    """The folder with one file replaced; a sealed one states the replaced file's digest, as its author would."""
    from frostline.data.manifest import Row
    from frostline.ship.open_folder import open_folder
    from frostline.ship.open_predictor import open_predictor

    place = folder / "model"
    if place.exists():
        shutil.rmtree(place)
    shutil.copytree(folder / "good", place)
    shutil.copyfile(file, place / file.name)
    if file.parent.name == "sealed" and file.name != "frostline.json":
        stated = json.loads((place / "frostline.json").read_text())
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        text = (folder / "good" / file.name).read_bytes()
        stated = json.loads(json.dumps(stated).replace(hashlib.sha256(text).hexdigest(), digest))
        (place / "frostline.json").write_text(json.dumps(stated))
    if file.name.startswith("graph"):
        list(open_predictor(place, engine="openvino", cache=folder / "graphs").predict([Row(scene(40, 30))]))
    else:
        open_folder(place)


def saved_sets(folder: Path) -> list[Seed]:
    import datasets

    names = _data(folder / "data")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    content = [{"bytes": (folder / "data" / name).read_bytes(), "path": None} for name in names]
    columns = {"image": content, "label": [name.split("/")[1] for name in names]}
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(folder / "good")
    return [Seed(path.name, path.read_bytes()) for path in sorted((folder / "good").iterdir())]


def read_saved_set(file: Path, folder: Path) -> None:
    place = folder / "set"
    if place.exists():
        shutil.rmtree(place)
    shutil.copytree(folder / "good", place)
    shutil.copyfile(file, place / file.name)
    read_data(place, folder)


TARGETS: Mapping[str, Target] = {
    "pictures": Target(0.40, pictures, read_picture),
    "tables": Target(0.20, tables, read_data),
    "archives": Target(0.15, archives, read_data),
    "data sets": Target(0.05, saved_sets, read_saved_set),
    "checkpoints": Target(0.15, checkpoints, read_checkpoint),
    "model folders": Target(0.05, model_folders, read_model_folder),
}


def _only_this(_: Path) -> list[Seed]:
    return [Seed("good", b"good")]


def _wrong(fault: Callable[[], object]) -> Callable[[Path, Path], None]:
    def attempt(file: Path, _: Path) -> None:
        if file.read_bytes() != b"good":
            fault()

    return attempt


FAULTY: Mapping[str, Target] = {
    "dies": Target(0, _only_this, _wrong(os.abort)),
    "hangs": Target(0, _only_this, _wrong(lambda: time.sleep(60))),
    "eats memory": Target(0, _only_this, _wrong(lambda: bytearray(1 << 32))),
    "raises": Target(0, _only_this, _wrong(lambda: 1 // 0)),
}
"""Readers that do what none may do: by them the harness itself is tested."""


def check_words(what: str, where: str | None) -> None:
    """One printable line of a fact, and a place."""
    assert what.strip(), "the refusal says nothing"
    assert what.isprintable(), f"the refusal is not one printable line: {what!r}"
    assert where, f"the refusal says no place: {what!r}"


def _data(folder: Path) -> list[str]:
    names = [f"{split}/{label}/{n}.png" for split in ("train", "val") for label in "ab" for n in range(3)]
    for seed, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded(scene(12, 9, seed)))
    return names


def _shard(folder: Path) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as shard:
        for number, path in enumerate(sorted(folder.rglob("*.png"))):
            label = json.dumps({"label": path.parent.name, "split": path.parent.parent.name})
            for name, content in ((f"{number}.png", path.read_bytes()), (f"{number}.json", label.encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                shard.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _png(data: bytes) -> bytes:
    """Right checksums for all chunks that can be told."""
    out, place = bytearray(data[:8]), 8
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4])
        body = data[place + 4 : place + 8 + length]
        out += data[place : place + 4] + body + zlib.crc32(body).to_bytes(4)
        place += 12 + length
    return bytes(out) + data[place:]


def _tar(data: bytes) -> bytes:
    """Right checksums for all headers that lie where they should."""
    out = bytearray(data)
    for place in range(0, len(out) - 511, 512):
        if out[place + 257 : place + 262] == b"ustar":
            out[place + 148 : place + 156] = b" " * 8
            out[place + 148 : place + 156] = b"%06o\0 " % sum(out[place : place + 512])
    return bytes(out)


warnings.simplefilter("ignore")  # of libraries about files that are damaged: the refusal says enough

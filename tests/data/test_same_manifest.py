"""Every source gives the same Manifest for the same pictures: digests, labels, groups and splits."""

import io
import json
import shutil
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from frostline.data.decode import decode
from frostline.data.manifest import Manifest
from frostline.data.pictures.picture import Slice
from frostline.data.sources import read
from tests.data.pictures import tree

SPLITS, CLASSES, COUNT = ("train", "val", "test"), ("ant", "bee 2", "bee 10"), 3
NAMES = [f"{split}/{label}/{n}.png" for split in SPLITS for label in CLASSES for n in range(COUNT)]
Made = Callable[[Path], Any]


def facts(manifest: Manifest) -> list[tuple[str, tuple[str, ...], str | None]]:
    return sorted((row.digest, row.labels, row.split) for row in manifest.rows)


def records(top: Path) -> list[dict[str, Any]]:
    return [
        {"name": name, "path": top / name, "label": name.split("/")[1], "split": name.split("/")[0]} for name in NAMES
    ]


def folder(top: Path) -> Path:
    return top


def archive(form: str) -> Made:
    return lambda top: Path(shutil.make_archive(str(top.parent / "packed"), form, top.parent, top.name))


def csv(top: Path) -> Path:
    lines = ["path,label,split", *(f"{r['name']},{r['label']},{r['split']}" for r in records(top))]
    (top / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    return top / "t.csv"


def parquet(cell: Callable[[dict[str, Any]], Any], rows: int) -> Made:
    def made(top: Path) -> Path:
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        all_of = records(top)
        table = {key: [record[key] for record in all_of] for key in ("label", "split")}
        pq.write_table(pa.table({"image": [cell(r) for r in all_of], **table}), top / "t.parquet", row_group_size=rows)
        return top / "t.parquet"

    return made


def frame(cell: Callable[[dict[str, Any]], Any]) -> Made:
    def made(top: Path) -> Any:
        pd = pytest.importorskip("pandas")
        return pd.DataFrame([{"image": cell(r), "label": r["label"], "split": r["split"]} for r in records(top)])

    return made


def shards(pattern: str, label: str) -> Made:
    def made(top: Path) -> Path:
        place = top.parent / "shards"
        place.mkdir()
        for split in SPLITS:
            own = [record for record in records(top) if record["split"] == split]
            for number in range(3):
                with tarfile.open(place / f"{split}-{number:03d}.tar", "w") as shard:
                    for record in own[number::3]:
                        key = record["name"].replace("/", "_").removesuffix(".png").replace(".", "_")
                        text = record["label"] if label == "cls" else json.dumps({"label": record["label"], "x": [1]})
                        _add(shard, f"{key}.png", record["path"].read_bytes())
                        _add(shard, f"{key}.{label}", text.encode())
        return place / pattern

    return made


def _add(shard: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    shard.addfile(member, io.BytesIO(content))


def hugging_face(top: Path) -> Any:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"picture": datasets.Image(), "kind": datasets.ClassLabel(names=list(CLASSES))})
    parts = {}
    for split in SPLITS:
        own = [record for record in records(top) if record["split"] == split]
        columns = {
            "picture": [{"bytes": r["path"].read_bytes(), "path": None} for r in own],
            "kind": [r["label"] for r in own],
        }
        parts[{"val": "validation"}.get(split, split)] = datasets.Dataset.from_dict(columns, features=features)
    return datasets.DatasetDict(parts)


def saved_to_disk(top: Path) -> Path:
    hugging_face(top).save_to_disk(top.parent / "saved")
    return top.parent / "saved"


def image_folders(top: Path) -> Any:
    vision = pytest.importorskip("torchvision.datasets")
    return {split: vision.ImageFolder(str(top / split)) for split in SPLITS}


def subsets(top: Path) -> Any:
    from torch.utils.data import Subset

    order = list(range(len(CLASSES) * COUNT))[::-1]
    return {split: Subset(whole, order) for split, whole in image_folders(top).items()}


class Encoded:
    """A data set of one's own: bytes and names."""

    classes = CLASSES

    def __init__(self, own: list[dict[str, Any]]) -> None:
        self.own = own

    def __len__(self) -> int:
        return len(self.own)

    def __getitem__(self, index: int) -> tuple[bytes, int]:
        return self.own[index]["path"].read_bytes(), CLASSES.index(self.own[index]["label"])


def own_dataset(top: Path) -> Any:
    return {split: Encoded([r for r in records(top) if r["split"] == split]) for split in SPLITS}


MADE: dict[str, Made] = {
    "folder": folder,
    "zip": archive("zip"),
    "tar of a folder": archive("tar"),
    "tar.gz": archive("gztar"),
    "csv": csv,
    "parquet, paths": parquet(lambda r: r["name"], 100),
    "parquet, bytes": parquet(lambda r: r["path"].read_bytes(), 4),
    "parquet, bytes and path": parquet(lambda r: {"bytes": r["path"].read_bytes(), "path": r["name"]}, 100),
    "parquet, bytes or path": parquet(lambda r: {"bytes": None, "path": r["name"]}, 5),
    "DataFrame, paths": frame(lambda r: str(r["path"])),
    "DataFrame, bytes": frame(lambda r: r["path"].read_bytes()),
    "webdataset, folder": shards("", "cls"),
    "webdataset, braces": shards("{train,val,test}-{000..002}.tar", "json"),
    "webdataset, glob": shards("*-0*.tar", "cls"),
    "datasets, on disk": saved_to_disk,
    "datasets, in Python": hugging_face,
    "torchvision": image_folders,
    "torch, subset": subsets,
    "torch, one's own": own_dataset,
    "paths by split": lambda top: {split: str(top / split) for split in SPLITS},
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, tuple[str, ...], str | None]]:
    top = tree(tmp_path_factory.mktemp("expected") / "data", *NAMES)
    return facts(read(top))


@pytest.mark.parametrize("name", MADE)
def test_every_source_gives_the_same_manifest(tmp_path: Path, name: str, expected: object) -> None:
    place = MADE[name](tree(tmp_path / "data", *NAMES))
    found = read(place)
    assert facts(found) == expected
    assert found.classes == CLASSES
    assert not found.skipped
    assert len({row.name for row in found.rows}) == len(NAMES)
    again = read(place)
    assert [row.digest for row in again.rows] == [row.digest for row in found.rows]
    for row in found.rows[::5]:
        assert decode(row.picture).size == (24, 16)


@pytest.mark.parametrize("form", ["pil", "array", "tensor"])
def test_pixels_in_any_form_have_the_digests_of_the_array(tmp_path: Path, form: str) -> None:
    import torch

    tree(tmp_path, *NAMES[:6])
    arrays = [np.asarray(Image.open(tmp_path / name).convert("RGB")) for name in NAMES[:6]]
    forms: dict[str, Callable[[Any], Any]] = {
        "pil": Image.fromarray,
        "array": lambda array: array.astype(np.float32) / 255,
        "tensor": lambda array: torch.from_numpy(array.copy()).permute(2, 0, 1) / 255,
    }
    dataset = torch.utils.data.StackDataset(
        [forms[form](a) for a in arrays], [name.split("/")[1] for name in NAMES[:6]]
    )
    from frostline.data.pairs import pairs

    expected = Manifest.of(pairs(arrays, [name.split("/")[1] for name in NAMES[:6]]))
    assert facts(read(dataset)) == facts(expected)


def test_pictures_of_shards_are_slices_and_their_digests_are_remembered(tmp_path: Path, monkeypatch: Any) -> None:
    place = MADE["webdataset, folder"](tree(tmp_path / "data", *NAMES))
    monkeypatch.setattr("frostline.data.digests.time.time_ns", lambda: int((time.time() + 60) * 1e9))  # not fresh
    found = read(place)
    assert all(isinstance(row.picture, Slice) for row in found.rows)
    monkeypatch.setattr("frostline.data.digests.content_digest", None)
    shutil.rmtree(tmp_path / "data")
    from frostline.data.cache_folder import default_cache
    from frostline.data.digests import DigestCache

    with DigestCache(
        default_cache() / "digests.sqlite", compute=lambda picture: pytest.fail("computed again")
    ) as known:
        assert [known(row.picture) for row in found.rows] == list(found.digests)

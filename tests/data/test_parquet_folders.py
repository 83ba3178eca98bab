"""Clones of a hub's repository: shards of Parquet, named after their splits."""

import io

import pytest
from PIL import Image

from frostline.data.decode import decode
from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import read
from frostline.errors import DataError
from tests.data.pictures import save, scene

datasets = pytest.importorskip("datasets")
pytest.importorskip("pyarrow")


def shard(place, names, labels, seed=0, **more):
    """Pictures whose seed is their number; the order of the names of classes is the file's own."""
    place.parent.mkdir(parents=True, exist_ok=True)

    def png(n):
        held = io.BytesIO()
        Image.fromarray(scene(24, 16, seed + n)).save(held, "PNG")
        return {"bytes": held.getvalue(), "path": None}

    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=names)}
    columns = {"image": [png(n) for n in range(len(labels))], "label": [names.index(name) for name in labels]}
    features |= {name: datasets.Value("string") for name in more}
    made = datasets.Dataset.from_dict({**columns, **more}, features=datasets.Features(features))
    made.to_parquet(str(place))


def seen(top, **said):
    return read(top, how=PlaceOptions.of(said), cache=top.parent / "cache")


def test_a_clone_of_a_repository_opens(tmp_path):
    top = tmp_path / "repo"
    shard(top / "data" / "train-00000-of-00002.parquet", ["ants", "bees"], ["ants", "bees"])
    shard(top / "data" / "train-00001-of-00002.parquet", ["bees", "ants"], ["ants", "bees"], seed=2)
    shard(top / "data" / "test-00000-of-00001.parquet", ["bees", "ants"], ["bees"], seed=4)
    (top / "README.md").write_text("---\n---\n")
    save(top / "assets" / "logo.png")
    found = seen(top)
    assert sorted((row.split, row.labels[0]) for row in found.rows) == [
        ("test", "bees"), ("train", "ants"), ("train", "ants"), ("train", "bees"), ("train", "bees"),
    ]  # fmt: skip
    (test,) = found.part("test").rows
    assert (decode(test.picture).rgb == scene(24, 16, 4)).all()
    assert "3 Parquet files: pictures from `image`, labels from `label`, split from the files' names" in found.summary()
    assert "1 file (beside the Parquet files)" in found.summary()


def test_splits_may_be_folders_and_several_configurations_are_refused(tmp_path):
    top = tmp_path / "repo"
    for split in ("train", "validation"):
        shard(top / "default" / split / "0000.parquet", ["ants", "bees"], ["ants", "bees"])
    assert seen(top).splits == ("train", "val")
    shard(top / "other" / "train" / "0000.parquet", ["ants", "bees"], ["ants", "bees"])
    with pytest.raises(DataError, match="several folders hold Parquet files: default, other"):
        seen(top)
    assert seen(top, ignore="other").splits == ("train", "val")


def test_a_file_without_a_split_beside_others_is_refused(tmp_path):
    top = tmp_path / "repo"
    shard(top / "train.parquet", ["ants", "bees"], ["ants", "bees"])
    shard(top / "more.parquet", ["ants", "bees"], ["ants", "bees"])
    with pytest.raises(DataError, match=r"more\.parquet names no split"):
        seen(top)
    assert seen(top, ignore="more.parquet").splits == ("train",)


def test_columns_of_parquet_are_known_by_what_stands_in_them(tmp_path):
    pd = pytest.importorskip("pandas")
    pictures = [io.BytesIO() for _ in range(4)]
    for n, held in enumerate(pictures):
        Image.fromarray(scene(24, 16, n)).save(held, "PNG")
    frame = pd.DataFrame({"jpg": [held.getvalue() for held in pictures], "ants": [1, 0, 1, 0], "bees": [0, 1, 0, 1]})
    frame["part"] = ["train", "train", "test", "test"]
    frame.to_parquet(tmp_path / "t.parquet")
    found = seen(tmp_path / "t.parquet")
    assert [(row.split, row.labels) for row in found.rows] == [
        (split, (label,)) for split in ("train", "test") for label in ("ants", "bees")
    ]
    assert "labels from the columns `ants`, `bees`" in found.summary()


def test_a_split_in_a_saved_data_set_is_not_passed_over(tmp_path):
    place = tmp_path / "t.parquet"
    shard(place, ["ants", "bees"], ["ants", "bees"] * 2, bucket=["train", "train", "test", "test"], note=list("abcd"))
    datasets.Dataset.from_parquet(str(place), cache_dir=str(tmp_path / "hf")).save_to_disk(str(tmp_path / "saved"))
    for where in (place, tmp_path / "saved"):
        found = seen(where)
        assert [row.split for row in found.rows] == ["train", "train", "test", "test"]
        assert "column `note`" in found.summary()


def test_a_second_column_of_pictures_is_named(tmp_path):
    def png(n):
        held = io.BytesIO()
        Image.fromarray(scene(24, 16, n)).save(held, "PNG")
        return {"bytes": held.getvalue(), "path": None}

    features = {"mask": datasets.Image(), "image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
    columns = {"mask": [png(9)] * 4, "image": [png(n) for n in range(4)], "label": [0, 1] * 2}
    datasets.Dataset.from_dict(columns, features=datasets.Features(features)).save_to_disk(str(tmp_path / "saved"))
    found = seen(tmp_path / "saved")
    assert (decode(found.rows[3].picture).rgb == scene(24, 16, 3)).all()
    assert "not used: column `mask`" in found.summary()

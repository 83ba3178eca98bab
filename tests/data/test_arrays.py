"""Pictures and labels in one .npz: MedMNIST's and Keras' names, one-hot labels, and what is refused unopened."""

import zipfile

import numpy as np
import pytest

from frostline.data.sources import read
from frostline.errors import DataError

RNG = np.random.default_rng(0)


def pictures(count, *shape):
    return RNG.integers(0, 256, (count, *shape), dtype=np.uint8)


def saved(tmp_path, **arrays):
    np.savez(tmp_path / "d.npz", **arrays)
    return tmp_path / "d.npz"


def seen(place):
    return read(place, cache=place.parent / "cache")


def test_medmnist(tmp_path):
    held = {f"{split}_images": pictures(n, 8, 8, 3) for split, n in (("train", 6), ("val", 4), ("test", 2))}
    labels = {f"{split}_labels": np.arange(n)[:, None] % 2 for split, n in (("train", 6), ("val", 4), ("test", 2))}
    found = seen(saved(tmp_path, **held, **labels))
    assert {split: found.part(split).counts() for split in found.splits} == {
        "train": {"0": 3, "1": 3},
        "val": {"0": 2, "1": 2},
        "test": {"0": 1, "1": 1},
    }
    row = next(row for row in found.rows if row.name == "val/3")
    np.testing.assert_array_equal(row.picture, held["val_images"][3])
    assert row.labels == ("1",)


def test_keras_and_names_of_classes(tmp_path):
    grey = pictures(4, 8, 8)
    found = seen(saved(tmp_path, x_train=grey, y_train=[0, 1, 1, 0], classes=["ants", "bees"], notes=["x"]))
    assert [row.labels for row in found.rows] == [("ants",), ("bees",), ("bees",), ("ants",)]
    np.testing.assert_array_equal(found.rows[2].picture, grey[2])
    assert found.understood.unused == ("array `notes`",)
    assert found.splits == ("train",)
    np.testing.assert_array_equal(seen(saved(tmp_path, X=grey[..., None], y=list("abab"))).rows[1].picture, grey[1])


@pytest.mark.parametrize(
    ("labels", "classes"), [([0, 1, -1, 0], None), (["a", "b", "nan", "a"], None), ([1, -1, -1, 1], ("1", "-1"))]
)
def test_what_is_no_label_in_a_table_is_none_here(tmp_path, labels, classes):
    """-1 is what PyTorch and scikit-learn write where nobody has labelled."""
    place = saved(tmp_path, images=pictures(4, 8, 8), labels=labels)
    if classes is None:
        with pytest.raises(DataError, match="1 of 4 pictures have no label, first: 2"):
            seen(place)
    else:
        assert seen(place).classes == classes


@pytest.mark.parametrize(
    ("labels", "expected"), [(np.eye(2)[[0, 1, 1, 0]], ["0", "1", "1", "0"]), ([[1, 1], [0, 1], [0, 0], [1, 0]], None)]
)
def test_columns_of_0_and_1(tmp_path, labels, expected):
    found = seen(saved(tmp_path, images=pictures(4, 8, 8, 3), labels=labels))
    assert found.multilabel == (expected is None)
    assert [row.labels for row in found.rows] == [tuple(str(n) for n in np.flatnonzero(row)) for row in labels]


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"images": pictures(4, 8, 8, 3), "labels": np.array([0, {}, 1, 1], object)}, "never opened"),
        ({"images": pictures(4, 8, 8, 3), "labels": [0, 1, 1]}, "4 pictures and 3 labels"),
        ({"images": pictures(4, 3, 8, 8), "labels": [0, 1, 1, 0]}, "np.moveaxis"),
        ({"images": pictures(4, 64), "labels": [0, 1, 1, 0]}, "reshape"),
        ({"images": pictures(4, 8, 8), "labels": [0.1, 1, 1, 0]}, "no label of each picture"),
        ({"features": pictures(4, 8), "label": [0, 1, 1, 0]}, "which are pictures, and which labels"),
        ({"images": pictures(4, 8, 8), "x": pictures(4, 8, 8), "labels": [0, 1, 1, 0]}, "which are pictures"),
        ({"arr_0": pictures(4, 8, 8), "arr_1": [0, 1, 1, 0]}, "which are pictures"),
        ({"x_train": pictures(4, 8, 8), "y_train": [0, 1, 1, 0], "x_test": pictures(4, 8, 8)}, "which are pictures"),
    ],
)
def test_what_is_refused(tmp_path, arrays, said):
    with pytest.raises(DataError) as caught:
        seen(saved(tmp_path, **arrays))
    assert said in str(caught.value)


def test_a_header_that_promises_more_than_memory_is_refused_before_anything_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        for name, shape in (("images", (10**9, 100, 100)), ("labels", (10**9,))):
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array_header_1_0(member, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with pytest.raises(DataError, match="GiB of memory"):
        seen(tmp_path / "d.npz")
    (tmp_path / "e.npz").write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot be read"):
        seen(tmp_path / "e.npz")

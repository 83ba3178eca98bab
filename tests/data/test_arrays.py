"""Pictures and labels in one .npz: MedMNIST's and Keras' names, one-hot labels, and what is refused unopened."""

import gzip
import io
import pickle
import re
import zipfile

import numpy as np
import pandas
import pytest
from scipy.io import loadmat, savemat

from frostline.data.decode import decode
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


def test_numbers_from_1_on_are_not_named_one_class_too_far(tmp_path):
    """As MATLAB and R count: the pictures of the first class had the name of the second."""
    arrays = {"images": pictures(4, 8, 8), "classes": ["dark", "bright"]}
    with pytest.raises(DataError, match="label 2 in `labels` has no name: there are 2, counted from 0"):
        seen(saved(tmp_path, labels=[1, 2, 1, 2], **arrays))
    assert seen(saved(tmp_path, labels=[0, 1, 0, 1], **arrays)).counts() == {"bright": 2, "dark": 2}


def test_an_array_called_as_a_column_of_splits_or_groups_says_that(tmp_path):
    """It was passed over, and test pictures were learned from."""
    arrays = {"images": pictures(4, 8, 8), "labels": [0, 1, 0, 1]}
    found = seen(saved(tmp_path, split=["train", "train", "test", "test"], patient_id=[7, 7, 8, 8], **arrays))
    assert [(row.split, row.group) for row in found.rows] == [("train", "7")] * 2 + [("test", "8")] * 2
    assert "split from `split`, group from `patient_id`" in found.summary()
    with pytest.raises(DataError, match="'odd' in `split` is no split"):
        seen(saved(tmp_path, split=["train", "train", "odd", "test"], **arrays))


def hinted(place, pattern):
    """Lines of Python in the hint for a place that is not read."""
    with pytest.raises(DataError) as caught:
        seen(place)
    found = re.search(pattern, caught.value.hint)
    assert found is not None, caught.value.hint
    return found.groups()


def as_written(made, pixels):
    """Whether the file that the hinted lines made is read as what they were made of."""
    found = seen(made)
    shown = [decode(row.picture).rgb if pixels.ndim == 4 else decode(row.picture).rgb[..., 0] for row in found.rows]
    return np.array_equal(shown, pixels) and [row.labels for row in found.rows] == [(str(n % 3),) for n in range(6)]


GREY = np.random.default_rng(0).integers(0, 256, (6, 28, 28), np.uint8)
COLOUR = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
THREE = np.arange(6) % 3


def fer2013():
    rows = (f"{n},{' '.join(map(str, one.ravel()))},Training" for n, one in zip(THREE, GREY, strict=True))
    return "\n".join(["emotion,pixels,Usage", *rows])


def beside(pixels, *header, last=False):
    rows = ((*one.ravel(), n) if last else (n, *one.ravel()) for n, one in zip(THREE, pixels, strict=True))
    return "\n".join([*map(",".join, [header] * bool(header)), *(",".join(map(str, row)) for row in rows)])


@pytest.mark.parametrize(
    ("text", "pixels"),
    [
        (fer2013(), GREY),
        (beside(GREY, "label", *(f"pixel{n}" for n in range(784))), GREY),
        (beside(GREY), GREY),
        (beside(COLOUR, *(f"pixel{n:04}" for n in range(3072)), "label", last=True), COLOUR),
    ],
    ids=["fer2013", "sign-mnist", "a-z", "ham10000"],
)
def test_the_hinted_lines_read_tables_of_pixels(tmp_path, text, pixels):
    (tmp_path / "t.csv").write_text(text)
    names = {"FILE": tmp_path / "t.csv", "file": tmp_path / "made.npz", "numpy": np, "pandas": pandas}
    for line in hinted(tmp_path / "t.csv", r"^(t = .*?), and (numpy\.savez\(.*\)) is read"):
        exec(line, names)
    assert as_written(tmp_path / "made.npz", pixels)


def test_the_hinted_lines_read_cifar_mnist_svhn_and_bare_arrays(tmp_path):
    def idx(values):
        sides = b"".join(side.to_bytes(4, "big") for side in values.shape)
        return gzip.compress(bytes((0, 0, 8, values.ndim)) + sides + values.tobytes())

    flat = COLOUR.transpose(0, 3, 1, 2).reshape(6, -1)
    (tmp_path / "data_batch_1").write_bytes(pickle.dumps({b"data": flat, b"labels": THREE.tolist()}))
    names = {"FILE": tmp_path / "data_batch_1", "file": tmp_path / "cifar.npz", "numpy": np, "pickle": pickle}
    names["open"] = lambda file, mode: io.BytesIO(file.read_bytes())  # which nobody need close
    for line in hinted(tmp_path / "data_batch_1", r"(d = pickle.*?), and (numpy\.savez.*) is read"):
        exec(line, names)
    assert as_written(tmp_path / "cifar.npz", COLOUR)

    (tmp_path / "a-images-idx3-ubyte.gz").write_bytes(idx(GREY))
    (tmp_path / "a-labels-idx1-ubyte.gz").write_bytes(idx(THREE.astype(np.uint8)))
    files = tmp_path / "a-images-idx3-ubyte.gz", tmp_path / "a-labels-idx1-ubyte.gz"
    lines = hinted(files[0], r"(numpy\.frombuffer.*?28\)).*(numpy\.frombuffer.*?8\)),")
    inside = [gzip.decompress(file.read_bytes()) for file in files]
    found = [eval(line, {"d": d, "numpy": np}) for d, line in zip(inside, lines, strict=True)]
    np.savez(tmp_path / "mnist.npz", images=found[0], labels=found[1])
    assert as_written(tmp_path / "mnist.npz", GREY)

    savemat(tmp_path / "a.mat", {"X": COLOUR.transpose(1, 2, 3, 0), "y": THREE[:, None]})
    (line,) = hinted(tmp_path / "a.mat", r"(numpy\.savez.*?) is read")
    exec(line, {"m": loadmat(tmp_path / "a.mat"), "file": tmp_path / "svhn.npz", "numpy": np})
    assert as_written(tmp_path / "svhn.npz", COLOUR)

    for one, other, saves in (("x.npy", "y.npy", np.save), ("x.npz", "y.npz", np.savez)):
        saves(tmp_path / one, GREY)
        saves(tmp_path / other, THREE)
        (line,) = hinted(tmp_path / one, r"(numpy\.savez\(.*\))(?: is read|$)")
        exec(line, {"numpy": np, "file": tmp_path / "o.npz", "IMAGES": tmp_path / one, "LABELS": tmp_path / other})
        assert as_written(tmp_path / "o.npz", GREY)


@pytest.mark.parametrize("name", ["train", "a.pkl"])
def test_a_pickle_is_known_by_its_first_bytes_and_never_opened(tmp_path, name):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / name).write_bytes(pickle.dumps(Trap()))
    for place in (tmp_path / "d", tmp_path / "d" / name):
        hinted(place, f"({name}) is a pickle, which may run code and is never opened")


class Trap:
    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


def test_shards_of_tensorflow_are_no_pictures(tmp_path):
    place = tmp_path / "d" / "tf_flowers" / "3.0.1"
    place.mkdir(parents=True)
    (place / "tf_flowers-train.tfrecord-00000-of-00002").write_bytes(b"x")
    hinted(tmp_path / "d", "(is of TensorFlow)")

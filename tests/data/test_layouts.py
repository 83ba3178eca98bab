"""Folders as people have them: what each becomes, by hand, and what is said of it."""

import pytest

from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import as_found, read
from frostline.data.split_names import split_of, splits_of
from frostline.errors import DataError
from tests.data.pictures import tree


def made(top, *places, count=3):
    """``count`` pictures in each place; each place may hold {n} for where the number goes."""
    return tree(top, *(p.format(n=n) if "{n}" in p else f"{p}/{n}.png" for p in places for n in range(count)))


def seen(top, **said):
    manifest = read(top, how=PlaceOptions.of(said), cache=top.parent / "cache")
    return manifest, {split: manifest.part(split).counts() for split in manifest.splits} or manifest.counts()


TWO = {"ants": 3, "bees": 3}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("training_set/training_set", "test_set/test_set"),
        ("Train Data", "Test Data"),
        ("train", "dev"),
        ("train_images", "val_images"),
        ("set/train2017", "set/val2017"),
        ("outer/data 1/Training", "outer/data 1/Testing"),
        ("train/images", "test/images"),
    ],
)
def test_split_folders_are_no_classes(tmp_path, train, test):
    made(tmp_path / "d", *(f"{split}/{name}" for split in (train, test) for name in TWO))
    _, found = seen(tmp_path / "d")
    assert list(found.values()) == [TWO, TWO]


def test_names_that_say_a_split_and_names_that_do_not():
    assert [split_of(name) for name in ("TRAIN", "x_train", "TestSet", "Train Data", "valid_images")] == [
        *("train", None, "test", "train", "val")
    ]
    assert [split_of(name) for name in ("test tube", "crash test dummy", "trainers", "ants", "fold1", "")] == [None] * 6
    assert splits_of(["seg_train", "seg_test", "seg_pred"]) == {"seg_train": "train", "seg_test": "test"}
    assert splits_of(["test tube", "test strip", "train station"]) == {}


def test_a_class_called_train_stays_a_class(tmp_path):
    made(tmp_path / "d", *(f"{name}/{day}" for name in ("bus", "plane", "train") for day in ("mon", "tue")))
    assert seen(tmp_path / "d")[1] == {"bus": 6, "plane": 6, "train": 6}


@pytest.mark.parametrize(
    ("places", "option"),
    [
        (("train/a", "train/b", "holdout/a", "holdout/b"), "--ignore 'holdout'"),
        (("ants", "bees", "test"), "--label-pattern"),
        (("images", "masks/a", "labels"), "name no classes"),
        (("fold1", "fold2"), "--label-pattern"),
        (("train_images", "ants"), "--ignore"),
    ],
)
def test_what_is_doubtful_is_refused_with_the_option_that_settles_it(tmp_path, places, option):
    made(tmp_path / "d", *places)
    with pytest.raises(DataError) as caught:
        seen(tmp_path / "d")
    assert option in str(caught.value)


def test_ignore_and_label_pattern_settle_it(tmp_path):
    made(tmp_path / "d", "train/a", "train/b", "holdout/a", "holdout/b")
    assert seen(tmp_path / "d", ignore="holdout")[1] == {"train": {"a": 3, "b": 3}}
    assert seen(tmp_path / "d", label_pattern="^([^/]+)/")[1] == {"holdout": 6, "train": 6}
    with pytest.raises(DataError, match="nothing matches --ignore"):
        seen(tmp_path / "d", ignore="hodlout")


def test_one_folder_within_a_folder(tmp_path):
    made(tmp_path / "d", *(f"hymenoptera/{split}/{name}" for split in ("train", "val") for name in TWO))
    (tmp_path / "d/readme.txt").touch()
    assert seen(tmp_path / "d")[1] == {"train": TWO, "val": TWO}
    made(tmp_path / "e", "flowers/ants", "flowers/bees")
    manifest, found = seen(tmp_path / "e")
    assert found == TWO
    assert "flowers/" in manifest.summary()
    made(tmp_path / "f", "ants")
    with pytest.raises(DataError, match="only one class, 'ants'"):
        seen(tmp_path / "f")


def test_masks_are_not_pictures_of_a_class(tmp_path):
    top = tmp_path / "d"
    made(
        top,
        "covid/images",
        "covid/masks",
        "normal/images",
        "normal/masks",
        "benign/b ({n}).png",
        "benign/b ({n})_mask.png",
    )
    manifest, found = seen(top)
    assert found == {"benign": 3, "covid": 3, "normal": 3}
    assert "covid/masks/ (3 pictures: beside the pictures)" in manifest.summary()
    assert "3 files (a mask of the picture beside it)" in manifest.summary()
    made(tmp_path / "e", "with_mask", "without_mask")
    assert seen(tmp_path / "e")[1] == {"with_mask": 3, "without_mask": 3}


def test_a_test_folder_without_labels_is_named_and_not_used(tmp_path):
    for number, test in enumerate(("test/dummy", "test")):
        top = tmp_path / str(number)
        made(top, "train/ants", "train/bees", test)
        manifest, found = seen(top)
        assert found == {"train": TWO}
        assert "test/ (3 pictures: without labels)" in manifest.summary()


def test_hidden_and_empty_classes_are_named(tmp_path):
    top = tmp_path / "d"
    made(top, "ants", "bees", ".NET", "ants/.cam{n}.png")
    (top / "wasps").mkdir()
    manifest, found = seen(top)
    assert found == TWO
    said = manifest.summary()
    assert ".NET/ (3 pictures: hidden" in said
    assert "3 files (hidden" in said
    assert {(item.name, item.reason) for item in manifest.skipped} >= {("wasps/", "an empty folder")}
    assert sum(item.pictures for item in manifest.skipped) == 6


def test_a_class_that_vanishes_whole_is_an_error_that_names_it(tmp_path):
    top = made(tmp_path / "d", "ants", "bees", "wasps/{n}.heic")
    for path in (top / "wasps").iterdir():
        path.write_bytes(b"")
    manifest, _ = seen(top)
    with pytest.raises(DataError, match="'wasps' has 0"):
        manifest.require_usable()


def test_labels_in_file_names(tmp_path):
    top = made(tmp_path / "d", "train/cat.{n}.png", "train/dog.{n}.png", "test/{n}.png")
    with pytest.raises(DataError, match="no class folders") as caught:
        seen(top)
    assert "--label-pattern" in str(caught.value)
    assert "'cat' (3)" in str(caught.value)
    manifest, found = seen(top, label_pattern=r"^(.+?)[ ._-]*\(?\d+")
    assert found == {"train": {"cat": 3, "dog": 3}}
    assert [item.reason for item in manifest.skipped] == ["its name does not match --label-pattern"] * 3
    pets = made(tmp_path / "e", "great_pyrenees_17{n}.png", "Bengal_{n}.png")
    assert seen(pets, label_pattern=r"(.+)_\d+")[1] == {"Bengal": 3, "great_pyrenees": 3}
    for pattern, says in (("[", "no regular expression"), ("cat", "has no group"), ("(zebra)", "no picture's name")):
        with pytest.raises(DataError, match=says):
            seen(pets, label_pattern=pattern)


def _hinted(top):
    with pytest.raises(DataError) as caught:
        seen(top)
    return str(caught.value).partition("--label-pattern '")[2].partition("'")[0]


@pytest.mark.parametrize(
    ("places", "counts", "left_out"),
    [
        (  # Oxford-IIIT Pet without its lists
            ("images/great_pyrenees_{n}.png", "images/Bengal_{n}.png", "annotations/trimaps/great_pyrenees_{n}.png"),
            {"Bengal": 3, "great_pyrenees": 3},
            {"annotations/": "beside the pictures"},
        ),
        (  # BUSI's names, loose
            ("benign ({n}).png", "normal ({n}).png", "benign ({n})_mask.png"),
            {"benign": 3, "normal": 3},
            {f"benign ({n})_mask.png": "a mask of the picture beside it" for n in range(3)},
        ),
        (  # dogs and cats of Kaggle
            ("train/cat.{n}.png", "train/dog.{n}.png", "test1/1{n}.png"),
            {"train": {"cat": 3, "dog": 3}},
            {f"test1/1{n}.png": "its name does not match --label-pattern" for n in range(3)},
        ),
    ],
)
def test_the_hinted_pattern_reads_what_it_is_hinted_for(tmp_path, places, counts, left_out):
    top = made(tmp_path / "d", *places)
    manifest, found = seen(top, label_pattern=_hinted(top))
    assert found == counts
    assert {item.name: item.reason for item in manifest.skipped} == left_out


def test_a_pattern_of_paths_says_itself_which_it_takes(tmp_path):
    top = made(tmp_path / "d", "images/a_{n}.png", "masks/a_{n}.png")
    assert seen(top, label_pattern="^([^/]+)/")[1] == {"images": 3, "masks": 3}


@pytest.mark.parametrize("beside", ["LICENSE", "Makefile", "cover.png"])
@pytest.mark.parametrize("place", ["data/{}", "dataset/train/{}", "dataset/data/{}"])
def test_a_file_beside_the_only_folder_is_no_picture_of_a_class(tmp_path, place, beside):
    """Downloads of GitHub (intel-image, garbage classification): a LICENSE without ending beside data/<class>."""
    top = tree(made(tmp_path / "d", *(place.format(name) for name in TWO)), beside)
    manifest, found = seen(top)
    assert found in (TWO, {"train": TWO})
    assert [(item.name, item.reason) for item in manifest.skipped] == [(beside, "in no class folder")]


def test_many_pictures_beside_the_only_folder_are_not_passed_over(tmp_path):
    with pytest.raises(DataError, match="only one class, 'data'"):
        seen(made(tmp_path / "d", "data/ants", "data/bees", "a{n}.png", "b{n}.png"))


def test_a_pattern_may_say_split_and_group_too(tmp_path):
    top = made(tmp_path / "d", "p1_train_ants_{n}.png", "p2_test_bees_{n}.png", "p3_train_bees_{n}.png")
    manifest, found = seen(top, label_pattern="(?P<group>p.)_(?P<split>[a-z]+)_(?P<label>[a-z]+)_")
    assert found == {"train": TWO, "test": {"ants": 0, "bees": 3}}
    assert {row.group for row in manifest.rows} == {"p1", "p2", "p3"}


def test_folds_are_pooled_and_none_is_parted(tmp_path):
    made(tmp_path / "d", *(f"fold{n}/{name}" for n in (1, 2) for name in TWO))
    manifest, found = seen(tmp_path / "d")
    assert found == {"ants": 6, "bees": 6}
    assert {row.group for row in manifest.rows} == {"fold1", "fold2"}
    assert "no split parts one" in manifest.summary()


def test_the_line_says_splits_classes_and_counts(tmp_path):
    made(tmp_path / "d", *(f"{split}/{name}" for split in ("train", "val") for name in TWO))
    manifest, _ = seen(tmp_path / "d")
    assert manifest.summary() == (
        "pictures from folders, labels from folder names, split from train/, val/; "
        "12 pictures (6 train, 6 val), 2 classes (ants, bees)"
    )
    assert as_found(tmp_path / "d", cache=tmp_path / "cache").summary() == manifest.summary()
    assert manifest.understood.to_dict()["labels"] == "folder names"


def test_splitting_anew_comes_before_splits_are_checked(tmp_path):
    made(tmp_path / "d", "train/ants", "train/bees", "val/ants", "val/bees", "val/wasps")
    with pytest.raises(DataError, match="train lacks 'wasps'"):
        seen(tmp_path / "d")
    found = read(tmp_path / "d", keep_splits=False, cache=tmp_path / "cache")
    assert found.counts() == {"ants": 6, "bees": 6, "wasps": 3}
    assert "not used: the given splits (train, val)" in found.summary()

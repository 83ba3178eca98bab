"""Two levels of folders, tables in folders of splits, COCO beside its pictures, tables that are joined."""

import json
import unicodedata

import numpy as np
import pytest
from PIL import Image

from frostline.data.decode import decode
from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import read
from frostline.errors import DataError
from tests.data.pictures import scene, tree


def made(top, *places, count=2):
    return tree(top, *(f"{place}/{n}.jpg" for place in places for n in range(count)))


def seen(top, **said):
    return read(top, how=PlaceOptions.of(said), cache=top.parent / "cache")


def test_splits_within_each_class(tmp_path):
    found = seen(made(tmp_path / "d", "ants/train", "ants/test", "bees/train", "bees/test"))
    assert found.counts() == {"ants": 4, "bees": 4}
    assert sorted({(row.name.split("/")[1], row.split) for row in found.rows}) == [("test", "test"), ("train", "train")]
    assert "within each class" in found.summary()
    with pytest.raises(DataError, match=r"'ants' holds splits .* and 'wasps' does not"):
        seen(made(tmp_path / "d", "wasps"))


@pytest.mark.parametrize("outer", [("siteA", "siteB"), ("color", "grayscale"), ("2019", "2020"), ("tr", "te")])
def test_folders_that_hold_the_same_folders_are_asked_about(tmp_path, outer):
    top = made(tmp_path / "d", *(f"{one}/{label}" for one in outer for label in ("ants", "bees")))
    with pytest.raises(DataError, match=r"hold the same folders \(ants, bees\): which are the classes") as caught:
        seen(top)
    inner, outside = "([^/]+)/[^/]+$", "^([^/]+)/"
    assert inner in str(caught.value)
    assert seen(top, label_pattern=inner).classes == ("ants", "bees")
    assert set(seen(top, label_pattern=outside).classes) == set(outer)


@pytest.mark.parametrize(
    "order", [("monday", "tuesday"), ("1", "2"), ("day 1", "day 2"), ("left", "right"), ("images", "raw")]
)
def test_days_numbers_and_sides_within_a_class_are_no_classes(tmp_path, order):
    found = seen(made(tmp_path / "d", *(f"{label}/{one}" for one in order for label in ("bus", "plane", "train"))))
    assert found.counts() == {"bus": 4, "plane": 4, "train": 4}


def test_a_folder_of_the_same_classes_beside_splits_is_asked_about(tmp_path):
    top = made(tmp_path / "d", *(f"{s}/{c}" for s in ("train", "test", "eval", "extra") for c in ("ants", "bees")))
    with pytest.raises(DataError, match="'eval' holds the same classes") as caught:
        seen(top)
    assert "--ignore 'eval'" in str(caught.value)
    assert seen(top, ignore="eval").splits == ("train", "test")


@pytest.mark.parametrize("copy", ["dataset", "augmented"])
def test_a_copy_of_the_classes_beside_them_is_asked_about(tmp_path, copy):
    top = made(tmp_path / "d", "ants", "bees", f"{copy}/ants", f"{copy}/bees")
    with pytest.raises(DataError, match=f"'{copy}' holds folders of the same names") as caught:
        seen(top)
    assert f"--ignore '{copy}'" in str(caught.value)
    assert seen(top, ignore=copy).counts() == {"ants": 2, "bees": 2}
    outer = made(tmp_path / "e", "cells/ants", "cells/bees", "cells/cells/ants", "cells/cells/bees")
    with pytest.raises(DataError, match="--ignore 'cells/cells'"):
        seen(outer)
    assert seen(outer, ignore="cells/cells").counts() == {"ants": 2, "bees": 2}


@pytest.mark.parametrize("inner", ["{c}/{n}.png", "{c}_{n}.png"])
def test_folds_with_splits_of_their_own_are_asked_about(tmp_path, inner):
    """fold_1/train/<class>: train and test were the classes."""
    names = [
        f"fold_{k}/{s}/{inner.format(c=c, n=n)}"
        for k in (1, 2)
        for s in ("train", "test")
        for c in "ab"
        for n in (0, 1)
    ]
    top = tree(tmp_path / "d", *names)
    with pytest.raises(DataError, match="each of the folders holds a split of its own: fold_1, fold_2") as caught:
        read(top, cache=tmp_path / "cache")
    assert "--ignore 'fold_2'" in str(caught.value)
    if "/" in inner:
        found = read(top, how=PlaceOptions(ignore=("fold_2",)), cache=tmp_path / "cache")
        assert (found.classes, found.splits) == (("a", "b"), ("train", "test"))


def test_one_name_however_it_is_encoded_or_spaced(tmp_path):
    composed, parted = (unicodedata.normalize(form, "été") for form in ("NFC", "NFD"))
    assert composed != parted
    found = seen(made(tmp_path / "d", f"train/{composed}", "train/bees", f"val/{parted}", "val/bees "))
    assert found.classes == ("bees", composed)


@pytest.mark.parametrize("names", [("trainset", "valset"), ("TrainData", "TestData"), ("训练集", "测试集")])
def test_splits_in_one_word(tmp_path, names):
    top = made(tmp_path / "d", *(f"{one}/{c}" for one in names for c in ("ants", "bees")))
    assert seen(top).splits[0] == "train"
    assert len(seen(top).splits) == 2


def test_numbered_folders_of_a_table_are_no_classes(tmp_path):
    top = made(tmp_path / "d", "images_001", "images_002")
    with pytest.raises(DataError, match="parts of the data, not classes"):
        seen(top)
    for part in (1, 2):
        for n in range(2):
            (top / f"images_00{part}" / f"{n}.jpg").rename(top / f"images_00{part}" / f"p{part}{n}.jpg")
    (top / "meta.csv").write_text("image_id,dx\np10,mel\np11,nv\np20,mel\np21,nv\n")
    assert seen(top).counts() == {"mel": 2, "nv": 2}


def test_archives_in_a_folder_are_named(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "ants.zip").write_bytes(b"PK")
    with pytest.raises(DataError) as caught:
        seen(tmp_path / "d")
    assert "ants.zip: unpack them" in str(caught.value)


def test_labels_in_a_file_of_another_kind_are_named(tmp_path):
    top = made(tmp_path / "d", "images")
    (top / "labels.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError) as caught:
        seen(top)
    assert "labels in labels.xlsx? save them as a CSV" in str(caught.value)
    with pytest.raises(DataError, match="is a spreadsheet"):
        seen(top / "labels.xlsx")


def test_a_folder_may_be_called_as_a_table_is(tmp_path):
    assert seen(made(tmp_path / "d.csv", "ants", "bees")).classes == ("ants", "bees")


def test_a_table_in_each_folder_of_a_split(tmp_path):
    top = made(tmp_path / "d", "train", "valid")
    for split in ("train", "valid"):
        (top / split / "_classes.csv").write_text("filename, ants, bees\n0.jpg, 1, 0\n1.jpg, 0, 1\n")
    found = seen(top)
    assert [(row.split, row.labels) for row in found.rows] == [
        (split, (label,)) for split in ("train", "val") for label in ("ants", "bees")
    ]


def annotations(boxes, categories=("ants", "bees")):
    images = [{"id": n, "file_name": f"{n}.png"} for n in range(2)]
    kinds = [{"id": n, "name": name} for n, name in enumerate(categories)]
    marks = [{"image_id": n % 2, "category_id": n // 2, "bbox": box} for n, box in enumerate(boxes)]
    return json.dumps({"images": images, "categories": kinds, "annotations": marks})


def test_boxes_of_coco_beside_its_pictures_are_crops(tmp_path):
    boxes = [[2, 3, 10, 8], [4, 5, 6, 7], [0, 0, 5, 5], [20, 10, 9, 0]]  # left, top, width, height
    top = tmp_path / "d"
    for split in ("train", "val"):
        (top / split).mkdir(parents=True)
        for n in range(2):
            Image.fromarray(scene(40, 32, seed=n + 2 * (split == "val"))).save(top / split / f"{n}.png")
        (top / "annotations").mkdir(exist_ok=True)
        (top / "annotations" / f"instances_{split}.json").write_text(annotations(boxes))
    found = seen(top)
    assert [(row.split, row.labels[0]) for row in found.rows] == [
        (split, label) for split in ("train", "val") for label in ("ants", "ants", "bees")
    ]
    assert np.array_equal(decode(found.rows[4].picture).rgb, scene(40, 32, seed=3)[5:12, 4:10])
    assert [item.reason for item in found.skipped] == ["its box is empty"] * 2
    with pytest.raises(DataError, match="2 pictures have annotations of several categories"):
        seen(top, box_format="none")


def test_lvis_names_its_pictures_by_their_address(tmp_path):
    top = tree(tmp_path / "d", *(f"train2017/00{n}.jpg" for n in range(4)))
    url = "http://images.cocodataset.org/train2017/00"
    said = {
        "images": [{"id": n, "coco_url": f"{url}{n}.jpg", "neg_category_ids": []} for n in range(4)],
        "annotations": [{"id": n, "image_id": n, "category_id": n % 2, "bbox": [1, 1, 9, 9]} for n in range(4)],
        "categories": [{"id": 0, "name": "aerosol_can"}, {"id": 1, "name": "air_conditioner"}],
    }
    (top / "lvis_v1_train.json").write_text(json.dumps(said))
    for place, options in ((top, {}), (top / "lvis_v1_train.json", {"images": str(top / "train2017")})):
        assert seen(place, **options).counts() == {"aerosol_can": 2, "air_conditioner": 2}


def test_labels_in_a_second_table(tmp_path):
    top = made(tmp_path / "d", "pictures", count=4)
    (top / "images.csv").write_text(
        "image_id,file_name,split\n" + "".join(f"{n + 10},{n}.jpg,train\n" for n in range(4))
    )
    (top / "labels.csv").write_text("image_id,label\n" + "".join(f"{n + 10},{'ab'[n % 2]}\n" for n in (3, 2, 1)))
    found = seen(top)
    assert [(row.picture.name, row.labels[0]) for row in found.rows] == [("3.jpg", "b"), ("2.jpg", "a"), ("1.jpg", "b")]
    assert "labels.csv and images.csv, joined by `image_id`" in found.summary()
    assert found.splits == ("train",)
    (top / "labels.csv").write_text("image_id,label\n10,a\n99,b\n")
    with pytest.raises(DataError, match=r"1 rows name no picture of images\.csv, first: row 3"):
        seen(top)
    (top / "images.csv").write_text("image_id,file_name\n10,0.jpg\n10,1.jpg\n")
    with pytest.raises(DataError, match="'10' stands twice in 'image_id'"):
        seen(top)
    (top / "images.csv").write_text("file_name,image_id\n0.jpg,10\n1.jpg\n")
    with pytest.raises(DataError, match=r"row 3 has 1 of 2 columns"):
        seen(top)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("train-00000-of-00002.tfrecord", "of TensorFlow"),
        ("data.mdb", "LMDB"),
        ("train.h5", "HDF5"),
        ("data_batch_1", "never opened"),
        ("train.pkl", "never opened"),
        ("X_train.npy", "numpy.savez"),
        ("bloodmnist.npz", "name it in place of the folder"),
        ("annotations.xml", "COCO's JSON"),
        ("train.lst", "save them as a CSV"),
    ],
)
def test_what_is_not_read_is_named_with_what_it_should_become(tmp_path, name, said):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / name).write_bytes(b"x")
    with pytest.raises(DataError, match=said):
        seen(tmp_path / "d")
    if not name.startswith(("data", "bloodmnist")):
        with pytest.raises(DataError, match=said):
            seen(tmp_path / "d" / name)


def test_boxes_of_yolo_are_named(tmp_path):
    top = made(tmp_path / "d", "train/images", "valid/images")
    for split in ("train", "valid"):
        (top / split / "labels").mkdir()
        for n in range(3):
            (top / split / "labels" / f"{n}.txt").write_text("0 0.5 0.5 0.2 0.2")
    with pytest.raises(DataError, match="boxes of YOLO"):
        seen(top)


def test_numbers_within_numbers_are_asked_about(tmp_path):
    """IDC of breast histology: a folder a patient, in each 0 (no cancer) and 1. The outer ones were classes."""
    top = made(tmp_path / "d", *(f"{patient}/{label}" for patient in (8863, 8864, 9000) for label in (0, 1)))
    with pytest.raises(DataError, match=r"8863, 8864, 9000 hold the same folders \(0, 1\)") as caught:
        seen(top)
    assert "--label-pattern '([^/]+)/[^/]+$'" in caught.value.hint
    found = seen(top, label_pattern=r"^(?P<group>\d+)/(?P<label>[01])/")
    assert (found.classes, {row.group for row in found.rows}) == (("0", "1"), {"8863", "8864", "9000"})
    assert seen(made(tmp_path / "e", *(f"{k}/{one}" for k in (1, 2) for one in ("images", "masks")))).classes == (
        "1",
        "2",
    )


@pytest.mark.parametrize("inner", ["images", "{}"])
def test_the_same_classes_below_one_more_folder_are_asked_about(tmp_path, inner):
    """Office-31: amazon/images/<class>, dslr/images/<class>; Kaggle: "Original Images/Original Images/<class>"."""
    outer = ("amazon", "dslr")
    top = made(tmp_path / "d", *(f"{one}/{inner.format(one)}/{label}" for one in outer for label in ("bike", "mug")))
    with pytest.raises(DataError, match=r"amazon, dslr hold the same folders \(bike, mug\)"):
        seen(top)
    assert seen(top, label_pattern="([^/]+)/[^/]+$").classes == ("bike", "mug")
    assert seen(made(tmp_path / "e", "bus/images", "plane/images")).classes == ("bus", "plane")


def test_one_data_set_in_two_sizes_is_asked_about(tmp_path):
    """Kaggle's flowers: jpeg-224x224/train/<class>, jpeg-331x331/train/<class>; the sizes were the classes."""
    places = [f"jpeg-{size}/{split}/{label}" for size in (224, 331) for split in ("train", "val") for label in "ab"]
    top = made(tmp_path / "d", *places)
    with pytest.raises(DataError, match=r"hold splits of the same folders \(a, b\)") as caught:
        seen(top)
    assert "--ignore 'jpeg-331'" in caught.value.hint
    one = seen(top, ignore="jpeg-331")
    both = seen(top, label_pattern="/(?P<split>train|val)/(?P<label>[^/]+)/")
    assert "'/(?P<split>train|val)/(?P<label>[^/]+)/'" in caught.value.hint
    assert [one.part(split).counts() for split in one.splits] == [{"a": 2, "b": 2}] * 2
    assert [both.part(split).counts() for split in both.splits] == [{"a": 4, "b": 4}] * 2


@pytest.mark.parametrize(
    ("outer", "classes"),
    [
        (("kneeKL224", "kneeKL299"), ("0", "1", "2")),  # the grades of knee osteoarthritis, in two sizes
        (("cam1", "cam2"), ("c0", "c1", "c2")),  # AUC's distracted drivers, by two cameras
    ],
)
def test_copies_of_classes_called_by_number_are_asked_about(tmp_path, outer, classes):
    top = made(tmp_path / "d", *(f"{one}/{split}/{c}" for one in outer for split in ("train", "test") for c in classes))
    with pytest.raises(DataError, match="hold splits of the same folders") as caught:
        seen(top)
    inner, outside = "'/(?P<split>test|train)/(?P<label>[^/]+)/'", "'(?P<label>[^/]+)/(?P<split>test|train)/'"
    assert inner in caught.value.hint
    assert outside in caught.value.hint
    assert seen(top, ignore=outer[1]).classes == classes
    assert seen(top, label_pattern=inner.strip("'")).classes == classes
    found = seen(top, label_pattern=outside.strip("'"))
    assert (found.classes, found.splits) == (outer, ("train", "test"))


@pytest.mark.parametrize(
    ("outer", "classes"),
    [
        (("p002", "p012"), ("c0", "c1")),  # State Farm's drivers
        (("hospitalA", "hospitalB"), ("grade0", "grade1", "grade2")),
        (("siteA", "siteB"), ("0", "1")),
        (("2019", "2020"), ("Type_1", "Type_2", "Type_3")),  # Intel and MobileODT's cervices, by year
        (("color", "grayscale"), ("c0", "c1")),
        (("original", "augmented"), ("0", "1")),
    ],
)
def test_numbered_classes_within_what_is_none_are_asked_about(tmp_path, outer, classes):
    top = made(tmp_path / "d", *(f"{one}/{label}" for one in outer for label in classes))
    with pytest.raises(DataError, match="which are the classes"):
        seen(top)
    assert seen(top, label_pattern="([^/]+)/[^/]+$").classes == classes


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        (("0", "1"), ("patient1", "patient2")),
        (("grade0", "grade1"), ("p1", "p2")),
        (("c0", "c1"), ("1", "2")),
        (("n01440764", "n01443537"), ("images", "masks")),
        (("ants", "bees"), ("seq1", "seq2")),
    ],
)
def test_what_keeps_order_within_numbered_classes_is_no_class(tmp_path, outer, inner):
    top = made(tmp_path / "d", *(f"{one}/{part}" for one in outer for part in inner))
    assert seen(top).classes == outer


@pytest.mark.parametrize(
    ("places", "classes", "ignore"),
    [
        (("a/abbey", "a/airfield", "b/bar", "c/cabin"), "abbey airfield bar cabin", None),  # SUN397, Places365
        (  # LC25000
            (
                "colon_image_sets/colon_aca",
                "colon_image_sets/colon_n",
                "lung_image_sets/lung_n",
                "lung_image_sets/lung_scc",
            ),
            "colon_aca colon_n lung_n lung_scc",
            None,
        ),
        (("images/images/Goya", "images/images/Titian", "resized/resized"), "Goya Titian", "resized"),  # Best Artworks
        (("animals/cat", "animals/dog", "animals/fox", "sample_images"), "cat dog fox", "sample_images"),
    ],
)
def test_folders_that_only_hold_the_folders_of_classes_are_asked_about(tmp_path, places, classes, ignore):
    top = made(tmp_path / "d", *places)
    with pytest.raises(DataError, match=r"holds? folders of other names .*: which are the classes") as caught:
        seen(top)
    inner = "([^/]+)/[^/]+$"
    assert f"the inner ones: --label-pattern '{inner}'" in caught.value.hint
    if ignore is None:
        assert seen(top, label_pattern=inner).classes == tuple(classes.split())
    else:
        assert f"--ignore '{ignore}'" in caught.value.hint
        assert seen(top, ignore=ignore).classes == tuple(classes.split())


def test_deeper_folders_and_splits_around_are_in_the_pattern(tmp_path):
    """Places365: data/train/a/apartment_building/outdoor beside data/train/b/bar."""
    names = ("a/apartment_building/outdoor", "a/alley", "b/bar", "b/beach")
    top = made(tmp_path / "d", *(f"data/{split}/{name}" for split in ("train", "val") for name in names))
    with pytest.raises(DataError, match="a, b hold folders of other names") as caught:
        seen(top)
    inner = "^data/(?P<split>train|val)/[^/]+/(?P<label>.+)/"
    assert f"the inner ones: --label-pattern '{inner}'" in caught.value.hint
    found = seen(top, label_pattern=inner)
    assert found.classes == ("alley", "apartment_building/outdoor", "bar", "beach")
    assert found.splits == ("train", "val")


@pytest.mark.parametrize(("train", "val"), [("train", "val"), ("seg_train/seg_train", "seg_val/seg_val")])
def test_sites_within_a_split_are_asked_about(tmp_path, train, val):
    """Camelyon17 by its centres: the sites were the classes of train without a word."""
    places = [
        f"{split}/{site}/{c}" for split in (train, val) for site in ("siteA", "siteB") for c in ("normal", "tumour")
    ]
    top = made(tmp_path / "d", *places)
    with pytest.raises(DataError, match=r"siteA, siteB hold the same folders \(normal, tumour\)") as caught:
        seen(top)
    inner, outside = (part.split("'")[1] for part in caught.value.hint.split("; ")[:2])
    assert (seen(top, label_pattern=inner).classes, seen(top, label_pattern=inner).splits) == (
        *(("normal", "tumour"), ("train", "val")),
    )
    assert seen(top, label_pattern=outside).classes == ("siteA", "siteB")


@pytest.mark.parametrize("split", ["", "train/"])
def test_genus_and_species_are_read_by_genus_and_said(tmp_path, split):
    """iNaturalist's and FathomNet's taxonomies: the outer folder is the class, and the inner one might be meant."""
    names = ("Canis/lupus", "Canis/familiaris", "Felis/catus", "Felis/silvestris")
    found = seen(made(tmp_path / "d", *(f"{split}{name}" for name in names)))
    assert found.classes == ("Canis", "Felis")
    (warning,) = found.understood.warnings
    assert warning.startswith("Canis, Felis are taken as classes, and not the folders within (familiaris, lupus,")
    inner = warning.split("'")[1]
    assert seen(tmp_path / "d", label_pattern=inner).classes == ("catus", "familiaris", "lupus", "silvestris")


@pytest.mark.parametrize(
    "places",
    [
        ("ants/monday", "ants/2020-01", "bees/left", "bees/day 2"),
        ("benign/TB-14-22549AB", "benign/TA-14-9133", "malignant/DC-14-2523", "malignant/LC-14-15570C"),  # BreakHis
        ("n01440764/images", "n01443537/images"),
        ("car", "bus", "lorry/van", "lorry/truck", "bike"),
        ("A", "B", "C"),
    ],
)
def test_folders_within_classes_that_keep_order_are_read_as_before(tmp_path, places):
    outer = sorted({place.partition("/")[0] for place in places})
    assert seen(made(tmp_path / "d", *places)).classes == tuple(outer)


def test_unlabelled_pictures_beside_a_folder_of_classes_are_asked_about(tmp_path):
    top = made(tmp_path / "d", "labeled/ants", "labeled/bees", "unlabeled")
    with pytest.raises(DataError, match="'unlabeled' may be a class, or hold pictures without labels") as caught:
        seen(top)
    assert "--ignore 'unlabeled'" in caught.value.hint
    assert seen(top, ignore="unlabeled").classes == ("ants", "bees")


def test_what_storage_and_desktops_leave_is_no_class(tmp_path):
    """Recycle bins of Synology and QNAP, caches; a copy and a new folder are warned of."""
    top = made(tmp_path / "d", "ants", "bees", *("#recycle", "@Recycle", "#snapshot", "__pycache__", "@eaDir"))
    assert seen(top).counts() == {"ants": 2, "bees": 2}
    made(top, "ants - Copy", "New folder", "bees (2)")
    warnings = seen(top).understood.warnings
    assert [line.partition(" may ")[0] for line in warnings] == [
        *("the class 'New folder' (2)", "the class 'ants - Copy' (2)", "the class 'bees (2)' (2)")
    ]
    assert warnings[1].endswith("may be a copy of 'ants'")


@pytest.mark.parametrize(("link", "to"), [("kitten", "cat"), ("dog/more", "../cat"), ("around/dog", "../cat")])
def test_a_folder_under_two_names_is_asked_about(tmp_path, link, to):
    """A link beside its folder was a second class of the same pictures."""
    top = tree(tmp_path / "d", *(f"{label}/{n}.jpg" for label in ("cat", "dog") for n in range(3)))
    (top / link).parent.mkdir(exist_ok=True)
    (top / link).symlink_to(to, target_is_directory=True)
    with pytest.raises(DataError, match="are one folder under two names") as caught:
        seen(top)
    assert f"--ignore '{link}'" in caught.value.hint
    assert seen(top, ignore=(link,)).counts() == {"cat": 3, "dog": 3}


def test_a_split_that_is_a_link_to_another_is_asked_about(tmp_path):
    top = tree(tmp_path / "d", *(f"train/{label}/{n}.jpg" for label in ("cat", "dog") for n in range(3)))
    (top / "test").symlink_to("train", target_is_directory=True)
    with pytest.raises(DataError, match="'test' and 'train' are one folder"):
        seen(top)

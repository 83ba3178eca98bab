"""Public data sets as they are handed out, in miniature: read as documented, or refused with what helps."""

import json
import re

import pytest
from PIL import Image

from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import read
from frostline.errors import DataError
from tests.data.pictures import save, tree

HEX = "0123456789abcdef0123456789abcde"


def seen(place, **said):
    return read(place, how=PlaceOptions.of(said), cache=place.parent / "cache")


def splits(found):
    return {split: len(found.part(split)) for split in found.splits}


def written(file, *lines):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def refused(place, match, **said):
    with pytest.raises(DataError, match=match) as caught:
        seen(place, **said)
    return caught.value.hint


def option(hint, name, number=0):
    """What the hint says behind an option, as a shell would give it."""
    return re.findall(rf"{name} (?:'([^']*)'|(\S+))", hint)[number][0]


@pytest.mark.parametrize("around", ["", "EuroSAT/", "archive/EuroSAT/"])
def test_tables_of_splits_lie_in_a_folder_around_the_classes(tmp_path, around):
    """EuroSAT: train.csv, validation.csv and test.csv beside the classes, perhaps in one more folder."""
    top, lines = tmp_path / "d", {"train": [], "validation": [], "test": []}
    for number, label in enumerate(("Forest", "SeaLake")):
        for n in range(8):
            save(top / f"{around}{label}/{label}_{n}.jpg", 10 * number + n)
            split = ("train", "train", "validation", "test")[n % 4]
            lines[split].append(f"{n},{label}/{label}_{n}.jpg,{number},{label}")
    for split, rows in lines.items():
        written(top / f"{around}{split}.csv", ",Filename,Label,ClassName", *rows)
    found = seen(top)
    assert found.counts() == {"Forest": 8, "SeaLake": 8}
    assert splits(found) == {"train": 8, "val": 4, "test": 4}


@pytest.mark.parametrize("around", ["", "dtd/"])
def test_lists_of_splits_start_where_the_classes_lie(tmp_path, around):
    """DTD: labels/train1.txt says banded/banded_1.jpg, which is images/banded/banded_1.jpg."""
    names = [f"{label}/{label}_{n}.jpg" for label in ("banded", "blotchy") for n in range(4)]
    top = tree(tmp_path / "d", *(f"{around}images/{name}" for name in names))
    for split, own in (("train", names[::2]), ("test", names[1::2])):
        written(top / f"{around}labels/{split}1.txt", *own)
        written(top / f"{around}labels/{split}10.txt", *own)
    hint = refused(top, "two lists for the split")
    assert splits(seen(top, ignore=option(hint, "--ignore"))) == {"train": 4, "test": 4}
    assert splits(seen(top, ignore="*10.txt,*[!1].txt")) == {"train": 4, "test": 4}
    assert splits(seen(top, ignore="*[!1].txt,*10.txt")) == {"train": 4, "test": 4}


def test_classes_of_several_folders_below_letters(tmp_path):
    """SUN397: /a/apartment/outdoor is a class, and so is /b/bakery/shop; Partitions/Training_01.txt says paths."""
    classes = ("a/abbey", "a/apartment/outdoor", "a/apse/indoor", "b/bakery/shop", "b/bar")
    top = tree(tmp_path / "d", *(f"SUN397/{name}/{n}.jpg" for name in classes for n in range(4)))
    for draw in ("01", "02", "10"):
        for split, numbers in (("Training", (0, 1)), ("Testing", (2, 3))):
            written(top / f"Partitions/{split}_{draw}.txt", *(f"/{name}/{n}.jpg" for name in classes for n in numbers))
    pattern = option(refused(top, "which are the classes"), "--label-pattern")
    ignore = option(refused(top, "two lists", label_pattern=pattern), "--ignore")
    found = seen(top, label_pattern=pattern, ignore=ignore)
    assert set(found.classes) == {name[2:] for name in classes}
    assert splits(found) == {"train": 10, "test": 10}


def test_lists_start_at_a_folder_that_is_not_said(tmp_path):
    """Places365: /a/airfield/1.jpg is data_256/a/airfield/1.jpg, and 1.jpg is in every folder."""
    classes = ("/a/airfield", "/a/apartment/outdoor", "/b/bakery/shop")
    top = tree(tmp_path / "d", *(f"data_256{name}/{n}.jpg" for name in classes for n in range(3)))
    tree(top, *(f"val_256/Places365_val_{n}.jpg" for n in range(6)))
    lines = [f"{name}/{n}.jpg {number}" for number, name in enumerate(classes) for n in range(3)]
    written(top / "places365_train_standard.txt", *lines)
    written(top / "places365_val.txt", *(f"Places365_val_{n}.jpg {n % 3}" for n in range(6)))
    found = seen(top)
    assert splits(found) == {"train": 9, "val": 6}
    assert all(f"{row.file.parent}".endswith(classes[int(row.labels[0])]) for row in found.part("train").rows)
    assert len(seen(top / "places365_train_standard.txt", images=top / "data_256")) == 9


def test_names_of_another_machine_are_found_by_the_folders_in_them(tmp_path):
    top = tree(tmp_path / "d", *(f"train/{label}/{n}.jpg" for label in ("ants", "bees") for n in range(4)))
    rows = [rf"C:\Users\me\data\train\{label}\{n}.jpg,{label}" for label in ("ants", "bees") for n in range(4)]
    written(top / "t.csv", "path,label", *rows, r"C:\Users\me\data\train\bees\lost.jpg,bees")
    found = seen(top / "t.csv")
    assert [row.file.parent.name for row in found.rows] == [row.labels[0] for row in found.rows]
    assert len(found) == 8
    tree(top, *(f"other/train/{label}/{n}.jpg" for label in ("ants", "bees") for n in range(4)))
    refused(top / "t.csv", "names several files")


def test_lists_with_the_number_of_their_rows_and_a_header(tmp_path):
    """CelebA: the number of rows, names of attributes, rows; DeepFashion: names of both columns."""
    top = tree(tmp_path / "d", *(f"img/{n}.jpg" for n in range(8)))
    signs = [f"{n}.jpg {(1, -1)[n % 2]:2d} {(-1, 1)[n // 4]:2d}" for n in range(8)]
    written(top / "Anno/list_attr_celeba.txt", "8", "Male Young ", *signs)
    written(
        top / "Anno/list_bbox_celeba.txt",
        "8",
        "image_id x_1 y_1 width height",
        *(f"{n}.jpg 1 1 5 5" for n in "01234567"),
    )
    assert seen(top).counts() == {"Male": 4, "Young": 4}
    written(top / "Anno/identity_CelebA.txt", *(f"{n}.jpg {n % 3 + 100}" for n in range(8)))
    assert "--ignore 'list_attr_celeba.txt'" in refused(top, "several tables name the pictures")
    other = tree(tmp_path / "e", *(f"img/Sheer_{n // 4}/{n}.jpg" for n in range(8)))
    rows = [f"img/Sheer_{n // 4}/{n}.jpg     {n % 2 + 1}" for n in range(8)]
    written(other / "Anno/list_category_img.txt", "8", "image_name  category_label", *rows)
    refused(other, "list_category_img.txt and the folders say different labels")
    found = seen(other / "Anno" / "list_category_img.txt", images=other)
    assert found.counts() == {"1": 4, "2": 4}


def test_masks_of_the_same_name_are_asked_about(tmp_path):
    """Magnetic tiles: Imgs/exp1.jpg is the picture, and Imgs/exp1.png its mask."""
    labels = ("MT_Blowhole", "MT_Free")
    names = [f"{label}/Imgs/{n}.{ending}" for label in labels for n in range(3) for ending in ("jpg", "png")]
    top = tree(tmp_path / "d", *names)
    hint = refused(top, "is one a mask or a copy")
    assert seen(top, ignore=option(hint, "--ignore")).counts() == dict.fromkeys(labels, 3)
    assert seen(top, label_pattern=option(hint, "--label-pattern")).counts() == dict.fromkeys(labels, 6)
    refused(tree(tmp_path / "e", *(f"{s}/{name}" for s in ("train", "val") for name in names)), "a mask or a copy")


def test_pictures_of_the_same_name_may_be_pictures(tmp_path):
    """Of another size, or a few of the numbers that somebody else has counted up from 0, too."""
    top = tmp_path / "d"
    for seed, label in enumerate(("ants", "bees")):
        for n in range(3):
            save(top / f"{label}/{n}.jpg", 10 * seed + n)
            save(top / f"{label}/{n}.png", 10 * seed + n + 5, width=30 + n)
    assert seen(top).counts() == {"ants": 6, "bees": 6}
    other = tree(tmp_path / "e", *(f"{label}/{n}.jpg" for label in ("ants", "bees") for n in range(12)))
    tree(other, *(f"unused{n}" for n in range(3)), *(f"{label}/3.png" for label in ("ants", "bees")))
    assert seen(other, ignore="unused*").counts() == {"ants": 13, "bees": 13}


@pytest.mark.parametrize("beside", ["mask", "copy"])
def test_a_few_masks_or_copies_of_the_same_name_are_asked_about(tmp_path, beside):
    """Only the pictures of defects have a mask."""
    top = tree(tmp_path / "d", *(f"{label}/{n}.jpg" for label in ("good", "bad") for n in range(12)))
    for n in range(3):
        with Image.open(top / f"bad/{n}.jpg") as opened:
            mask = opened.convert("L").point(lambda value: 255 * (value > 100))
            (mask if beside == "mask" else opened).save(top / f"bad/{n}.png")
    assert "--ignore '*.png'" in refused(top, "as 3 pairs do")


def test_masks_are_left_out_by_a_pattern_of_paths_too(tmp_path):
    """BUSI has benign (1)_mask.png beside benign (1).png, MVTec ground_truth/ beside test/."""
    names = [
        f"{label}/{label} ({n}){end}.png" for label in ("benign", "normal") for n in (1, 2) for end in ("", "_mask")
    ]
    found = seen(tree(tmp_path / "d", *(f"BUSI/{name}" for name in names)), label_pattern="([^/]+)/[^/]+$")
    assert found.counts() == {"benign": 2, "normal": 2}
    top = tree(tmp_path / "e", *(f"{s}/{n}.png" for s in ("train/good", "test/good", "test/bad") for n in range(2)))
    found = seen(tree(top, "ground_truth/bad/0_mask.png"), label_pattern="([^/]+)/[^/]+$")
    assert found.counts() == {"bad": 2, "good": 4}
    assert [item.name for item in found.skipped] == ["ground_truth/"]


def test_folders_of_objects_and_their_defects_are_asked_about(tmp_path):
    """MVTec whole: bottle/train/good, bottle/test/broken, bottle/ground_truth/broken, and cable/ like it."""
    places = [
        f"{one}/{inner}"
        for one in ("bottle", "cable")
        for inner in ("train/good", "test/good", "test/bad", "ground_truth/bad")
    ]
    top = tree(tmp_path / "d", *(f"{place}/{n}.png" for place in places for n in range(2)))
    hint = refused(top, "hold splits of the same folders")
    found = seen(top, label_pattern=option(hint, "--label-pattern", 1))
    assert (found.classes, splits(found)) == (("bottle", "cable"), {"train": 4, "test": 8})
    refused(top, "train lacks 'bad'", label_pattern=option(hint, "--label-pattern"))


def test_pascal_voc_has_no_class_folders(tmp_path):
    top = tree(tmp_path / "d", *(f"VOCdevkit/VOC2007/JPEGImages/{n}.jpg" for n in range(4)))
    tree(top, *(f"VOCdevkit/VOC2007/Segmentation{kind}/{n}.png" for kind in ("Class", "Object") for n in range(2)))
    written(top / "VOCdevkit/VOC2007/Annotations/0.xml", "<annotation/>")
    assert "labels in 0.xml?" in refused(top, "name no classes")


def test_a_folder_of_train_that_is_not_called_so_is_asked_about(tmp_path):
    """Rock, paper, scissors: rps/ is what rps-test-set/ is the test of."""
    hands = ("paper", "rock", "scissors")
    top = tree(
        tmp_path / "d", *(f"{s}/{hand}/{n}.png" for s in ("rps", "rps-test-set") for hand in hands for n in range(2))
    )
    tree(top, "rps-validation/0.png")
    assert "--ignore 'rps'" in refused(top, "'rps' holds the same classes")


@pytest.mark.parametrize(
    "names", [("a. Training Set", "b. Testing Set"), ("1. train", "2. test"), ("train_mini", "val")]
)
def test_splits_that_are_counted_up_are_splits(tmp_path, names):
    """IDRiD and iNaturalist 2021."""
    top = tree(tmp_path / "d", *(f"{s}/{label}/{n}.jpg" for s in names for label in ("ants", "bees") for n in range(2)))
    assert len(seen(top).splits) == 2
    loose = tree(tmp_path / "e", *(f"Images/{s}/IDRiD_{n}.jpg" for s in names for n in range(4)))
    for s in names:
        written(
            loose / f"Groundtruths/{s} Labels.csv",
            "Image name,Grade,Risk",
            *(f"IDRiD_{n},{n % 2},{n % 3}" for n in range(4)),
        )
    assert "labels in a table? name it" in refused(loose, "no class folders")
    found = seen(loose, label_column="Grade")
    assert sorted(splits(found).values()) == [4, 4]
    assert {row.file.parent.name for row in found.rows} == set(names)


def test_json_of_another_form_is_no_table_beside_one_that_is(tmp_path):
    """iWildCam: annotations of train, information of test without any, boxes of a detector."""
    top = tree(tmp_path / "d", *(f"train/{n}.jpg" for n in range(6)), *(f"test/t{n}.jpg" for n in range(2)))
    images = [{"id": n, "file_name": f"{n}.jpg", "seq_id": n // 2} for n in range(6)]
    marked = [{"id": n, "image_id": n, "category_id": n // 2 % 2} for n in range(6)]
    names = [{"id": 0, "name": "empty"}, {"id": 1, "name": "sus"}]
    whole = {"images": images, "annotations": marked, "categories": names}
    written(top / "metadata/train_annotations.json", json.dumps(whole))
    written(top / "metadata/test_information.json", json.dumps({"images": [{"id": 9, "file_name": "t0.jpg"}]}))
    written(top / "metadata/detections.json", json.dumps({"images": [{"file": "train/0.jpg", "detections": []}]}))
    found = seen(top)
    assert found.counts() == {"empty": 4, "sus": 2}
    assert len({row.group for row in found.rows}) == 3
    (top / "metadata/train_annotations.json").unlink()
    refused(top, "not annotations of COCO")


def test_an_address_beside_a_file_name_is_asked_about(tmp_path):
    """FlickrStyle: image_filename and image_url."""
    top = tree(tmp_path / "d", *(f"images/{n}.jpg" for n in range(4)))
    rows = [f"{n}.jpg,{'ab'[n % 2]},https://host.example/{n}.jpg" for n in range(4)]
    written(top / "t.csv", "image_filename,label,image_url", *rows)
    column = option(refused(top, "several columns may be the path"), "--image-column")
    assert column == "image_filename"
    assert seen(top, image_column=column).counts() == {"a": 2, "b": 2}


def test_columns_in_chinese(tmp_path):
    top = tree(tmp_path / "d", *(f"图片/{n}.jpg" for n in range(8)))
    rows = [f"{n}.jpg,{'猫狗'[n % 2]},P{n // 2}" for n in range(8)]
    found = seen(written(top / "表.csv", "图像路径,类别,患者编号", *rows))
    assert found.counts() == {"狗": 4, "猫": 4}
    assert len({row.group for row in found.rows}) == 4


def test_folders_of_patients_are_said_to_be_groups(tmp_path):
    """COVID/patient1, MURA's XR_HAND/patient00011/study1_negative, CheXpert's train/patient00001."""
    top = tree(
        tmp_path / "d",
        *(
            f"{c}/patient{n // 2}{c[0]}{n}/{n}.png".replace(f"{c[0]}{n}/", "/")
            for c in ("covid", "normal")
            for n in range(6)
        ),
    )
    (said,) = seen(top).understood.warnings
    found = seen(top, label_pattern=option(said, "--label-pattern"))
    assert found.counts() == {"covid": 6, "normal": 6}
    assert {row.group for row in found.rows} == {"patient0", "patient1", "patient2"}
    bare = tree(tmp_path / "e", *(f"train/patient0000{p}/study1/{n}.png" for p in range(3) for n in range(2)))
    assert "are taken as classes" in seen(bare).understood.warnings[0]


@pytest.mark.parametrize(("columns", "form"), [(2304, "48, 48"), (192, "8, 8, 3"), (784, "28, 28")])
def test_pixels_are_refused_with_their_form(tmp_path, columns, form):
    """FER2013, HAM10000's 8 x 8 in colour, MNIST without a header."""
    pixels = [str(n % 256) for n in range(columns)]
    one = written(
        tmp_path / "one.csv", "emotion,pixels,Usage", f"0,{' '.join(pixels)},Training", f"1,{' '.join(pixels)},Training"
    )
    many = written(
        tmp_path / "many.csv", ",".join(f"pixel{n}" for n in range(columns)) + ",label", *[",".join([*pixels, "3"])] * 2
    )
    bare = written(tmp_path / "bare.csv", *[",".join(["3", *pixels])] * 2)
    for table in (one, many, bare) if columns != 192 else (one, many):
        assert f"reshape(-1, {form})" in refused(table, "pixels themselves")


def test_a_table_of_two_columns_and_no_header_may_lack_endings(tmp_path):
    """ISIC 2016: ISIC_0000000,benign."""
    top = tree(tmp_path / "d", *(f"ISIC_{n}.jpg" for n in range(6)))
    table = written(top / "t.csv", *(f"ISIC_{n},{('benign', 'malignant')[n % 2]}" for n in range(6)))
    found = seen(table)
    assert found.counts() == {"benign": 3, "malignant": 3}
    assert "has no header" in found.understood.warnings[0]


def test_rows_that_say_no_in_all_columns_name_one_column(tmp_path):
    """ISIC 2017: melanoma, seborrheic_keratosis, or neither."""
    top = tree(tmp_path / "d", *(f"{n}.jpg" for n in range(6)))
    rows = [f"{n},{float(n % 3 == 0)},{float(n % 3 == 1)}" for n in range(6)]
    hint = refused(written(top / "t.csv", "image_id,melanoma,keratosis", *rows), "row 4: no label; row 7: no label")
    assert seen(top / "t.csv", label_column=option(hint, "--label-column")).counts() == {"0": 4, "1": 2}


def test_copies_of_a_photograph_stay_together_in_a_table_of_its_own(tmp_path):
    """Roboflow: train/_annotations.csv and train/_annotations.coco.json, three copies of each photograph."""
    names = [f"p{n // 3}_jpg.rf.{HEX}{n:x}.jpg" for n in range(12)]
    top = tree(tmp_path / "d", *names)
    table = written(top / "t.csv", "filename,class", *(f"{name},{'ab'[n // 3 % 2]}" for n, name in enumerate(names)))
    assert {row.group for row in seen(table).rows} == {"p0_jpg", "p1_jpg", "p2_jpg", "p3_jpg"}
    assert {row.group for row in seen(table, group="none").rows} == {None}
    boxes = [{"id": n, "image_id": n, "category_id": n // 3 % 2, "bbox": [1, 1, 5, 5]} for n in range(12)]
    images = [{"id": n, "file_name": name} for n, name in enumerate(names)]
    categories = [{"id": 0, "name": "a"}, {"id": 1, "name": "b"}]
    listing = written(top / "c.json", json.dumps({"images": images, "annotations": boxes, "categories": categories}))
    assert len({row.group for row in seen(listing).rows}) == 4


def test_a_bare_flag_beside_class_folders_is_the_split(tmp_path):
    top = tree(tmp_path / "d", *(f"{label}/{n}.png" for label in ("ants", "bees") for n in range(4)))
    lines = [f"{label}/{n}.png,{int(n < 3)},{n}" for label in ("ants", "bees") for n in range(4)]
    written(top / "meta.csv", "file,train,size", *lines)
    assert splits(seen(top)) == {"train": 6, "test": 2}
    refused(top / "meta.csv", "no column 'label'")
    other = tree(tmp_path / "e", *(f"{label}/{n}.png" for label in ("bus", "train") for n in range(4)))
    lines = [
        f"{label}/{n}.png,{int(label == 'bus')},{int(label == 'train')}" for label in ("bus", "train") for n in range(4)
    ]
    written(other / "meta.csv", "file,bus,train", *lines)
    assert (seen(other).classes, seen(other).splits) == (("bus", "train"), ())


def test_folders_within_those_that_all_have_are_offered_too(tmp_path):
    """HyperKvasir: lower-gi-tract/anatomical-landmarks/cecum."""
    inner = {"landmarks": ("cecum", "ileum"), "findings": ("polyps", "barretts")}
    places = [
        f"{tract}/{kind}/{one}-{tract[0]}"
        for tract in ("lower", "upper")
        for kind, ones in inner.items()
        for one in ones
    ]
    top = tree(tmp_path / "d", *(f"{place}/{n}.jpg" for place in places for n in range(2)))
    hint = refused(top, "hold the same folders")
    assert len(seen(top, label_pattern=option(hint, "--label-pattern", 1)).classes) == 8


def test_words_of_splits_in_file_names_are_no_labels(tmp_path):
    """YOLO: images/train/train1.jpg and labels/train/train1.txt."""
    top = tree(tmp_path / "d", *(f"images/{split}/{split}{n}.jpg" for split in ("train", "val") for n in range(3)))
    for split in ("train", "val"):
        for n in range(3):
            written(top / f"labels/{split}/{split}{n}.txt", "0 0.5 0.5 0.2 0.2")
    hint = refused(top, "no class folders")
    assert "boxes of YOLO" in hint
    assert "file names look like labels" not in hint
    for file in (top / "labels").rglob("*.txt"):
        file.write_text("cat")
    assert "train0.txt and others are labels? save them as a CSV" in refused(top, "no class folders")


def test_a_table_of_other_pictures_says_no_group(tmp_path):
    """SIIM-ISIC: test.csv has patient_id, too, of pictures that are not used."""
    top = tree(tmp_path / "d", *(f"train/{n}.jpg" for n in range(6)), *(f"test/t{n}.jpg" for n in range(3)))
    written(top / "train.csv", "image_name,patient_id,target", *(f"{n},p{n // 2},{n % 2}" for n in range(6)))
    written(top / "test.csv", "image_name,patient_id", *(f"t{n},q{n}" for n in range(3)))
    assert seen(top).understood.group == "`patient_id`"


def test_label_maps_beside_their_pictures_are_masks(tmp_path):
    """KolektorSDD: kos01/Part0.jpg and Part0_label.bmp; Chars74K: GoodImg/Bmp and GoodImg/Msk."""
    top = tree(
        tmp_path / "d", *(f"{c}/Part{n}{end}" for c in ("ok", "bad") for n in (0, 1) for end in (".jpg", "_label.bmp"))
    )
    assert seen(top).counts() == {"bad": 2, "ok": 2}
    places = [f"{kind}/Sample00{c}/{n}.png" for kind in ("Bmp", "Msk") for c in (1, 2) for n in (0, 1)]
    found = seen(tree(tmp_path / "e", *places))
    assert found.counts() == {"Sample001": 2, "Sample002": 2}
    (said,) = seen(
        tree(tmp_path / "f", *(f"{one}/{place}" for one in ("Good", "Bad") for place in places))
    ).understood.warnings
    assert seen(tmp_path / "f", label_pattern=option(said, "--label-pattern")).counts() == {
        "Sample001": 4,
        "Sample002": 4,
    }


def test_lists_of_a_class_each_beside_those_of_all_say_nothing_more(tmp_path):
    """Stanford 40 actions: ImageSplits/train.txt, test.txt, and cooking_train.txt."""
    names = {f"{c}_{n:03}.jpg": ("train", "test")[n % 2] for c in ("cooking", "fishing") for n in range(4)}
    top = tree(tmp_path / "d", *(f"JPEGImages/{name}" for name in names))
    for split in ("train", "test"):
        own = [name for name, of in names.items() if of == split]
        written(top / f"ImageSplits/{split}.txt", *own)
        for c in ("cooking", "fishing"):
            written(top / f"ImageSplits/{c}_{split}.txt", *(name for name in own if name.startswith(c)))
    pattern = option(refused(top, "no class folders"), "--label-pattern")
    found = seen(top, label_pattern=pattern)
    assert found.counts() == {"cooking": 4, "fishing": 4}
    assert splits(found) == {"train": 4, "test": 4}


def test_two_lists_of_one_name_are_told_apart_by_their_folders(tmp_path):
    """HASY: classification-task/fold-1/test.csv and fold-2/test.csv."""
    top = tree(tmp_path / "d", *(f"{c}/{n}.png" for c in ("ants", "bees") for n in range(4)))
    for fold in (1, 2):
        for split in ("train", "test"):
            rows = [
                f"../../{c}/{n}.png"
                for c in ("ants", "bees")
                for n in range(4)
                if (n % 2 == fold % 2) == (split == "test")
            ]
            written(top / f"task/fold-{fold}/{split}.csv", "path", *rows)
    first = option(refused(top, "two lists"), "--ignore")
    second = option(refused(top, "two lists", ignore=first), "--ignore")
    assert splits(seen(top, ignore=f"{first},{second}")) == {"train": 4, "test": 4}


def test_names_that_differ_in_their_ending_are_no_labels(tmp_path):
    """KolektorSDD2: train/10000.png and train/10000_GT.png."""
    top = tree(
        tmp_path / "d", *(f"{s}/{n}{end}.png" for s in ("train", "test") for n in range(4) for end in ("", "_GT"))
    )
    assert "file names look like labels" not in refused(top, "no class folders")


def test_splits_of_one_file_and_groups_of_another_are_both_read(tmp_path):
    top = tree(tmp_path / "d", *(f"{c}/{n}.png" for c in ("ants", "bees") for n in range(4)))
    rows = [(f"{c}/{n}.png", ("train", "test")[n % 2], n // 2) for c in ("ants", "bees") for n in range(4)]
    written(top / "patients.csv", "file,patient_id", *(f"{name},p{number}" for name, _, number in rows))
    written(top / "split.csv", "file,split", *(f"{name},{split}" for name, split, _ in rows))
    found = seen(top)
    assert splits(found) == {"train": 4, "test": 4}
    assert {row.group for row in found.rows} == {"p0", "p1"}
    (top / "split.csv").unlink()
    for split in ("train", "test"):
        written(top / f"{split}.txt", *(name for name, of, _ in rows if of == split))
    assert splits(seen(top)) == {"train": 4, "test": 4}
    assert {row.group for row in seen(top).rows} == {"p0", "p1"}
    written(top / "patients.csv", "file,fold", *(f"{name},{fold}" for name, _, _ in rows for fold in (1, 2)))
    refused(top, "patients.csv says two groups of ants/0.png")


def test_a_folder_of_thumbnails_among_classes_is_named(tmp_path):
    top = tree(tmp_path / "d", *(f"{c}/{n}.png" for c in ("ants", "bees", "thumbnails") for n in range(2)))
    (said,) = seen(top).understood.warnings
    assert seen(top, ignore=option(said, "--ignore")).classes == ("ants", "bees")
    assert not seen(
        tree(tmp_path / "e", *(f"{c}/{n}.png" for c in ("mask", "no_mask") for n in range(2)))
    ).understood.warnings


def test_splits_in_the_middle_of_names_are_the_homes_of_tables(tmp_path):
    """Galaxy Zoo: images_training_rev1/ and images_test_rev1/, with pictures of the same numbers."""
    top = tree(tmp_path / "d", *(f"images_{s}_rev1/{n}.jpg" for s in ("training", "test") for n in range(4)))
    for s in ("training", "test"):
        written(top / f"{s}_labels.csv", "image_id,label", *(f"{n},{'ab'[n % 2]}" for n in range(4)))
    found = seen(top)
    assert splits(found) == {"train": 4, "test": 4}
    assert {row.file.parent.name for row in found.part("test").rows} == {"images_test_rev1"}


def test_boxes_of_pictures_of_one_name_in_two_splits_are_no_group(tmp_path):
    """COCO: train2017/1.jpg and val2017/1.jpg, with instances_train2017.json and instances_val2017.json."""
    top = tree(tmp_path / "d", *(f"{s}2017/{n}.jpg" for s in ("train", "val") for n in range(4)))
    for s in ("train", "val"):
        images = [{"id": n, "file_name": f"{n}.jpg"} for n in range(4)]
        boxes = [{"id": n, "image_id": n % 4, "category_id": n % 2, "bbox": [1, 1, 5, 5 + n]} for n in range(8)]
        names = [{"id": 0, "name": "a"}, {"id": 1, "name": "b"}]
        whole = {"images": images, "annotations": boxes, "categories": names}
        written(top / f"annotations/instances_{s}2017.json", json.dumps(whole))
    found = seen(top)
    assert len({row.group for row in found.rows}) == 8
    assert not found.understood.warnings


def test_lists_may_start_beside_the_folder(tmp_path):
    top = tree(tmp_path / "ds", *(f"images/{c}/{n}.jpg" for c in ("ants", "bees") for n in range(4)))
    for s, numbers in (("train", (0, 1, 2)), ("val", (3,))):
        written(top / f"splits/{s}.txt", *(f"ds/images/{c}/{n}.jpg" for c in ("ants", "bees") for n in numbers))
    assert splits(seen(top)) == {"train": 6, "val": 2}


@pytest.mark.parametrize("column", ["Confidence", "is_present"])
def test_rows_of_what_was_not_found_are_no_labels(tmp_path, column):
    """Open Images: Confidence 0 says that somebody looked for the label and did not find it."""
    top = tree(tmp_path / "d", *(f"{n:016x}.jpg" for n in range(8)))
    rows = [f"{n:016x},verification,/m/0{'ab'[n % 2]},{int(n > 1)}" for n in range(8)]
    denied = [f"{n:016x},verification,/m/0{'ba'[n % 2]},0" for n in range(8)]
    found = seen(written(top / "t.csv", f"ImageID,Source,LabelName,{column}", *rows, *denied))
    assert found.counts() == {"/m/0a": 3, "/m/0b": 3}
    assert f"10 rows in which `{column}` is 0" in found.summary()
    machine = [f"{n:016x},machine,/m/0{'ab'[n % 2]},{(0.9, 0.7)[n % 2]}" for n in range(8)]
    assert len(seen(written(top / "t.csv", f"ImageID,Source,LabelName,{column}", *machine))) == 8


def test_folders_of_users_or_patients_that_a_table_names_are_no_classes(tmp_path):
    """Adience: faces/30601258@N03/ and fold_0_data.txt with user_id; a hospital's list of patients."""
    users = ("30601258@N03", "10001312@N04", "7153718@N04")
    top = tree(
        tmp_path / "d", *(f"faces/{u}/coarse_tilt_aligned_face.{n}.1039{n}_o.jpg" for u in users for n in range(3))
    )
    rows = [f"{u}\t1039{n}_o.jpg\t{n}\t(25, 32)\tf" for u in users[:2] for n in range(3)]
    written(top / "fold_0_data.txt", "user_id\toriginal_image\tface_id\tage\tgender", *rows)
    hint = refused(top, "fold_0_data.txt calls 'user_id': groups")
    assert seen(top, ignore=option(hint, "--ignore")).classes == tuple(sorted(users, key=lambda name: int(name[:-4])))
    other = tree(tmp_path / "e", *(f"P{p:03}/{n}.png" for p in range(6) for n in range(2)))
    written(other / "clinical.csv", "patient_id,age,diagnosis", *(f"P{p:03},{30 + p},{'ab'[p % 2]}" for p in range(9)))
    refused(other, "clinical.csv calls 'patient_id': groups")
    names = tree(tmp_path / "f", *(f"{c}/{n}.png" for c in ("ants", "bees") for n in range(2)))
    written(names / "about.csv", "species,user", "ants,anna", "bees,ben")
    assert seen(names).classes == ("ants", "bees")


@pytest.mark.parametrize(
    ("folders", "lines"),
    [
        ([f"clip_{n}" for n in range(6)], ["path,label", *(f"d\\clip_{n},{'ab'[n % 2]}" for n in range(6))]),
        (
            [f"XR_{b}/p{n}/study1" for b in "AB" for n in range(3)],
            [f"d/XR_{b}/p{n}/study1/,{n % 2}" for b in "AB" for n in range(3)],
        ),
    ],
)
def test_a_table_that_labels_folders_is_not_passed_over(tmp_path, folders, lines):
    """Clips; MURA, whose folders are parts of the body, and whose table says which studies are abnormal."""
    top = tree(tmp_path / "d", *(f"{folder}/{n}.png" for folder in folders for n in range(2)))
    written(top / "labels.csv", *lines)
    hint = refused(top, r"labels\.csv has another label for each folder than its name")
    assert len(seen(top, ignore=(option(hint, "--ignore"),))) == 12


@pytest.mark.parametrize(
    "lines",
    [
        ["class,superclass", "cat,mammal", "dog,mammal", "owl,bird"],
        ["label,category", "cat,7", "dog,8", "owl,9"],
        ["wnid,label", "cat,crane", "dog,crane", "owl,owl"],  # two of ImageNet's names come twice
        ["cat,a small animal", "dog,a large animal", "owl,a bird"],
    ],
)
def test_a_table_that_describes_classes_says_nothing_else_of_folders(tmp_path, lines):
    top = tree(tmp_path / "d", *(f"{c}/{n}.png" for c in ("cat", "dog", "owl") for n in range(2)))
    written(top / "classes.csv", *lines)
    assert seen(top).classes == ("cat", "dog", "owl")


def test_numbers_of_folds_and_patients_are_not_those_of_classes(tmp_path):
    """Grades 0 to 2 in folders, folds 0 to 2 and patients 1 to 40 in tables."""
    top = tree(tmp_path / "d", *(f"{c}/{c}_{n}.png" for c in range(3) for n in range(6)))
    written(top / "folds.csv", "image_id,fold", *(f"{c}_{n},{n % 3}" for c in range(3) for n in range(6)))
    assert {row.group for row in seen(top).rows} == {"0", "1", "2"}
    (top / "folds.csv").unlink()
    written(top / "image.csv", "image_id,patient_id", *(f"{c}_{n},{n % 2}" for c in range(3) for n in range(6)))
    assert {row.group for row in seen(top).rows} == {"0", "1"}
    (top / "image.csv").unlink()
    written(top / "patients.csv", "patient_id,age", *(f"{n},{30 + n}" for n in range(40)))
    assert seen(top).classes == ("0", "1", "2")
    written(tmp_path / "e" / "classes.csv", "scene,words", "kitchen,cooking", "bar,drinking")
    scenes = tree(tmp_path / "e", *(f"{c}/{n}.png" for c in ("kitchen", "bar") for n in range(2)))
    assert seen(scenes).classes == ("bar", "kitchen")


@pytest.mark.parametrize("form", ["txt", "csv"])
def test_splits_of_numbers(tmp_path, form):
    """CelebA: list_eval_partition says 0 of train, 1 of val and 2 of test; folds are called so, too, and are even."""
    top = tree(tmp_path / "d", *(f"img_align_celeba/{n:06}.jpg" for n in range(10)))
    signs = [f"{n:06}.jpg {(1, -1)[n % 2]} {(-1, 1)[n % 3 == 0]}" for n in range(10)]
    numbers = [f"{n:06}.jpg {(0, 0, 0, 0, 0, 0, 1, 1, 2, 2)[n]}" for n in range(10)]
    if form == "txt":
        written(top / "list_attr_celeba.txt", "10", "Male Young", *signs)
        written(top / "Eval/list_eval_partition.txt", *numbers)
    else:
        written(top / "list_attr_celeba.csv", "image_id,Male,Young", *(row.replace(" ", ",") for row in signs))
        written(top / "list_eval_partition.csv", "image_id,partition", *(row.replace(" ", ",") for row in numbers))
    found = seen(top)
    assert splits(found) == {"train": 6, "val": 2, "test": 2}
    assert "(0 train, 1 val, 2 test)" in found.summary()
    even = [f"{n:06}.jpg,{'ab'[n // 3 % 2]},{n % 3}" for n in range(9)]
    assert (
        seen(written(tmp_path / "t.csv", "path,label,partition", *even), images=top / "img_align_celeba").splits == ()
    )


def test_splits_of_words_in_a_list_with_the_number_of_its_rows(tmp_path):
    """DeepFashion: Eval/list_eval_partition.txt."""
    top = tree(tmp_path / "d", *(f"img/{n}.jpg" for n in range(8)))
    written(top / "Anno/list_category_img.txt", "8", "image_name label", *(f"img/{n}.jpg {n % 2}" for n in range(8)))
    words = [f"img/{n}.jpg {('train', 'train', 'val', 'test')[n // 2]}" for n in range(8)]
    written(top / "Eval/list_eval_partition.txt", "8", "image_name evaluation_status", *words)
    assert splits(seen(top)) == {"train": 4, "val": 2, "test": 2}


@pytest.mark.parametrize("around", ["", "train/"])
def test_numbered_folders_of_several_alphabets_are_offered_apart(tmp_path, around):
    """Omniglot: character01 of Greek is none of Latin's; both ways are offered."""
    places = [f"{around}{a}/character{c:02}" for a in ("Greek", "Latin", "Korean") for c in (1, 2)]
    top = tree(tmp_path / "d", *(f"{place}/{n}.png" for place in places for n in range(2)))
    if around:
        tree(
            top,
            *(
                f"test/{a}/character{c:02}/{n}.png"
                for a in ("Greek", "Latin", "Korean")
                for c in (1, 2)
                for n in (7, 8)
            ),
        )
    (said,) = seen(top).understood.warnings
    together, apart = (seen(top, label_pattern=option(said, "--label-pattern", n)) for n in (0, 1))
    assert len(apart.classes) == 6
    assert "Greek/character01" in apart.classes
    assert together.classes == ("character01", "character02")


def test_videos_within_classes_are_groups_and_no_classes(tmp_path):
    """UCF101: Basketball/v_Basketball_g01_c01; and frames whose names say it."""
    top = tree(
        tmp_path / "d",
        *(f"{c}/v_{c}_g0{g}/{n}.jpg" for c in ("Basketball", "Biking") for g in (1, 2) for n in range(2)),
    )
    (said,) = seen(top).understood.warnings
    found = seen(top, label_pattern=option(said, "--label-pattern"))
    assert (found.classes, len({row.group for row in found.rows})) == (("Basketball", "Biking"), 4)
    names = [f"{c}/v_{c}_g0{g}_frame{n:04}.jpg" for c in ("Basketball", "Biking") for g in (1, 2) for n in range(3)]
    for prefix, deep in (("", "e"), ("train/", "f")):
        flat = tree(tmp_path / deep, *(f"{prefix}{name}" for name in names))
        if prefix:
            tree(flat, *(f"test/{name}".replace("g0", "g1") for name in names))
        (said,) = seen(flat).understood.warnings
        found = seen(flat, label_pattern=option(said, "--label-pattern"))
        assert len({row.group for row in found.rows}) == (8 if prefix else 4)
    classes = tree(tmp_path / "g", *(f"{c}/{c} {n}.jpg" for c in ("picture frame", "window frame") for n in range(4)))
    assert not seen(classes).understood.warnings


@pytest.mark.parametrize(
    ("form", "parts", "groups"),
    [
        ("TCGA-A{f}-{c}_x{n}_y256.jpg", 3, 4),  # tiles of a slide
        ("patch_patient_00{f}{c}_node_4_X_{n}_Y_1.jpg", 3, 4),  # Camelyon17
        ("{c}plate{f}_s1_w{n}.jpg", 3, 4),  # channels of a field: MetaXpress
        ("{c}r0{f}f01p01-Ch{n}sk1fk1fl1.jpg", 3, 4),  # Operetta
        ("{c}0{f}ab_{stain}.jpg", 3, 4),  # Human Protein Atlas
        ("{c}tile_{f}_2019-0{n}-11.jpg", 3, 4),  # a place on several days
    ],
)
def test_names_of_tiles_channels_and_days_say_what_belongs_together(tmp_path, form, parts, groups):
    stains = "Red", "green", "blue"
    names = [
        f"{c}/{form.format(f=f, n=n, c=c, stain=stains[n])}"
        for c in ("ctrl", "drug")
        for f in (1, 2)
        for n in range(parts)
    ]
    top = tree(tmp_path / "d", *names)
    (said,) = seen(top).understood.warnings
    found = seen(top, label_pattern=option(said, "--label-pattern"))
    assert (len(found), len({row.group for row in found.rows})) == (len(names), groups)


@pytest.mark.parametrize(
    "form", ["{p:05}_{n:05}.png", "CNV-{p}-{n}.jpeg", "video {p} ({n}).jpg", "George_{p}_Bush_000{n}.jpg"]
)
def test_names_that_count_up_behind_many_others_say_what_belongs_together(tmp_path, form):
    """Tracks of GTSRB, patients of OCT2017, frames of a face, persons: a random split puts each on both sides."""
    places = [f"{c}/{form.format(p=10 * k + p, n=n)}" for k, c in enumerate("ab") for p in range(4) for n in (1, 2, 3)]
    (said,) = seen(tree(tmp_path / "d", *places)).understood.warnings
    found = seen(tmp_path / "d", label_pattern=option(said, "--label-pattern"))
    assert (len(found), len({row.group for row in found.rows})) == (24, 8)
    given = tree(tmp_path / "e", *(f"{s}/{place}" for s in ("train", "test") for place in places))
    (said,) = seen(given).understood.warnings
    (parted,) = seen(given, label_pattern=option(said, "--label-pattern")).understood.warnings
    assert parted.startswith("8 of 8 groups")


@pytest.mark.parametrize(
    "form", ["patient{p}/view{n}.png", "vid{p}_frame_{n}.png", "{p}_x{n}_y256.png", "id{p}_{n}.png"]
)
def test_names_in_a_table_or_behind_a_pattern_say_what_belongs_together(tmp_path, form):
    """CheXpert's patients, frames in a list: only names below class folders were looked at."""
    names = [f"imgs/{form.format(p=p, n=n)}" for p in range(8) for n in (1, 2, 3)]
    top = tree(tmp_path / "d", *names)
    rows = [f"{name},{'ab'[n // 3 % 2]}" for n, name in enumerate(names)]
    table = written(top / "t.csv", "path,label", *rows)
    listed = written(tmp_path / "l.txt", *(row.replace(",", " ") for row in rows))
    for found in (seen(table), seen(listed, images=top)):
        (said,) = found.understood.warnings
        assert "a column of groups, or (?P<group>…) in --label-pattern, keeps" in said
    assert not seen(table, group="none").understood.warnings
    written(table, "path,label,patient", *(f"{row},p{n // 3}" for n, row in enumerate(rows)))
    assert not seen(table).understood.warnings


def test_splits_in_names_are_warned_of_where_nothing_else_says_them(tmp_path):
    """RAF-DB: train_00001.jpg and test_0001.jpg, in one folder and one list."""
    names = [f"{split}_{n}.jpg" for split in ("train", "test") for n in range(4)]
    top = tree(tmp_path / "d", *(f"{c}/{name}" for c in "ab" for name in names))
    (said,) = seen(top).understood.warnings
    assert splits(seen(top, label_pattern=option(said, "--label-pattern"))) == {"train": 8, "test": 8}
    table = written(top / "t.csv", "path,label,where", *(f"{c}/{name},{c},{name[:2]}" for c in "ab" for name in names))
    assert "say of which split they are" in seen(table).understood.warnings[0]
    assert not seen(table, split_column="none").understood.warnings
    for split in ("train", "test"):
        written(top / f"{split}.txt", *(f"{c}/{name}" for c in "ab" for name in names if name.startswith(split)))
    assert not seen(top).understood.warnings


def test_names_of_classes_before_numbers_say_no_group(tmp_path):
    frames = tree(tmp_path / "e", *(f"{'ab'[p % 2]}_vid{p}_frame{n}.jpg" for p in range(6) for n in range(3)))
    assert "of one video" in seen(frames, label_pattern="^(.)_").understood.warnings[0]
    names = [f"{c}_{n}.jpg" for c in "abcdefgh" for n in (1, 2, 3)]
    top = tree(tmp_path / "d", *names)
    assert not seen(top, label_pattern=r"^(.)_").understood.warnings
    assert not seen(written(top / "t.csv", "path,label", *(f"{name},{name[0]}" for name in names))).understood.warnings


@pytest.mark.parametrize(
    ("places", "groups"),
    [
        (  # Kermany's chest X-rays: those of healthy children have other names
            [
                f"PNEUMONIA/person{p}_{'virus' if p % 2 else 'bacteria'}_{3 * p + n}.jpeg"
                for p in range(6)
                for n in (0, 1)
            ]
            + [f"NORMAL/IM-{p}1{p}.jpeg" for p in range(9)],
            6,
        ),
        (
            [f"{(p + side) % 3 // 2}/{p}_{('left', 'right')[side]}.jpeg" for p in range(8) for side in (0, 1)],
            8,
        ),  # EyePACS
    ],
)
def test_names_of_persons_say_what_belongs_together(tmp_path, places, groups):
    top = tree(tmp_path / "d", *places)
    (said,) = seen(top).understood.warnings
    assert "say which are of one person" in said
    found = seen(top, label_pattern=option(said, "--label-pattern"))
    assert (len(found), len({row.group for row in found.rows} - {None})) == (len(places), groups)
    sides = tree(tmp_path / "e", *(f"{side}/{n}_{side}.jpg" for side in ("left", "right") for n in range(9)))
    assert not seen(sides).understood.warnings


@pytest.mark.parametrize("form", ["{p}_{n}{p}7.jpg", "google_{p}{n}.jpg", "{c}.{p}{n}.jpg", "{p}_{c}_100.jpg"])
def test_names_that_count_single_pictures_say_nothing(tmp_path, form):
    places = [f"{c}/{form.format(c=c, p=p, n=n)}" for c in "ab" for p in range(4) for n in (1, 2, 3)]
    assert not seen(tree(tmp_path / "d", *places)).understood.warnings


@pytest.mark.parametrize(
    "form", ["IMG_20190{n}0{f}_120000.jpg", "{c} ({f}{n}).jpg", "{c}_w{f}{n}.jpg", "audi{f}{n}_red.jpg", "c{f}_{n}.jpg"]
)
def test_names_that_only_count_or_date_pictures_say_nothing(tmp_path, form):
    names = [f"{c}/{form.format(c=c, f=f, n=n)}" for c in ("car", "van") for f in (1, 2) for n in range(3)]
    assert not seen(tree(tmp_path / "d", *names)).understood.warnings


def test_lists_in_the_words_of_each_split_say_nothing_beside_it(tmp_path):
    """MMPretrain: meta/train.txt and meta/val.txt start at train/ and val/."""
    top = tree(tmp_path / "d", *(f"{s}/{c}/{n}.jpg" for s in ("train", "val") for c in "ab" for n in range(3)))
    for s in ("train", "val"):
        written(top / f"meta/{s}.txt", *(f"{c}/{n}.jpg {k}" for k, c in enumerate("ab") for n in range(3)))
    assert splits(seen(top)) == {"train": 6, "val": 6}


def test_what_is_no_picture_and_no_table_is_named_with_what_to_make_of_it(tmp_path):
    for name, hint in {
        "train_32x32.mat": "is MATLAB's",
        "a/0.mp4": "is a video: write frames out",
        "t10k-images.idx3-ubyte": "is MNIST's",
        "cifar/data_batch_1": "is CIFAR's pickle",
        "data_batch_1.bin": "is an array without names",
        "export.ndjson": "labels in export.ndjson",
    }.items():
        file = written(tmp_path / name.replace("/", "-") / name, "x")
        assert hint in refused(tmp_path / name.replace("/", "-"), "there are no pictures"), file
    hint = refused(written(tmp_path / "z" / "one.zip", "x").parent, "there are no pictures")
    assert hint.startswith("1 archives")
    top = tree(tmp_path / "y", *(f"data/{c}\\{n}.jpg" for c in "ab" for n in range(2)))  # zipped by Windows
    assert refused(top, "no class folders").startswith("names hold backslashes for folders")


@pytest.mark.parametrize("names", [("labels.txt", "猫", "狗"), ("label_list.txt", "0 猫", "1 狗")])
def test_numbers_in_lists_have_the_names_beside_them(tmp_path, names):
    """PaddleX: the number in train_list.txt is the line of labels.txt, counted from 0."""
    top = tree(tmp_path / "d", *(f"images/{n}.jpg" for n in range(8)))
    for split, own in (("train", range(6)), ("val", (6, 7))):
        written(top / f"{split}_list.txt", *(f"images/{n}.jpg {n % 2}" for n in own))
    written(top / names[0], *names[1:])
    found = seen(top)
    assert found.counts() == {"狗": 4, "猫": 4}
    assert splits(found) == {"train": 6, "val": 2}
    assert {row.labels for row in found.rows if int(row.file.stem) % 2} == {("狗",)}
    written(top / names[0], "猫")
    assert seen(top).classes == ("0", "1")
    for split in ("train", "val"):  # of 1 and 2, the first line may be that of 0 or of 1
        lines = (top / f"{split}_list.txt").read_text().splitlines()
        written(top / f"{split}_list.txt", *(f"{line[:-1]}{int(line[-1]) + 1}" for line in lines))
    written(top / names[0], "猫", "狗", "鸟")
    assert seen(top).classes == ("1", "2")
    written(top / names[0], "0 猫", "1 狗", "2 鸟")
    assert seen(top).classes == ("狗", "鸟")
    own = written(tmp_path / "e" / "labels.txt", *(f"{n}.jpg {n % 2}" for n in range(4)))
    tree(tmp_path / "e", *(f"{n}.jpg" for n in range(4)))
    assert seen(own).classes == ("0", "1")


@pytest.mark.parametrize("form", ["records", "names", "label studio"])
def test_json_of_plain_objects_is_a_table(tmp_path, form):
    """As pandas and Label Studio (JSON-MIN) write it, or labels by the names of pictures."""
    top = tree(tmp_path / "d", *(f"images/{n}.jpg" for n in range(6)))
    whole = {
        "records": [{"filename": f"{n}.jpg", "label": "ab"[n % 2]} for n in range(6)],
        "names": {f"{n}.jpg": "ab"[n % 2] for n in range(6)},
        "label studio": [{"image": f"/data/upload/1/{n}.jpg", "id": n, "choice": "ab"[n % 2]} for n in range(6)],
    }[form]
    table = written(top / "labels.json", json.dumps(whole, indent=1))
    for place in (top, table):
        assert seen(place).counts() == {"a": 3, "b": 3}
    other = tree(tmp_path / "e", *(f"images/{n}.jpg" for n in range(6)))
    written(other / "labels.json", json.dumps([{"id": 1, "data": {"image": "0.jpg"}, "annotations": []}]))
    assert "labels in labels.json?" in refused(other, "no class folders")


def test_a_text_for_each_picture_is_no_table(tmp_path):
    """Garbage of Huawei's contest: img_0.txt says "img_0.jpg, 0"; such files were called tables, each of them."""
    top = tree(tmp_path / "d", *(f"img_{n}.jpg" for n in range(6)))
    for n in range(6):
        written(top / f"img_{n}.txt", f"img_{n}.jpg, {n % 2}")
    assert "img_0.txt and others are labels?" in refused(top, "no class folders")


def test_lists_with_the_class_first(tmp_path):
    top = tree(tmp_path / "d", *(f"datasets/{n}.jpg" for n in range(8)))
    written(top / "cls_train.txt", *(f"{n % 2};/home/me/datasets/{n}.jpg" for n in range(6)))
    written(top / "cls_test.txt", *(f"{n % 2};/home/me/datasets/{n}.jpg" for n in (6, 7)))
    assert splits(seen(top)) == {"train": 6, "test": 2}

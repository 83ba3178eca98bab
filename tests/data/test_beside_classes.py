"""Class folders with a file beside them that says more: labels of another split, splits, names; or what is unclear."""

import json

import pytest

from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import read
from frostline.errors import DataError
from tests.data.pictures import tree

AB = ("ants", "bees")


def seen(top, **said):
    return read(top, how=PlaceOptions.of(said), cache=top.parent / "cache")


def parts(found):
    return sorted((row.split, row.labels[0], row.name) for row in found.rows)


def made(top, train, loose, *files):
    """Two classes of three pictures in ``train``, four loose pictures called v0 to v3, and files of text."""
    tree(top, *(f"{train.format(c)}/{n}.jpg" for c in AB for n in range(3)), *(loose.format(n) for n in range(4)))
    for name, lines in files:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text("\n".join(lines) + "\n")
    return top


@pytest.mark.parametrize(
    ("train", "loose", "file", "lines"),
    [
        (  # tiny-ImageNet: name, class, box
            "train/{}/images",
            "val/images/v{}.jpg",
            "val/val_annotations.txt",
            [f"v{n}.jpg\t{AB[n % 2]}\t0\t0\t9\t9" for n in range(4)],
        ),
        ("train/{}", "val/v{}.jpg", "val.csv", ["filename,label", *(f"v{n}.jpg,{AB[n % 2]}" for n in range(4))]),
        ("train/{}", "val/v{}.jpg", "val/labels.csv", ["id,label", *(f"v{n},{AB[n % 2]}" for n in range(4))]),
        (
            "o/Train/{}",
            "o/Val/v{}.jpg",
            "o/Val.csv",
            ["Path,ClassId", *(f"Val/v{n}.jpg,{AB[n % 2]}" for n in range(4))],
        ),
    ],
)
def test_a_split_of_loose_pictures_is_labelled_by_a_file(tmp_path, train, loose, file, lines):
    found = seen(made(tmp_path / "d", train, loose, (file, lines)))
    expected = [("train", c, f"{train.format(c)}/{n}.jpg") for c in AB for n in range(3)]
    assert parts(found) == sorted(expected + [("val", AB[n % 2], loose.format(n)) for n in range(4)])
    assert file in found.understood.labels
    assert file in found.understood.split
    assert not [item for item in found.skipped if item.name.startswith(("val", "o/Val"))]


def test_numbers_of_such_a_file_are_those_of_the_folders_or_refused(tmp_path):
    """GTSRB: folders 00000 and 00001, and 0 and 1 in the table; 0 and 1 of ants and bees are anybody's guess."""
    top = tree(
        tmp_path / "d", *(f"Train/0000{c}/{n}.png" for c in (0, 1) for n in range(3)), "Test/a.png", "Test/b.png"
    )
    tree(top, "Meta/0.png", "Meta/1.png")
    (top / "Test.csv").write_text(
        "Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path\n1,1,5,5,1,Test/a.png\n1,1,5,5,0,Test/b.png\n"
    )
    (top / "Meta.csv").write_text("Path,ClassId\nMeta/0.png,0\nMeta/1.png,1\n")
    found = seen(top)
    assert [row for row in parts(found) if row[0] == "test"] == [
        ("test", "00000", "Test/b.png"),
        ("test", "00001", "Test/a.png"),
    ]
    other = made(tmp_path / "e", "train/{}", "val/v{}.jpg", ("val.txt", [f"v{n}.jpg {n % 2}" for n in range(4)]))
    with pytest.raises(DataError, match="say different labels") as caught:
        seen(other)
    assert "--ignore 'val.txt'" in str(caught.value)
    for name, lines in {  # Caffe's: n01440764 tench; or the numbers of the folders' own pictures, here the other way
        "synset_words.txt": ["ants an insect", "bees another"],
        "train.txt": [f"{c}/{n}.jpg {1 - AB.index(c)}" for c in AB for n in range(3)],
    }.items():
        (other / name).write_text("\n".join(lines) + "\n")
        first = "ants" if name == "synset_words.txt" else "bees"
        assert [row[1] for row in parts(seen(other)) if row[0] == "val"] == sorted(AB * 2)
        assert next(row.labels for row in seen(other).rows if row.name == "val/v0.jpg") == (first,)


@pytest.mark.parametrize(("said", "fine"), [(("ants", "bees"), True), (("bees", "ants"), False), (("0", "1"), True)])
def test_a_table_with_the_folders_words_for_other_folders_is_refused(tmp_path, said, fine):
    """Numbers for the folders' words say nothing against them; their own words, exchanged, do."""
    top = tree(tmp_path / "d", *(f"{name}/{name}{n}.png" for name in ("ants", "bees") for n in range(3)))
    lines = [
        f"{name}/{name}{n}.png,{word}" for name, word in zip(("ants", "bees"), said, strict=True) for n in range(3)
    ]
    (top / "labels.csv").write_text("\n".join(["path,label", *lines]))
    if fine:
        assert seen(top).counts() == {"ants": 3, "bees": 3}
        return
    with pytest.raises(DataError, match="say different labels") as caught:
        seen(top)
    assert "--ignore 'labels.csv'" in str(caught.value)


@pytest.mark.parametrize("above", [("", ""), ("Plantae/", "Aves/")])
def test_json_of_coco_says_splits_and_words_where_folders_have_numbers(tmp_path, above):
    """iNaturalist: category numbers as folders, also in those of kingdoms, and train2018.json beside val2018.json."""
    names = [f"pictures/{above[n % 3 // 2]}{n % 3 + 10}/{n}.jpg" for n in range(9)]
    top = tree(tmp_path / "d", *names)

    def listing(numbers):
        return json.dumps(
            {
                "images": [{"id": n, "file_name": names[n]} for n in numbers],
                "annotations": [{"id": n, "image_id": n, "category_id": n % 3 + 10} for n in numbers],
                "categories": [{"id": n, "name": word} for n, word in ((10, "Acer"), (11, "Zea"), (12, "Corvus"))],
            }
        )

    (top / "train2018.json").write_text(listing(range(6)))
    assert seen(top).classes == ("Acer", "Corvus", "Zea")
    (top / "val2018.json").write_text(listing((6, 7, 8)))
    found = seen(top)
    assert {row.name.partition("/")[2]: row.split for row in found.rows} == {
        name: "val" if n > 5 else "train" for n, name in enumerate(names)
    }
    assert found.classes == ("Acer", "Corvus", "Zea")


def test_tables_called_as_splits_say_them_whatever_else_stands_there(tmp_path):
    """EuroSAT: train.csv and test.csv with a number and a name of the class, both of which are what the folders say."""
    top = tree(tmp_path / "d", *(f"{c}/{n}.jpg" for c in AB for n in range(4)))
    for split, numbers in (("train", (0, 1, 2)), ("test", (3,))):
        rows = [f"{n},{c}/{n}.jpg,{k},{c}" for k, c in enumerate(AB) for n in numbers]
        (top / f"{split}.csv").write_text("\n".join([",Filename,Label,ClassName", *rows]))
    assert parts(seen(top)) == sorted(("test" if n == 3 else "train", c, f"{c}/{n}.jpg") for c in AB for n in range(4))


@pytest.mark.parametrize("first", [("1.0", ""), ("1.0", "0.0")])
def test_a_table_that_may_say_other_labels_is_not_passed_over(tmp_path, first):
    """CheXpert: folders are patients, and the findings 1, 0, -1 or nothing; one of two is enough."""
    top = tree(tmp_path / "d", *(f"small/train/patient{n}/view.jpg" for n in range(6)))
    rows = [f"small/train/patient{n}/view.jpg,{first[n % 2]},{('-1.0', '0.0', '1.0')[n % 3]}" for n in range(6)]
    (top / "small" / "train.csv").write_text("\n".join(["Path,No Finding,Edema", *rows]))
    for place, said in ((top, {}), (top / "small" / "train.csv", {}), (top, {"label_column": "No Finding,Edema"})):
        with pytest.raises(DataError, match="no, or not known") as caught:
            seen(place, **said)
        assert "write 0 or 1" in str(caught.value)
    with pytest.raises(DataError, match=r"--ignore 'train\.csv'"):
        seen(top)


def test_groups_and_splits_of_another_file_reach_the_rows_of_a_table(tmp_path):
    """ISIC: one-hot labels in one table, lesion_id in another; lists of names beside a table of labels."""
    top = tree(tmp_path / "d", *(f"input/{n}.jpg" for n in range(6)))
    (top / "truth.csv").write_text("image,MEL,NV\n" + "".join(f"{n},{n % 2},{1 - n % 2}\n" for n in range(6)))
    (top / "meta.csv").write_text("image,age,lesion_id\n" + "".join(f"{n},{n},L{n // 2}\n" for n in range(6)))
    found = seen(top)
    assert [row.group for row in found.rows] == ["L0", "L0", "L1", "L1", "L2", "L2"]
    assert found.understood.group == "`lesion_id` of meta.csv"
    assert {row.group for row in seen(top, group="none").rows} == {None}
    (top / "train.txt").write_text("0\n1\n2\n3\n")
    (top / "test.txt").write_text("4\n5\n")
    assert [row.split for row in seen(top).rows] == ["train"] * 4 + ["test"] * 2


def test_lists_say_the_split_of_names_that_are_labels(tmp_path):
    """Oxford Pets: --label-pattern, with annotations/trainval.txt and test.txt of names, numbers behind them."""
    top = tree(tmp_path / "d", *(f"images/{c}_{n}.jpg" for c in AB for n in range(4)), "annotations/trimaps/ants_0.png")
    for name, numbers in (("trainval", (0, 1, 2)), ("test", (3,))):
        (top / "annotations" / f"{name}.txt").write_text("".join(f"{c}_{n} 1 1 1\n" for c in AB for n in numbers))
    with pytest.raises(DataError, match="name no classes") as caught:
        seen(top)
    assert "--label-pattern" in str(caught.value)
    assert "'ants' (4)" in str(caught.value)
    found = seen(top, label_pattern=r"([^/]+)_\d+\.jpg$")
    assert parts(found) == sorted(
        ("test" if n == 3 else "train", c, f"images/{c}_{n}.jpg") for c in AB for n in range(4)
    )


@pytest.mark.parametrize("names", [("train_list.mat", "test_list.mat"), ("splits.json",), ("train.pkl", "val.pkl")])
def test_splits_in_a_file_that_is_not_read_are_warned_of(tmp_path, names):
    top = tree(tmp_path / "d", *(f"{c}/{n}.jpg" for c in AB for n in range(2)))
    for name in ("labels.json", *names):
        (top / name).write_text("[]")
    assert any(f"{sorted(names)[0]}" in said and "not read" in said for said in seen(top).understood.warnings)
    found = seen(top, ignore=",".join(names))
    assert not any("not read" in said for said in found.understood.warnings)


def test_a_file_that_is_about_something_else_changes_nothing(tmp_path):
    """A map of classes, whose numbers are also names of pictures; a table of captions; a run's own pictures.csv."""
    names = [f"{c}/{n}.jpg" for c in AB for n in range(3)]
    top = tree(tmp_path / "d", *names)
    (top / "labels.csv").write_text("id,label,label_name\n0,0,ants\n1,1,bees\n")
    (top / "captions.csv").write_text("image,caption\n" + "".join(f"{name},{name} is seen\n" for name in names))
    (top / "pictures.csv").write_text("name,path,label\n" + "".join(f"{name},,{name[:4]}\n" for name in names))
    assert parts(seen(top)) == sorted((None, name[:4], name) for name in names)


def test_pictures_of_such_a_split_that_no_row_names_are_listed(tmp_path):
    lines = ["filename,label", *(f"v{n}.jpg,{AB[n % 2]}" for n in range(2))]
    found = seen(made(tmp_path / "d", "train/{}", "val/v{}.jpg", ("val.csv", lines)))
    assert [row.name for row in found.rows if row.split == "val"] == ["val/v0.jpg", "val/v1.jpg"]
    assert [item.name for item in found.skipped] == ["val/v2.jpg", "val/v3.jpg"]
    assert {item.reason for item in found.skipped} == {"no row of the table names it"}


def test_one_folder_called_as_a_split_is_no_class(tmp_path):
    top = tree(tmp_path / "d", *(f"stage_2_train_images/{n}.png" for n in range(4)))
    (top / "stage_2_train_labels.csv").write_text("patientId,x,y,Target\n0,1,2,1\n")
    with pytest.raises(DataError, match="no class folders") as caught:
        seen(top)
    assert "stage_2_train_labels.csv" in str(caught.value)

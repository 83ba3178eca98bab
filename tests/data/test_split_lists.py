"""Lists and tables beside class folders: the split and the group that they say are not passed over."""

import pytest

from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import read
from frostline.errors import DataError
from tests.data.pictures import tree

TRAIN, TEST = (0, 1, 2), (3,)


def made(top, row, *files, of="path,label"):
    """Two classes of four pictures; each file has a line for each of its pictures."""
    tree(top, *(f"{label}/{n}.jpg" for label in ("ants", "bees") for n in range(4)))
    for name, numbers in files:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        lines = [row(label, n) for label in ("ants", "bees") for n in numbers]
        (top / name).write_text("\n".join([of, *lines] if name.endswith(".csv") else lines))
    return top


def seen(top, **said):
    return read(top, how=PlaceOptions.of(said), cache=top.parent / "cache")


def parts(found):
    return sorted((row.name, row.split) for row in found.rows)


EXPECTED = sorted(
    (f"{label}/{n}.jpg", "test" if n in TEST else "train") for label in ("ants", "bees") for n in range(4)
)


@pytest.mark.parametrize(
    "row",
    [
        lambda c, n: f"{c}/{n}.jpg",
        lambda c, n: f"{c}/{n}",
        lambda c, n: f"{c}\\{n}.jpg {int(c == 'bees')}",  # of Windows
    ],
)
@pytest.mark.parametrize("home", ["", "splits/"])
def test_lists_of_splits_beside_classes(tmp_path, row, home):
    top = made(tmp_path / "d", row, (f"{home}train.txt", TRAIN), (f"{home}test_list.txt", TEST))
    found = seen(top)
    assert parts(found) == EXPECTED
    assert found.classes == ("ants", "bees")
    assert f"{home}train.txt" in found.summary().partition("split from ")[2]
    assert not found.skipped


def test_pictures_in_no_list_are_named_and_two_lists_of_one_split_refused(tmp_path):
    top = made(tmp_path / "d", lambda c, n: f"{c}/{n}.jpg", ("train.txt", (0, 1)), ("test.txt", TEST))
    assert [(item.name, item.reason) for item in seen(top).skipped] == [
        (f"{label}/2.jpg", "in none of test.txt, train.txt") for label in ("ants", "bees")
    ]
    (top / "train1.txt").write_text("ants/2.jpg")
    with pytest.raises(DataError, match=r"two lists for the split 'train': train1\.txt, train\.txt"):
        seen(top)
    (top / "train1.txt").unlink()
    (top / "test.txt").write_text("ants/0.jpg\nbees/3.jpg")
    with pytest.raises(DataError, match=r"0\.jpg is in train\.txt and in another list"):
        seen(top)


def test_other_texts_are_no_lists(tmp_path):
    top = made(tmp_path / "d", lambda c, n: f"{c}/{n}.jpg")
    (top / "train.txt").write_text("how to train\n")
    (top / "test.txt").write_text("ants\n")
    assert seen(top).splits == ()
    assert "2 files (not a picture)" in seen(top).summary()
    (top / "train.txt").write_text("how to train " * 30)  # longer than any name of a file may be
    assert seen(top).splits == ()


def test_a_table_of_splits_and_groups_beside_classes(tmp_path):
    def row(label, n):
        return f"{label}/{n}.jpg,{'test' if n in TEST else 'train'},p{n // 2}"

    found = seen(made(tmp_path / "d", row, ("meta.csv", range(4)), of="file_name,split,patient_id"))
    assert parts(found) == EXPECTED
    assert {(row.name[5], row.group) for row in found.rows} == {("0", "p0"), ("1", "p0"), ("2", "p1"), ("3", "p1")}
    assert "split from `split` of meta.csv, group from `patient_id` of meta.csv" in found.summary()
    assert seen(tmp_path / "d", ignore="meta.csv").splits == ()


def test_a_table_that_agrees_with_the_folders_still_says_the_split(tmp_path):
    def row(label, n):
        return f"{label}/{n}.jpg,{label},{'test' if n in TEST else 'train'}"

    found = seen(made(tmp_path / "d", row, ("labels.csv", range(4)), of="path,label,split"))
    assert parts(found) == EXPECTED


def test_lists_of_labels_in_a_folder_of_loose_pictures(tmp_path):
    top = tree(tmp_path / "d", *(f"images/{n}.jpg" for n in range(4)))
    for name, numbers in (("train.txt", (0, 1)), ("val.txt", (2, 3))):
        (top / name).write_text("\n".join(f"images/{n}.jpg {'ab'[n % 2]}" for n in numbers))
    found = seen(top)
    assert [(row.split, row.labels[0]) for row in found.rows] == [
        ("train", "a"), ("train", "b"), ("val", "a"), ("val", "b"),
    ]  # fmt: skip


def test_lists_of_names_without_their_folders(tmp_path):
    """NIH's chest X-rays: images_001/images/ and more, train_val_list.txt and test_list.txt, and a table of labels."""
    names = [f"{n:08}_000.png" for n in range(6)]
    top = tree(tmp_path / "d", *(f"images_{1 + n // 3:03}/images/{name}" for n, name in enumerate(names)))
    lines = [f"{name},{('Mass', 'Mass|Edema', 'No Finding')[n % 3]},{n // 2}" for n, name in enumerate(names)]
    (top / "Data_Entry_2017.csv").write_text("\n".join(["Image Index,Finding Labels,Patient ID", *lines]))
    (top / "train_val_list.txt").write_text("\n".join(names[:4]))
    (top / "test_list.txt").write_text("\n".join(names[4:]))
    found = read(top, cache=tmp_path / "cache")
    assert [(row.split, row.group) for row in found.rows] == [
        *(("train", "0"), ("train", "0"), ("train", "1"), ("train", "1"), ("test", "2"), ("test", "2"))
    ]
    for said in ("none", "Patient ID"):  # which dropped the split
        splits = [row.split for row in read(top, cache=tmp_path / "cache", group=said).rows]
        assert splits == ["train"] * 4 + ["test"] * 2
    how = PlaceOptions(split_column="none")
    assert {(row.split, row.group) for row in read(top, cache=tmp_path / "cache", how=how).rows} == {
        *((None, "0"), (None, "1"), (None, "2"))
    }


def test_partitions_that_are_not_read_are_warned_of_and_never_labels(tmp_path):
    """CelebA's list_eval_partition: 0 is train, 1 val and 2 test, which only its README says."""
    top = tree(tmp_path / "d", *(f"img_align_celeba/{n:06}.jpg" for n in range(1, 7)))
    parts = [(f"{n:06}.jpg", min(2, n // 3)) for n in range(1, 7)]
    (top / "list_eval_partition.txt").write_text("".join(f"{name} {part}\n" for name, part in parts))
    with pytest.raises(DataError, match="only one class"):
        read(top, cache=tmp_path / "cache")
    (top / "list_attr_celeba.csv").write_text(
        "image_id,Male,Young\n"
        + "".join(f"{name},{(1, -1)[k % 2]},{(-1, 1)[k // 3]}\n" for k, (name, _) in enumerate(parts))
    )
    for name in ("list_eval_partition.txt", "list_eval_partition.csv"):
        (top / name).write_text("image_id,partition\n" + "".join(f"{name},{part}\n" for name, part in parts))
        found = read(top, cache=tmp_path / "cache")
        assert found.classes == ("Male", "Young")
        assert found.splits == ()
        assert "list_eval_partition" in found.understood.warnings[0]
        (top / name).unlink()


def test_numbered_lists_of_one_split_say_how_to_keep_the_first(tmp_path):
    """DTD: train1.txt to train10.txt, val1.txt, test1.txt, ... and labels_joint_anno.txt in labels/."""
    names = [f"{label}/{label}_{n}.jpg" for label in ("banded", "blotchy") for n in range(6)]
    top = tree(tmp_path / "d", *(f"images/{name}" for name in names))
    (top / "labels").mkdir()
    for draw in (1, 2, 10):
        for k, split in enumerate(("train", "val", "test")):
            (top / "labels" / f"{split}{draw}.txt").write_text("\n".join(names[(k + draw) % 3 :: 3]))
    (top / "labels" / "labels_joint_anno.txt").write_text("\n".join(f"{name} {name.split('/')[0]} " for name in names))
    with pytest.raises(DataError, match="two lists for the split") as caught:
        read(top, cache=tmp_path / "cache")
    assert "--ignore '*[!1].txt'" in caught.value.hint
    found = read(top, how=PlaceOptions.of({"ignore": "*[!1].txt"}), cache=tmp_path / "cache")
    assert {split: len(found.part(split)) for split in found.splits} == {"train": 4, "val": 4, "test": 4}

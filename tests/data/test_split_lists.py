"""Lists and tables beside class folders: the split and the group that they say are not passed over."""

import pytest

from frostline.data.place_options import PlaceOptions
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
    "row", [lambda c, n: f"{c}/{n}.jpg", lambda c, n: f"{c}/{n}", lambda c, n: f"{c}/{n}.jpg {int(c == 'bees')}"]
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

"""Lists of pictures as CUB, Food-101 and many others write them."""

import pytest

from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import read
from frostline.errors import DataError
from tests.data.pictures import tree


def seen(place, **said):
    return read(place, how=PlaceOptions.of(said), cache=place.parent.parent / "cache")


def test_a_picture_and_its_label_a_line(tmp_path):
    top = tree(tmp_path / "d", "img/a 1.png", "img/2.png")
    (top / "t.txt").write_text("img/a 1.png 4\nimg/2.png 17\n")
    found = seen(top / "t.txt")
    assert [(row.picture.name, row.labels) for row in found.rows] == [("a 1.png", ("4",)), ("2.png", ("17",))]
    assert found.summary().startswith("t.txt: pictures from the first part of each line, labels from its last word")
    (top / "t.txt").write_text("img/a 1.png\tgreat dane\nimg/2.png\tpug\n")
    assert seen(top / "t.txt").classes == ("great dane", "pug")
    for text in ("img/2.png", "img/2.png pug train"):
        (top / "t.txt").write_text(f"{text}\n")
        with pytest.raises(DataError, match="line 1 is not a picture and its label") as caught:
            seen(top / "t.txt")
        assert "path,label" in caught.value.hint


def test_cub_has_its_labels_and_split_in_lists(tmp_path):
    names = [f"00{k}.Bird_{k}/b_{n}.jpg" for k in (1, 2) for n in range(3)]
    top = tree(tmp_path / "d" / "CUB", *(f"images/{name}" for name in names))
    (top / "images.txt").write_text("".join(f"{n} {name}\n" for n, name in enumerate(names, start=1)))
    (top / "image_class_labels.txt").write_text("".join(f"{n + 1} {1 + n // 3}\n" for n in range(6)))
    (top / "classes.txt").write_text("1 001.Bird_1\n2 002.Bird_2\n")
    (top / "train_test_split.txt").write_text("".join(f"{n + 1} {int(n % 3 < 2)}\n" for n in range(6)))
    found = seen(tmp_path / "d")
    assert [row.labels[0] for row in found.rows] == [name.partition("/")[0] for name in names]
    assert [row.split for row in found.rows] == ["train", "train", "test"] * 2
    assert "split from train_test_split.txt" in found.summary()
    assert seen(tmp_path / "d", ignore="images.txt").splits == ()
    (top / "train_test_split.txt").write_text("1 2\n")
    with pytest.raises(DataError, match="'2' is neither 1") as caught:
        seen(tmp_path / "d")
    assert "--ignore" in caught.value.hint


def test_food_101_has_its_split_in_lists_without_endings(tmp_path):
    top = tree(tmp_path / "d", *(f"images/{label}/{n}.jpg" for label in ("pie", "ribs") for n in range(4)))
    (top / "meta").mkdir()
    (top / "meta" / "train.txt").write_text("pie/0\npie/1\nribs/0\nribs/1\n")
    (top / "meta" / "test.txt").write_text("pie/2\nribs/2\n")
    (top / "meta" / "classes.txt").write_text("pie\nribs\n")
    found = seen(top)
    assert {split: found.part(split).counts() for split in found.splits} == {
        "train": {"pie": 2, "ribs": 2},
        "test": {"pie": 1, "ribs": 1},
    }
    assert "2 files (no row of the table names it)" in found.summary()
    (top / "meta" / "test.txt").write_text("pie\n")
    with pytest.raises(DataError, match="line 1 is not class/picture"):
        seen(top)


def test_labels_of_several_words(tmp_path):
    """FGVC's images_variant_train.txt: the first word is the picture, the rest its label; numbers are columns."""
    top = tree(tmp_path / "d", *(f"{n}.jpg" for n in range(6)))
    (top / "list.txt").write_text("".join(f"{n} {('A300 B4', '707-320', 'Eurofighter')[n % 3]}\n" for n in range(6)))
    assert read(top / "list.txt", cache=tmp_path / "cache").counts() == {"707-320": 2, "A300 B4": 2, "Eurofighter": 2}
    pairs = (f"{n}.jpg {5 - n}.jpg {n % 2}\n" for n in range(6))  # of which the second one had the label
    for lines in ((f"{n} {n % 2} 1 {n % 3}\n" for n in range(6)), pairs):
        (top / "list.txt").write_text("".join(lines))
        with pytest.raises(DataError, match="not a picture and its label"):
            read(top / "list.txt", cache=tmp_path / "cache")
    (top / "list.txt").write_text("".join(f"{n}.jpg\t{n % 2}\t{n % 3}\n" for n in range(6)))
    assert "not used: what stands behind it" in read(top / "list.txt", cache=tmp_path / "cache").summary()


def test_numbers_that_count_up_are_no_labels(tmp_path):
    """ImageSets/CLS-LOC/train_cls.txt of ImageNet: the number of the row stands behind each picture."""
    top = tree(tmp_path / "d", *(f"{c}/{n}.jpg" for c in "ab" for n in range(6)))
    listed = [f"{c}/{n}" for c in "ab" for n in range(6)]
    (top / "t.txt").write_text("".join(f"{name}.jpg {n}\n" for n, name in enumerate(listed, start=1)))
    with pytest.raises(DataError, match="counts up from 1, and is no label"):
        seen(top / "t.txt")
    assert seen(top).classes == ("a", "b")


def test_a_list_with_a_header_is_a_table(tmp_path):
    """Darwin Core's occurrence.txt: the header was a picture that is not there, and `species` a class."""
    top = tree(tmp_path / "d", *(f"img/{n}.jpg" for n in range(6)))
    (top / "t.txt").write_text("gbifID\tspecies\n" + "".join(f"{n}\tspecies {n % 2}\n" for n in range(6)))
    with pytest.raises(DataError, match="no column 'path'") as caught:
        seen(top / "t.txt", images=str(top / "img"))
    assert "gbifID" in caught.value.hint
    assert seen(top / "t.txt", image_column="gbifID").classes == ("species 0", "species 1")

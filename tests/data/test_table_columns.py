"""Columns are known by their names in any spelling, else by what stands in them; what is doubtful is refused."""

import pytest

from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import read
from frostline.errors import DataError
from tests.data.pictures import tree


def table(top, text, *, count=6, encoding="utf-8", name="t.csv", **said):
    """A table of the pictures img/0.png, ...: ``text`` is its header and a function of the row's number."""
    tree(top, *(f"img/{n}.png" for n in range(count)))
    header, row = text
    (top / name).write_bytes("\n".join([header, *(row(n) for n in range(count))]).encode(encoding))
    return read(top / name, how=PlaceOptions.of(said), cache=top / "cache")


def label(n):
    return "ab"[n % 2]


@pytest.mark.parametrize(
    ("header", "split"),
    [
        ("path,label,bucket", lambda n: ("train", "test")[n > 3]),
        ("path,label,set_name", lambda n: ("TRAIN", "Testing")[n > 3]),
        ("name,label,is_test", lambda n: str(n > 3)),
        ("path,label,is_train", lambda n: str(int(n <= 3))),
    ],
)
def test_a_split_is_known_by_what_stands_in_its_column(tmp_path, header, split):
    found = table(tmp_path, (header, lambda n: f"img/{n}.png,{label(n)},{split(n)}"))
    assert [row.split for row in found.rows] == ["train"] * 4 + ["test"] * 2
    assert f"split from `{header.split(',')[2]}`" in found.summary()
    plain = table(tmp_path, (header, lambda n: f"img/{n}.png,{label(n)},{split(n)}"), split_column="none")
    assert plain.splits == ()


@pytest.mark.parametrize(("last", "several"), [("a|b", 1), ("b", 0)])
def test_labels_that_are_parted_are_said_to_be(tmp_path, last, several):
    """One bar in one cell makes every picture one that may have several labels."""
    found = table(tmp_path, ("path,label", lambda n: f"img/{n}.png,{last if n == 5 else label(n)}"))
    assert ("1 of them with several labels" in found.summary()) == bool(several)
    assert "2 classes (a, b)" in found.summary()


def test_a_flag_of_most_rows_may_be_no_split(tmp_path):
    text = ("path,label,is_valid", lambda n: f"img/{n}.png,{label(n)},{n > 0}")
    with pytest.raises(DataError, match="'is_valid' says yes of 83% of the rows: is it a split") as caught:
        table(tmp_path, text)
    assert "--split-column none" in str(caught.value)
    assert table(tmp_path, text, split_column="none").splits == ()


@pytest.mark.parametrize("name", ["PatientID", "Patient Id", "subject-id", "individual_id"])
def test_a_group_is_known_in_any_spelling(tmp_path, name):
    found = table(tmp_path, (f"path,label,{name}", lambda n: f"img/{n}.png,{label(n)},p{n // 2}"))
    assert [row.group for row in found.rows] == ["p0", "p0", "p1", "p1", "p2", "p2"]


def test_what_may_be_a_group_is_named(tmp_path):
    text = ("path,label,camera", lambda n: f"img/{n}.png,{label(n)},c{n // 2}")
    warned = table(tmp_path, text).understood.warnings
    assert len(warned) == 1
    assert "--group 'camera'" in warned[0]
    assert table(tmp_path, text, group="none").understood.warnings == ()
    assert {row.group for row in table(tmp_path, text, group="camera").rows} == {"c0", "c1", "c2"}


@pytest.mark.parametrize("header", ["x,y", "file,cls", "Image Index,level", "ImageId,ClassId"])
def test_the_one_column_beside_the_pictures_is_the_label(tmp_path, header):
    found = table(tmp_path, (header, lambda n: f"img/{n}.png,{label(n)}"))
    assert found.counts() == {"a": 3, "b": 3}
    assert f"labels from `{header.split(',')[1]}`" in found.summary()


def test_captions_and_sizes_are_no_labels(tmp_path):
    with pytest.raises(DataError, match="no column 'label'"):
        table(tmp_path, ("image,caption", lambda n: f"img/{n}.png,a picture of {n}"))
    with pytest.raises(DataError, match="no column 'label'"):
        table(tmp_path, ("image,width", lambda n: f"img/{n}.png,{100 + n % 2}"))


def test_quantities_are_no_classes(tmp_path):
    with pytest.raises(DataError, match="12 numbers with a fraction"):
        table(tmp_path, ("image,target", lambda n: f"img/{n}.png,{n * 1.37:.2f}"), count=12)


@pytest.mark.parametrize(
    ("header", "between"),
    [
        ("path;label", ";"),
        ("path|label", "|"),
        ("sep=;\npath;label", ";"),
        ("\n# exported\npath, label", ", "),
        ('"path"\t"label"', "\t"),
    ],
)
def test_tables_as_programs_write_them(tmp_path, header, between):
    found = table(tmp_path, (header, lambda n: f"img/{n}.png{between}{label(n)}"))
    assert [row.labels for row in found.rows] == [("a",), ("b",)] * 3


def test_a_table_in_utf_16_and_one_of_commas_that_is_called_tsv(tmp_path):
    text = ("path,label", lambda n: f"img/{n}.png,{'äb'[n % 2]}")
    assert table(tmp_path, text, encoding="utf-16").classes == ("b", "ä")
    assert table(tmp_path, text, name="t.tsv").classes == ("b", "ä")


def test_rows_are_numbered_as_the_file_numbers_them(tmp_path):
    with pytest.raises(DataError, match="row 5 has 1 of 2 columns"):
        table(tmp_path, ("# one\n\npath,label", lambda n: f"img/{n}.png,{label(n)}" if n != 1 else "img/1.png"))


def test_what_nobody_sees_is_no_part_of_a_label(tmp_path):
    unseen = ("\u200b", "\ufeff", "\u00a0", "")
    found = table(tmp_path, ("path,label", lambda n: f"img/{n}.png,{label(n)}{unseen[n % 4]}"))
    assert found.counts() == {"a": 3, "b": 3}


def test_a_suffix_may_come_without_its_dot(tmp_path):
    assert len(table(tmp_path, ("id,label", lambda n: f"{n},{label(n)}"), images=tmp_path / "img", suffix="png")) == 6


@pytest.mark.parametrize("missing", ["#N/A", "n/a", "NaN", "-1", "<NA>"])
def test_what_means_no_label_is_no_class(tmp_path, missing):
    with pytest.raises(DataError, match="1 row is wrong: row 4: no label"):
        table(tmp_path, ("path,label", lambda n: f"img/{n}.png,{missing if n == 2 else label(n)}"))


def test_a_picture_with_two_labels_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"row 3: img/0.png has two labels, a in row 2, b here"):
        table(tmp_path, ("path,label", lambda n: f"img/{n // 2}.png,{label(n)}"))


def test_several_labels_said_again_in_another_order_are_the_same(tmp_path):
    found = table(tmp_path, ("path,labels", lambda n: f"img/{n // 2}.png,{('p|q', 'q|p')[n % 2]}"))
    assert [row.labels for row in found.rows] == [("p", "q")] * 3


@pytest.mark.parametrize(
    "cell",
    ['"[""p"", ""q""]"', "\"['p', 'q']\"", "['p' 'q']", '"[p, q]"', "\"('p', 'q')\"", "\"{'p', 'q'}\""],
)
def test_lists_are_labels_however_they_are_written(tmp_path, cell):
    found = table(tmp_path, ("path,labels", lambda n: f"img/{n}.png,{cell if n else '[p]'}"))
    assert [row.labels for row in found.rows] == [("p",), *[("p", "q")] * 5]


def test_lists_of_0_and_1_have_no_names(tmp_path):
    with pytest.raises(DataError, match="nothing says which class is at which place"):
        table(tmp_path, ("path,labels", lambda n: f'img/{n}.png,"[0, 1, {n % 2}]"'))


@pytest.mark.parametrize("sign", ["+", "&", "/"])
def test_signs_between_words_that_also_stand_alone_are_asked_about(tmp_path, sign):
    text = ("path,label", lambda n: f"img/{n}.png,{('p', 'q', f'p{sign}q')[n % 3]}")
    with pytest.raises(DataError, match="several each or one"):
        table(tmp_path, text)
    assert table(tmp_path, text, label_separator=sign).classes == ("p", "q")
    assert len(table(tmp_path, text, label_separator="none").classes) == 3


def test_tags_with_spaces_are_asked_about_and_names_of_two_words_are_not(tmp_path):
    tags = ("haze primary", "clear primary", "clear primary water")
    with pytest.raises(DataError, match="several each or one"):
        table(tmp_path, ("path,tags", lambda n: f"img/{n}.png,{tags[n % 3]}"))
    towns = ("New York", "New Jersey", "San Jose")
    assert len(table(tmp_path, ("path,label", lambda n: f"img/{n}.png,{towns[n % 3]}")).classes) == 3


def test_one_hot_columns_in_other_words_and_by_name(tmp_path):
    yes = table(tmp_path, ("path,ants,bees", lambda n: f"img/{n}.png,{('yes,no', 'no,yes')[n % 2]}"))
    assert [row.labels for row in yes.rows] == [("ants",), ("bees",)] * 3
    minus = table(tmp_path, ("path,ants,bees", lambda n: f"img/{n}.png,{('1,-1', '-1,1')[n % 2]}"))
    assert [row.labels for row in minus.rows] == [("ants",), ("bees",)] * 3


def test_one_more_column_of_0_and_1_beside_one_hot_ones_is_asked_about(tmp_path):
    text = ("path,male,ants,bees", lambda n: f"img/{n}.png,{n // 3},{1 - n % 2},{n % 2}")
    with pytest.raises(DataError, match="'male' of 0 and 1 may be a class, or something else") as caught:
        table(tmp_path, text)
    assert "--label-column 'ants,bees'" in str(caught.value)
    found = table(tmp_path, text, label_column="ants,bees")
    assert [row.labels for row in found.rows] == [("ants",), ("bees",)] * 3
    assert not found.multilabel
    with pytest.raises(DataError, match="'path' holds other values"):
        table(tmp_path, text, label_column="ants,path")


@pytest.mark.parametrize("cell", [lambda n: f"img/{n}.JPG", lambda n: f"img%2F{n}.png", lambda n: f"IMG\\{n}.png"])
def test_another_ending_and_another_case_are_found_and_said(tmp_path, cell):
    found = table(tmp_path, ("path,label", lambda n: f"{cell(n)},{label(n)}"))
    assert [row.picture.name for row in found.rows] == [f"{n}.png" for n in range(6)]
    if cell(0).endswith("JPG"):
        assert "`.png` in place of `.JPG`" in found.summary()


def test_a_table_whose_pictures_are_all_elsewhere_says_where_they_would_be(tmp_path):
    with pytest.raises(DataError, match="not one of its 6 pictures is there") as caught:
        table(tmp_path, ("path,label", lambda n: f"photos/x{n}.png,{label(n)}"))
    assert str(tmp_path / "photos" / "x0.png") in str(caught.value)
    assert "--images" in str(caught.value)


def test_names_that_begin_with_missing_pictures_are_found_too(tmp_path):
    """The first names of a table say little: here 25 of 50 are not there, and the others lack their ending."""
    found = table(tmp_path, ("id,label", lambda n: f"{n + 1000 if n < 25 else n},{label(n)}"), count=50)
    assert len(found) == 25
    assert len(found.skipped) == 25


def test_a_model_of_several_labels_reads_empty_cells_as_none(tmp_path):
    text = ("path,label", lambda n: f"img/{n}.png,{label(n) if n else ''}")
    with pytest.raises(DataError, match="row 2: no label"):
        table(tmp_path, text)
    found = read(tmp_path / "t.csv", classes=("a", "b", "c"), several=True, cache=tmp_path / "cache")
    assert found.multilabel
    assert found.targets().tolist()[:2] == [[0, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("word", ["none", "?", "Unlabeled"])
def test_a_class_that_may_mean_none_is_named(tmp_path, word):
    found = table(tmp_path, ("path,label", lambda n: f"img/{n}.png,{word if n == 2 else label(n)}"))
    assert found.understood.warnings == (
        f"the class {word!r} (1) may mean that there is no label: if so, remove those rows",
    )

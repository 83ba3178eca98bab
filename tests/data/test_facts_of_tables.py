"""Columns of 1 and 0 beside the label, numbers of rows beside file names, flags of a split, groups that are none."""

import json

import pytest

from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import read
from frostline.errors import DataError
from tests.data.pictures import tree
from tests.data.test_table_columns import label, table


def hot(n, count=3):
    return ",".join(str(int(n % count == k)) for k in range(count))


@pytest.mark.parametrize(
    ("header", "row", "rival"),
    [
        # Messidor-2's grades
        ("image_id,dr_grade,dme,gradable", lambda n: f"{n % 5},{int(n % 7 == 0)},1", "dr_grade"),
        # a hospital's export
        (
            "image,finding,survival,intubated,in_icu",
            lambda n: f"{'pqr'[n % 3]},{n % 2},{int(n % 5 == 0)},{int(n % 7 == 0)}",
            "finding",
        ),
        # a grade that not every picture has
        ("image,grade,left,sharp", lambda n: f"{n % 4 if n else ''},{n % 2},1", "grade"),
    ],
)
def test_facts_of_yes_and_no_are_not_the_labels_unasked(tmp_path, header, row, rival):
    text = (header, lambda n: f"img/{n}.png,{row(n)}")
    with pytest.raises(DataError, match=f"the label may be '{rival}', or the columns") as caught:
        table(tmp_path, text, count=20)
    assert f"--label-column '{rival}'" in str(caught.value)
    facts = ",".join(header.split(",")[2:])
    assert table(tmp_path, text, count=20, label_column=facts).classes == tuple(sorted(facts.split(",")))


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("image,patient_age,Sex,View Position,A,B,C", lambda n: f"{60 + n % 5},{'MF'[n % 2]},PA"),  # chest X-rays
        ("image,hospital,lefteye_x,bbox_y,A,B,C", lambda n: f"{'pq'[n % 2]},{n % 6},{n % 5}"),  # faces
    ],
)
def test_what_is_said_of_a_person_or_a_view_is_no_rival_of_many_classes(tmp_path, header, row):
    found = table(tmp_path, (header, lambda n: f"img/{n}.png,{row(n)},{n % 2},{int(n % 3 == 0)},1"), count=20)
    assert found.classes == ("A", "B", "C")
    assert found.multilabel


def test_several_columns_beside_a_run_of_one_hot_ones_are_asked_about(tmp_path):
    """ISIC 2019's one-hot diagnoses, and two facts behind them."""
    text = ("image,MEL,NV,BCC,male,biopsied", lambda n: f"img/{n}.png,{hot(n)},{n % 2},{int(n % 5 == 0)}")
    with pytest.raises(DataError, match="'male' of 0 and 1 may be a class, or something else") as caught:
        table(tmp_path, text, count=20)
    assert "--label-column 'MEL,NV,BCC'" in str(caught.value)
    assert not table(tmp_path, text, count=20, label_column="MEL,NV,BCC").multilabel


def test_a_column_called_as_no_label_is_one_only_among_one_hot_columns(tmp_path):
    """CSVs of pandas begin with `index`; fingers have one, too."""
    found = table(tmp_path, ("image,age,ants", lambda n: f"img/{n}.png,{int(n < 2)},{n % 2}"))
    assert found.counts() == {"0": 3, "1": 3}
    fingers = table(tmp_path, ("image,thumb,index,middle", lambda n: f"img/{n}.png,{hot(n)}"))
    assert fingers.classes == ("index", "middle", "thumb")


@pytest.mark.parametrize("header", ["id,image_filename,label", "img_id,img_filename,y"])
def test_names_of_files_are_the_pictures_and_not_the_number_of_the_row(tmp_path, header):
    """Exports of SQL, Django and pandas; Waterbirds."""
    text = (header, lambda n: f"{n},{5 - n}.png,{label(n)}")
    assert [row.name for row in table(tmp_path, text).rows] == [f"{5 - n}.png" for n in range(6)]
    by_number = table(tmp_path, text, image_column=header.partition(",")[0])
    assert [row.picture.name for row in by_number.rows] == [f"{n}.png" for n in range(6)]


@pytest.mark.parametrize("other", ["mask_path", "original_filename", "flickr_url"])
def test_the_name_of_another_picture_leaves_the_number_of_this_one(tmp_path, other):
    cell = "https://example.com/{n}.png" if "url" in other else "other/{n}.png"
    found = table(tmp_path, (f"image_id,{other},label", lambda n: f"{n},{cell.format(n=n)},{label(n)}"))
    assert "pictures from `image_id`" in found.summary()


@pytest.mark.parametrize("name", ["train", "test", "valid", "in_test", "training"])
def test_a_flag_of_a_split_is_read_by_name_and_asked_about_where_it_is_bare(tmp_path, name):
    """Stanford Cars' column `test`, folds of Kaggle."""
    other = "test" if name.startswith("train") else "train"
    mine = {"train": "train", "valid": "val"}.get(name.removesuffix("ing"), "test")
    text = (f"path,label,{name}", lambda n: f"img/{n}.png,{label(n)},{int(n < 2)}")
    if name != "in_test":
        with pytest.raises(DataError, match=f"'{name}' says yes of 33% of the rows: is it a split") as caught:
            table(tmp_path, text)
        assert "--split-column none" in str(caught.value)
    found = table(tmp_path, text, split_column=name)
    assert [row.split for row in found.rows] == [mine] * 2 + [other] * 4
    assert table(tmp_path, text, split_column="none").splits == ()


@pytest.mark.parametrize("labels", ["label", "cls", "ants,bees"])
def test_columns_of_splits_of_which_each_row_has_one_are_the_split(tmp_path, labels):
    said = {"ants,bees": lambda n: hot(n, 2)}.get(labels, label)
    text = (f"path,{labels},train,val,test", lambda n: f"img/{n}.png,{said(n)},{hot(n // 2)}")
    found = table(tmp_path, text)
    assert [row.split for row in found.rows] == ["train", "train", "val", "val", "test", "test"]
    assert len(found.classes) == 2
    assert "split from the columns `train`, `val`, `test`" in found.summary()
    assert not found.understood.unused


@pytest.mark.parametrize("none", ["nan", "NA", "NULL", "<NA>"])
def test_a_group_that_is_none_is_no_group(tmp_path, none):
    """pandas writes nan for a patient whom nobody knows: those pictures do not belong together."""
    text = ("path,label,patient_id", lambda n: f"img/{n}.png,{label(n)},{none if n < 4 else f'p{n // 6}'}")
    assert [row.group for row in table(tmp_path, text, count=8).rows] == [None] * 4 + ["p0"] * 2 + ["p1"] * 2
    alone = table(tmp_path, ("path,label,camera", lambda n: f"img/{n}.png,{label(n)},{none if n else 'c'}"))
    assert not alone.understood.warnings
    assert "group" not in table(tmp_path, ("path,label,patient", lambda n: f"img/{n}.png,{label(n)},{none}")).summary()


@pytest.mark.parametrize("box", [[0, 0, 5, 5], None])
def test_what_coco_says_of_an_image_may_group_it(tmp_path, box):
    """COCO Camera Traps: a sequence and a place for each image."""
    tree(tmp_path, *(f"{n}.png" for n in range(6)))
    images = [{"id": n, "file_name": f"{n}.png", "seq_id": f"s{n // 2}", "location": n % 3} for n in range(6)]
    marks = [{"id": n, "image_id": n, "category_id": n % 2, **({"bbox": box} if box else {})} for n in range(6)]
    categories = [{"id": n, "name": "ab"[n]} for n in range(2)]
    (tmp_path / "c.json").write_text(json.dumps({"images": images, "annotations": marks, "categories": categories}))
    found = read(tmp_path / "c.json", cache=tmp_path / "cache")
    assert [row.group for row in found.rows] == ["s0", "s0", "s1", "s1", "s2", "s2"]
    assert "group from `seq_id`" in found.summary()
    place = read(tmp_path / "c.json", how=PlaceOptions(group="location"), cache=tmp_path / "cache")
    assert [row.group for row in place.rows] == ["0", "1", "2", "0", "1", "2"]


@pytest.mark.parametrize("labels", [("1,3", "1,7", "2,0")])
def test_decimal_commas_are_no_two_labels(tmp_path, labels):
    """A German spreadsheet's quantities."""
    text = ("path;score_of_it", lambda n: f"img/{n}.png;{labels[n % 3]}")
    with pytest.raises(DataError, match="numbers with a decimal comma, or two each: 1,3; 1,7; 2,0"):
        table(tmp_path, text)
    assert table(tmp_path, text, label_separator=",").classes == ("0", "1", "2", "3", "7")
    some = table(tmp_path, ("path;label", lambda n: f"img/{n}.png;{('1', '1,2', '2')[n % 3]}"))
    assert some.classes == ("1", "2")


def test_blanks_before_quotes_and_cells_as_long_as_masks(tmp_path):
    """Tables of hand and of R; run-length masks of Kaggle beside the label."""
    found = table(tmp_path, ('"path", "label"', lambda n: f'"img/{n}.png", "{label(n)}"'))
    assert found.classes == ("a", "b")
    found = table(tmp_path, ("path,label,rle", lambda n: f"img/{n}.png,{label(n)},{'1 2 ' * 40_000 if n else ''}"))
    assert found.classes == ("a", "b")


@pytest.mark.parametrize("kind", ["large_list", "list", "fixed"])
def test_lists_of_parquet_are_labels_of_whatever_kind(tmp_path, kind):
    """Polars writes large_list<large_string>."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    of = {"large_list": pyarrow.large_list(pyarrow.large_string()), "fixed": pyarrow.list_(pyarrow.string(), 1)}
    tree(tmp_path, *(f"{n}.png" for n in range(4)))
    labels = pyarrow.array([[label(n)] for n in range(4)], of.get(kind, pyarrow.list_(pyarrow.string())))
    made = pyarrow.table({"path": [f"{n}.png" for n in range(4)], "labels": labels})
    parquet.write_table(made, tmp_path / "t.parquet")
    found = read(tmp_path / "t.parquet", cache=tmp_path / "cache")
    assert [row.labels for row in found.rows] == [("a",), ("b",)] * 2

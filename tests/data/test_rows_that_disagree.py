"""Rows of tables that repeat or contradict each other, and classes that are written in two ways."""

import pytest

from frostline.data.class_names import alike, doubtful
from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import read
from frostline.errors import DataError
from tests.data.pictures import tree


def table(top, header, *lines, name="t.csv", encoding="utf-8", **said):
    tree(top, *(f"img/{n}.png" for n in range(8)))
    (top / name).write_bytes("\n".join([header, *lines, ""]).encode(encoding))
    return read(top / name, how=PlaceOptions.of(said), cache=top / "cache")


def rows(cell, numbers=range(8)):
    return [f"img/{n}.png,{cell(n)}" for n in numbers]


def test_a_row_that_comes_again_is_one_picture(tmp_path):
    found = table(tmp_path, "path,label", *rows(lambda n: "ab"[n % 2]), *rows(lambda n: "ab"[n % 2], range(3)))
    assert found.counts() == {"a": 4, "b": 4}
    assert "not used: 3 rows that say again what an earlier one says" in found.summary()


@pytest.mark.parametrize(
    ("column", "option"), [("split", "--split-column none"), ("fold", "--group none"), ("patient", "--group none")]
)
def test_a_picture_in_two_splits_or_groups_is_refused(tmp_path, column, option):
    """As BreaKHis' Folds.csv has it: each picture once a fold, in train of four and in test of one."""
    lines = rows(lambda n: f"{'ab'[n % 2]},train"), rows(lambda n: f"{'ab'[n % 2]},test")
    with pytest.raises(DataError, match=r"img/0.png is in two (splits|groups), train in row 2, test here"):
        table(tmp_path, f"path,label,{column}", *lines[0], *lines[1])
    kind, _, word = option.removeprefix("--").partition(" ")
    found = table(tmp_path, f"path,label,{column}", *lines[0], *lines[1], **{kind.replace("-", "_"): word})
    assert found.counts() == {"a": 4, "b": 4}


def test_a_table_beside_classes_that_says_two_splits_of_a_picture_is_refused(tmp_path):
    top = tree(tmp_path / "d", *(f"{label}/{n}.png" for label in ("benign", "malignant") for n in range(3)))
    names = [f"{label}/{n}.png" for label in ("benign", "malignant") for n in range(3)]
    lines = [f"{fold},{('train', 'test')[n % 3 == fold]},{name}" for fold in (0, 1) for n, name in enumerate(names)]
    (top / "Folds.csv").write_text("\n".join(["fold,grp,filename", *lines]))
    with pytest.raises(DataError, match=r"Folds.csv says two splits of benign/\d.png") as caught:
        read(top, cache=tmp_path / "cache")
    assert "--ignore 'Folds.csv'" in caught.value.hint
    (top / "Folds.csv").write_text("\n".join(["fold,grp,filename", *lines[:6]]))
    assert read(top, cache=tmp_path / "cache").splits == ("train", "test")


def test_the_header_again_is_no_picture(tmp_path):
    lines = rows(lambda n: "ab"[n % 2])
    for again in ("path,label", "\ufeffpath,label"):  # one file behind another
        found = table(tmp_path, "path,label", *lines[:4], again, *lines[4:])
        assert found.classes == ("a", "b")
        assert "row 6 (the header again)" in found.summary()


def test_a_class_without_any_box_is_refused(tmp_path):
    """RSNA's table: a box where there is something to see, nothing where the picture shows no finding."""
    header, lines = "image,x,y,width,height,label", [f"img/{n}.png,1,1,5,5,{'ab'[n % 2]}" for n in range(6)]
    with pytest.raises(DataError, match="no row of 'Normal' has a box") as caught:
        table(tmp_path, header, *lines, "img/6.png,,,,,Normal")
    assert "--box-format none" in caught.value.hint
    assert table(tmp_path, header, *lines, "img/6.png,,,,,Normal", box_format="none").counts()["Normal"] == 1
    assert table(tmp_path, header, *lines, "img/6.png,,,,,a").counts() == {"a": 3, "b": 3}


def test_one_group_in_two_given_splits_is_warned_of(tmp_path):
    lines = rows(lambda n: f"{'ab'[n % 2]},{('train', 'test')[n > 5]},p{n % 3}")
    (warning,) = table(tmp_path, "path,label,split,patient_id", *lines).understood.warnings
    assert warning.startswith("2 of 3 groups, such as 'p0', have pictures in train and in another split")
    apart = rows(lambda n: f"{'ab'[n % 2]},{('train', 'test')[n > 3]},p{n // 4}")
    assert table(tmp_path, "path,label,split,patient_id", *apart).understood.warnings == ()


def test_classes_in_two_spellings_are_warned_of(tmp_path):
    found = table(tmp_path, "path,label", *rows(lambda n: ("Cat", "cat", "black rot", "Black_rot")[n % 4]))
    (warning,) = found.understood.warnings
    assert "'black rot' (2) and 'Black_rot' (2); 'Cat' (2) and 'cat' (2)" in warning or (
        "'Cat' (2) and 'cat' (2)" in warning and "'Black_rot' (2) and 'black rot' (2)" in warning
    )
    assert alike(["C", "C++", "C#", "1.5", "15", "3-9", "39", "-1", "1", "a b", "été"]) == []
    assert next(doubtful({"cat": 1, "c\u0430t": 2})).startswith(
        "class names that are nearly the same: 'cat' (1) and 'c\\u0430t' (2)"
    )
    assert alike(["1.5", "-1.5", "\u22121", "1", "कि", "का", "ปู", "ปี", "а", "a", "😀", "🐶", "👩\u200d💻", "💻"]) == []
    for pair in (["😀", "😀\ufe0f"], ["cat", "саt"], ["1e5", "100000"], ["2.50", "2.5"], ["قط", "\u200fقط"]):
        assert alike([*pair, "other"]) == [pair]
    assert alike(["été", "e\u0301te\u0301", "07", "7"]) == [["été", "e\u0301te\u0301"], ["07", "7"]]


def test_one_group_in_two_spellings_is_one_or_warned_of(tmp_path):
    """What looks the same is the same; "P1" and "p1", and pandas' 1.0 for 1 in another table, are asked about."""
    spelled = ["José", "Jose\u0301", "José\u200b", "Ana"]
    found = table(tmp_path, "path,label,patient", *rows(lambda n: f"{'ab'[n // 4 % 2]},{spelled[n % 4]}"))
    assert {row.group for row in found.rows} == {"José", "Ana"}
    assert found.understood.warnings == ()
    found = table(tmp_path, "path,label,patient", *rows(lambda n: f"{'ab'[n // 4]},{('P1', 'p1', '1', '1.0')[n % 4]}"))
    (warning,) = found.understood.warnings
    assert warning.startswith("groups that are nearly the same: 'P1' (2) and 'p1' (2); '1' (2) and '1.0' (2)")
    boxes = rows(lambda n: f"{'ab'[n % 2]},1,1,{n + 3},5")
    found = table(tmp_path, "path,label,xmin,ymin,xmax,ymax", *boxes, "0.png,b,1,1,4,4")
    assert found.understood.warnings == ()


def test_one_and_minus_one_are_two_classes_and_minus_one_beside_others_is_none(tmp_path):
    """CelebA: 1 stands for a picture that shows it, -1 for one that does not."""
    assert table(tmp_path, "path,label", *rows(lambda n: ("1", "-1")[n % 2])).counts() == {"1": 4, "-1": 4}
    with pytest.raises(DataError, match=r"row 2: no label \(-1\)"):
        table(tmp_path, "path,label", *rows(lambda n: ("-1", "0", "1")[n % 3]))


def test_what_spreadsheets_do_to_cells(tmp_path):
    found = table(tmp_path, "path,label", *rows(lambda n: ('="007"', '="008"')[n % 2]))
    assert found.counts() == {"007": 4, "008": 4}
    with pytest.raises(DataError, match=r"row 4: no label \(#REF!\)"):
        table(tmp_path, "path,label", *rows(lambda n: ("a", "b", "#REF!")[n % 3]))
    found = table(tmp_path, "path;label", *(f"img/{n}.png;{n % 2},0" for n in range(8)))
    assert found.counts() == {"0": 4, "1": 4}


def test_choices_of_label_studio_are_labels(tmp_path):
    """Its CSV: a word where one choice is taken, {"choices": [...]} where several are."""
    both = '"{""choices"": [""ants"", ""outdoor""]}"'
    found = table(tmp_path, "image,id,choice", *(f"img/{n}.png,{n},{('bees', both)[n % 2]}" for n in range(8)))
    assert found.counts() == {"ants": 4, "bees": 4, "outdoor": 4}
    python = """"{'choices': ['ants', 'outdoor']}\""""  # as pandas writes what it read from JSON
    found = table(tmp_path, "image,id,choice", *(f"img/{n}.png,{n},{('bees', python)[n % 2]}" for n in range(8)))
    assert found.counts() == {"ants": 4, "bees": 4, "outdoor": 4}


@pytest.mark.parametrize("between", [",", "\t", " "])
def test_a_text_file_with_a_header_is_a_table(tmp_path, between):
    lines = [f"img/{n}.png{between}{'ab'[n % 2]}" for n in range(8)]
    found = table(tmp_path, f"image{between}label", *lines, name="t.txt")
    assert found.counts() == {"a": 4, "b": 4}
    assert found.skipped == ()


def test_folders_of_paths_say_the_split_where_no_column_does(tmp_path):
    """One metadata.csv above train/ and test/, as Hugging Face's documentation of ImageFolder has it."""
    top = tree(tmp_path / "d", *(f"{split}/{n}.png" for split in ("train", "test") for n in range(4)))
    lines = [f"{split}/{n}.png,{'ab'[n % 2]}" for split in ("train", "test") for n in range(4)]
    (top / "metadata.csv").write_text("\n".join(["file_name,label", *lines]))
    found = read(top, cache=tmp_path / "cache")
    assert {split: found.part(split).counts() for split in found.splits} == {s: {"a": 2, "b": 2} for s in found.splits}
    assert found.splits == ("train", "test")
    assert "split from the folders in `file_name`" in found.summary()
    assert read(top, how=PlaceOptions(split_column="none"), cache=tmp_path / "cache").splits == ()
    (top / "metadata.csv").write_text("\n".join(["file_name,label", *lines[:4], "../d/train/../test/1.png,b"]))
    assert read(top, how=PlaceOptions(), cache=tmp_path / "cache").splits == ()


def test_a_label_that_is_an_object_is_refused(tmp_path):
    tree(tmp_path, *(f"img/{n}.png" for n in range(4)))
    lines = [f'{{"image": "img/{n}.png", "label": {{"name": "a{n % 2}", "id": 1}}}}\n' for n in range(4)]
    (tmp_path / "t.jsonl").write_text("".join(lines))
    with pytest.raises(DataError, match="row 1: its label is an object with name, id"):
        read(tmp_path / "t.jsonl", cache=tmp_path / "cache")


def test_an_empty_column_of_splits_is_none(tmp_path):
    found = table(tmp_path, "path,label,split", *rows(lambda n: f"{'ab'[n % 2]},"))
    assert "no split" in found.summary()


def test_labels_that_are_objects_of_json(tmp_path):
    """VIA writes {"class": "ants"}: the key is no label. Labelbox's hold more than one thing, and are refused."""
    cell = '"{{""class"":""{}""}}"'.format
    found = table(tmp_path, "path,label", *rows(lambda n: cell(("ants", "bees")[n % 2])))
    assert found.counts() == {"ants": 4, "bees": 4}
    more = '"{{""objects"":[],""classifications"":[""{}""]}}"'.format
    with pytest.raises(DataError, match="which of classifications, objects is it"):
        table(tmp_path, "path,label", *rows(lambda n: more(n % 2)))


def test_two_facts_beside_what_may_be_the_label_are_asked_about(tmp_path):
    """The COVID chest X-rays: `survival` and `intubated` stand beside `finding`, and were the labels."""
    header = "path,survival,intubated,finding"
    lines = rows(lambda n: f"{'YN'[n % 2]},{'YN'[n // 4]},{('viral', 'fungal')[n % 2]}")
    with pytest.raises(DataError, match="the label may be 'finding', or the columns survival,intubated") as caught:
        table(tmp_path, header, *lines)
    assert "--label-column 'survival,intubated'" in caught.value.hint
    assert table(tmp_path, header, *lines, label_column="finding").classes == ("fungal", "viral")
    assert table(tmp_path, header, *lines, label_column="survival,intubated").classes == ("intubated", "survival")
    exclusive = rows(lambda n: f"{n % 2},{1 - n % 2},{('left', 'right')[n // 4]}")
    assert table(tmp_path, "path,cat,dog,eye", *exclusive).classes == ("cat", "dog")

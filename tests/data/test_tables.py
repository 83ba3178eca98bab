"""Tables as people have them: which column is what, where the pictures lie, what a label is."""

import json
from unicodedata import normalize

import pytest

from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import read
from frostline.errors import DataError
from tests.data.pictures import tree


def seen(top, header, cell=lambda n: f"img/{n}.png", *more, said=None, labels="ab", count=6):
    tree(top, *(f"img/{n}.png" for n in range(count)))
    lines = [header, *(",".join([cell(n), labels[n % len(labels)], *(m(n) for m in more)]) for n in range(count))]
    (top / "t.csv").write_text("\n".join(lines), encoding="utf-8")
    return read(top / "t.csv", how=PlaceOptions.of(said or {}), cache=top / "cache")


@pytest.mark.parametrize(
    "cell",
    [
        lambda n: f"img\\{n}.png",
        lambda n: f"{n}",
        lambda n: f"{n}.png",
        lambda n: f"/home/other/data/{n}.png",
    ],
)
def test_names_without_ending_or_of_another_system_are_found(tmp_path, cell):
    found = seen(tmp_path, "id_code,diagnosis", cell)
    assert found.counts() == {"a": 3, "b": 3}
    assert [row.picture.name for row in found.rows] == [f"{n}.png" for n in range(6)]
    assert "pictures from `id_code`" in found.summary()
    assert "labels from `diagnosis`" in found.summary()


def test_file_urls_images_and_suffix(tmp_path):
    assert len(seen(tmp_path, "image,label", lambda n: f"file://{tmp_path}/img/{n}.png")) == 6
    assert len(seen(tmp_path, "image,label", str, said={"images": tmp_path / "img", "suffix": ".png"})) == 6
    with pytest.raises(DataError, match="no such folder of pictures"):
        seen(tmp_path, "image,label", said={"images": tmp_path / "nowhere"})
    with pytest.raises(DataError, match="not on this machine"):
        seen(tmp_path, "image,label", lambda n: f"github://owner/{n}.png")


def test_a_table_and_its_pictures_may_be_named_from_where_one_is(tmp_path, monkeypatch):
    seen(tmp_path / "data", "image,label")
    monkeypatch.chdir(tmp_path)
    assert len(read("data/t.csv", cache=tmp_path / "cache")) == 6
    assert len(read("data/t.csv", how=PlaceOptions(images="data/img", suffix=""), cache=tmp_path / "cache")) == 6


def test_a_name_of_several_files_is_refused(tmp_path):
    tree(tmp_path, *(f"other/{n}.png" for n in range(6)))
    with pytest.raises(DataError, match="names several files") as caught:
        seen(tmp_path, "id,label", str)
    assert "--images" in str(caught.value)
    found = seen(tmp_path, "id,label", str, said={"images": tmp_path / "img"})
    assert {row.picture.parent.name for row in found.rows} == {"img"}


def test_two_candidates_are_refused_and_an_option_settles_it(tmp_path):
    with pytest.raises(DataError, match="several columns may be the label: target, label") as caught:
        seen(tmp_path, "image,target,label", lambda n: f"img/{n}.png", lambda n: "xy"[n % 2])
    assert "--label-column" in str(caught.value)
    said = {"label_column": "label"}
    found = seen(tmp_path, "image,target,label", lambda n: f"img/{n}.png", lambda n: "xy"[n % 2], said=said)
    assert found.classes == ("x", "y")
    assert "not used: column `target`" in found.summary()
    with pytest.raises(DataError, match="no column 'kind'"):
        seen(tmp_path, "image,label", said={"label_column": "kind"})


def test_columns_that_look_like_a_split_or_a_group_are_never_passed_over(tmp_path):
    def parts(n):
        return "train" if n < 4 else "test"

    found = seen(tmp_path, "path,label,set,patient_id", lambda n: f"img/{n}.png", parts, lambda n: f"p{n // 2}")
    assert found.splits == ("train", "test")
    assert [row.group for row in found.rows] == ["p0", "p0", "p1", "p1", "p2", "p2"]
    plain = seen(tmp_path, "path,label,set,patient_id", lambda n: f"img/{n}.png", parts, lambda n: f"p{n // 2}",
                 said={"split_column": "none", "group": "none"})  # fmt: skip
    assert (plain.splits, {row.group for row in plain.rows}) == ((), {None})
    odd = seen(tmp_path, "path,label,set", lambda n: f"img/{n}.png", lambda n: "AB"[n % 2])
    assert odd.understood.warnings == ("the column 'set' may be a split or a group: --split-column or --group says so",)
    with pytest.raises(DataError, match="several columns may be the group") as caught:
        seen(tmp_path, "path,label,patient_id,lesion_id", lambda n: f"img/{n}.png", str, str)
    assert "--group" in str(caught.value)


@pytest.mark.parametrize("missing", ["nan", "NA", "None", "", "<NA>"])
def test_what_is_no_label_is_no_class(tmp_path, missing):
    with pytest.raises(DataError, match="2 rows are wrong: row 4: no label"):
        seen(tmp_path, "path,label", labels=("a", "b", missing))


def test_a_class_called_as_nothing_is_needs_another_name(tmp_path):
    """NA is Namibia to some, and nothing to a spreadsheet."""
    with pytest.raises(DataError, match=r"row 2: no label \(NA\)") as caught:
        seen(tmp_path, "path,label", labels=("NA", "DE", "FR"))
    assert "leave those rows out; a class that is called so needs another name" in caught.value.hint


def test_whole_numbers_are_one_however_they_are_written(tmp_path):
    assert seen(tmp_path, "path,label", labels=("0", "1.0", "0.0")).classes == ("0", "1")
    assert seen(tmp_path, "path,label", labels=("01", "1.5", "1.0")).classes == ("01", "1.0", "1.5")
    with pytest.raises(DataError, match=r"no label \(-1\)"):
        seen(tmp_path, "path,label", labels=("0", "1", "-1"))


def test_a_field_too_many_is_refused(tmp_path):
    with pytest.raises(DataError, match="row 2 has 3 of 2 columns"):
        seen(tmp_path, "path,label", lambda n: f"img/{n}.png", lambda n: "x")


def test_an_option_that_says_nothing_here_is_refused(tmp_path):
    with pytest.raises(DataError, match="--label-pattern says nothing here"):
        seen(tmp_path, "path,label", said={"label_pattern": "(a)"})


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (("rust scab", "rust", "scab"), "spaces"),
        (("16 0", "16", "0 16"), "spaces"),
        (('"rust, scab"', "rust", "scab"), "commas"),
        (("\"['rust', 'scab']\"", "['rust']", "['scab']"), "lists"),
        (('"[""rust"",""scab""]"', '"[""rust""]"', '"[""scab""]"'), "lists"),
    ],
)
def test_several_labels_in_one_cell_are_several(tmp_path, labels, said):
    found = seen(tmp_path, "path,label", labels=labels)
    assert found.classes == (("0", "16") if "16" in labels else ("rust", "scab"))
    assert [len(row.labels) for row in found.rows][:2] == [2, 1]
    assert f"labels from `label` ({'' if said == 'lists' else 'parted by '}{said})" in found.summary()


def test_names_of_several_words_stay_one_label(tmp_path):
    assert seen(tmp_path, "path,breed", labels=("great dane", "golden retriever")).classes == (
        "golden retriever",
        "great dane",
    )


@pytest.mark.parametrize("labels", [("clear fog", "clear sea", "sea fog"), ('"a, b"', '"a, c"')])
def test_cells_that_may_be_one_label_or_several_are_refused(tmp_path, labels):
    with pytest.raises(DataError, match="may be several each or one of several words") as caught:
        seen(tmp_path, "path,tags", labels=labels)
    separator = caught.value.hint.split("'")[1]
    several = seen(tmp_path, "path,tags", labels=labels, said={"label_separator": separator})
    assert {len(row.labels) for row in several.rows} == {2}
    one = seen(tmp_path, "path,tags", labels=labels, said={"label_separator": "none"})
    assert one.classes == tuple(sorted(label.strip('"') for label in labels))


@pytest.mark.parametrize(
    "labels", [("n1 1 2 30 40", "n2 1 2 3 4 n2 5 6 70 80"), ("14 1 0 0 1 1", "opacity 0.9 1 2 3.5 4")]
)
def test_boxes_beside_labels_are_no_part_of_their_names(tmp_path, labels):
    """LOC_train_solution.csv of ImageNet: each box was a class of its own."""
    with pytest.raises(DataError, match="labels hold boxes") as caught:
        seen(tmp_path, "ImageId,PredictionString", labels=labels)
    assert "--label-separator none" in caught.value.hint
    assert len(seen(tmp_path, "ImageId,PredictionString", labels=labels, said={"label_separator": "none"}).classes) == 2


def test_columns_of_0_and_1_are_labels_where_no_column_is(tmp_path):
    one = seen(tmp_path, "image_id,MEL,NV,age", lambda n: f"{n}", lambda n: "10"[n % 2], str, labels="01")
    assert [row.labels for row in one.rows] == [("NV",), ("MEL",)] * 3
    assert "labels from the columns `MEL`, `NV`" in one.summary()
    assert "not used: column `age`" in one.summary()
    several = seen(tmp_path, "image_id,MEL,NV", lambda n: f"{n}", lambda n: "10"[n // 3], labels="01")
    assert [row.labels for row in several.rows][:4] == [("NV",), ("MEL", "NV"), ("NV",), ("MEL",)]
    with pytest.raises(DataError, match="3 rows are wrong: row 5: no label"):
        seen(tmp_path, "image_id,MEL,NV", lambda n: f"{n}", lambda n: "001000"[n], labels="110000")
    with pytest.raises(DataError, match="'is_test' of 0 and 1 may be a split or a class"):
        seen(tmp_path, "image_id,MEL,is_test", lambda n: f"{n}", lambda n: "10"[n % 2], labels="01")
    assert seen(tmp_path, "image_id,MEL", lambda n: f"{n}", labels="01").classes == ("0", "1")


def test_parquet_class_labels_go_by_their_names_across_files(tmp_path):
    datasets = pytest.importorskip("datasets")
    pytest.importorskip("pyarrow")
    tree(tmp_path, *(f"{n}.png" for n in range(4)))

    def write(name, names, labels):
        features = datasets.Features(image=datasets.Value("string"), label=datasets.ClassLabel(names=names))
        made = datasets.Dataset.from_dict({"image": [f"{n}.png" for n in range(4)], "label": labels}, features=features)
        made.to_parquet(str(tmp_path / name))
        return str(tmp_path / name)

    parts = {"train": write("a.parquet", ["ants", "bees"], [0, 1, 0, 1])}
    parts["test"] = write("b.parquet", ["bees", "ants"], [1, 0, 1, 0])
    found = read(parts, cache=tmp_path / "cache")
    assert [row.labels for row in found.rows] == [("ants",), ("bees",)] * 4
    with pytest.raises(DataError, match="1 row is wrong: row 1: no label"):
        read(write("c.parquet", ["ants", "bees"], [-1, 1, 0, 1]), cache=tmp_path / "cache")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16", "utf-32"])
def test_utf_16_with_and_without_its_mark(tmp_path, encoding):
    tree(tmp_path, *(f"{n}.png" for n in range(4)))
    rows = "".join(f"{n}.png\t{('Bär', 'Fuß')[n % 2]}\n" for n in range(4))
    (tmp_path / "t.csv").write_bytes(f"path\tlabel\n{rows}".encode(encoding))
    assert read(tmp_path / "t.csv", cache=tmp_path / "cache").counts() == {"Bär": 2, "Fuß": 2}


def test_a_table_without_a_header_may_have_a_split(tmp_path):
    """As AutoML and Vertex write it: the split, the picture, the label."""
    tree(tmp_path, *(f"{n}.png" for n in range(4)))
    splits = ("TRAIN", "TRAIN", "VALIDATE", "TEST")
    (tmp_path / "t.csv").write_text("".join(f"{splits[n]},{n}.png,{'ab'[n % 2]}\n" for n in range(4)))
    found = read(tmp_path / "t.csv", cache=tmp_path / "cache")
    assert [(row.name, row.split, *row.labels) for row in found.rows] == [
        ("0.png", "train", "a"),
        ("1.png", "train", "b"),
        ("2.png", "val", "a"),
        ("3.png", "test", "b"),
    ]


@pytest.mark.parametrize("header", ["emotion,pixels", "label," + ",".join(f"pixel{n}" for n in range(784))])
def test_pixels_in_a_table_are_refused_with_what_to_write(tmp_path, header):
    (tmp_path / "t.csv").write_text(header + "\n" + ",".join("0" * len(header.split(","))) + "\n")
    with pytest.raises(DataError, match=r"pixels themselves.*\n.*\n.*numpy.savez"):
        read(tmp_path / "t.csv", cache=tmp_path / "cache")


def test_pictures_in_a_linked_folder_are_found_by_name(tmp_path):
    """Pictures lie on another disk, and the data set has a link to them; a link back to the top is no loop."""
    tree(tmp_path / "disk", *(f"{n}.png" for n in range(4)))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "train_images").symlink_to(tmp_path / "disk", target_is_directory=True)
    (tmp_path / "disk" / "back").symlink_to(tmp_path / "d", target_is_directory=True)
    (tmp_path / "d" / "train.csv").write_text("id,label\n" + "".join(f"{n},{'ab'[n % 2]}\n" for n in range(4)))
    for place in (tmp_path / "d", tmp_path / "d" / "train.csv"):
        assert read(place, cache=tmp_path / "cache").counts() == {"a": 2, "b": 2}


def test_names_that_start_beside_the_folder_of_the_table(tmp_path):
    """CheXpert: CheXpert-small/train.csv says CheXpert-small/train/patient1/view1.jpg."""
    tree(tmp_path / "small", *(f"train/p{n}/view.png" for n in range(4)))
    (tmp_path / "small" / "train.csv").write_text(
        "Path,label\n" + "".join(f"small/train/p{n}/view.png,{'ab'[n % 2]}\n" for n in range(4))
    )
    assert read(tmp_path / "small" / "train.csv", cache=tmp_path / "cache").counts() == {"a": 2, "b": 2}
    with pytest.raises(DataError, match="say different labels"):  # p0 to p3 may be the classes
        read(tmp_path / "small", cache=tmp_path / "cache")


@pytest.mark.parametrize(("table", "disk"), [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("some", [False, True])
def test_accents_and_case_may_be_kept_otherwise(tmp_path, table, disk, some):
    """macOS keeps é as two letters, and Windows knows no case: such pictures were "not there"."""
    folder, name = "Caf\u00e9", "\u00e9t\u00e9"
    names = [f"{folder}/{name if n % 2 or not some else 'x'}{n}.JPG" for n in range(6)]
    tree(tmp_path, *(normalize(disk, one.replace("Caf", "caf").replace("JPG", "jpg")) for one in names))
    lines = [f"{normalize(table, one)},{'ab'[n // 2 % 2]}" for n, one in enumerate(names)]
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *lines]), encoding="utf-8")
    assert len(read(tmp_path / "t.csv", cache=tmp_path / "cache")) == 6


def test_a_name_in_two_cases_is_not_mixed_up(tmp_path):
    tree(tmp_path, "a.png", "A.png", "b.png", "c.png")
    rows = ["path,label", "a.png,x", "A.png,y", "B.PNG,x", "c.png,y"]
    (tmp_path / "t.csv").write_text("\n".join(rows), encoding="utf-8")
    found = read(tmp_path / "t.csv", cache=tmp_path / "cache")
    assert {row.file.name: row.labels[0] for row in found.rows} == {
        "a.png": "x",
        "A.png": "y",
        "b.png": "x",
        "c.png": "y",
    }


def test_zeros_that_a_spreadsheet_took_away(tmp_path):
    top = tree(tmp_path / "d", *(f"img/{n:05}.jpg" for n in range(12)))
    for ending in ("", ".jpg"):
        rows = "\n".join(["id,label", *(f"{n}{ending},{'ab'[n % 2]}" for n in range(12))])
        (top / "t.csv").write_text(rows, encoding="utf-8")
        found = read(top / "t.csv", cache=tmp_path / "cache")
        assert [(int(row.file.stem), row.labels[0]) for row in found.rows] == [(n, "ab"[n % 2]) for n in range(12)]
        assert f"(`0{ending}` is 00000.jpg)" in found.summary()
    tree(top, "img/0000.jpg")
    with pytest.raises(DataError, match="names several files"):
        read(top / "t.csv", cache=tmp_path / "cache")
    numbers = tree(tmp_path / "e", *(f"img/{n:05}.jpg" for n in range(0, 24, 2)))
    (numbers / "t.csv").write_text(
        "\n".join(["id,label", *(f"{n},{'ab'[n % 2]}" for n in range(12))]), encoding="utf-8"
    )
    with pytest.raises(DataError, match="not one of its 12 pictures is there"):  # numbers of rows, as far as is known
        read(numbers / "t.csv", cache=tmp_path / "cache")


@pytest.mark.parametrize("column", ["label", "fine_label"])
def test_parquet_class_labels_beside_nested_features(tmp_path, column):
    """A feature within another (boxes of objects), or a list as datasets wrote it before 4, took the names from all."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    tree(tmp_path, *(f"{n}.png" for n in range(4)))
    kind = {"names": ["ants", "bees"], "_type": "ClassLabel"}
    boxes = {"bbox": {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "Sequence"}, "id": {"_type": "Value"}}

    def write(labels, feature):
        features = {"image": {"dtype": "string", "_type": "Value"}, "objects": boxes, column: feature}
        table = pyarrow.table({"image": [f"{n}.png" for n in range(4)], column: labels})
        said = {"huggingface": json.dumps({"info": {"features": features}})}
        parquet.write_table(table.replace_schema_metadata(said), tmp_path / "t.parquet")
        return read(tmp_path / "t.parquet", cache=tmp_path / "cache").counts()

    assert write([0, 1, 0, 1], kind) == {"ants": 2, "bees": 2}
    assert write([[0], [1], [0, 1], [1]], [kind]) == {"ants": 2, "bees": 3}


def test_masks_of_the_same_name_are_no_second_picture(tmp_path):
    top = tree(tmp_path / "d", *(f"{kind}/{n}.png" for kind in ("images", "masks") for n in range(4)))
    rows = "\n".join(["path,label", *(f"{n}.png,{'ab'[n % 2]}" for n in range(4))])
    (top / "t.csv").write_text(rows, encoding="utf-8")
    found = read(top / "t.csv", cache=tmp_path / "cache")
    assert {row.file.parent.name for row in found.rows} == {"images"}
    tree(top, *(f"other/{n}.png" for n in range(4)))
    with pytest.raises(DataError, match="names several files"):
        read(top / "t.csv", cache=tmp_path / "cache")

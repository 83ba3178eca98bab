"""A table that lies beside its pictures: as Kaggle and Hugging Face hand folders out."""

import json

import pytest

from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import read
from frostline.errors import DataError
from tests.data.pictures import tree


def write(place, header, *rows):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("\n".join([header, *rows, ""]), encoding="utf-8")


def seen(top, **said):
    return read(top, how=PlaceOptions.of(said), cache=top.parent / "cache")


def labels(manifest):
    return {row.picture.name: row.labels[0] for row in manifest.rows}


def test_kaggle_table_beside_folders_whose_names_are_alike(tmp_path):
    top = tree(
        tmp_path / "d", *(f"train_images/{n}.png" for n in range(4)), *(f"test_images/{n}.png" for n in range(3))
    )
    write(top / "train.csv", "id_code,diagnosis", *(f"{n},{n % 2}" for n in range(4)))
    write(top / "test.csv", "id_code", *(f"{n}" for n in range(3)))
    write(top / "sample_submission.csv", "id_code,diagnosis", *(f"{n},0" for n in range(3)))
    found = seen(top)
    assert labels(found) == {"0.png": "0", "1.png": "1", "2.png": "0", "3.png": "1"}
    assert {row.picture.parent.name for row in found.rows} == {"train_images"}
    said = found.summary()
    assert said.startswith("train.csv: pictures from `id_code` + `.png` in train_images/, labels")
    assert "labels from `diagnosis`" in said
    assert "test_images/ (3 pictures: without labels)" in said


def test_folders_that_only_part_the_pictures_are_no_classes_beside_a_table(tmp_path):
    top = tree(tmp_path / "d", *(f"part_1/{n}.png" for n in range(2)), *(f"part_2/{n}.png" for n in range(2, 4)))
    write(top / "m.csv", "image_id,dx", *(f"{n},{'ab'[n % 2]}" for n in range(4)))
    assert labels(seen(top)) == {"0.png": "a", "1.png": "b", "2.png": "a", "3.png": "b"}
    tree(tmp_path / "e", "x/0.png", "x/1.png", "y/2.png", "y/3.png")
    write(tmp_path / "e" / "m.csv", "image_id,dx", *(f"{n},{'ab'[n % 2]}" for n in range(4)))
    with pytest.raises(DataError, match="say different labels") as caught:
        seen(tmp_path / "e")
    assert "--ignore 'm.csv'" in str(caught.value)
    assert seen(tmp_path / "e", ignore="m.csv").counts() == {"x": 2, "y": 2}
    write(tmp_path / "e" / "m.csv", "image_id,dx", *(f"{n},{'aabb'[n]}" for n in range(4)))
    assert seen(tmp_path / "e").counts() == {"x": 2, "y": 2}


def test_several_tables_are_splits_or_refused(tmp_path):
    top = tree(tmp_path / "d", *(f"images/{n}.png" for n in range(6)))
    write(top / "train.csv", "image,label", *(f"{n}.png,{'ab'[n % 2]}" for n in range(4)))
    write(top / "test.csv", "image,label", *(f"{n}.png,{'ab'[n % 2]}" for n in range(4, 6)))
    found = seen(top)
    assert {row.picture.name: row.split for row in found.rows} == {
        f"{n}.png": "train" if n < 4 else "test" for n in range(6)
    }
    assert "split from test.csv, train.csv" in found.summary()
    write(top / "more.csv", "image,label", "0.png,c")
    with pytest.raises(DataError, match="several tables name the pictures") as caught:
        seen(top)
    assert "--ignore" in caught.value.hint
    assert len(seen(top, ignore="more.csv")) == 6


def test_a_table_with_two_columns_of_pictures_is_not_passed_over(tmp_path):
    """CBIS-DDSM: each series is a folder, and the table has the whole picture, the crop and the mask in a row."""
    top = tree(tmp_path / "d", *(f"jpeg/{n}/{part}.jpg" for n in range(4) for part in ("full", "crop")))
    rows = [f"jpeg/{n}/full.jpg,jpeg/{n}/crop.jpg,{('BENIGN', 'MALIGNANT')[n % 2]}" for n in range(4)]
    (top / "cases.csv").write_text("\n".join(["image file path,cropped image file path,pathology", *rows]))
    with pytest.raises(DataError, match="several columns may be the path") as caught:
        read(top, cache=tmp_path / "cache")
    assert "--ignore 'cases.csv'" in str(caught.value)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_metadata_of_hugging_face(tmp_path, ending):
    def metadata(place, count):
        if ending == "csv":
            write(place / "metadata.csv", "file_name,label", *(f"{n}.png,{'ab'[n % 2]}" for n in range(count)))
        else:
            lines = (f'{{"file_name": "{n}.png", "label": "{"ab"[n % 2]}"}}' for n in range(count))
            write(place / "metadata.jsonl", "", *lines)

    one = tree(tmp_path / "one", *(f"{n}.png" for n in range(4)))
    metadata(one, 4)
    assert labels(seen(one)) == {"0.png": "a", "1.png": "b", "2.png": "a", "3.png": "b"}
    two = tree(tmp_path / "two", *(f"train/{n}.png" for n in range(4)), *(f"test/{n}.png" for n in range(2)))
    metadata(two / "train", 4)
    metadata(two / "test", 2)
    found = seen(two)
    assert sorted((row.split, row.picture.parent.name, *row.labels) for row in found.rows) == sorted(
        [("train", "train", "a"), ("train", "train", "b")] * 2 + [("test", "test", "a"), ("test", "test", "b")]
    )
    assert "`file_name`" in found.summary()


def test_options_of_tables_are_refused_where_no_table_is(tmp_path):
    top = tree(tmp_path / "d", "a/0.png", "b/1.png")
    with pytest.raises(DataError, match="--label-column says nothing here"):
        seen(top, label_column="x")


def coco(top, annotations, count=4):
    images = [{"id": n + 10, "file_name": f"{n}.png", "width": 24, "height": 16} for n in range(count)]
    kinds = [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}]
    boxes = [{"id": n, "image_id": i, "category_id": k, "bbox": [0, 0, 4, 4]} for n, (i, k) in enumerate(annotations)]
    tree(top, *(f"images/{n}.png" for n in range(count)))
    (top / "a.json").write_text(json.dumps({"images": images, "categories": kinds, "annotations": boxes}))
    return read(top / "a.json", how=PlaceOptions(box_format="none"), cache=top / "cache")


def test_coco_gives_the_only_category_of_each_picture(tmp_path):
    found = coco(tmp_path, [(10, 7), (10, 7), (11, 3), (12, 7)])
    assert labels(found) == {"0.png": "cat", "1.png": "dog", "2.png": "cat"}
    assert "boxes: the whole picture is read" in found.summary()
    assert "1 file (without an annotation)" in found.summary()
    with pytest.raises(
        DataError, match=r"1 pictures have annotations of several categories, such as 0.png \(cat, dog\)"
    ):
        coco(tmp_path, [(10, 7), (10, 3), (11, 3), (12, 7)])
    text = (tmp_path / "a.json").read_text()
    for one, other in (
        ('"name": "dog"', '"name": "dog"}, {"id": 3, "name": "owl"'),
        ('"file_name": "1.png"', '"file_name": "1.png"}, {"id": 11, "file_name": "2.png"'),
    ):
        assert one in text
        (tmp_path / "a.json").write_text(text.replace(one, other))
        with pytest.raises(DataError, match="is of two names"):  # two files joined: the last one had all labels
            read(tmp_path / "a.json", cache=tmp_path / "cache")
    (tmp_path / "a.json").write_text('{"a": 1}')
    with pytest.raises(DataError, match="not annotations of COCO"):
        read(tmp_path / "a.json", cache=tmp_path / "cache")


def test_json_lines_are_a_table(tmp_path):
    tree(tmp_path, "0.png", "1.png")
    write(tmp_path / "t.jsonl", "", *(f'{{"image": "{n}.png", "label": {n}}}' for n in range(2)))
    assert labels(read(tmp_path / "t.jsonl", cache=tmp_path / "cache")) == {"0.png": "0", "1.png": "1"}
    write(tmp_path / "t.jsonl", "image,label")
    with pytest.raises(DataError, match="not JSON lines"):
        read(tmp_path / "t.jsonl", cache=tmp_path / "cache")


@pytest.mark.parametrize("row", ["{n}.png,{label}", "{label},{n}.png"])
def test_a_table_without_a_header(tmp_path, row):
    tree(tmp_path, *(f"{n}.png" for n in range(4)))
    (tmp_path / "t.csv").write_text("".join(row.format(n=n, label="ab"[n % 2]) + chr(10) for n in range(4)))
    found = read(tmp_path / "t.csv", cache=tmp_path / "cache")
    assert labels(found) == {"0.png": "a", "1.png": "b", "2.png": "a", "3.png": "b"}
    assert found.understood.warnings == ("t.csv has no header: its first row names a picture",)
    assert f"pictures from `column {1 if row.startswith('{n}') else 2}`" in found.summary()


def test_a_table_without_a_header_that_may_be_read_in_two_ways_is_refused(tmp_path):
    tree(tmp_path, "0.png", "1.png")
    (tmp_path / "t.csv").write_text("0.png,a,x\n1.png,b,y\n")
    with pytest.raises(DataError, match="the table has no header") as caught:
        read(tmp_path / "t.csv", cache=tmp_path / "cache")
    assert "path,label" in caught.value.hint

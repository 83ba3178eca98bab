"""A table that lies beside its pictures: as Kaggle and Hugging Face hand folders out."""

import pytest

from frostline.data.place_options import PlaceOptions
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
    assert said.startswith("train.csv: pictures from `id_code` + `.png`")
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

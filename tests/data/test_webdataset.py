"""WebDataset shards: samples, labels, splits, and what is wrong with them."""

import io
import json
import tarfile
from pathlib import Path

import pytest

from frostline import ImageClassifier
from frostline.data.manifest import Skipped
from frostline.data.sources import read
from frostline.errors import DataError
from tests.data.pictures import encoded, scene

PICTURE = [encoded(scene(9, 9, seed)) for seed in range(6)]


def shard(place: Path, **members: bytes | str | dict[str, object]) -> Path:
    """Members by name, ``__`` for a dot."""
    with tarfile.open(place, "w") as packed:
        for name, content in members.items():
            data = json.dumps(content) if isinstance(content, dict) else content
            data = data.encode() if isinstance(data, str) else data
            member = tarfile.TarInfo(name.replace("__", "."))
            member.size = len(data)
            packed.addfile(member, io.BytesIO(data))
    return place


def test_labels_and_groups_and_splits_are_said_in_many_ways(tmp_path: Path) -> None:
    shard(
        tmp_path / "x-train.tar",
        a__png=PICTURE[0], a__cls="3\n",
        b__json={"label": "x", "camera": 7, "other": [1]}, b__jpg=PICTURE[1],
        c__png=PICTURE[2], c__json={"labels": ["x", "y"], "group": "g", "split": "validation"},
        d__png=PICTURE[3], d__cls="", d__json={"class": 4},
    )  # fmt: skip
    shard(tmp_path / "y-val.tar", e__png=PICTURE[4], e__cls="3|4|y|x")
    found = read(tmp_path, classes=("3", "4", "x", "y"))
    assert [(row.labels, row.split, row.group) for row in found.rows] == [
        (("3",), "train", None),
        (("x",), "train", None),
        (("x", "y"), "val", "g"),
        (("4",), "train", None),
        (("3", "4", "x", "y"), "val", None),
    ]
    with pytest.raises(DataError, match="says nothing of 'camera'"):
        read(tmp_path, group="camera")


@pytest.mark.parametrize(
    ("labels", "classes"), [(["-1", "0", "1"], None), (["nan", "a", "b"], None), (["-1", "1", "-1"], ("1", "-1"))]
)
def test_what_is_no_label_in_a_table_is_none_here(tmp_path: Path, labels: list[str], classes: object) -> None:
    """img2dataset and wds.ShardWriter write the .cls that they are given: also -1 and nan."""
    members = {
        f"{n}__{end}": (PICTURE[n], text)[end == "cls"] for n, text in enumerate(labels) for end in ("png", "cls")
    }
    place = shard(tmp_path / "0.tar", **members)
    if classes is None:
        with pytest.raises(DataError, match=r"1 of 3 pictures have no label, first: .*0\.png"):
            read(place)
    else:
        assert read(place).classes == classes


def test_what_is_no_sample_is_named(tmp_path: Path) -> None:
    place = shard(
        tmp_path / "x.tar",
        a__png=PICTURE[0], a__jpg=PICTURE[1], a__cls="1", a__txt="a caption",
        b__cls="2", c__png=PICTURE[2], c__cls="2", d__png=b"", d__cls="1", readme__md="x",
    )  # fmt: skip
    found = read(place)
    assert len(found) == 2
    assert set(found.skipped) == {
        Skipped(f"{place}/a.jpg", "a second picture of one sample"),
        Skipped(f"{place}/b", "a label without a picture"),
        Skipped(f"{place}/d.png", "there are no bytes"),
    }


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"a__json": "{", "a__png": PICTURE[0], "b__png": PICTURE[1], "b__cls": "1"}, "the JSON of 'a' is damaged"),
        ({"a__json": {"label": 1, "split": "late"}, "a__png": PICTURE[0]}, "'late' is no split"),
        ({"a__cls": b"\xff\xfe", "a__png": PICTURE[0]}, "no UTF-8"),
        ({"a__cls": "x" * (2 << 20), "a__png": PICTURE[0]}, "a label of 2,097,152 bytes"),
        ({"b__png": PICTURE[1], "b__cls": "1", "a__28__png": PICTURE[0], "a__28__cls": "1"}, "ends at the first dot"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_shard_is_said(tmp_path: Path, members: dict[str, bytes], says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read(shard(tmp_path / "x.tar", **members))
    assert caught.value.where
    assert caught.value.hint


def test_patterns_that_match_nothing_and_shards_cut_short_are_errors(tmp_path: Path) -> None:
    place = shard(tmp_path / "x-000.tar", a__png=PICTURE[0], a__cls="1", b__png=PICTURE[1], b__cls="2")
    with pytest.raises(DataError, match="no shard matches the pattern"):
        read(tmp_path / "x-{000..999999999}.tar")
    place.write_bytes(place.read_bytes()[:1800])
    with pytest.raises(DataError, match="damaged"):
        read(tmp_path / "x-*.tar")


def test_what_was_understood_is_said(tmp_path: Path) -> None:
    place = shard(tmp_path / "train-0.tar", a__png=PICTURE[0], a__json={"class": "ants"}, b__png=PICTURE[1], b__cls="x")
    found = read(place, cache=tmp_path / "cache")
    assert "labels from `class` in their JSON and `.cls`" in found.summary()


def test_a_run_needs_labels(tmp_path: Path) -> None:
    place = shard(tmp_path / "0.tar", a__png=PICTURE[0], a__json={"caption": "x"}, b__png=PICTURE[1], b__json={})
    with pytest.raises(DataError, match="not one of the 2 pictures has a label") as caught:
        ImageClassifier(model="test_resnet", weights="none", strategy="probe").fit(place)
    assert "`label`" in str(caught.value)


def test_classnames_beside_shards_or_their_splits_name_the_numbers(tmp_path: Path) -> None:
    """CLIP's benchmark: classnames.txt beside train/0.tar and test/0.tar."""
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        members = {f"{n}__{end}": (PICTURE[n], str(n % 2))[end == "cls"] for n in range(4) for end in ("png", "cls")}
        shard(tmp_path / split / "0.tar", **members)
    assert read(tmp_path).classes == ("0", "1")
    (tmp_path / "classnames.txt").write_text("tabby cat\ngolden retriever\n")
    for place in (tmp_path, tmp_path / "train", tmp_path / "test" / "0.tar"):
        found = read(place, classes=("tabby cat", "golden retriever"))
        assert [row.labels[0] for row in found.rows[:2]] == ["tabby cat", "golden retriever"]
        assert "`.cls` with the names in classnames.txt" in found.summary()
    assert read(tmp_path).splits == ("train", "test")
    (tmp_path / "classnames.txt").write_text("tabby cat\n")
    with pytest.raises(DataError, match=r"label 1 has no name: classnames\.txt has 1"):
        read(tmp_path)

import numpy as np
import pytest

from frostline.data.manifest import Manifest, Row, Skipped, natural
from frostline.errors import DataError, DecodeError
from tests.data.pictures import save, scene


def rows(**labels):
    """Rows of made-up bytes: name=label, or name=(label, split)."""
    for name, label in labels.items():
        label, split = label if isinstance(label, tuple) else (label, None)
        yield Row(name.encode(), (label,) if label else (), split, name=name)


def test_every_row_gets_the_digest_of_its_content_in_the_order_of_the_source():
    found = Manifest.of(rows(b="y", a="x", c="x"))
    assert [row.name for row in found.rows] == ["b", "a", "c"]
    assert len(set(found.digests)) == 3
    assert found.classes == ("x", "y")
    assert found.targets().tolist() == [1, 0, 0]
    assert found.targets().dtype == np.int64
    assert found.counts() == {"x": 2, "y": 1}
    assert len(found) == 3
    assert found.splits == ()


def test_order_holds_over_many_blocks():
    found = Manifest.of(Row(str(n).encode(), (str(n % 2),), name=str(n)) for n in range(1000))
    assert [row.name for row in found.rows] == [str(n) for n in range(1000)]


def test_classes_sort_numbers_by_value():
    assert sorted(["10", "9", "1b", "a2", "a10", "02", "B"], key=natural) == ["1b", "02", "9", "10", "B", "a2", "a10"]
    assert Manifest.of(rows(a="class 10", b="class 9")).classes == ("class 9", "class 10")
    natural("9" * 10_000)


def test_files_that_cannot_be_read_are_named_with_the_reason(tmp_path):
    good, empty = save(tmp_path / "good.png"), tmp_path / "empty.png"
    empty.touch()
    listed = [
        Row(good, ("a",), name="good"),
        Row(empty, ("b",), name="empty"),
        Row(tmp_path / "gone.png", ("a",), name="gone"),
        Skipped("notes.txt", "not a picture"),
    ]
    found = Manifest.of(listed)
    assert [row.name for row in found.rows] == ["good"]
    assert found.skipped == (
        Skipped("empty", "the file is empty"),
        Skipped("gone", "there is no such file"),
        Skipped("notes.txt", "not a picture"),
    )
    assert found.classes == ("a", "b")
    with pytest.raises(DataError, match="'b' has 0"):
        found.require_usable(1)


def test_nothing_usable_says_why(tmp_path):
    with pytest.raises(DataError, match="no usable picture") as caught:
        Manifest.of([Row(tmp_path / "x.png", ("a",)), Skipped("n.txt", "not a picture")])
    assert "no such file" in str(caught.value)
    with pytest.raises(DataError, match="empty"):
        Manifest.of([])


def test_one_class_is_not_enough_unless_the_classes_are_given():
    with pytest.raises(DataError, match="only one class, 'x'"):
        Manifest.of(rows(a="x", b="x"))
    assert Manifest.of(rows(a="x"), classes=("y", "x")).targets().tolist() == [1]
    with pytest.raises(DataError, match="'z'"):
        Manifest.of(rows(a="z"), classes=("y", "x"))


@pytest.mark.parametrize("extra", [("cat", "val"), ("cat", "test")])
def test_what_is_judged_must_have_been_learnt(extra):
    same = {"a": ("ant", "train"), "b": ("bee", "train"), "c": ("ant", "val"), "d": ("bee", "val")}
    assert Manifest.of(rows(**same)).splits == ("train", "val")
    with pytest.raises(DataError, match=f"train lacks 'cat', which {extra[1]} has") as caught:
        Manifest.of(rows(**same, e=extra))
    assert "--split" in str(caught.value)
    assert Manifest.of(rows(**same, e=extra), keep_splits=False).counts() == {"ant": 2, "bee": 2, "cat": 1}


def test_a_class_that_is_not_judged_is_a_warning():
    found = Manifest.of(rows(a=("ant", "train"), b=("bee", "train"), c=("bee", "test")))
    assert found.understood.warnings == ("test has no picture of 'ant': its figures say nothing of that",)
    assert found.part("test").targets().tolist() == [1]


def test_half_labelled_or_half_split_is_an_error_that_names_the_first():
    with pytest.raises(DataError, match="1 of 3 pictures have no label, first: c"):
        Manifest.of(rows(a="x", b="y", c=""))
    with pytest.raises(DataError, match="1 of 3 pictures are in no split, first: c"):
        Manifest.of(rows(a=("x", "train"), b=("y", "train"), c="x"))
    with pytest.raises(DataError, match="unknown split 'dev'"):
        Manifest.of(rows(a=("x", "dev"), b=("y", "dev")))


def test_unlabelled_has_no_classes_and_no_targets():
    found = Manifest.of(rows(a="", b=""))
    assert found.classes == ()
    with pytest.raises(DataError, match="no labels"):
        found.targets()


def test_several_labels_make_a_table_of_zeros_and_ones():
    found = Manifest.of([Row(b"1", ("x", "z")), Row(b"2", ()), Row(b"3", ("y",))])
    assert found.multilabel
    assert found.targets().tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert found.targets().dtype == np.float32


def test_several_labels_are_a_set():
    assert Row(b"1", ("c10", "c2", "c10")).labels == ("c2", "c10")
    assert not Manifest.of([Row(b"1", ("x", "x")), Row(b"2", ("y",))]).multilabel


def test_part_keeps_all_classes_and_without_remembers():
    found = Manifest.of(rows(a=("x", "train"), b=("y", "train"), c=("x", "val"), d=("y", "val")))
    assert found.part("val").targets().tolist() == [0, 1]
    less = found.part("val").without([Skipped("c", "truncated")])
    assert [row.name for row in less.rows] == ["d"]
    assert less.skipped == (Skipped("c", "truncated"),)
    assert less.targets().tolist() == [1]
    with pytest.raises(DataError, match="no split 'test'"):
        found.part("test")
    with pytest.raises(DataError, match="'x' has 1, 'y' has 1"):
        found.require_usable(2)


def test_digest_and_progress_are_the_callers():
    seen = []

    def digest(picture):
        if picture == b"b":
            raise DecodeError("broken")
        return "same"

    found = Manifest.of(rows(a="x", b="y", c="y"), digest=digest, progress=seen.append)
    assert found.digests == ("same", "same")
    assert found.skipped == (Skipped("b", "broken"),)
    assert seen == [1, 2, 3]


def test_pixels_without_a_name_are_described():
    found = Manifest.of([Row(scene(4, 3), ("a",)), Row(scene(5, 3), ("b",))])
    assert found.rows[0].name == "array of shape (3, 4, 3), uint8"

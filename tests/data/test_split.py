from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frostline.data.manifest import Manifest, Row
from frostline.data.split import assign_splits, few, folds, shares_of, with_validation
from frostline.errors import DataError, PlanError


def manifest(*specs):
    """From (label, digest, group) each."""
    rows = tuple(Row(b"x", (label,), group=group, name=str(n), digest=d) for n, (label, d, group) in enumerate(specs))
    return Manifest(rows, tuple(sorted({row.labels[0] for row in rows})))


def plain(**counts):
    return manifest(*((label, f"{label}{n}", None) for label, count in counts.items() for n in range(count)))


def sides(found):
    return {row.digest: row.split for row in found.rows}


def test_a_fifth_of_each_class_validates():
    found = with_validation(plain(a=100, b=50, c=3))
    assert found.part("val").counts() == {"a": 20, "b": 10, "c": 1}
    assert found.part("train").counts() == {"a": 80, "b": 40, "c": 2}


def test_the_split_is_a_function_of_content_and_seed_alone():
    data = plain(a=60, b=60)
    backwards = Manifest(data.rows[::-1], data.classes)
    assert sides(with_validation(data)) == sides(with_validation(backwards))
    assert sides(with_validation(data)) != sides(with_validation(data, seed=1))


def test_ten_more_pictures_leave_the_others_where_they_were():
    before, after = sides(with_validation(plain(a=100, b=100))), sides(with_validation(plain(a=110, b=100)))
    assert sum(before[digest] != after[digest] for digest in before) <= 4


def test_duplicates_and_groups_stay_together_also_through_each_other():
    specs = [("a", f"a{n}", f"p{n // 4}") for n in range(40)] + [("b", f"b{n}", None) for n in range(40)]
    specs += [("a", "a0", None), ("a", "shared", "p0"), ("a", "shared", "p5"), ("b", "b7", None)]
    data = manifest(*specs)
    for seed in range(5):
        found = with_validation(data, seed=seed)
        assert {row.split for row in found.rows} == {"train", "val"}
        for key in (lambda row: row.group, lambda row: row.digest):
            where = {}
            for row in found.rows:
                if key(row) is not None:
                    where.setdefault(key(row), set()).add(row.split)
            assert all(len(splits) == 1 for splits in where.values())
        by_group = {row.group: row.split for row in found.rows}
        assert by_group["p0"] == by_group["p5"]


def test_classes_too_large_in_unit_give_their_smallest():
    data = manifest(*[("a", f"a{n}", f"p{n % 2}") for n in range(10)], *[("b", f"b{n}", None) for n in range(10)])
    assert with_validation(data).part("val").counts() == {"a": 5, "b": 2}


def test_two_of_a_class_stand_on_both_sides_and_one_stays_in_train():
    found = with_validation(plain(a=2, b=30, c=1), share=0.01)
    assert found.part("val").counts() == {"a": 1, "b": 1, "c": 0}
    found = with_validation(plain(a=2, b=30), share=0.99)
    assert found.part("train").counts() == {"a": 1, "b": 1}


def test_what_is_split_already_stays():
    rows = (Row(b"1", ("a",), "train", digest="1"), Row(b"2", ("b",), "val", digest="2"))
    data = Manifest(rows, ("a", "b"))
    assert with_validation(data) is data
    test = tuple(Row(b"t", (c,), "test", digest=f"t{c}") for c in "ab")
    train = tuple(Row(b"n", (c,), "train", digest=f"{c}{n}") for c in "ab" for n in range(10))
    found = with_validation(Manifest(test + train, ("a", "b")))
    assert Counter(row.split for row in found.rows) == {"train": 16, "val": 4, "test": 2}


def test_refusals():
    with pytest.raises(DataError, match="no training pictures"):
        with_validation(Manifest((Row(b"t", ("a",), "test", digest="t"),), ("a",)))
    with pytest.raises(DataError, match="no class has two pictures"):
        with_validation(manifest(("a", "1", None), ("b", "2", None)))
    with pytest.raises(DataError, match="belong together"):
        with_validation(manifest(("a", "1", None), ("a", "1", None), ("b", "2", None)))
    with pytest.raises(PlanError, match="share"):
        with_validation(plain(a=5), share=1.0)
    with pytest.raises(PlanError):
        folds(plain(a=5), 1)
    with pytest.raises(DataError, match="at most 5"):
        folds(plain(a=5), 6)


def test_folds_are_even_and_test_every_row_once():
    data = plain(a=23, b=11, c=40)
    found = folds(data, 5)
    assert sorted(np.concatenate([test for _, test in found]).tolist()) == list(range(74))
    for train, test in found:
        assert not set(train) & set(test)
        assert len(train) + len(test) == 74
    for name in "abc":
        each = [sum(data.rows[n].labels == (name,) for n in test) for _, test in found]
        assert max(each) - min(each) <= 1
    assert max(len(test) for _, test in found) - min(len(test) for _, test in found) <= 3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 30).map(str), st.none() | st.sampled_from(["p", "q", "r"])),
        min_size=12,
        max_size=60,
    ),
    st.integers(0, 3),
)
def test_nothing_that_belongs_together_is_ever_parted(specs, seed):
    data = manifest(*specs)
    try:
        rounds = folds(data, 3, seed=seed)
    except DataError:
        rounds = []
    for train, test in rounds:
        for key in (lambda row: row.digest, lambda row: row.group):
            left = {key(data.rows[n]) for n in train} - {None}
            assert not left & {key(data.rows[n]) for n in test}


def test_several_labels_and_none_can_be_split():
    rows = tuple(Row(b"x", ("a", "b") if n % 3 else ("c",), digest=str(n)) for n in range(60))
    found = with_validation(Manifest(rows, ("a", "b", "c")))
    assert found.part("val").counts() == {"a": 8, "b": 8, "c": 4}
    bare = Manifest(tuple(Row(b"x", digest=str(n)) for n in range(10)), ())
    assert Counter(row.split for row in with_validation(bare).rows) == {"train": 8, "val": 2}


def grouped(count: int = 60, classes: str = "ab") -> Manifest:
    rows = tuple(
        Row(b"x", (classes[n % len(classes)],), split="train", group=f"g{n // 4}", digest=f"{n:03d}")
        for n in range(count)
    )
    return Manifest(rows, tuple(classes))


@pytest.mark.parametrize(
    ("text", "shares"),
    [("80/20", (0.8, 0.2)), ("70/15/15", (0.7, 0.15, 0.15)), ("0.5/0.5", (0.5, 0.5)), ("1/98/1", (0.01, 0.98, 0.01))],
)
def test_shares_are_read_from_percent_and_from_parts_of_one(text, shares):
    assert shares_of(text) == pytest.approx(shares)


@pytest.mark.parametrize("text", ["", "70", "70/20", "70/0/30", "a/b", "40/30/20/10", "nan/50", "-20/120", "70:30"])
def test_what_does_not_say_how_to_split_is_refused(text):
    with pytest.raises(PlanError, match="does not say how to split"):
        shares_of(text)


@pytest.mark.parametrize("seed", range(3))
def test_rows_are_dealt_anew_in_the_shares_asked_for_and_groups_stay_together(seed):
    found = assign_splits(grouped(), (0.7, 0.15, 0.15), seed=seed)
    sizes = Counter(row.split for row in found.rows)
    assert sizes.total() == 60
    assert {split: sizes[split] for split in ("val", "test")} == {"val": 8, "test": 8}
    for split in ("train", "val", "test"):
        assert found.part(split).counts()["a"] == found.part(split).counts()["b"]
    sides: dict[str, set[str]] = {}
    for row in found.rows:
        sides.setdefault(row.group, set()).add(row.split)
    assert all(len(side) == 1 for side in sides.values())
    assert assign_splits(grouped(), (0.7, 0.15, 0.15), seed=seed) == found
    assert assign_splits(grouped(), (0.7, 0.15, 0.15), seed=seed + 1) != found


def test_two_shares_have_no_test():
    found = assign_splits(grouped(), (0.8, 0.2))
    assert found.splits == ("train", "val")


def test_few_takes_so_many_of_each_class_of_train_and_leaves_the_rest_of_the_data_alone():
    data = assign_splits(grouped(classes="abc"), (0.6, 0.2, 0.2))
    found = few(data, 5, seed=1)
    assert found.part("train").counts() == {"a": 5, "b": 5, "c": 5}
    assert found.part("val").rows == data.part("val").rows
    assert found.part("test").rows == data.part("test").rows
    assert few(data, 5, seed=1) == found
    assert few(data, 5, seed=2) != found
    # More of the same seed is a superset, so that curves over N grow along one path.
    assert set(found.rows) < set(few(data, 8, seed=1).rows)
    assert few(data, 1000) == data
    with pytest.raises(PlanError, match="at least 1"):
        few(data, 0)


def test_few_of_several_labels_takes_until_every_label_has_enough():
    rows = tuple(Row(b"x", ("a", "b") if n % 3 == 0 else ("b",), digest=f"{n:03d}") for n in range(30))
    found = few(Manifest(rows, ("a", "b"), multilabel=True), 4)
    assert found.counts()["a"] >= 4
    assert found.counts()["b"] >= 4
    assert len(found) <= 8

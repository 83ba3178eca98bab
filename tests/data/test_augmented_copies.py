"""Roboflow's exports, Augmentor's and one's own: copies of a photograph, which no split may part."""

import hashlib

import pytest

from frostline.data.places.place_options import PlaceOptions
from frostline.data.sources import read
from frostline.data.split import folds, with_validation
from tests.data.pictures import tree

COPIES = [f"img{n}_jpg.rf.{hashlib.md5(f'{n} {k}'.encode()).hexdigest()}.jpg" for n in range(4) for k in range(3)]


def seen(top, **said):
    return read(top, how=PlaceOptions.of(said), cache=top.parent / "cache")


@pytest.mark.parametrize("split", ["", "train/"])
def test_copies_of_one_photograph_are_never_parted(tmp_path, split):
    """Roboflow's classification export without valid/: folds and a val split parted the copies of one photograph."""
    top = tree(tmp_path / "d", *(f"{split}{label}/{name}" for label in ("ants", "bees") for name in COPIES))
    found = seen(top)
    assert {row.group for row in found.rows} == {f"{split}{c}/img{n}_jpg" for c in ("ants", "bees") for n in range(4)}
    assert "group from what stands before .rf. in file names: copies of one photograph" in found.summary()
    parted = with_validation(found, share=0.3)
    assert len({(row.group, row.split) for row in parted.rows}) == 8
    for learnt, tested in folds(found, 2):
        assert not {found.rows[n].group for n in learnt} & {found.rows[n].group for n in tested}


def test_one_copy_of_each_is_no_group_and_a_table_may_say_another(tmp_path):
    """Exports without augmentation have such names, once each; ``_classes.csv`` stands in those of several labels."""
    once = seen(tree(tmp_path / "d", *(f"{label}/{COPIES[n]}" for n in (0, 3) for label in ("ants", "bees"))))
    assert {row.group for row in once.rows} == {None}
    top = tree(tmp_path / "e", *(f"train/{name}" for name in COPIES))
    lines = ["filename,label,patient", *(f"{name},{'ab'[n % 2]},p{n % 5}" for n, name in enumerate(COPIES))]
    (top / "train" / "_classes.csv").write_text("\n".join(lines))
    assert {row.group for row in seen(top).rows} == {f"p{n}" for n in range(5)}
    assert {row.group for row in seen(top, group="none").rows} == {None}
    (top / "train" / "_classes.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    assert {row.group for row in seen(top).rows} == {f"train/img{n}_jpg" for n in range(4)}


AUGMENTOR = "output/ants_original_{n}.jpg_3b0a11{k}e-1111-4222-8333-0123456789ab.JPEG"


@pytest.mark.parametrize(
    "copies",
    [
        ("{n}_flip.jpg", "{n}_rot90.png", "{n}-edited.jpg", "{n}_hflip_noise_2.jpg", "{n} copy.jpg"),
        (AUGMENTOR.replace("{k}", "1"), AUGMENTOR.replace("{k}", "2")),
        ("augmented/{n}.jpg", "augmented/{n}_blur.jpg"),
    ],
)
def test_copies_beside_their_photograph_are_never_parted(tmp_path, copies):
    places = [f"{c}/{form.format(n=n)}" for c in ("ants", "bees") for n in range(3) for form in ("{n}.jpg", *copies)]
    top = tree(tmp_path / "d", *places, "ants/7.jpg")
    found = seen(top)
    groups = {f"{c}/{n}" for c in ("ants", "bees") for n in range(3)} | {None}
    assert {row.group for row in found.rows} == groups
    assert [row.name for row in found.rows if row.group is None] == ["ants/7.jpg"]
    assert {row.group for row in seen(top, group="none").rows} == {None}
    lines = ["path,label", *(f"{place},{place[:4]}" for place in places)]
    (tmp_path / "d.csv").write_text("\n".join(lines))
    assert {row.group for row in seen(tmp_path / "d.csv", images=top).rows} == groups - {None}


def test_what_was_split_after_it_was_augmented_is_warned_of(tmp_path):
    """The copy of 2 is in train, and 2 in val; names that begin anew in each split are others."""
    parted = [("train", "1.jpg"), ("train", "1_flip.jpg"), ("train", "2_flip.jpg"), ("val", "2.jpg"), ("val", "3.jpg")]
    (said,) = seen(tree(tmp_path / "d", *(f"{s}/{c}/{name}" for s, name in parted for c in "ab"))).understood.warnings
    assert said.startswith("2 of 4 groups, such as 'val/a/2'")
    anew = [("train", "1.jpg"), ("train", "1_flip.jpg"), ("train", "2.jpg"), ("val", "1.jpg"), ("val", "2.jpg")]
    found = seen(tree(tmp_path / "e", *(f"{s}/{c}/{name}" for s, name in anew for c in "ab")))
    assert found.understood.warnings == ()
    assert {row.group for row in found.rows} == {None, "train/a/1", "train/b/1"}


@pytest.mark.parametrize("names", [("{c}_flip_{n}.jpg",), ("dark_{n}.jpg",)])
def test_words_of_what_was_done_say_nothing_without_the_photograph(tmp_path, names):
    top = tree(tmp_path / "d", *(f"{c}/{form.format(c=c, n=n)}" for c in "ab" for n in range(3) for form in names))
    assert {row.group for row in seen(top).rows} == {None}

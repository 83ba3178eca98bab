"""Roboflow's exports: three copies of each photograph, which no split may part."""

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

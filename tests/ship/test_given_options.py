"""What a folder says that it was made with is followed as far as it is numbers and words: a second fit runs nothing."""

import json
import shutil
import sys

import numpy as np
import pytest

from frostline import ImageClassifier
from frostline.errors import PlanError, UnknownName
from frostline.options import OPTIONS
from tests.ship.conftest import saved
from tests.ship.test_architecture import rewritten, watched

PICTURES = [np.full((32, 32, 3), 20 * number, np.uint8) for number in range(8)]
LABELS = list("abab" * 2)

HOSTILE = {
    "strategy": "hostile_module:factory",
    "engine": "hostile_module:factory",
    "weights": "{outside}/model.safetensors",
    "images": "{outside}",
    "device": "hostile:module",
    "optimizer": "hostile_module:factory",
    "precision": "../{outside}",
    "augment": "http://127.0.0.1:9/",
    "epochs": "hostile",
    "seed": [1],
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """(a model folder, a folder beside it with a module that must not be imported)."""
    root = tmp_path_factory.mktemp("given")
    outside = root / "outside"
    outside.mkdir()
    (outside / "hostile_module.py").write_text("raise SystemExit('it ran')\n")
    return saved(root / "model", graph=False)[0], outside


def changed(good, tmp_path, given):
    place = tmp_path / "model"
    shutil.copytree(good[0], place)
    rewritten(place, "frostline.json", lambda values: values["facts"].update(given=given))
    return place


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_number_and_no_word_is_not_followed_but_said(good, tmp_path, name):
    value = json.loads(json.dumps(HOSTILE[name]).replace("{outside}", str(good[1])))
    place = changed(good, tmp_path, {name: value, "seed": 3} if name != "seed" else {name: value})
    with watched(good[1]) as seen:
        loaded = ImageClassifier.load(place)
        assert getattr(loaded, name) == OPTIONS[name].default
        with pytest.raises(PlanError, match=f"made with {name}=.* not followed") as refused:
            loaded.fit(PICTURES, LABELS)
    assert f"set_params({name}=" in str(refused.value.hint)
    assert not seen
    assert "hostile_module" not in sys.modules
    assert loaded.seed == (3 if name != "seed" else 0)


def test_whoever_names_it_again_is_believed(good, tmp_path):
    place = changed(good, tmp_path, {"strategy": "no_such_module:factory"})
    loaded = ImageClassifier.load(place).set_params(strategy="probes")
    with pytest.raises(UnknownName, match="no strategy called 'probes'"):  # one step later, by the user's own word
        loaded.fit(PICTURES, LABELS)


def test_nothing_of_where_a_run_goes_is_taken_from_a_folder(good, tmp_path):
    lost = tmp_path / "mine"
    lost.mkdir()
    (lost / "thesis.txt").write_text("years")
    given = {"out": str(lost), "overwrite": True, "resume": True, "on": "ray", "address": "ray://evil:1", "track": "x"}
    loaded = ImageClassifier.load(changed(good, tmp_path, given))
    assert all(getattr(loaded, name) == OPTIONS[name].default for name in given)


def test_numbers_words_and_columns_are_followed(good, tmp_path):
    given = {"strategy": "lp-ft", "lr": 0.01, "epochs": 3, "val": 0.3, "device": "cuda:1", "label_pattern": r"(\w+)/"}
    given |= {"bands": [1, 2, 3], "intensity": "0:4095", "compile": True, "optimizer": "adamw", "weights": "none"}
    loaded = ImageClassifier.load(changed(good, tmp_path, given))
    assert {name: getattr(loaded, name) for name in given} == given

import numpy as np
import pytest

from frostline.data.views import Preprocessing
from frostline.errors import DecodeError
from frostline.ship.model_info import ModelInfo
from frostline.ship.serve.engines import Found
from frostline.ship.serve.schemas import Json, answered

ABOUT = ModelInfo(name="net", classes=("a", "b", "c"), preprocessing=Preprocessing(), temperature=2.0)


class AtLeast:
    """Stands for prediction sets: the classes with more than 1 - coverage."""

    groups = ()

    def members(self, probabilities, coverage):
        return probabilities > 1 - coverage


def test_classes_come_highest_first_with_calibrated_probabilities():
    found = answered("x", Found(np.array([0.0, 4.0, 2.0], np.float32)), ABOUT, top=2, coverages=[0.9])
    powers = np.exp([0.0, 2.0, 1.0])
    assert [item["label"] for item in found["classes"]] == ["b", "c"]
    assert found["probability"] == pytest.approx(powers[1] / powers.sum(), abs=1e-6)
    assert "sets" not in found
    assert "novel" not in found


def test_sets_and_novelty_are_told_where_the_model_has_them():
    about = ModelInfo(name="net", classes=("a", "b", "c"), preprocessing=Preprocessing(), sets=AtLeast())
    seen = Found(np.log(np.array([0.2, 0.7, 0.1], np.float32)), novel=True)
    found = answered("x", seen, about, top=1, coverages=[0.5, 0.85, 0.99, 0.9999999])
    assert found["sets"] == {
        "0.5": ["b"],
        "0.85": ["a", "b"],
        "0.99": ["a", "b", "c"],
        "0.9999999": ["a", "b", "c"],
    }
    assert found["novel"] is True


def test_a_fault_is_told_by_name():
    assert answered("x", DecodeError("no"), ABOUT, top=1, coverages=[]) == {"name": "x", "error": "no"}


def test_names_that_utf8_cannot_hold_are_escaped():
    assert Json({"name": "\ud800 é"}).body == b'{"name":"\\ud800 \\u00e9"}'
    assert Json({"name": "é"}).body == '{"name":"é"}'.encode()

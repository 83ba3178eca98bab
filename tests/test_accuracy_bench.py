"""The yardstick's own arithmetic: scikit-learn and closed forms are the oracles."""

import json
from pathlib import Path

import numpy as np
import pytest
from bench.accuracy import ranking, results
from bench.accuracy.cells import WHOLE, Cell, Picture, cells, drawn
from bench.accuracy.scores import scores
from scipy.stats import binomtest
from sklearn.metrics import log_loss


def test_accuracy_and_log_loss_are_scikit_learns_and_the_interval_is_scipys() -> None:
    rng = np.random.default_rng(0)
    p, y = rng.dirichlet(np.ones(4), 300), rng.integers(0, 4, 300)
    found = scores(p, y)
    assert found["loss"] == pytest.approx(log_loss(y, p, labels=range(4)))
    wilson = binomtest(found["right"], 300).proportion_ci(method="wilson")
    assert (found["low"], found["high"]) == pytest.approx((wilson.low, wilson.high))
    assert found["worst"] == pytest.approx((-np.log(p[np.arange(300), y])).max())


def test_the_calibration_error_of_true_probabilities_is_small_and_of_exaggerated_ones_is_known() -> None:
    rng = np.random.default_rng(0)
    y = (rng.random(100_000) < 0.7).astype(int)
    honest, bold = np.tile([0.3, 0.7], (len(y), 1)), np.tile([0.1, 0.9], (len(y), 1))
    assert scores(honest, y)["ece"] < 0.005
    assert scores(bold, y)["ece"] == pytest.approx(0.2, abs=0.005)


def test_who_wins_three_of_four_cells_is_rated_as_the_odds_of_three_to_one() -> None:
    a = {f"cell {n}": 0.1 for n in range(40)}
    b = {f"cell {n}": 0.05 if n % 4 == 0 else 0.2 for n in range(40)}
    errors = {"a": a, "b": b}
    rating, low, high = ranking.elo(errors, "b")["a"]
    assert rating == pytest.approx(1000 + 400 * np.log10(3), abs=1)
    assert low < rating < high
    assert ranking.elo(errors, "b")["b"] == pytest.approx((1000, 1000, 1000))
    assert ranking.mean_ranks(errors) == pytest.approx({"a": 1.25, "b": 1.75})


def test_a_contestant_that_lacks_cells_is_ranked_over_those_that_all_have() -> None:
    errors = {"a": {"x": 0.1, "y": 0.1}, "b": {"x": 0.1}}
    assert ranking.shared(errors) == ["x"]
    assert ranking.mean_ranks(errors) == pytest.approx({"a": 1.5, "b": 1.5})


def test_a_draw_takes_so_many_of_each_class_and_a_larger_one_holds_the_smaller() -> None:
    pictures = [Picture(Path(f"{n}.jpg"), "ab"[n % 2], held=n % 5 == 4) for n in range(200)]
    few, more = (drawn(pictures, Cell("any", "one", each, 1)) for each in (5, 20))
    assert [sum(few[n] for n in range(k, 200, 2)) for k in (0, 1)] == [5, 5]
    assert (more | ~few).all()
    assert more.sum() == 40
    assert (few == drawn(pictures, Cell("any", "another", 5, 1))).all()
    assert (few != drawn(pictures, Cell("any", "one", 5, 2))).any()
    assert drawn(pictures, Cell("any", "one", WHOLE, 0)).sum() == 160


def test_the_whole_is_one_cell_and_every_size_as_many_as_there_are_seeds() -> None:
    assert len(set(cells(["a", "b"], ["one"], 3, [5, WHOLE]))) == 2 * (3 + 1)


def test_a_line_that_was_cut_off_is_measured_again(tmp_path: Path) -> None:
    place = tmp_path / "results.jsonl"
    one = {"contestant": "a", "cell": "x", "version": "1", "accuracy": 0.5}
    results.append(one, place)
    place.write_text(place.read_text() + json.dumps(one | {"cell": "y"})[:20])
    assert results.done(results.load(place)) == {("a", "x", "1")}
    assert results.newest([one, one | {"accuracy": 0.7}])["a", "x"]["accuracy"] == 0.7


def test_contestants_that_lack_cells_are_left_out_one_after_another() -> None:
    cells = {"few": {"1", "2"}, "all": {"1", "2", "3", "4", "5"}, "some": {"1", "3", "4"}, "whole": set("12345")}
    assert ranking.groups(cells) == [["few", "all", "some", "whole"], ["all", "some", "whole"], ["all", "whole"]]
    tied = {"a": set("123"), "b": set("123"), "c": set("1"), "d": set("1")}
    assert ranking.groups(tied) == [["a", "b", "c", "d"], ["a", "b"]]
    assert ranking.groups({"a": {"1"}, "b": {"1"}}) == [["a", "b"]]

"""PredictionSets cover what they promise, are MAPIE's and NumPy's own, and are as small as the promise allows."""

import json

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from scipy.stats import binom
from sklearn.base import BaseEstimator, ClassifierMixin

from frostline.errors import JudgementError
from frostline.judge.conformal import PENALTY, PredictionSets, calibrated, measured_on_halves, measured_on_test, scores


def drawn(n, k, scale=2.0, seed=0):
    """Calibrated probabilities (n, k), and classes that were drawn from them."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, k)) * scale
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return p, (z + rng.gumbel(size=z.shape)).argmax(1)


def test_a_score_is_the_probability_before_and_a_penalty_a_rank():
    found = scores(np.array([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]]))
    np.testing.assert_allclose(found, [[0.8 + 2 * PENALTY, 0, 0.5 + PENALTY], [0, 0.4 + PENALTY, 0.8 + 2 * PENALTY]])


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_the_threshold_is_the_stated_rank(coverage):
    p, y = drawn(99, 4)
    sets = calibrated(p, y)
    own = np.sort(scores(p)[np.arange(99), y])
    assert sets.threshold(coverage) == pytest.approx(own[round(100 * coverage) - 1], abs=2e-6)
    assert sets.members(p, coverage)[np.arange(99), y].sum() >= round(100 * coverage)


def test_more_than_can_be_promised_is_every_class():
    p, y = drawn(19, 3)
    sets = calibrated(p, y)
    assert sets.highest == 0.95
    assert np.isfinite(sets.threshold(0.95))
    assert sets.members(p, 0.96).all()


@pytest.mark.parametrize(("k", "level"), [(2, 0.9), (3, 0.8), (10, 0.9), (50, 0.95)])
def test_over_100_draws_sets_cover_what_they_promise(k, level):
    """Each draw's coverage is exact on average: over all of them it lies within the error of so many pictures."""
    covered = 0
    for seed in range(100):
        p, y = drawn(200, k, seed=seed)
        members = calibrated(p[:100], y[:100]).members(p[100:], level)
        covered += members[np.arange(100), y[100:]].sum()
    # thresholds of 100 pictures vary as much again as coverage of 100 pictures does: twice the variance
    error = 3 * np.sqrt(2 * level * (1 - level) / 10_000)
    assert level - error < covered / 10_000 < level + 1 / 101 + error


def test_a_model_that_is_better_than_promised_gives_single_classes():
    p, y = drawn(500, 4, scale=40)
    members = calibrated(p, y).members(p, 0.8)
    assert (members.sum(1) == 1).all()


def test_many_pictures_are_thinned_upwards():
    p, y = drawn(9001, 3)
    sets = calibrated(p, y)
    assert len(sets.scores) == 2000
    own = np.sort(scores(p)[np.arange(9001), y])
    for coverage in (0.1, 0.8, 0.9, 0.99, 0.9995):
        exact = own[int(np.ceil(9002 * coverage)) - 1]
        assert exact <= sets.threshold(coverage) <= own[min(9000, int(np.ceil(9002 * coverage)) + 5)] + 1e-6


class _Fixed(ClassifierMixin, BaseEstimator):
    """An estimator whose pictures are their own probabilities."""

    classes_ = np.arange(2)

    def fit(self, X, y):
        return self

    def __sklearn_is_fitted__(self):
        return True

    def predict_proba(self, X):
        return X

    def predict(self, X):
        return X.argmax(1)


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_they_are_mapies_where_both_scores_put_classes_in_one_order(level):
    """Two classes, and a promise above the accuracy: then least ambiguous sets and these differ in nothing."""
    p, y = drawn(300, 2)
    assert (p.argmax(1) == y).mean() < level
    mapie = SplitConformalClassifier(_Fixed(), confidence_level=level, conformity_score="lac").conformalize(
        p[:150], y[:150]
    )
    _, theirs = mapie.predict_set(p[150:])
    assert (calibrated(p[:150], y[:150]).members(p[150:], level) == theirs[:, :, 0]).all()


def test_on_test_pictures_it_is_a_count_with_wilsons_interval():
    p, y = drawn(400, 3)
    sets = calibrated(p[:200], y[:200])
    (found,) = measured_on_test(sets, p[200:], y[200:], levels=[0.9])
    members = sets.members(p[200:], 0.9)
    assert found.share == members[np.arange(200), y[200:]].mean()
    assert (found.size, found.single) == (members.sum(1).mean(), (members.sum(1) == 1).mean())
    assert found.n == 200
    assert found.low < found.share < found.high
    low, high = binom.ppf([0.02, 0.98], 200, found.share) / 200
    assert found.low == pytest.approx(low, abs=0.02)
    assert found.high == pytest.approx(high, abs=0.02)


def test_halves_show_the_mean_and_the_spread_and_leave_out_what_they_cannot_promise():
    p, y = drawn(120, 3)
    found = measured_on_halves(p, y)
    assert [row.coverage for row in found] == [0.8, 0.9, 0.95]
    assert all(row.n == 60 and row.how == "halves" for row in found)
    for row in found:
        assert row.share == pytest.approx(row.coverage, abs=0.03)
        assert row.low < row.coverage <= row.high
    assert found == measured_on_halves(p, y)


def test_they_travel_as_json():
    sets = calibrated(*drawn(40, 3), source="cross-validation")
    assert PredictionSets.from_dict(json.loads(json.dumps(sets.to_dict()))) == sets


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"scores": [], "n": 0, "source": ""},
        {"scores": [0.2, 0.1], "n": 2, "source": ""},
        {"scores": ["x"], "n": 1, "source": ""},
        {"scores": [0.1, float("nan")], "n": 2, "source": ""},
        {"scores": [-1.0], "n": 1, "source": ""},
        {"scores": [0.1, 0.2], "n": 1, "source": ""},
    ],
)
def test_what_is_no_set_is_refused(values):
    with pytest.raises(JudgementError):
        PredictionSets.from_dict(values)


@pytest.mark.parametrize("coverage", [0, 1, 1.5, -0.1, float("nan")])
def test_an_impossible_promise_is_refused(coverage):
    with pytest.raises(JudgementError, match="cannot be promised"):
        calibrated(*drawn(40, 3)).threshold(coverage)


def test_shapes_that_do_not_agree_are_refused():
    p, y = drawn(5, 3)
    for bad in ((p, y[:4]), (p[:0], y[:0]), (p[:, 0], y)):
        with pytest.raises(JudgementError, match="must be"):
            calibrated(*bad)

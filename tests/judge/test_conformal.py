"""PredictionSets cover what they promise, are MAPIE's and NumPy's own, and are as small as the promise allows."""

import json

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from scipy.stats import binom
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

from frostline.errors import JudgementError
from frostline.judge.conformal import (
    PENALTY,
    PredictionSets,
    calibrated,
    from_folds,
    measured_on_test,
    promised,
    scores,
)


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


def test_without_a_test_split_the_promise_is_stated_and_nothing_called_measured():
    """Random halves of noise covered 95 % as well: counting pictures that made the sets cannot come out otherwise."""
    p, y = drawn(120, 3)
    sets = calibrated(p, y)
    found = promised(sets, p)
    assert [row.coverage for row in found] == [0.8, 0.9, 0.95, 0.99]
    assert all(row.share is None and row.how == "promised" and row.n == 120 for row in found)
    assert (found[2].size, found[2].single) == (
        sets.members(p, 0.95).sum(1).mean(),
        (sets.members(p, 0.95).sum(1) == 1).mean(),
    )
    rng = np.random.default_rng(0)  # the true coverage of a uniform score's threshold is the threshold itself
    true = np.sort(rng.random((4000, 120)), axis=1)[:, 114]  # the 115th of 120
    assert (found[2].low, found[2].high) == pytest.approx(tuple(np.quantile(true, (0.025, 0.975))), abs=0.005)
    assert [row.coverage for row in promised(calibrated(p[:30], y[:30]), p[:30])] == [0.8, 0.9, 0.95]


def surely(rng, n):
    """Two classes told apart by exact posteriors, 98.6 % right."""
    y = rng.integers(0, 2, n)
    second = 1 / (1 + np.exp(-4.4 * (rng.normal(size=n) + 2.2 * (2 * y - 1))))
    return np.column_stack([1 - second, second]), y


def lopsided(rng, n):
    return errs(rng, n, (95, 5))


@pytest.mark.parametrize(("pictures", "n", "by_class"), [(surely, 150, False), (lopsided, 300, True)])
def test_the_true_coverage_lies_in_the_range_that_is_stated(pictures, n, by_class):
    """All right first answers score 0, so of a good model's sets it was never there; nor of thresholds by class."""
    rng = np.random.default_rng(12)
    test_p, test_y = pictures(rng, 20_000)
    own = scores(test_p)[np.arange(20_000), test_y]
    inside = {0.8: 0, 0.9: 0, 0.95: 0, 0.99: 0}
    for _ in range(40):
        p, y = pictures(rng, n)
        sets = calibrated(p, y, by_class=by_class)
        for row in promised(sets, p):
            limit = np.broadcast_to(sets.thresholds(row.coverage), test_p.shape[1])[test_y]
            inside[row.coverage] += row.low <= (own <= limit + 1e-9).mean() <= row.high
    assert min(inside.values()) >= 34  # of 40 two are missed; more than six in one of 300


def rare(rng, n):
    """95:5, told apart not too well: logits of exact posteriors."""
    y = (rng.random(n) < 0.05).astype(int)
    x = rng.normal(size=n) + 1.5 * y
    z = 1.5 * x - 1.125 + np.log(0.05 / 0.95)
    second = 1 / (1 + np.exp(-z))
    return np.column_stack([1 - second, second]), y


def test_a_rare_class_is_covered_too():
    """One threshold covers all classes together to 95 % and the rare one to less than half."""
    rng = np.random.default_rng(5)
    own, one, every = [], [], []
    test_p, test_y = rare(rng, 20_000)
    for _ in range(60):
        p, y = rare(rng, 150)
        for sets, found in ((calibrated(p, y), own), (calibrated(p, y, by_class=False), one)):
            hit = sets.members(test_p, 0.95)[np.arange(20_000), test_y]
            found.append(hit[test_y == 1].mean())
            if found is own:
                every.append(hit.mean())
    assert np.mean(one) < 0.6
    assert np.mean(own) > 0.8
    assert np.mean(every) > 0.945


def test_each_class_of_enough_pictures_keeps_the_promise_by_itself():
    rng = np.random.default_rng(6)
    held = []
    for _ in range(40):
        p, y = rare(rng, 800)
        sets = calibrated(p, y, by_class=True)
        test_p, test_y = rare(rng, 4000)
        hit = sets.members(test_p, 0.9)[np.arange(4000), test_y]
        held.append([hit[test_y == k].mean() for k in (0, 1)])
    assert np.mean(held, axis=0).min() > 0.9 - 0.01


def errs(rng, n, shares, apart=1.2):
    """Probabilities of a model that errs now and then, and classes of given shares."""
    prior = np.array(shares) / sum(shares)
    y = rng.choice(len(prior), n, p=prior)
    z = 2 * (rng.normal(size=(n, len(prior))) + apart * np.eye(len(prior))[y]) + np.log(prior)
    p = np.exp(z - z.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True), y


def test_of_skewed_classes_every_one_is_covered_and_sets_are_no_larger_than_that_takes():
    """The rarest of five had 78 % by one threshold; where both thresholds let in, 80:20 was covered to 98 %."""
    rng = np.random.default_rng(8)
    per_class, every = [], []
    test_p, test_y = errs(rng, 8000, (60, 20, 10, 6, 4))
    for _ in range(40):
        members = calibrated(*errs(rng, 300, (60, 20, 10, 6, 4))).members(test_p, 0.95)
        hit = members[np.arange(8000), test_y]
        per_class.append([hit[test_y == k].mean() for k in range(5)])
        two = errs(rng, 4000, (80, 20))
        every.append(calibrated(*errs(rng, 150, (80, 20))).members(two[0], 0.95)[np.arange(4000), two[1]].mean())
    assert np.mean(per_class, axis=0).min() > 0.9
    assert 0.945 < np.mean(every) < 0.975


def test_many_classes_of_few_pictures_are_clustered_by_their_scores():
    """Every third of 100 classes is hard: one threshold for all covers those to 70 %, and their own take huge sets."""
    rng = np.random.default_rng(9)
    hard = np.where(np.arange(100) % 3 == 0, 1.5, 3.5)

    def pictures(each):
        y = np.repeat(np.arange(100), each)
        z = rng.normal(size=(len(y), 100))
        z[np.arange(len(y)), y] += hard[y]
        p = np.exp(2.5 * z)
        return p / p.sum(1, keepdims=True), y

    made = pictures(18)
    test_p, test_y = pictures(30)
    found, one = calibrated(*made), calibrated(*made, by_class=False)
    assert 2 <= len(found.own) <= 10
    gaps, sizes = [], []
    for sets in (found, one):
        members = sets.members(test_p, 0.9)
        hit = members[np.arange(len(test_y)), test_y]
        gaps.append(np.mean([abs(hit[test_y == k].mean() - 0.9) for k in range(100)]))
        sizes.append(members.sum(1).mean())
        assert 0.88 < hit.mean() < 0.93
    assert gaps[0] < 0.6 * gaps[1]
    assert sizes[0] < 1.3 * sizes[1]


def test_what_a_rare_class_cannot_be_promised_is_said():
    rng = np.random.default_rng(3)
    p, y = rare(rng, 200)
    sets = calibrated(p, y, by_class=True)
    few = int((y == 1).sum())
    assert few < 19
    assert sets.promises(0.95) == {1: (few / (few + 1), few)}
    assert sets.promises(0.8) == {}
    rows = {row.coverage: row for row in promised(sets, p, classes=("common", "rare"))}
    assert rows[0.95].by_class == {"rare": (few / (few + 1), few)}
    assert rows[0.8].by_class == {}


def test_what_is_promised_of_a_class_is_by_its_own_pictures_whoever_shares_its_threshold():
    """Three classes of 3, 9 and 10 pictures share one of 22; a fourth has none, and no share of anything is sure."""
    rng = np.random.default_rng(4)
    y = np.repeat(np.arange(7), [120, 120, 120, 3, 9, 10, 0])
    p = np.full((len(y), 7), 0.01)
    p[np.arange(len(y)), np.where((y > 2) & (rng.random(len(y)) < 0.4), (y + 1) % 3, y)] = 0.8
    sets = calibrated(p / p.sum(1, keepdims=True), y, by_class=True)
    assert len(sets.own[sets.groups[3]]) == 22
    promises = {3: (3 / 4, 3), 4: (9 / 10, 9), 5: (10 / 11, 10), 6: (0.0, 0)}
    assert sets.promises(0.95) == promises
    again = PredictionSets.from_dict(json.loads(json.dumps(sets.to_dict())))
    assert again.promises(0.95) == promises
    older = {name: value for name, value in sets.to_dict().items() if name != "held"}
    assert PredictionSets.from_dict(older).promises(0.95) == {}
    for wrong in ([1], [-1] * 7, [10**6] * 7):
        with pytest.raises(JudgementError, match="cannot be so many"):
            PredictionSets.from_dict({**older, "held": wrong})


def test_classes_that_are_covered_alike_share_one_threshold():
    often = [bool(calibrated(*drawn(300, 3, seed=seed)).groups) for seed in range(40)]
    assert np.mean(often) < 0.15


def of_patients(rng, n):
    """Nine healthy pictures of each patient and a sick one behind them, which the model gets wrong more often."""
    kind, units = np.tile([0] * 9 + [1], n), np.repeat(np.arange(n), 10)
    right = 1 / (1 + np.exp(-np.where(kind == 0, rng.normal(2.5, 1, 10 * n), rng.normal(0.8, 1.5, 10 * n))))
    return np.where(kind[:, None] == [0, 1], right[:, None], 1 - right[:, None]), kind, units


def test_a_class_that_no_group_begins_with_is_covered_too():
    """The first picture of each patient is a healthy one: by those alone one threshold covered the sick to 71 %."""
    rng = np.random.default_rng(10)
    test_p, test_y, _ = of_patients(rng, 2000)
    covered = []
    for _ in range(20):
        p, y, units = of_patients(rng, 120)
        hit = calibrated(p, y, units=units).members(test_p, 0.95)[np.arange(len(test_y)), test_y]
        covered.append([hit[test_y == k].mean() for k in (0, 1)])
    assert np.mean(covered, axis=0).min() > 0.94


def test_a_group_counts_as_one_picture():
    """20 groups of 10 copies: as 200 pictures the sets would be made of, 95 % could not be promised by 10 groups."""
    p, y = drawn(20, 3, seed=1)
    repeated = calibrated(np.repeat(p, 10, 0), np.repeat(y, 10), units=np.repeat(np.arange(20), 10), by_class=False)
    alone = calibrated(p, y, by_class=False)
    assert repeated == alone
    assert repeated.n == 20
    assert repeated.threshold(0.99) == float("inf")
    p, y = rare(np.random.default_rng(1), 150)
    own = calibrated(np.repeat(p, 5, 0), np.repeat(y, 5), units=np.repeat(np.arange(150), 5), by_class=True)
    assert own == calibrated(p, y, by_class=True)  # 5 copies of 8 rare pictures are not 40


def test_sets_of_out_of_fold_probabilities_cover_what_is_new():
    """A logistic regression by folds of 60 pictures; the head of all of them answers for new ones."""
    rng = np.random.default_rng(7)
    means = rng.normal(size=(3, 20)) * 0.5

    def pictures(n):
        kind = rng.integers(0, 3, n)
        return means[kind] + rng.normal(size=(n, 20)), kind

    shares = []
    for _ in range(25):
        x, y = pictures(60)
        fold = rng.permutation(60) % 5
        out = np.zeros((60, 3))
        for k in range(5):
            out[fold == k] = LogisticRegression().fit(x[fold != k], y[fold != k]).predict_proba(x[fold == k])
        test_x, test_y = pictures(500)
        sets = from_folds(out, y, fold)
        assert sets.source == "cross-validation"
        p = LogisticRegression().fit(x, y).predict_proba(test_x)
        shares.append(sets.members(p, 0.9)[np.arange(500), test_y].mean())
    assert np.mean(shares) > 0.89
    with pytest.raises(JudgementError, match="two folds"):
        from_folds(out, y, fold, units=np.arange(60) // 2 * 0)


def test_they_travel_as_json():
    for by_class in (True, False):
        sets = calibrated(*drawn(40, 3), source="cross-validation", by_class=by_class)
        assert bool(sets.groups) == by_class
        assert PredictionSets.from_dict(json.loads(json.dumps(sets.to_dict()))) == sets
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

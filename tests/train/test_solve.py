"""A solved head is scikit-learn's logistic regression: softmax where there is one class, one against the rest else."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from frostline.errors import DataError, PlanError
from frostline.train import logistic, standardise, strength
from frostline.train import solve as solving
from frostline.train.solve import solve


def features(pictures: int = 120, width: int = 20, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(pictures, width)) * rng.uniform(0.1, 5, width) + rng.normal(size=width)).astype(np.float32)


def scaled(x: np.ndarray, known: np.ndarray, floor: float) -> np.ndarray:
    deviation = known.astype(np.float64).std(0)
    under = floor * np.median(deviation)
    return (x - known.mean(0, dtype=np.float64)) / np.sqrt((deviation**2 + under**2) / (1 + floor**2))


def fitted(x: np.ndarray, y: np.ndarray, strength: float) -> LogisticRegression:
    return LogisticRegression(C=1 / (strength * len(x)), tol=1e-10, max_iter=5000).fit(x, y)


def log_odds(x: np.ndarray, y: np.ndarray, found: solving.Solved) -> np.ndarray:
    """The regression's, its weights multiplied by the spread and its intercepts as they are."""
    inputs = scaled(x, x, found.floor)
    by = fitted(inputs, y, found.strength)
    return by.intercept_ + found.spread * (by.decision_function(inputs) - by.intercept_)


@pytest.mark.parametrize("width", [20, 300])  # fewer and more features than pictures
def test_one_of_several_classes_is_scikit_learns_softmax(width: int) -> None:
    x = features(width=width)
    y = (x[:, :3] + np.random.default_rng(1).normal(size=(120, 3))).argmax(1)
    found = solve(x, y, classes=3)
    ours = x.astype(np.float64) @ found.weight.T + found.bias
    expected = log_odds(x, y, found)
    np.testing.assert_allclose(
        ours - ours.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=2e-3
    )


def test_features_too_large_to_copy_give_the_same_head(monkeypatch: pytest.MonkeyPatch) -> None:
    x = features(pictures=400, width=30)
    y = (x[:, :3] + np.random.default_rng(1).normal(size=(400, 3))).argmax(1)
    copied = solve(x, y, classes=3)
    monkeypatch.setattr(standardise, "SMALL", 0)
    large = solve(x, y, classes=3)
    assert large.strength == copied.strength
    np.testing.assert_allclose(x @ large.weight.T + large.bias, x @ copied.weight.T + copied.bias, atol=5e-3)


@pytest.mark.parametrize("kind", [np.float16, np.int32])
def test_numbers_too_coarse_to_compute_in_are_taken_as_what_they_say(
    monkeypatch: pytest.MonkeyPatch, kind: type[np.number[Any]]
) -> None:
    x = (3000 * features(pictures=200, width=12)).astype(kind)
    y = (x[:, :3] + 3000 * np.random.default_rng(1).normal(size=(200, 3))).argmax(1)
    monkeypatch.setattr(standardise, "SMALL", 0)
    given, wanted = solve(x, y, classes=3), solve(x.astype(np.float32), y, classes=3)
    np.testing.assert_array_equal(given.weight, wanted.weight)


def test_a_picture_held_out_says_nothing_to_the_head_that_judges_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Labels by chance, more features than pictures: who has seen a picture names it rightly, who has not guesses.
    monkeypatch.setattr(solving, "_LARGE", 0)
    monkeypatch.setattr(strength, "STRENGTHS", (1e-4,))
    x = features(width=300)
    y = np.random.default_rng(1).permutation(np.arange(120) % 2)
    found = solve(x, y, classes=2)
    assert ((x @ found.weight.T + found.bias).argmax(1) == y).mean() == 1
    assert (found.out_of_fold().argmax(1) == y).mean() < 0.65


@pytest.mark.parametrize("width", [20, 300])
def test_any_of_several_classes_is_one_regression_for_each(width: int) -> None:
    x = features(width=width)
    y = (x[:, :4] - x[:, :4].mean(0) + np.random.default_rng(1).normal(size=(120, 4)) > 0.5).astype(np.float32)
    found = solve(x, y, classes=4)
    ours = x.astype(np.float64) @ found.weight.T + found.bias
    expected = np.stack([log_odds(x, y[:, k], found) for k in range(4)], axis=1)
    np.testing.assert_allclose(ours, expected, atol=2e-3)
    # Out of fold: each class is told better than by chance, and worse than what was learnt from.
    out_of_fold = found.out_of_fold()
    loss = np.logaddexp(0, out_of_fold) - y * out_of_fold
    assert loss.mean() > (np.logaddexp(0, ours) - y * ours).mean()


def test_a_class_that_only_one_picture_has_gets_a_finite_bias_in_the_folds_without_it() -> None:
    x = features()
    y = np.zeros((120, 3), np.float32)
    y[:, 0] = x[:, 0] > x[:, 0].mean()
    y[:60, 1] = 1
    y[7, 2] = 1
    found = solve(x, y, classes=3)
    # Held out, picture 7 is judged by a fold that knows the class from no picture: odds of 0.5 in 96.5.
    out_of_fold = found.out_of_fold()
    assert out_of_fold[7, 2] == pytest.approx(np.log(0.5 / 96.5), abs=0.1)
    assert np.isfinite(out_of_fold).all()


def test_what_cannot_be_solved_is_refused() -> None:
    x = features()
    with pytest.raises(PlanError, match="balanced by the one label"):
        solve(x, np.eye(3)[np.arange(120) % 3], classes=3, balanced=True)
    with pytest.raises(DataError, match="no class is there in some pictures"):
        solve(x, np.ones((120, 3)), classes=3)
    with pytest.raises(DataError, match="1 classes among"):
        solve(x, np.zeros(120, np.int64), classes=3)


def test_where_no_picture_can_be_held_out_there_is_a_head_and_nothing_is_judged() -> None:
    x, y = np.repeat(np.eye(2, 5), 20, axis=0), np.repeat([0, 1], 20)
    found = solve(x, y, classes=2, folds=np.array(y))
    assert not found.judged.any()
    assert ((x @ found.weight.T + found.bias).argmax(1) == y).all()
    assert solve(x, y, classes=2, folds=5).judged.all()  # in folds of their own choice they are as good as any


@pytest.mark.parametrize("width", [20, 300])
def test_out_of_fold_logits_are_those_of_a_regression_on_the_other_folds(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    # Means and deviations too: a feature that one fold has thirtyfold must not reach the heads that judge it.
    monkeypatch.setattr(strength, "STRENGTHS", (0.1,))
    monkeypatch.setattr(strength, "FLOORS", (1.0,))
    monkeypatch.setattr(strength, "SPREADS", (1.0, 1.0))
    x = features(width=width)
    y = (x[:, :3] + np.random.default_rng(1).normal(size=(120, 3))).argmax(1)
    fold = np.arange(120) % 3
    x[fold == 0, 4] *= 30
    found = solve(x, y, classes=3, folds=fold).out_of_fold()
    for number in range(3):
        held = fold == number
        expected = fitted(scaled(x[~held], x[~held], 1.0), y[~held], 0.1).decision_function(
            scaled(x[held], x[~held], 1.0)
        )
        ours = found[held] - found[held].mean(1, keepdims=True)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(ours / scale, (expected - expected.mean(1, keepdims=True)) / scale, atol=2e-2)


def test_logits_are_spread_as_far_as_the_pictures_of_the_other_folds_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strength, "STRENGTHS", (0.3,))  # too strong: its logits are small
    monkeypatch.setattr(strength, "FLOORS", (1.0,))
    x = features()
    y = (x[:, :3] / x.std(0)[:3] + np.random.default_rng(1).normal(size=(120, 3)) / 2).argmax(1)
    fold = np.arange(120) % 3
    plain, centre = np.zeros((120, 3)), np.zeros((120, 3))
    for number in range(3):
        held = fold == number
        by = fitted(scaled(x[~held], x[~held], 1.0), y[~held], 0.3)
        plain[held] = by.decision_function(scaled(x[held], x[~held], 1.0))
        centre[held] = by.intercept_

    def loss(by: float, some: np.ndarray) -> float:
        wanted = np.eye(3)[y[some]] * (1 - 1 / (some.sum() + 2)) + 1 / (some.sum() + 2) / 3
        return -(wanted * log_softmax(centre[some] + by * (plain - centre)[some], axis=1)).sum(1).mean()

    found = solve(x, y, classes=3, folds=fold)
    best = [minimize_scalar(loss, (1, 3), args=(some,)).x for some in (fold >= 0, *(fold != n for n in range(3)))]
    assert 1.5 < min(best) < max(best) < 3
    assert found.spread == pytest.approx(best[0], rel=1e-2)
    expected = centre + np.array(best[1:])[fold][:, None] * (plain - centre)
    ours = found.out_of_fold()
    np.testing.assert_allclose(
        ours - ours.mean(1, keepdims=True),
        expected - expected.mean(1, keepdims=True),
        atol=0.03 * np.abs(expected).max(),
    )


def test_a_rare_class_is_still_found_where_logits_are_spread() -> None:
    # Multiplied with the rest, a rare class's low logit would put it out of reach of its own pictures.
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [150, 150, 4])
    centres = rng.normal(size=(3, 400))
    x = (centres[y] + rng.normal(size=(304, 400)) * 2.5).astype(np.float32)
    fresh = (centres[np.repeat([0, 1, 2], 200)] + rng.normal(size=(600, 400)) * 2.5).astype(np.float32)
    found = solve(x, y, classes=3)
    named = (fresh @ found.weight.T + found.bias).argmax(1).reshape(3, 200)
    assert found.spread > 1.5
    assert (named[2] == 2).mean() > 0.5
    assert (named[:2] == [[0], [1]]).mean() > 0.95


def test_a_feature_that_hardly_varied_in_training_does_not_decide_alone() -> None:
    x = features()
    y = np.arange(120) % 2
    x[:, 1:] += y[:, None]
    x[:, 0] = 0
    x[0, 0] = 2e-4  # a unit that fires once in a hundred pictures, faintly
    found = solve(x, y, classes=2)
    new = x.mean(0)
    faint, alive = new.copy(), new.copy()
    alive[0] = x[:, 1:].std()  # and as an ordinary activation in a new picture
    logits = np.stack([faint, alive]) @ found.weight.T + found.bias
    assert np.abs(logits[1] - logits[0]).max() < 5


def test_the_only_picture_of_a_class_is_learned_from_and_not_judged() -> None:
    x = features()
    y = np.arange(120) % 2
    x[:, :5] += 3 * y[:, None] * x.std(0)[:5]
    x[7], y[7] = x[7] + 5 * x.std(0), 2
    found = solve(x, y, classes=3)
    assert not found.judged[7]
    assert found.judged.sum() == 119
    assert (x[7] @ found.weight.T + found.bias).argmax() == 2
    assert (found.out_of_fold()[found.judged].argmax(1) == y[found.judged]).mean() > 0.9


def test_out_of_fold_accuracy_of_labels_by_chance_is_chance() -> None:
    # The strength and the floor are chosen by the other folds; chosen by the very ones it would be above a half.
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(40):
        x, y = rng.normal(size=(60, 40)).astype(np.float32), rng.permutation(np.arange(60) % 2)
        shares.append((solve(x, y, classes=2).out_of_fold().argmax(1) == y).mean())
    error = np.std(shares) / np.sqrt(len(shares))
    assert np.mean(shares) < 0.5 + 2 * error


def test_where_pictures_are_separable_the_weakest_strength_is_not_taken() -> None:
    rng = np.random.default_rng(0)
    y = np.arange(100) % 2
    x = (rng.normal(size=(100, 50)) + 6 * y[:, None]).astype(np.float32)
    found = solve(x, y, classes=2)
    assert found.strength > 1e-3
    assert not found.at_end
    assert (found.out_of_fold().argmax(1) == y).all()


def test_a_fit_that_ran_out_of_steps_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(200, 30)).astype(np.float32), rng.integers(0, 3, 200)
    assert solve(x, y, classes=3).converged
    monkeypatch.setattr(logistic, "MOST_STEPS", 1)
    assert not solve(x, y, classes=3).converged


def test_a_long_fit_says_that_it_goes_on_and_is_the_same() -> None:
    x, y = features(), np.arange(120) % 3
    told: list[int] = []
    found = solve(x, y, classes=3, tell=told.append)
    assert told == list(range(1, len(told) + 1))
    assert len(told) % 5 == 0  # five folds a setting
    assert len(told) >= 20
    assert np.array_equal(found.weight, solve(x, y, classes=3).weight)


@pytest.mark.parametrize("folds", [1, np.zeros(60, np.int64)])
def test_with_one_fold_nothing_is_held_out_and_the_head_is_fitted_all_the_same(folds: Any) -> None:
    """Where a picture may have several labels, the fold itself was held out, and nothing was left to learn from."""
    x = features(60)
    y = (x[:, :3] > x[:, :3].mean(0)).astype(np.int64)
    several = solve(x, y, classes=3, folds=folds)
    assert not several.judged.any()
    assert (((x @ several.weight.T + several.bias) > 0) == y).mean() > 0.8
    assert (several.out_of_fold() == several.out_of_first_fold()).all()
    assert not solve(x, y[:, 0], classes=2, folds=folds).judged.any()

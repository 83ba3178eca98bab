"""A solved head is scikit-learn's logistic regression: softmax where there is one class, one against the rest else."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from frostline.errors import DataError, PlanError
from frostline.train import solve as solving
from frostline.train.solve import solve


def features(pictures: int = 120, width: int = 20, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(pictures, width)) * rng.uniform(0.1, 5, width) + rng.normal(size=width)).astype(np.float32)


def log_odds(x: np.ndarray, y: np.ndarray, strength: float) -> np.ndarray:
    scaled = StandardScaler().fit_transform(x.astype(np.float64))
    return (
        LogisticRegression(C=1 / (strength * len(x)), tol=1e-10, max_iter=5000).fit(scaled, y).decision_function(scaled)
    )


@pytest.mark.parametrize("width", [20, 300])  # fewer and more features than pictures
def test_one_of_several_classes_is_scikit_learns_softmax(width: int) -> None:
    x = features(width=width)
    y = (x[:, :3] + np.random.default_rng(1).normal(size=(120, 3))).argmax(1)
    found = solve(x, y, classes=3)
    ours = x.astype(np.float64) @ found.weight.T + found.bias
    expected = log_odds(x, y, found.strength)
    np.testing.assert_allclose(
        ours - ours.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=2e-3
    )


def test_features_too_large_to_copy_give_the_same_head(monkeypatch: pytest.MonkeyPatch) -> None:
    x = features(pictures=400, width=30)
    y = (x[:, :3] + np.random.default_rng(1).normal(size=(400, 3))).argmax(1)
    copied = solve(x, y, classes=3)
    monkeypatch.setattr(solving, "_SMALL", 0)
    large = solve(x, y, classes=3)
    assert large.strength == copied.strength
    np.testing.assert_allclose(x @ large.weight.T + large.bias, x @ copied.weight.T + copied.bias, atol=5e-3)


def test_a_picture_held_out_says_nothing_to_the_head_that_judges_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # Labels by chance, more features than pictures: who has seen a picture names it rightly, who has not guesses.
    monkeypatch.setattr(solving, "_LARGE", 0)
    monkeypatch.setattr(solving, "STRENGTHS", (1e-4,))
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
    expected = np.stack([log_odds(x, y[:, k], found.strength) for k in range(4)], axis=1)
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


def test_copies_of_one_picture_a_class_are_refused_and_not_judged() -> None:
    x, y = np.repeat(np.eye(2, 5), 20, axis=0), np.repeat([0, 1], 20)
    with pytest.raises(DataError, match="no class has two different pictures"):
        solve(x, y, classes=2, folds=np.array(y))
    assert solve(x, y, classes=2, folds=5).strength > 0  # in folds of their own choice they are as good as any

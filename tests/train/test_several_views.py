"""A head that learns from several views: simulations whose truth is known say when it pays, and that nothing leaks."""

import numpy as np
import pytest
from scipy.special import expit, logsumexp
from sklearn.metrics import log_loss

from frostline.train.several_views import solve_several_views
from frostline.train.solve import solve


def pictures(rng, y, *, shared, apart, signal=0.35):
    """Features of two views (N, 40) each: a class's mean, noise of the picture, and noise of the view."""
    means = rng.permutation(np.eye(40))[: y.max() + 1] * 4 * signal
    noise = rng.normal(0, shared, (len(y), 40))
    return [means[y] + noise + rng.normal(0, apart, (len(y), 40)) for _ in range(2)]


def test_views_that_differ_by_noise_alone_are_both_learned_from_and_fresh_pictures_are_the_better_for_it():
    gains = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        y = np.tile(np.arange(3), 520)
        plain, mirrored = pictures(rng, y, shared=0.2, apart=1.0)
        few = slice(0, 60)
        found = solve_several_views(plain[few], [mirrored[few]], y[few], classes=3, seed=seed)
        alone = solve(plain[few], y[few], classes=3, seed=seed)
        right = [
            ((plain[60:] @ head.weight.T + head.bias).argmax(1) == y[60:]).mean() for head in (found.solved, alone)
        ]
        gains.append(right[0] - right[1])
        assert found.several == (found.loss_several < found.loss)
    assert np.mean(gains) > 0.01


def test_where_a_mirror_changes_the_class_it_is_left_alone():
    rng = np.random.default_rng(0)
    y = np.tile(np.arange(2), 30)
    x = rng.normal(0, 0.5, (60, 20)) + np.where(y, 1, -1)[:, None] * np.eye(20)[0] * 1.5
    mirror = np.concatenate([[-1.0], np.ones(19)])  # left becomes right
    found = solve_several_views(x, [x * mirror], y, classes=2)
    assert not found.several
    assert found.loss_several > found.loss + 0.3
    assert np.array_equal(found.solved.weight, solve(x, y, classes=2).weight)
    assert not solve_several_views(x, [x * mirror] * 3, y, classes=2, doubt=1.0).several


def test_where_the_loss_cannot_tell_in_doubt_the_views_are_taken():
    """Twins of each picture say nothing new: the loss moves by far less than it is uncertain."""
    rng = np.random.default_rng(3)
    y = np.tile(np.arange(3), 20)
    x = rng.normal(0, 0.5, (60, 20)) + np.eye(20)[y]
    alike = [x + rng.normal(0, 0.2, x.shape) for _ in range(2)]
    found = [solve_several_views(x, alike, y, classes=3, doubt=doubt).several for doubt in (-3.0, 3.0)]
    assert found == [False, True]


def test_labels_that_nothing_tells_stay_chance_out_of_fold():
    """Views of one picture are nearly equal: on two sides of a fold each would tell the other's label."""
    right, losses = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        y = np.tile(np.arange(2), 20)
        x = rng.normal(size=(40, 100))
        found = solve_several_views(x, [x + rng.normal(0, 0.05, x.shape)], y, classes=2, seed=seed)
        logits = found.solved.out_of_fold()
        assert logits.shape == (40, 2)
        assert found.solved.judged.shape == (40,)
        right.append((logits.argmax(1) == y).mean())
        losses.append(found.loss_several)
    assert np.mean(right) < 0.6
    assert np.mean(losses) > 0.6


def test_a_class_of_one_picture_is_learned_from_and_where_nothing_can_be_judged_one_view_is_taken():
    rng = np.random.default_rng(1)
    y = np.array([0] * 9 + [1] * 9 + [2])
    plain, mirrored = pictures(rng, y, shared=0.1, apart=0.1)
    found = solve_several_views(plain, [mirrored], y, classes=3)
    assert found.solved.judged.tolist() == [True] * 18 + [False]
    assert (plain[-1] @ found.solved.weight.T + found.solved.bias).argmax() == 2
    nothing = solve_several_views(plain[[0, 9]], [mirrored[[0, 9]]], np.array([0, 1]), classes=2)
    assert not nothing.several
    assert np.isnan([nothing.loss, nothing.loss_several]).all()


def test_several_labels_a_picture():
    rng = np.random.default_rng(2)
    y = (rng.random((80, 3)) < 0.4).astype(np.float32)
    x = rng.normal(0, 0.6, (80, 12)) + y @ rng.normal(size=(3, 12))
    found = solve_several_views(x, [x + rng.normal(0, 0.6, x.shape)], y, classes=3)
    assert found.solved.judged.shape == (80,)
    assert ((found.solved.out_of_fold() > 0) == (y > 0.5)).mean() > 0.8
    loss = found.loss_several if found.several else found.loss  # over decisions, as scikit-learn has it of them all
    assert loss == pytest.approx(log_loss(y.ravel(), expit(found.solved.out_of_fold()).ravel()), rel=1e-4)


def test_no_picture_chooses_by_which_of_the_two_heads_it_is_judged():
    rng = np.random.default_rng(18)
    y, fold = np.tile(np.arange(2), 20), np.arange(40) // 2 % 5
    x = rng.normal(size=(40, 100))
    view = x + rng.normal(0, 0.5, x.shape)
    found = solve_several_views(x, [view], y, classes=2, folds=fold)
    alone = solve(x, y, classes=2, folds=fold).out_of_fold()
    both = solve(np.concatenate([x, view]), np.tile(y, 2), classes=2, folds=np.tile(fold, 2)).out_of_fold()[:40]
    gains = losses_of(alone, y) - losses_of(both, y)
    others = np.array([gains[fold != own].mean() for own in range(5)])
    assert len(set(others > 0)) == 2  # so that it matters who is asked
    assert np.allclose(found.solved.out_of_fold(), np.where((others > 0)[fold][:, None], both, alone), atol=1e-4)
    assert losses_of(found.solved.out_of_fold(), y).mean() > min(found.loss, found.loss_several)
    assert np.allclose([found.loss, found.loss_several], [losses_of(each, y).mean() for each in (alone, both)])


def losses_of(logits, y):
    return logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]

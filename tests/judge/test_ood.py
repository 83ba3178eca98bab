"""Distances are scikit-learn's, the false-alarm rate is the stated one, and what is damaged is refused."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from frostline.errors import JudgementError
from frostline.judge import ood
from frostline.judge.ood import Novelty, distances, from_distances, from_folds, remembered


def features(n, *, shift=0.0, d=16, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) + np.r_[4.0, np.zeros(d - 1)] + shift * np.r_[0, 8.0, np.zeros(d - 2)]).astype(
        np.float32
    )


def from_held_out(known, held_out, **more):
    return from_distances(known, distances(known, held_out), head="fc", **more)


def known(n=300, held_out=400, **more):
    found = from_held_out(features(n), features(held_out, seed=1), **more)
    assert found is not None
    return found


def test_the_distance_is_to_the_fifth_neighbour_by_cosine():
    new = features(50, seed=2)
    far, _ = NearestNeighbors(n_neighbors=5, metric="cosine", algorithm="brute").fit(features(300)).kneighbors(new)
    np.testing.assert_allclose(known().distances(new), far[:, -1], atol=1e-3)
    np.testing.assert_allclose(known().distances(7 * new), far[:, -1], atol=1e-3)


def test_false_alarms_come_as_often_as_stated_and_strange_pictures_are_found():
    alarms = []
    for seed in range(20):
        found = from_held_out(features(200, seed=3 * seed), features(300, seed=3 * seed + 1))
        assert found.false_alarms <= ood.RATE
        alarms.append((found.distances(features(500, seed=3 * seed + 2)) > found.threshold).mean())
    # 10,000 pictures, and thresholds of 300 pictures each: three standard errors of both
    error = 3 * np.sqrt(0.01 * 0.99 * (1 / 10_000 + 1 / 6_000))
    assert np.mean(alarms) == pytest.approx(found.false_alarms, abs=error)
    assert (known().distances(features(200, shift=3, seed=5)) > known().threshold).mean() > 0.99


def test_what_is_stated_is_what_the_held_out_pictures_show():
    found = known(held_out=199)
    assert found.false_alarms == pytest.approx(2 / 200)
    assert found.past == 1
    assert (found.known.held_out > found.threshold).sum() == 1


def test_few_held_out_pictures_state_a_higher_rate_and_very_few_none():
    assert known(held_out=19).false_alarms == pytest.approx(1 / 20)
    assert from_held_out(features(50), features(18)) is None


def of_patients(rng):
    """Five pictures of the first class of each of 100 patients, then two of the second, which is five times as wide."""
    kind = np.repeat([0, 1], [500, 200])
    units = np.r_[np.repeat(np.arange(100), 5), np.repeat(np.arange(100), 2)]
    middle = np.eye(2, 16)[kind] * 4
    return (middle + np.where(kind == 0, 0.3, 1.5)[:, None] * rng.normal(size=(700, 16))).astype(np.float32), units


def test_a_group_of_two_classes_is_not_measured_by_the_first_one():
    """One in a hundred is said; where the first picture of each patient stood for it, three in ten were strange."""
    rng = np.random.default_rng(0)
    alarms = []
    for _ in range(20):
        (x, _), (held_out, units), (new, _) = of_patients(rng), of_patients(rng), of_patients(rng)
        found = from_held_out(x, held_out, units=units)
        assert (found.n, found.false_alarms) == (100, pytest.approx(1 / 101))
        alarms.append((found.distances(new) > found.threshold).mean())
    # 20 thresholds of 100 patients each: three standard errors of both
    assert np.mean(alarms) == pytest.approx(1 / 101, abs=3 * np.sqrt(0.01 * 0.99 * (1 / 2_000 + 1 / 2_000)))


def test_by_folds_no_picture_is_its_own_neighbour():
    x = features(100)
    doubled = np.concatenate([x, x])
    fold = np.tile(np.arange(100) % 5, 2)
    alone, twice = from_folds(x, np.arange(100) % 5, head="fc"), from_folds(doubled, fold, head="fc")
    assert twice.threshold > 0.01
    assert twice.threshold <= alone.threshold
    assert from_folds(x, np.zeros(100, int), head="fc") is None


def test_measured_distances_make_the_same_threshold():
    one = known()
    other = from_distances(features(300), one.known.held_out, head="fc")
    assert other.to_dict() == one.to_dict()


def test_every_class_is_remembered():
    y = np.r_[np.zeros(5000, int), np.ones(3, int), np.full(700, 2)]
    chosen = remembered(y)
    assert len(chosen) == ood.MOST == len(set(chosen))
    counts = np.bincount(y[chosen])
    assert counts[1] == 3
    assert abs(counts[0] - counts[2]) <= 1
    assert (chosen == remembered(y)).all()
    assert (remembered(np.eye(3)[[0, 1, 2, 1]]) == np.arange(4)).all()


def test_what_is_not_finite_is_as_far_as_can_be():
    new = features(4, seed=2)
    new[1, 3], new[2, 0] = np.nan, np.inf
    far = known().distances(new)
    assert list(far[1:3]) == [2, 2]
    assert far[0] < 1
    assert known().distances(np.zeros((0, 16), np.float32)).shape == (0,)


def test_it_travels_as_json_and_tensors():
    one = known()
    again = Novelty.from_dict(one.to_dict())
    assert again == one
    with pytest.raises(JudgementError, match="cannot be compared"):
        again.distances(features(2))
    again = again.with_known({"vectors": one.known.vectors, "held_out": one.known.held_out})
    assert (again.distances(features(9, seed=4)) == one.distances(features(9, seed=4))).all()
    with pytest.raises(JudgementError, match="cannot be compared"):
        again.distances(features(2, d=15))


@pytest.mark.parametrize(
    "change",
    [{"threshold": float("nan")}, {"threshold": -1}, {"false_alarms": 0}, {"n": -1}, {"past": 1.5}, {"neighbours": 0},
     {"n": "x"}, {"threshold": "x"}],
)  # fmt: skip
def test_numbers_that_cannot_be_so_are_refused(change):
    with pytest.raises(JudgementError):
        Novelty.from_dict({**known().to_dict(), **change})


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"vectors": np.zeros((2, 3), np.float16)},
        {"vectors": np.zeros((0, 3), np.float16), "held_out": np.zeros(4)},
        {"vectors": np.full((2, 3), np.nan, np.float16), "held_out": np.zeros(4)},
        {"vectors": np.zeros((2, 3)), "held_out": np.zeros(4)},
    ],
)
def test_damaged_tensors_are_refused(tensors):
    with pytest.raises(JudgementError, match="damaged"):
        known().with_known(tensors)

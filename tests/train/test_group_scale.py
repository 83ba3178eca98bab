"""A scale for each group of features: what units a group came in must not matter."""

import numpy as np

from frostline.train.solve import solve
from frostline.train.standardise import Moments


def test_a_head_does_not_depend_on_the_units_of_a_group():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    x = rng.normal(0, 1, (60, 12)) * rng.uniform(0.1, 2, 12) + np.eye(3)[y].repeat(4, axis=1)
    units = np.repeat([1.0, 1000.0], (5, 7))
    one, other = (solve(z, y, classes=3, ends=(5,)) for z in (x, x * units))
    np.testing.assert_allclose(x @ one.weight.T + one.bias, x * units @ other.weight.T + other.bias, atol=1e-3)
    assert (one.strength, one.floor) == (other.strength, other.floor)


def test_the_floor_of_a_group_is_that_of_its_own_features():
    rng = np.random.default_rng(1)
    mean, spread = rng.normal(0, 1, 9), rng.uniform(0, 5, 9)
    whole = Moments(10, mean, spread, ends=(2, 6))
    parts = [Moments(10, mean[part], spread[part]) for part in (slice(0, 2), slice(2, 6), slice(6, 9))]
    for floor in (0.0, 1.0, np.inf):
        np.testing.assert_array_equal(whole.scale(floor), np.concatenate([part.scale(floor) for part in parts]))
        assert not np.allclose(whole.scale(floor), Moments(10, mean, spread).scale(floor)) or floor == 0

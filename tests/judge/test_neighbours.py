"""Nearest neighbours, beside scikit-learn's."""

import numpy as np
from sklearn.neighbors import NearestNeighbors

from frostline.judge.neighbours import nearest, unit


def test_the_same_neighbours_and_distances_as_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    known, asked = rng.normal(size=(300, 8)), rng.normal(size=(700, 8)).astype(np.float32)  # more than one block
    apart, which = NearestNeighbors(n_neighbors=5, metric="cosine").fit(known).kneighbors(asked)
    found, away = nearest(asked, unit(known), 5)
    np.testing.assert_array_equal(found, which)
    np.testing.assert_allclose(away, apart, atol=1e-5)


def test_a_row_is_no_neighbour_of_its_own_and_few_known_ones_are_all_given() -> None:
    rows = np.random.default_rng(1).normal(size=(40, 3)).astype(np.float32)
    chosen = np.arange(0, 40, 2)
    which, _ = nearest(rows, unit(rows[chosen]), 19, itself=chosen)
    for row, line in enumerate(which):
        assert len(set(line)) == 19
        assert row not in chosen[line]
    assert nearest(rows, unit(rows[:3]), 5)[0].shape == (40, 3)
    assert nearest(rows[:0], unit(rows[:3]), 5)[1].shape == (0, 3)

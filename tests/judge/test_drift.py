"""Tests of drift are SciPy's or exact, rarely cry wolf, and find what has moved."""

import json

import numpy as np
import pytest
from scipy.stats import chi2_contingency, fisher_exact

from frostline.judge.drift import Drift, distance, mix
from frostline.judge.ood import distances, from_distances
from tests.judge.test_ood import features


@pytest.fixture(scope="module")
def novelty():
    known = features(300)
    return from_distances(known, distances(known, features(400, seed=1)), head="fc")


def test_the_g_test_is_scipys_where_pictures_are_many():
    now, before = [120, 80, 50], [300, 310, 290]
    found = mix(now, before, "abc")
    assert found.p == pytest.approx(chi2_contingency([now, before], lambda_="log-likelihood").pvalue)
    assert found.now == pytest.approx({"a": 0.48, "b": 0.32, "c": 0.2})
    assert found.most == "a"


def test_few_pictures_are_tested_by_drawing():
    now, before = [1, 5], [20, 4]
    exact = fisher_exact([now, before]).pvalue
    assert mix(now, before, "ab").p == pytest.approx(exact, abs=3 * np.sqrt(exact * (1 - exact) / 9999) + 1e-4)
    assert mix(now, before, "ab") == mix(now, before, "ab")


def test_classes_that_are_nowhere_and_no_pictures():
    assert mix([40, 60, 0], [400, 600, 0], "abc").p == pytest.approx(1.0)
    assert mix([3, 0], [7, 0], "ab").p == 1.0
    assert mix([0, 0], [7, 3], "ab") is None
    assert mix([1, 2], [0, 0], "ab") is None


def test_pictures_of_the_same_kind_seldom_cry_wolf(novelty):
    rng = np.random.default_rng(0)
    cried = 0
    for seed in range(200):
        far = novelty.distances(features(80, seed=100 + seed))
        drift = Drift(distance(novelty, far), mix(rng.multinomial(80, [0.5, 0.5]).tolist(), [500, 500], "ab"))
        cried += bool(drift.signs)
    assert cried / 200 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_strange_pictures_are_counted_and_told(novelty):
    far = novelty.distances(np.concatenate([features(60, seed=3), features(40, seed=4, shift=4)]))
    found = Drift(distance(novelty, far), mix([50, 50], [500, 500], "ab"))
    assert found.distance.strange >= 40
    assert found.distance.n == 100
    assert "strange" in found.signs
    assert "mix" not in found.signs
    assert str(found).startswith("drift: ")
    assert "of 100 pictures are unlike the training data" in str(found)
    values = json.loads(json.dumps(found.to_dict()))
    assert values["summary"] == str(found)
    assert values["distance"]["strange"] == found.distance.strange


def test_a_small_shift_below_the_threshold_is_found_by_all_distances_together(novelty):
    far = np.minimum(novelty.known.held_out + 0.2 * novelty.known.held_out.std(), novelty.threshold)[::2]
    found = distance(novelty, far)
    assert (found.strange, found.p_strange) == (0, 1.0)
    assert found.farther > 0.5
    assert Drift(found, None).signs == ("farther",)


def test_another_mix_names_the_class_that_moved_most():
    found = Drift(None, mix([90, 10], [500, 500], ("bees", "ants")))
    assert found.signs == ("mix",)
    assert "another mix of classes: bees 90.0%, 50.0% in training" in str(found)


def test_what_is_not_known_is_said(novelty):
    assert "nothing is known" in str(Drift(None, None))
    assert Drift(None, None).signs == ()
    assert distance(None, np.zeros(3)) is None
    assert distance(novelty, np.zeros(0)) is None


def test_groups_seldom_cry_wolf(novelty):
    """20 videos of 10 frames each, all of the known kind: frame by frame most of such draws were called drift."""
    cried = alone = 0
    for seed in range(60):
        far = np.repeat(novelty.distances(features(20, seed=500 + seed)), 10)
        cried += bool(Drift(distance(novelty, far, np.repeat(np.arange(20), 10)), None).signs)
        alone += bool(Drift(distance(novelty, far), None).signs)
    assert cried <= 8
    assert alone > 12


def test_groups_in_training_seldom_cry_wolf_either():
    """Held-out pictures and training counts of 20 videos each: counted by frame they seem surer than they are."""
    rng = np.random.default_rng(0)
    videos = np.repeat(np.arange(40), 10)
    known = features(300)
    by_group = by_frame = 0
    for seed in range(60):
        frames = np.repeat(features(40, seed=900 + seed), 10, 0)
        fitted = from_distances(known, distances(known, frames), head="fc", units=videos)
        far = np.repeat(fitted.distances(features(40, seed=2000 + seed)), 10)
        before, now = rng.binomial(20, 0.5), rng.binomial(20, 0.5)
        draws = ([now, 20 - now], [before, 20 - before])
        frame_counts = tuple([10 * count for count in side] for side in draws)
        by_group += bool(Drift(distance(fitted, far, videos), mix(*frame_counts, "ab", draws=draws)).signs)
        loose = from_distances(known, distances(known, frames), head="fc")
        by_frame += bool(Drift(distance(loose, far, videos), mix(*frame_counts, "ab")).signs)
        assert fitted.n == 40
        assert loose.n == 400
    assert by_group <= 8  # 5 % of 60 are 3; more than 8 come in one of 300
    assert by_frame > 15


def test_groups_of_two_classes_seldom_cry_wolf(novelty):
    """The wider class stands last in the new list and first in the old: by first pictures one side was always wider."""
    cried = 0
    for seed in range(60):
        near, wide = features(40, seed=3000 + seed), features(40, seed=4000 + seed, shift=0.3)
        units = np.tile(np.arange(40), 2)
        known = features(300)
        fitted = from_distances(known, distances(known, np.concatenate([near, wide])), head="fc", units=units)
        again = [features(40, seed=5000 + seed, shift=0.3), features(40, seed=6000 + seed)]
        cried += bool(Drift(distance(fitted, fitted.distances(np.concatenate(again)), units), None).signs)
    assert cried <= 8

"""McNemar's mid-p is its sum, Holm's correction is its definition, and few pictures cannot tell anything."""

import tracemalloc
from math import comb

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from frostline.errors import JudgementError
from frostline.judge.compare import differences, gain, holm, paired


def answers(gained, lost, both, neither=0):
    before = np.r_[np.zeros(gained, bool), np.ones(lost, bool), np.ones(both, bool), np.zeros(neither, bool)]
    after = np.r_[np.ones(gained, bool), np.zeros(lost, bool), np.ones(both, bool), np.zeros(neither, bool)]
    return before, after


@pytest.mark.parametrize(("gained", "lost"), [(8, 2), (2, 8), (5, 5), (1, 0), (0, 0)])
def test_the_mid_p_is_the_sum_over_larger_gains_and_half_of_this_one(gained, lost):
    test = paired(*answers(gained, lost, 40, 3))
    n = gained + lost
    p = (sum(comb(n, k) for k in range(gained + 1, n + 1)) + 0.5 * comb(n, gained)) / 2**n if n else 1.0
    assert test.p == pytest.approx(p)
    assert (test.gained, test.lost, test.n) == (gained, lost, 43 + n)
    assert test.difference == pytest.approx((gained - lost) / test.n)


def test_a_gain_of_right_answers_is_mcnemars():
    for gained, lost in ((8, 2), (2, 8), (5, 5), (1, 0)):
        before, after = answers(gained, lost, 40, 3)
        found = gain(before.astype(float), after.astype(float))
        assert found.p == pytest.approx(paired(before, after).p)
        assert found.mean == pytest.approx((gained - lost) / before.size)


def test_a_gain_of_many_pictures_turns_the_same_signs_in_little_memory():
    moved = np.random.default_rng(1).normal(0.01, 1, 20_000)
    tracemalloc.start()
    found = gain(np.zeros(len(moved)), moved)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    rng = np.random.default_rng(0)
    drawn = [(rng.integers(0, 2, (500, len(moved)), dtype=np.int8) * 2.0 - 1) @ moved for _ in range(19)]
    assert found.p == pytest.approx((1 + (np.concatenate(drawn) > moved.sum()).sum()) / 9501, abs=1e-12)
    assert peak < 60e6  # the signs alone are 10 MB, and were 110 MB with what multiplied them


def test_a_gain_of_losses_errs_as_often_as_it_says_with_rare_large_ones_too():
    rng = np.random.default_rng(0)
    ps = []
    for number in range(300):
        loss = rng.exponential(size=(2, 80)) * (1 + 10 * (rng.random(80) < 0.03))
        ps.append(gain(-loss[0], -loss[1], seed=number).p)
    for level in (0.025, 0.1, 0.5):
        assert np.mean(np.array(ps) < level) == pytest.approx(level, abs=3.3 * (level * (1 - level) / 300) ** 0.5)


def test_a_gain_of_many_labels_or_of_groups_is_paired_by_what_was_drawn():
    """One picture whose 20 labels all moved is one draw; counted as 20 decisions it was called better."""
    before, after = np.zeros(40), np.zeros(40)
    after[0] = 1.0
    assert gain(before, after).p == pytest.approx(0.25)
    units = np.repeat(np.arange(8), 5)
    moved = np.repeat([1.0, 0, 0, 0, 0, 0, 0, 0], 5)
    assert gain(np.zeros(40), moved).p < 0.05
    assert gain(np.zeros(40), moved, units).p > 0.2
    with pytest.raises(JudgementError, match="cannot be paired"):
        gain(before, after[:-1])


def test_holm_by_hand_and_never_below_the_p_itself():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.2]) == [0.2]
    assert holm([]) == []
    ps = list(np.random.default_rng(0).uniform(size=20) ** 3)
    assert all(a >= p for a, p in zip(holm(ps), ps, strict=True))
    assert all(a >= b - 1e-12 for a, b in zip(holm(ps), false_discovery_control(ps), strict=True))  # the milder one


def test_every_pair_is_compared_both_ways_round():
    one, two = answers(20, 3, 100)
    first, second, third = differences([one, two, one])
    assert (first.first, first.second, first.paired.gained, first.paired.lost) == (0, 1, 20, 3)
    assert (second.first, second.second, second.p, second.real) == (0, 2, 1.0, False)
    assert first.p == third.p == pytest.approx(2 * paired(one, two).p)
    assert first.adjusted == pytest.approx(3 * first.p)
    assert first.real


def test_where_nothing_differs_real_differences_come_rarely():
    """5 % is the risk of any one of three pairs; over 400 draws it stays below that and its error."""
    rng = np.random.default_rng(0)
    called = 0
    for _ in range(400):
        hard = rng.uniform(size=150)
        models = [rng.uniform(size=150) > 0.5 * hard for _ in range(3)]
        called += any(pair.real for pair in differences(models))
    assert called / 400 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_groups_that_answer_alike_are_one_draw_for_a_difference():
    """30 groups of 5, two equally good models, right or wrong for whole groups: one by one 40 % were "real"."""
    rng, units = np.random.default_rng(0), np.repeat(np.arange(30), 5)
    by_group = by_picture = 0
    for _ in range(150):
        models = [np.repeat(rng.random(30) < 0.8, 5) for _ in range(2)]
        by_group += differences(models, units)[0].real
        by_picture += differences(models)[0].real
    assert by_group / 150 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 150)
    assert by_picture / 150 > 0.2


def test_what_cannot_be_paired_is_refused():
    with pytest.raises(JudgementError, match="cannot be paired"):
        paired(np.ones(3, bool), np.ones(4, bool))
    with pytest.raises(JudgementError, match="cannot be compared"):
        differences([np.ones(3, bool)])

"""McNemar's mid-p is its sum, Holm's correction is its definition, and few pictures cannot tell anything."""

from math import comb

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from frostline.errors import JudgementError
from frostline.judge.compare import attainable, differences, holm, loss_drop, paired


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


def test_a_lower_log_loss_counts_from_one_standard_error_on():
    rng = np.random.default_rng(0)
    before = rng.exponential(size=400)
    noise = rng.normal(size=400)
    noise = (noise - noise.mean()) / noise.std(ddof=1)
    for errors in (-2.0, 0.5, 0.99, 1.01, 3.0):
        drop = loss_drop(before, before - (noise + errors / 20))
        assert drop.mean == pytest.approx(errors / 20)
        assert drop.error == pytest.approx(1 / 20)
        assert drop.better == (errors > 1)
    with pytest.raises(JudgementError, match="cannot be paired"):
        loss_drop(before, before[:-1])


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


def test_few_errors_left_cannot_show_anything():
    assert not attainable(np.r_[np.ones(50, bool), np.zeros(1, bool)])
    assert attainable(np.r_[np.ones(50, bool), np.zeros(2, bool)])


def test_what_cannot_be_paired_is_refused():
    with pytest.raises(JudgementError, match="cannot be paired"):
        paired(np.ones(3, bool), np.ones(4, bool))
    with pytest.raises(JudgementError, match="cannot be compared"):
        differences([np.ones(3, bool)])

"""The minimum is the minimum, the error is torchmetrics', and a temperature that does not help is not kept."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torchmetrics.functional.classification import multiclass_calibration_error

from frostline.errors import JudgementError
from frostline.judge.calibrate import (
    calibrate,
    calibrate_multilabel,
    error_if_perfect,
    expected_calibration_error,
    reliability,
)


def drawn(n, k, temperature, seed=0):
    """Logits whose true temperature is known: classes are drawn from softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, k)) * 3
    noise = rng.gumbel(size=(n, k))
    return z, (z / temperature + noise).argmax(1)


def log_loss(z, y, t=1.0):
    s = z / t
    return (np.log(np.exp(s - s.max(1, keepdims=True)).sum(1)) + s.max(1) - s[np.arange(len(y)), y]).mean()


@pytest.mark.parametrize("temperature", [0.4, 2.5])
def test_finds_the_temperature_that_the_classes_were_drawn_with(temperature):
    z, y = drawn(4000, 5, temperature)
    found = calibrate(z, y)
    assert found.helped
    assert found.temperature == pytest.approx(temperature, rel=0.08)
    best = minimize_scalar(lambda t: log_loss(z, y, t), bounds=(0.05, 20), method="bounded", options={"xatol": 1e-9})
    assert found.temperature == pytest.approx(best.x, rel=0.01)  # softened targets: not quite the same
    new_z, new_y = drawn(4000, 5, temperature, seed=1)
    assert log_loss(new_z, new_y, found.temperature) < log_loss(new_z, new_y)
    assert found.loss_after < found.loss_before
    assert found.ece_after < found.ece_before


def test_what_is_calibrated_stays_as_it_is_and_says_so():
    """Where the true temperature is 1 a fitted one loses on pictures that it was not fitted to, in most samples."""
    kept = [calibrate(*drawn(60, 3, 1.0, seed)) for seed in range(20)]
    left = [c for c in kept if not c.helped]
    assert len(left) >= 8
    for found in left:
        assert found.temperature == 1.0
        assert "did not help" in found.why
        assert found.loss_after == found.loss_before
        assert found.ece_after == found.ece_before


def test_few_pictures_all_right_do_not_make_certainty():
    z = np.tile([0.5, -0.5], (12, 1))
    found = calibrate(z, np.zeros(12, int))
    assert found.helped
    assert 1 / (1 + np.exp(-1 / found.temperature)) == pytest.approx(1 - 0.5 / 14)


def test_too_few_pictures_are_not_fitted():
    z, y = drawn(9, 3, 5.0)
    found = calibrate(z, y)
    assert (found.temperature, found.helped) == (1.0, False)
    assert "9 pictures are too few" in found.why


def test_no_temperature_is_praised_where_the_model_is_worse_than_guessing():
    """Random scores: at the bound log loss falls by much, and is still above that of guessing by shares."""
    rng = np.random.default_rng(0)
    found = calibrate(100 * rng.normal(size=(500, 4)), rng.integers(0, 4, 500))
    assert (found.temperature, found.helped, found.useless) == (1.0, False, True)
    assert found.loss_of_guessing == pytest.approx(np.log(4), abs=0.01)
    assert "fell" not in found.why
    assert "guessing" in found.why


def test_calibration_error_is_torchmetrics():
    z, y = drawn(500, 4, 2.0)
    found = calibrate(z, y)
    p = torch.softmax(torch.from_numpy(z), 1)
    expected = multiclass_calibration_error(p, torch.from_numpy(y), num_classes=4, n_bins=15, norm="l1")
    assert found.ece_before == pytest.approx(float(expected), abs=1e-6)
    assert sum(b.count for b in found.bins_before) == 500


def test_bins_hold_their_upper_edge():
    bins = reliability(np.array([0.0, 0.5, 0.500001, 1.0]), np.array([True, False, True, True]), bins=2)
    assert [b.count for b in bins] == [2, 2]
    assert bins[0].accuracy == 0.5
    assert bins[0].confidence == 0.25
    assert bins[1].high == 1.0


@pytest.mark.parametrize("size", [1, 5])
def test_a_perfect_model_shows_an_error_of_few_pictures_and_more_of_groups(size):
    """Simulated: answers right exactly as often as they claim, in groups of a size that are right or wrong together."""
    rng = np.random.default_rng(size)
    n = 60
    units = np.repeat(np.arange(n // size), size)
    sure = np.repeat(rng.uniform(0.6, 1, n // size), size)
    shown = []
    for _ in range(300):
        right = np.repeat(rng.random(n // size), size) < sure
        shown.append(expected_calibration_error(reliability(sure, right)))
    mean, high = error_if_perfect(sure, units=None if size == 1 else units)
    assert mean == pytest.approx(np.mean(shown), rel=0.08)
    assert np.mean(np.array(shown) <= high) == pytest.approx(0.95, abs=0.04)
    assert mean > (0.05 if size == 1 else 0.12)


def test_duplicates_are_not_parted_where_a_temperature_is_tried():
    z, y = drawn(40, 3, 1.0)
    once = calibrate(z, y)
    thrice = calibrate(np.repeat(z, 3, 0), np.repeat(y, 3), units=np.repeat(np.arange(40), 3))
    assert thrice.helped == once.helped
    assert thrice.loss_before == pytest.approx(once.loss_before)
    assert thrice.ece_perfect == pytest.approx(once.ece_perfect, rel=1e-9)


def test_no_answers_no_error():
    with pytest.raises(JudgementError, match="no answers"):
        expected_calibration_error(reliability(np.zeros(0), np.zeros(0, bool)))


def test_multilabel():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(2000, 3)) * 4
    y = rng.random((2000, 3)) < 1 / (1 + np.exp(-z / 3))
    found = calibrate_multilabel(z, y)
    assert found.temperature == pytest.approx(3, rel=0.1)
    assert sum(b.count for b in found.bins_after) == 6000
    assert found.ece_after < found.ece_before


@pytest.mark.parametrize(
    ("z", "y"),
    [
        (np.zeros((0, 2)), np.zeros(0, int)),
        (np.zeros((2, 2)), np.array([0, 2])),
        (np.full((2, 2), np.nan), np.array([0, 1])),
        (np.zeros((2, 2)), np.zeros((2, 2), int)),
    ],
)
def test_what_cannot_be_calibrated_is_refused(z, y):
    with pytest.raises(JudgementError) as caught:
        calibrate(z, y)
    assert caught.value.hint
    with pytest.raises(JudgementError):
        calibrate_multilabel(z, np.full((2, 3), 1))


def test_one_class_present_and_equal_logits():
    found = calibrate(np.zeros((20, 3)), np.zeros(20, int))
    assert found.temperature == 1.0

"""Schedules against torch's own, and as pure functions of the step."""

import math

import pytest
import torch
from torch import nn
from torch.optim import SGD, lr_scheduler

from frostline.train.schedule import FLOOR, ONE_CYCLE_START, Schedule

EPOCHS, STEPS = 20, 7


def optimizer(lr: float = 0.1) -> SGD:
    return SGD(nn.Linear(2, 2).parameters(), lr=lr)


def test_step_is_torchs_step_lr() -> None:
    theirs = optimizer()
    scheduler = lr_scheduler.StepLR(theirs, step_size=3, gamma=0.3)
    ours = Schedule("step", EPOCHS, STEPS, step_size=3, gamma=0.3)
    for epoch in range(EPOCHS):
        for step in range(STEPS):
            assert 0.1 * ours.factor(epoch * STEPS + step) == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12)
        theirs.step()
        scheduler.step()


def test_plateau_is_torchs_reduce_lr_on_plateau() -> None:
    generator = torch.Generator().manual_seed(3)
    noise = torch.rand(60, generator=generator).tolist()
    # A long fall, a stall, and falls too small to count.
    losses = [3 - 0.1 * i for i in range(10)] + [2 + 0.2 * x for x in noise] + [1.5 * (1 - 1e-5 * i) for i in range(20)]
    theirs = optimizer()
    scheduler = lr_scheduler.ReduceLROnPlateau(theirs, factor=0.5, patience=3, eps=0.0)
    ours = Schedule("plateau", len(losses), 1, gamma=0.5)
    for epoch in range(len(losses)):
        assert 0.1 * ours.factor(epoch, losses[:epoch]) == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-12)
        theirs.step()
        scheduler.step(losses[epoch])
    assert theirs.param_groups[0]["lr"] < 1e-4


def test_cosine_is_torchs_cosine_annealing() -> None:
    theirs = optimizer()
    scheduler = lr_scheduler.CosineAnnealingLR(theirs, T_max=EPOCHS * STEPS, eta_min=0.1 * FLOOR)
    ours = Schedule("cosine", EPOCHS, STEPS)
    for step in range(EPOCHS * STEPS):
        assert 0.1 * ours.factor(step) == pytest.approx(theirs.param_groups[0]["lr"], rel=1e-9)
        theirs.step()
        scheduler.step()


def test_one_cycle_rises_to_the_peak_and_ends_at_the_floor() -> None:
    factors = [Schedule("one-cycle", EPOCHS, STEPS).factor(step) for step in range(EPOCHS * STEPS)]
    peak = factors.index(max(factors))
    assert factors[0] == pytest.approx(ONE_CYCLE_START)
    assert factors[-1] == pytest.approx(FLOOR)
    assert factors[peak] == pytest.approx(1.0, abs=1e-3)
    assert peak == round(0.25 * (len(factors) - 1))
    assert factors[:peak] == sorted(factors[:peak])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


@pytest.mark.parametrize("kind", ["constant", "step", "cosine", "plateau"])
def test_warmup_rises_linearly_to_what_the_schedule_is_without_it(kind: str) -> None:
    schedule = Schedule(kind, EPOCHS, STEPS, warmup=2)
    rise = [schedule.factor(step) for step in range(2 * STEPS)]
    assert rise == pytest.approx([(step + 1) / (2 * STEPS + 1) for step in range(2 * STEPS)])
    assert schedule.factor(2 * STEPS) == pytest.approx(1.0)


def test_warmup_longer_than_the_phase_still_reaches_the_peak() -> None:
    assert Schedule("constant", 1, 4, warmup=9).factor(3) == 1.0


@pytest.mark.parametrize("kind", ["constant", "step", "cosine", "one-cycle", "plateau"])
@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (1, 2), (3, 1), (5, 4)])
def test_the_factor_is_a_pure_function_within_0_and_1(kind: str, epochs: int, steps: int) -> None:
    schedule = Schedule(kind, epochs, steps, warmup=0.5, step_size=1)
    forward = [schedule.factor(step) for step in range(epochs * steps)]
    backward = [schedule.factor(step) for step in reversed(range(epochs * steps))]
    assert forward == backward[::-1]
    assert all(0 < factor <= 1 and math.isfinite(factor) for factor in forward)


def test_groups_keep_their_ratio() -> None:
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": [w], "lr": lr, "initial_lr": lr} for w, lr in zip(weights, (1e-2, 1e-4), strict=True)]
    ours = SGD(groups)
    rates = Schedule("cosine", 2, 10).apply(ours, 10)
    assert rates == (pytest.approx(1e-2 * (FLOOR + (1 - FLOOR) / 2)), pytest.approx(1e-4 * (FLOOR + (1 - FLOOR) / 2)))
    assert tuple(group["lr"] for group in ours.param_groups) == rates

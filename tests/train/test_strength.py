"""Which strength is chosen, of some whose log loss on held-out pictures is given."""

import numpy as np

from frostline.train.likelihood import OneOf
from frostline.train.strength import STRENGTHS, Judge, Judged, Trial, chosen

PICTURES = 98


def choice(nats_above: dict[int, float], floor_3: dict[int, float] | None = None) -> tuple[float, int]:
    """The floor and the number of the strength.

    nats_above: by number, how many nats more than 0.1 times all one picture would have to lose for such a log loss.
    floor_3: likewise.
    """
    judge = Judge(OneOf(np.arange(PICTURES) % 2, 2), np.full(PICTURES, 1 / PICTURES), (1.0, 1.0))
    nothing = np.zeros((PICTURES, 2), np.float32)
    found = [
        Judged(Trial(floor, number, nothing, nothing, ()), 1.0, 0.1 + nats / (PICTURES + 2))
        for floor, tried in ((1.0, nats_above), (3.0, floor_3 or {}))
        for number, nats in tried.items()
    ]
    trial = chosen(found, judge).trial
    return trial.floor, trial.number


LAST = len(STRENGTHS) - 1


def test_at_the_weak_end_a_stronger_one_is_taken_that_costs_less_than_one_nat_of_one_picture() -> None:
    assert choice({LAST - 4: 1.1, LAST - 2: 0.9, LAST: 0.0}) == (1.0, LAST - 2)


def test_chance_between_pictures_does_not_make_it_stronger_yet() -> None:
    # One standard error of the best, where losses differ by half a nat between pictures, is five nats of one picture.
    assert choice({LAST - 6: 4.0, LAST - 4: 3.0, LAST - 2: 2.0, LAST: 0.0}) == (1.0, LAST)


def test_elsewhere_the_best_is_taken() -> None:
    assert choice({2: 0.5, 4: 0.0, 6: 0.5}) == (1.0, 4)


def test_another_floor_is_taken_that_is_better_by_more_than_one_nat_of_one_picture() -> None:
    assert choice({2: 0.5, 4: 0.0, 6: 0.5}, {4: -0.9, 5: 0.0}) == (1.0, 4)
    assert choice({2: 0.5, 4: 0.0, 6: 0.5}, {4: -0.9, 5: -1.1}) == (3.0, 5)

"""Who is best over many cells: mean rank, and Elo as TabArena has it (Erickson et al. 2025, arXiv:2506.16791).

Each pair of contestants meets once in every cell that both have; the smaller error wins, an equal one is half a win.
Ratings are those of the Bradley-Terry model, 400 points to a factor of ten in odds, the anchor's 1000.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from scipy.stats import rankdata

_POINTS = 400 / np.log(10)
_PRIOR = 1e-3  # keeps who never lost at a finite rating
_ROUNDS = 200

Errors = Mapping[str, Mapping[str, float]]
"""Contestant -> cell -> error."""


def mean_ranks(errors: Errors) -> dict[str, float]:
    """Mean rank over the cells that all contestants have, 1 the best; equal errors share a rank."""
    cells = shared(errors)
    if not cells:
        return {}
    ranks = np.array([rankdata([errors[name][cell] for name in errors]) for cell in cells])
    return dict(zip(errors, ranks.mean(0).tolist(), strict=True))


def shared(cells: Mapping[str, Iterable[str]]) -> list[str]:
    """Cells that all contestants have. cells: of each; `Errors` will do."""
    return sorted(set.intersection(*(set(some) for some in cells.values()))) if cells else []


def groups(cells: Mapping[str, Collection[str]]) -> list[list[str]]:
    """All contestants; then, one after another, without the one that most cells lack, while that gives more cells.

    cells: that each contestant has.
    """

    def common(some: Sequence[str]) -> int:
        return len(shared({name: cells[name] for name in some}))

    found, names = [list(cells)], list(cells)
    while len(names) > 2:
        without = {out: [name for name in names if name != out] for out in names}
        out = max(names, key=lambda one: (common(without[one]), -len(cells[one])))
        names = without[out]
        if common(names) > common(found[-1]):
            found.append(names)
    return found


def elo(errors: Errors, anchor: str) -> dict[str, tuple[float, float, float]]:
    """Rating with the 95 % interval of 200 bootstrap draws of cells, by contestant."""
    cells = sorted(set().union(*errors.values()))
    rng = np.random.default_rng(0)
    names = list(errors)
    found = _ratings(errors, names, cells, anchor)
    draws = [_ratings(errors, names, list(rng.choice(cells, len(cells))), anchor) for _ in range(_ROUNDS)]
    low, high = np.percentile(draws, [2.5, 97.5], axis=0)
    return {name: (found[i], low[i], high[i]) for i, name in enumerate(names)}


def _ratings(errors: Errors, names: Sequence[str], cells: Sequence[str], anchor: str) -> np.ndarray:
    wins = np.zeros((len(names), len(names)))
    for cell in cells:
        here = [number for number, name in enumerate(names) if cell in errors[name]]
        for one, two in combinations(here, 2):
            mine, theirs = errors[names[one]][cell], errors[names[two]][cell]
            share = 0.5 if mine == theirs else float(mine < theirs)
            wins[one, two] += share
            wins[two, one] += 1 - share

    def loss(strengths: np.ndarray) -> tuple[float, np.ndarray]:
        chance = expit(strengths[:, None] - strengths[None, :])
        met = wins + wins.T
        value = -(wins * np.log(np.maximum(chance, 1e-300))).sum() + _PRIOR * (strengths**2).sum()
        return value, (met * chance - wins).sum(1) + 2 * _PRIOR * strengths

    strengths = minimize(loss, np.zeros(len(names)), jac=True, method="L-BFGS-B").x * _POINTS
    return np.asarray(strengths - strengths[names.index(anchor)] + 1000 if anchor in names else strengths + 1000)

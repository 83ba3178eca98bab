"""Whether new pictures are still of the kind that a model has learnt from: their distance, and their mix of classes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frostline.judge.compare import LEVEL, holm
from frostline.judge.one_draw import one_of_each
from frostline.judge.ood import Novelty

_RESAMPLES = 9999
_FEW = 5.0  # expected pictures in a cell, below which a chi-square distribution is not to be trusted


@dataclass(frozen=True, slots=True)
class Distance:
    """n new pictures against the held-out ones of training.

    strange: past the threshold of novelty; expected: the share of them that false alarms alone would give.
    farther: the probability that a new picture lies farther from the training data than a held-out one; 0.5 is none.
    p_strange: of Fisher's exact test, one-sided. p_farther: of Mann and Whitney's (1947), one-sided.
    """

    n: int
    strange: int
    expected: float
    farther: float
    p_strange: float
    p_farther: float


@dataclass(frozen=True, slots=True)
class Mix:
    """Shares of classes, now and in training, by name; p: of the G-test that both are one mix.

    Where cells are small p is that of 9,999 random draws with the same sums.
    """

    now: Mapping[str, float]
    training: Mapping[str, float]
    p: float

    @property
    def most(self) -> str:
        """The class whose share has moved most."""
        return max(self.now, key=lambda name: abs(self.now[name] - self.training[name]))


@dataclass(frozen=True, slots=True)
class Drift:
    """What has moved. distance, mix: None where the model does not know its training pictures, or counts."""

    distance: Distance | None
    mix: Mix | None

    @property
    def signs(self) -> tuple[str, ...]:
        """What is more than luck, at a level of 5 % over all tests together (Holm): "strange", "farther", "mix"."""
        ps = {}
        if self.distance is not None:
            ps = {"strange": self.distance.p_strange, "farther": self.distance.p_farther}
        if self.mix is not None:
            ps["mix"] = self.mix.p
        return tuple(name for name, p in zip(ps, holm(list(ps.values())), strict=True) if p < LEVEL)

    def __str__(self) -> str:
        signs, said = self.signs, []
        if self.distance is not None:
            d = self.distance
            pictures = f"{d.strange} of {d.n:,} pictures {'is' if d.strange == 1 else 'are'} unlike the training data"
            said.append(f"{pictures} ({d.strange / d.n:.1%}, {d.expected:.1%} expected, p = {d.p_strange:.2g})")
            if "farther" in signs:
                said.append(f"on the whole they lie farther from it than held-out ones (p = {d.p_farther:.2g})")
        if self.mix is not None and "mix" in signs:
            name = self.mix.most
            said.append(
                f"another mix of classes: {name} {self.mix.now[name]:.1%}, {self.mix.training[name]:.1%} in training "
                f"(p = {self.mix.p:.2g})"
            )
        elif self.mix is not None:
            said.append(f"classes mixed as in training (p = {self.mix.p:.2g})")
        if not said:
            return "nothing is known of the training data, so nothing of drift"
        return ("drift: " if signs else "no drift: ") + "; ".join(said)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "distance": None if self.distance is None else asdict(self.distance),
            "mix": None if self.mix is None else {**asdict(self.mix), "most": self.mix.most},
            "signs": list(self.signs),
            "summary": str(self),
        }


def distance(
    novelty: Novelty | None, far: NDArray[np.floating] | None, units: NDArray[np.integer] | None = None
) -> Distance | None:
    """How far new pictures (n,) lie, beside those that set the threshold; None where that is not known.

    units: (n,) which unit each picture belongs to (duplicates, a group): the tests then take one picture of each,
        drawn at random.
    """
    if novelty is None or novelty.known is None or far is None or not len(far) or not len(novelty.known.held_out):
        return None
    from scipy.stats import fisher_exact, mannwhitneyu

    strange = int((far > novelty.threshold).sum())
    table = [[strange, len(far) - strange], [novelty.past, novelty.n - novelty.past]]
    if units is not None:
        one = far[one_of_each(units)]
        past = int((one > novelty.threshold).sum())
        table[0] = [past, len(one) - past]
    else:
        one = far
    ranks = mannwhitneyu(one, novelty.known.held_out, alternative="greater")
    farther = float(ranks.statistic) / (len(one) * len(novelty.known.held_out))
    p = float(fisher_exact(table, alternative="greater").pvalue)
    return Distance(len(far), strange, novelty.false_alarms, farther, p, float(ranks.pvalue))


def mix(
    now: Sequence[int],
    training: Sequence[int],
    classes: Sequence[str],
    *,
    draws: tuple[Sequence[int], Sequence[int]] | None = None,
    seed: int = 0,
) -> Mix | None:
    """Counts (K,) of classes now and in training; None where either has no pictures.

    draws: the same counted by units (duplicates, the pictures of a group), where those are fewer: the test is of these.
    """
    table = np.array([now, training], dtype=np.int64)
    sums = table.sum(1)
    if not sums.all():
        return None
    shares = table / sums[:, None]
    named = [dict(zip(classes, map(float, row), strict=True)) for row in shares]
    tested = table if draws is None else np.array(draws, dtype=np.int64)
    return Mix(named[0], named[1], _g_test(tested[:, tested.sum(0) > 0], seed))


def _g_test(table: NDArray[np.int64], seed: int) -> float:
    """p of independence of a (2, K) table of counts without empty columns."""
    if table.shape[1] < 2:
        return 1.0
    columns, rows, n = table.sum(0), table.sum(1), table.sum()
    if (np.outer(rows, columns) / n).min() >= _FEW:
        from scipy.stats import chi2_contingency

        return float(chi2_contingency(table, correction=False, lambda_="log-likelihood").pvalue)
    draws = max(999, min(_RESAMPLES, 4_000_000 // table.shape[1]))
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(columns, rows[0], size=draws, method="marginals")
    limit = _entropy(table[0], columns) - 1e-9
    return float((1 + (_entropy(drawn, columns) >= limit).sum()) / (1 + draws))


def _entropy(first: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Half of G, up to a constant of the sums: sum of count * log count over both rows."""
    both = np.stack([first, columns - first]).astype(np.float64)
    found: NDArray[np.float64] = (both * np.log(np.maximum(both, 1))).sum(axis=(0, -1))
    return found

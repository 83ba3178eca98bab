"""Simulate every promised figure and write what came of it into docs/how-to/trust.md: ``make trust``.

python -m bench.trust [--share 0.1]
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frostline.judge import conformal, figures, intervals, metrics, ood
from frostline.judge.calibrate import calibrate, error_if_perfect, expected_calibration_error, reliability
from frostline.judge.compare import differences, gain
from frostline.judge.drift import Drift, distance, mix
from frostline.run.model_selection import KEEP_LEVEL, level
from frostline.train.solve import solve

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "trust.md"
BEGIN, END = "<!-- trust -->", "<!-- /trust -->"
Line = tuple[str, str, str]


def drawn(
    rng: np.random.Generator, n: int, prior: NDArray[np.float64], apart: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities (n, K) of a model that errs now and then, and the classes."""
    y = rng.choice(len(prior), n, p=prior)
    z = 2 * (rng.normal(size=(n, len(prior))) + apart * np.eye(len(prior))[y]) + np.log(prior)
    powers = np.exp(z - z.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True), y


def of_intervals(runs: int) -> Iterator[Line]:
    """How often the 95 % interval of each figure holds the truth, the worst figure of each case."""
    rng = np.random.default_rng(2)
    cases = (
        ("2 classes, 98.8 % right", (1, 1), 3.2, 150),
        ("2 classes of 95:5", (95, 5), 2.5, 150),
        ("5 classes, skewed", (60, 20, 10, 6, 4), 2.5, 150),
        ("20 classes", (1,) * 20, 3.5, 100),
    )
    for name, shares, apart, n in cases:
        prior, names = np.array(shares) / sum(shares), [str(k) for k in range(len(shares))]
        whole = metrics.report(*drawn(rng, 100_000, prior, apart), names, resamples=2).figures
        held = dict.fromkeys(whole, 0)
        for _ in range(2 * runs):
            for key, figure in metrics.report(*drawn(rng, n, prior, apart), names, resamples=200).figures.items():
                held[key] += figure.low <= whole[key].value <= figure.high
        worst = min(held, key=held.__getitem__)
        got = f"{held[worst] / (2 * runs):.1%} ({figures.in_words(worst)})"
        yield f"95 % intervals, {name}, n = {n}: the figure that is held least often", "93 %", got


def of_shares(_: int) -> Iterator[Line]:
    """The interval of a share, exactly: all outcomes of 150 pictures, weighed by the binomial distribution."""
    from scipy.stats import binom

    n = 150
    right = np.arange(n + 1)
    low, high = np.array([intervals.score_bounds(x / n, n) for x in right]).T
    truth = 1 - np.geomspace(0.5, 0.0005, 2000)[:, None]
    held = (binom.pmf(right, n, truth) * ((low <= truth) & (truth <= high))).sum(1)
    worst = float(truth[held.argmin(), 0])
    yield (
        f"95 % interval of accuracy, n = {n}, the true share that is held least often",
        "92 %",
        f"{held.min():.1%} (of {worst:.1%})",
    )


def of_groups(runs: int) -> Iterator[Line]:
    """Groups of five alike pictures: the interval of accuracy, of all figures, and differences of two models."""
    rng, units, held = np.random.default_rng(1), np.repeat(np.arange(30), 5), 0
    for _ in range(20 * runs):
        right = 0.7**0.5 * np.repeat(rng.normal(size=30), 5) + 0.3**0.5 * rng.normal(size=150) < 1.2816
        figure = intervals.share(right, units)
        held += figure.low <= 0.9 <= figure.high
    yield "95 % interval of accuracy, 30 groups of 5, correlation 0.7", "93 %", f"{held / (20 * runs):.1%}"
    prior, names = np.ones(2) / 2, ["0", "1"]
    whole = metrics.report(*drawn(rng, 100_000, prior, 1.5), names, resamples=2).figures
    each = dict.fromkeys(whole, 0)
    for _ in range(runs):
        p, y = (np.repeat(found, 5, axis=0) for found in drawn(rng, 30, prior, 1.5))
        for key, figure in metrics.report(p, y, names, units=units, resamples=200).figures.items():
            each[key] += figure.low <= whole[key].value <= figure.high
    worst = min(each, key=each.__getitem__)
    got = f"{each[worst] / runs:.1%} ({figures.in_words(worst)})"
    yield "95 % intervals, 2 classes, 30 pictures five times each: the figure that is held least often", "93 %", got
    real = 0
    for _ in range(runs):
        real += differences([np.repeat(rng.random(30) < 0.8, 5) for _ in range(2)], units)[0].real
    yield (
        "`compare` calls a difference of two equally good models real, 30 groups of 5",
        "at most 5%",
        (f"{real / runs:.1%}"),
    )


def of_drift(runs: int) -> Iterator[Line]:
    """Whether drift is reported where there is none, of single pictures and of videos on both sides."""
    rng = np.random.default_rng(6)
    for name, size in (("100 pictures", 1), ("20 videos of 10", 10)):
        n = 100 if size == 1 else 20
        units = None if size == 1 else np.repeat(np.arange(n), size)
        alarms = 0
        for _ in range(5 * runs):
            known, held_out, new = (rng.normal(size=(m, 20)) + 3 for m in (200, n, n))
            far = ood.distances(known, np.repeat(held_out, size, 0))
            fitted = ood.from_distances(known, far, head="head", units=units)
            if fitted is None:
                continue
            before, now = rng.multinomial(n, (0.5, 0.5), 2)
            far = np.repeat(fitted.distances(new), size)
            draws = (now.tolist(), before.tolist())
            mixed = mix((size * now).tolist(), (size * before).tolist(), "ab", draws=draws)
            alarms += bool(Drift(distance(fitted, far, units), mixed).signs)
        yield f"drift is called where there is none, {name} beside as many", "at most 5%", f"{alarms / (5 * runs):.1%}"


def of_new_pictures(runs: int) -> Iterator[Line]:
    """Of 100 more."""
    rng, held = np.random.default_rng(0), 0
    for truth in rng.beta(20, 2, 5 * runs):
        low, high = intervals.of_new(intervals.wilson(int(rng.binomial(153, truth)), 153))
        held += low <= rng.binomial(100, truth) <= high
    yield "the next 100 pictures lie in the stated range", "95 %", f"{held / (5 * runs):.1%}"


def of_sets(runs: int) -> Iterator[Line]:
    """Coverage of prediction sets, all together and the rarest class."""
    rng = np.random.default_rng(5)
    for name, shares in (("2 classes of 95:5", (95, 5)), ("5 classes, skewed", (60, 20, 10, 6, 4))):
        prior, all_, rare = np.array(shares) / sum(shares), [], []
        for _ in range(runs):
            p, y = drawn(rng, 300, prior, 1.2)
            fresh, truth = drawn(rng, 4000, prior, 1.2)
            hit = conformal.calibrated(p, y).members(fresh, 0.95)[np.arange(4000), truth]
            all_.append(hit.mean())
            rare.append(hit[truth == len(shares) - 1].mean())
        few = round(300 * prior[-1])
        yield f"prediction sets of 95 %, {name}, n = 300: covered", "95 %", f"{np.mean(all_):.1%}"
        yield (
            f"the same, the rarest class by itself, of some {few} pictures",
            f"{few / (few + 1):.0%}",
            (f"{np.mean(rare):.1%}"),
        )


def of_clustered_sets(runs: int) -> Iterator[Line]:
    """Many classes of few pictures, a third of them hard: how far their coverage lies from what was promised."""
    rng, hard = np.random.default_rng(7), np.where(np.arange(100) % 3 == 0, 1.5, 3.5)
    every, below = [], []
    for _ in range(max(3, runs // 10)):
        made = []
        for each in (18, 50):
            y = np.repeat(np.arange(100), each)
            z = 2.5 * (rng.normal(size=(len(y), 100)) + np.eye(100)[y] * hard[y, None])
            powers = np.exp(z - z.max(1, keepdims=True))
            made.append((powers / powers.sum(1, keepdims=True), y))
        (p, y), (fresh, truth) = made
        hit = conformal.calibrated(p, y).members(fresh, 0.9)[np.arange(len(truth)), truth]
        every.append(hit.mean())
        below.append(np.mean([hit[truth == k].mean() for k in range(100) if k % 3 == 0]))
    yield "prediction sets of 90 %, 100 classes of 18 pictures: covered", "90 %", f"{np.mean(every):.1%}"
    yield "the same, the third of the classes that is hard", "90 %", f"{np.mean(below):.1%}"


def of_crossed_sets(runs: int) -> Iterator[Line]:
    """Sets of out-of-fold probabilities, answered by the head of all pictures; its accuracy by cross-validation."""
    rng, covered, below, above = np.random.default_rng(8), [], 0, 0
    for _ in range(runs):
        means = 0.15 * rng.normal(size=(3, 200))
        y, truth = rng.integers(0, 3, 100), rng.integers(0, 3, 1500)
        x, fresh = (means[kind] + rng.normal(size=(len(kind), 200)) for kind in (y, truth))
        head = solve(x.astype(np.float32), y, classes=3)
        out, new = (_softmax(z) for z in (head.out_of_fold(), fresh @ head.weight.T + head.bias))
        sets = conformal.from_folds(out, y, np.arange(100) % 5)
        covered.append(sets.members(new, 0.95)[np.arange(1500), truth].mean())
        figure = metrics.accuracy(out, y)
        kept = (new.argmax(1) == truth).mean()
        below, above = below + (kept < figure.low), above + (kept > figure.high)
    yield "prediction sets of 95 % by cross-validation, 3 classes, n = 100: covered", "95 %", f"{np.mean(covered):.1%}"
    yield (
        "the head that is kept is less accurate than the 95 % interval of its cross-validated accuracy, the same",
        "at most 5%",
        f"{below / runs:.1%}",
    )
    yield (
        "it is more accurate than that interval, for it learns from a quarter more pictures",
        "-",
        f"{above / runs:.1%}",
    )


def _softmax(z: NDArray[np.floating]) -> NDArray[np.float64]:
    powers = np.exp(z.astype(np.float64) - z.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True))


def of_calibration_error(runs: int) -> Iterator[Line]:
    """How often a perfectly calibrated model lies above what is said that one would show."""
    rng, above = np.random.default_rng(9), 0
    for _ in range(5 * runs):
        sure = rng.uniform(0.6, 1, 50)
        shown = expected_calibration_error(reliability(sure, rng.random(50) < sure))
        above += shown > error_if_perfect(sure)[1]
    yield (
        "a perfectly calibrated model is above the error that one would show, n = 50",
        "5%",
        f"{above / (5 * runs):.1%}",
    )


def of_keeping(runs: int) -> Iterator[Line]:
    """How often `auto` keeps a phase that is no better, judged by a val split."""
    rng, kept = np.random.default_rng(3), 0
    for _ in range(runs):
        ease = rng.normal(1.5, 1, 150)
        kept += _kept(*(ease + rng.normal(0, 0.7, 150) for _ in range(2)))
    yield (
        "`auto` keeps a phase that is no better, 150 val pictures",
        f"at most {KEEP_LEVEL:.0%}",
        (f"{kept / runs:.1%}"),
    )


def of_folded_keeping(runs: int) -> Iterator[Line]:
    """The same by three folds: each learns from other features, as good on average; what is kept learns from all."""
    for n in (30, 150):
        rng, kept, worse = np.random.default_rng(10), 0, 0
        for _ in range(5 * runs):
            means = [1.2 * v / np.linalg.norm(v) for v in rng.normal(size=(2, 30))]
            (x, sign), (fresh, truth) = (_two_features(rng, means, each) for each in (n, 1500))
            fold = np.arange(n) % 3  # classes come in turn by twos
            out = [np.empty(n), np.empty(n)]
            for k in range(3):
                for z, one in zip(out, x, strict=True):
                    z[fold == k] = one[fold == k] @ _least_squares(one[fold != k], sign[fold != k])
            if _kept(*(z * sign for z in out)):
                kept += 1
                right = [((f @ _least_squares(one, sign)) * truth > 0).mean() for f, one in zip(fresh, x, strict=True)]
                worse += right[1] <= right[0]
        yield (
            f"`auto` keeps a phase that on fresh pictures has no more right, three folds of {n} pictures",
            f"at most {KEEP_LEVEL:.0%}",
            f"{worse / (5 * runs):.1%} (kept: {kept / (5 * runs):.1%})",
        )


def _kept(before: NDArray[np.float64], after: NDArray[np.float64]) -> bool:
    """Whether log odds (N,) of the right class are better after a phase, by the rule of `auto`."""
    answers = gain(1.0 * (before > 0), 1.0 * (after > 0))
    loss = gain(-np.logaddexp(0, -before), -np.logaddexp(0, -after))
    return (answers.p < level(1) and loss.mean >= 0) or (loss.p < level(1) and answers.mean >= 0)


def _two_features(
    rng: np.random.Generator, means: list[NDArray[np.float64]], n: int
) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
    """The same n pictures, half of each class (-1 and 1), in two kinds of features (n, D)."""
    sign = np.where(np.arange(n) % 2, 1.0, -1.0)
    return [sign[:, None] * mean + rng.normal(size=(n, len(mean))) for mean in means], sign


def _least_squares(x: NDArray[np.float64], sign: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (D,) of regularised least squares, as log odds."""
    return np.asarray(2 * np.linalg.solve(x.T @ x + 30 * np.eye(x.shape[1]), x.T @ sign))


def of_temperature(runs: int) -> Iterator[Line]:
    """A model of no use is never praised."""
    rng, praised = np.random.default_rng(4), 0
    for _ in range(runs):
        praised += calibrate(20 * rng.normal(size=(100, 3)), rng.integers(0, 3, 100)).helped
    yield "a temperature is kept for random logits", "hardly ever", f"{praised / runs:.1%}"


SIMULATIONS: tuple[Callable[[int], Iterator[Line]], ...] = (
    of_intervals, of_shares, of_groups, of_new_pictures, of_sets, of_clustered_sets, of_crossed_sets, of_keeping,
    of_folded_keeping, of_calibration_error, of_temperature, of_drift,
)  # fmt: skip


def main() -> None:
    """Simulate, print each line as it comes, and write the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the usual 200 runs")
    runs = max(10, round(200 * parser.parse_args().share))
    began, used, rows = (
        time.perf_counter(),
        time.process_time(),
        ["| figure | promised | seen |", "| --- | --- | --- |"],
    )
    for simulate in SIMULATIONS:
        for line in simulate(runs):
            rows.append(f"| {' | '.join(line)} |")
            print(rows[-1], flush=True)
    used = time.process_time() - used
    print(f"{time.perf_counter() - began:.0f} s, {used:.0f} s of them computing")
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    more = f"intervals: {2 * runs}; new pictures, calibration, drift, folds of `auto`: {5 * runs}; "
    said = f"`make trust`, {runs} draws of each case ({more}accuracy of groups: {20 * runs}), {used:.0f} s of a core:"
    table = "\n".join(rows)
    PAGE.write_text(f"{head}{BEGIN}\n{said}\n\n{table}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()

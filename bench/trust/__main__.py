"""Simulate every promised figure and write what came of it into docs/how-to/trust.md: ``make trust``.

python -m bench.trust [--share 0.1]
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frostline.judge import conformal, intervals, metrics
from frostline.judge.calibrate import calibrate
from frostline.judge.compare import gain
from frostline.run.model_selection import KEEP_LEVEL, level

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
        for _ in range(runs):
            for key, figure in metrics.report(*drawn(rng, n, prior, apart), names, resamples=200).figures.items():
                held[key] += figure.low <= whole[key].value <= figure.high
        worst = min(held, key=held.__getitem__)
        got = f"{held[worst] / runs:.1%} ({metrics.in_words(worst)})"
        yield f"95 % intervals, {name}, n = {n}: the figure that is held least often", "93 %", got


def of_groups(runs: int) -> Iterator[Line]:
    """Groups of five alike pictures: the interval of accuracy."""
    rng, units, held = np.random.default_rng(1), np.repeat(np.arange(30), 5), 0
    for _ in range(5 * runs):
        right = 0.7**0.5 * np.repeat(rng.normal(size=30), 5) + 0.3**0.5 * rng.normal(size=150) < 1.2816
        figure = intervals.share(right, units)
        held += figure.low <= 0.9 <= figure.high
    yield "95 % interval of accuracy, 30 groups of 5, correlation 0.7", "93 %", f"{held / (5 * runs):.1%}"


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
        yield f"prediction sets of 95 %, {name}, n = 300: covered", "95 %", f"{np.mean(all_):.1%}"
        yield f"the same, the rarest class ({prior[-1]:.0%}) by itself", "as its pictures allow", f"{np.mean(rare):.1%}"


def of_keeping(runs: int) -> Iterator[Line]:
    """How often `auto` keeps one of two phases that are no better."""
    rng, kept = np.random.default_rng(3), 0
    for _ in range(runs):
        ease = rng.normal(1.5, 1, 150)
        best, *after = (ease + rng.normal(0, 0.7, 150) for _ in range(3))
        found = False
        for z in after:
            answers = gain(1.0 * (best > 0), 1.0 * (z > 0))
            loss = gain(-np.logaddexp(0, -best), -np.logaddexp(0, -z))
            found |= (answers.p < level(2) and loss.mean >= 0) or (loss.p < level(2) and answers.mean >= 0)
        kept += found
    yield (
        "`auto` keeps a phase that is no better (two phases, 150 pictures)",
        f"at most {KEEP_LEVEL:.0%}",
        (f"{kept / runs:.1%}"),
    )


def of_temperature(runs: int) -> Iterator[Line]:
    """A model of no use is never praised."""
    rng, praised = np.random.default_rng(4), 0
    for _ in range(runs):
        praised += calibrate(20 * rng.normal(size=(100, 3)), rng.integers(0, 3, 100)).helped
    yield "a temperature is kept for random logits", "hardly ever", f"{praised / runs:.1%}"


SIMULATIONS: tuple[Callable[[int], Iterator[Line]], ...] = (
    of_intervals, of_groups, of_new_pictures, of_sets, of_keeping, of_temperature,
)  # fmt: skip


def main() -> None:
    """Simulate, print each line as it comes, and write the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the usual 200 runs")
    runs = max(10, round(200 * parser.parse_args().share))
    began, rows = time.perf_counter(), ["| figure | promised | seen |", "| --- | --- | --- |"]
    for simulate in SIMULATIONS:
        for line in simulate(runs):
            rows.append(f"| {' | '.join(line)} |")
            print(rows[-1], flush=True)
    print(f"{time.perf_counter() - began:.0f} s")
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    said = f"`make trust`, {runs} draws of each case (groups and new pictures: {5 * runs}):"
    table = "\n".join(rows)
    PAGE.write_text(f"{head}{BEGIN}\n{said}\n\n{table}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Every method of the field as a plan: name -> Plan, one short function each.

A strategy takes the stages of a network and, by keyword, whichever options it wants. It returns data and never sees the
loop, the store or the device. A stranger's strategy is a function of the same form, reached as ``module:function`` or
announced as an entry point in the group ``frostline.strategies``.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from frostline.errors import PlanError
from frostline.net.freeze import rates
from frostline.net.stages import Stages
from frostline.registry import Registry, did_you_mean
from frostline.train.defaults import TABLE, default
from frostline.train.optimizer import fault_of
from frostline.train.plan import (
    NONE_OR_MORE,
    ONE_OR_MORE,
    RECIPE_FIELDS,
    Learns,
    Lora,
    Phase,
    Plan,
    Recipe,
    Solve,
    Train,
    flag,
    joined,
    out_of_range,
    rates_of,
)

Strategy = Callable[..., Plan]
strategies: Registry[Strategy] = Registry("strategy", "frostline.strategies", option="--strategy")
strategy = strategies.decorator


@strategy("auto")
def auto(
    stages: Stages,
    *,
    recipe: Recipe,
    lr: float,
    decay: float,
    epochs: int,
    budget: float,
    flips: bool,
    head_crops: int | None,
) -> Plan:
    """Probe first, then unfreeze as deep as there is time for, and keep it only if a paired test calls it better."""
    # A phase is judged on val, so val may not choose its epoch as well.
    recipe = replace(recipe, keep="last", patience=0)
    names, full = stages.names, rates(stages, head=lr, decay=decay)
    deeper = (
        _train(f"unfreeze {line}", stages, _above(stages, full, line), epochs, recipe, even_batches=True)
        for line in (names[0], names[2 * len(names) // 5])
    )
    solved = Solve(balanced=recipe.balance != "none", flips=flips, crops=head_crops)
    return Plan("auto", (solved, *deeper), keep="if-better", budget=budget)


@strategy("probe")
def probe(stages: Stages, *, recipe: Recipe, flips: bool, head_crops: int | None) -> Plan:
    """Fit the head over frozen features: seconds, deterministic, hard to beat on little data."""
    return Plan("probe", (Solve(balanced=recipe.balance != "none", flips=flips, crops=head_crops),))


@strategy("head2toe")
def head2toe(stages: Stages, *, recipe: Recipe, flips: bool) -> Plan:
    """Solve a head over the pooled features of all stages, for textures and small marks (Evci et al. 2022)."""
    solved = Solve("head2toe", balanced=recipe.balance != "none", all_stages=True, flips=flips)
    return Plan("head2toe", (solved,))


@strategy("freeze")
def freeze(stages: Stages, *, recipe: Recipe, lr: float, epochs: int) -> Plan:
    """Freeze the backbone and train the head by gradient descent over augmented views (the lesson's first method)."""
    return Plan("freeze", (_train("head", stages, rates(stages, head=lr), epochs, recipe),))


@strategy("discriminative")
def discriminative(stages: Stages, *, recipe: Recipe, lr: float, trunk_lr: float, epochs: int) -> Plan:
    """Train the backbone at a fraction of the head's rate (the lesson's second method)."""
    return Plan("discriminative", (_train("all", stages, rates(stages, head=lr, trunk=trunk_lr), epochs, recipe),))


@strategy("layerwise")
def layerwise(stages: Stages, *, recipe: Recipe, lr: float, decay: float, epochs: int) -> Plan:
    """Let the rate fall geometrically from the head down to the stem (Howard & Ruder 2018, arXiv:1801.06146)."""
    return Plan("layerwise", (_train("all", stages, rates(stages, head=lr, decay=decay), epochs, recipe),))


@strategy("gradual")
def gradual(stages: Stages, *, recipe: Recipe, lr: float, trunk_lr: float, epochs: int) -> Plan:
    """Unfreeze one stage after another, from the head down (Howard & Ruder 2018, arXiv:1801.06146)."""
    each = max(1, round(epochs / len(stages.names)))
    full = rates(stages, head=lr, trunk=trunk_lr)
    lines = list(reversed(stages.names))
    phases = [_train(f"unfreeze {line}", stages, _above(stages, full, line), each, recipe) for line in lines]
    return Plan("gradual", tuple(phases))


@strategy("lp-ft")
def lp_ft(stages: Stages, *, recipe: Recipe, trunk_lr: float, epochs: int, flips: bool, head_crops: int | None) -> Plan:
    """Fit the head, then train everything at a small rate from there (Kumar et al. 2022, arXiv:2202.10054)."""
    solved = Solve(balanced=recipe.balance != "none", flips=flips, crops=head_crops)
    by_stage = rates(stages, head=trunk_lr, trunk=trunk_lr)
    return Plan("lp-ft", (solved, _train("all", stages, by_stage, epochs, recipe, even_batches=True)))


@strategy("full")
def full(stages: Stages, *, recipe: Recipe, lr: float, epochs: int) -> Plan:
    """Train every stage at one rate (Kornblith et al. 2019, arXiv:1805.08974)."""
    return Plan("full", (_train("all", stages, rates(stages, head=lr, trunk=lr), epochs, recipe),))


@strategy("bitfit")
def bitfit(stages: Stages, *, recipe: Recipe, lr: float, epochs: int) -> Plan:
    """Train the head and the backbone's biases (Ben Zaken et al. 2022, arXiv:2106.10199)."""
    return Plan("bitfit", (_train("biases", stages, rates(stages, head=lr, trunk=lr), epochs, recipe, "bias"),))


@strategy("norm")
def norm(stages: Stages, *, recipe: Recipe, lr: float, epochs: int) -> Plan:
    """Train the head and the backbone's normalisation (Frankle et al. 2021, arXiv:2003.00152)."""
    return Plan("norm", (_train("norms", stages, rates(stages, head=lr, trunk=lr), epochs, recipe, "norm"),))


@strategy("lora")
def lora(stages: Stages, *, recipe: Recipe, lr: float, epochs: int, rank: int) -> Plan:
    """Train the head and low-rank adapters in the backbone, merged at the end (Hu et al. 2021, arXiv:2106.09685)."""
    adapters = Lora(rank=rank, alpha=2.0 * rank)
    return Plan("lora", (_train("adapters", stages, rates(stages, head=lr, trunk=lr), epochs, recipe, adapters),))


def make_plan(name: str, stages: Stages, given: Mapping[str, Any], *, pictures: int, weights: str = "auto") -> Plan:
    """The plan of a strategy for this network and this much data.

    given: options that the user set (absent or None: not set). pictures: training pictures, and weights: "none" if they
        are random, choose the defaults.

    Raises: UnknownName: there is no such strategy. PlanError: options are unknown, out of range, contradict each other
        or have no use; the message names all of them.
    """
    return plan_by(strategies.get(name), name, stages, given, pictures=pictures, weights=weights)


def plan_by(
    function: Strategy, name: str, stages: Stages, given: Mapping[str, Any], *, pictures: int, weights: str = "auto"
) -> Plan:
    """As ``make_plan``, of a strategy that is at hand; ``name`` is what messages call it.

    Raises: PlanError: as ``make_plan``.
    """
    wanted = _options_of(name, function)
    told = {option: value for option, value in given.items() if value is not None}
    faults = _faults(told, wanted)
    known = {**told, "strategy": name, "weights": weights}
    options: dict[str, Any] = {}
    for option, own in wanted.items():
        if option in told:
            options[option] = told[option]
        elif option == "recipe":
            try:
                options[option] = make_recipe(known, pictures=pictures)
            except PlanError as error:
                faults.append(error)
        elif own is inspect.Parameter.empty:
            options[option] = default(option, pictures, known)
    if faults:
        raise joined(faults)
    plan = function(stages, **options)
    _check(plan, name, stages)
    idle = sorted(option for option, value in told.items() if option not in wanted and not _used(plan, option, value))
    if idle:
        idle = ["--lr auto" if option == "rate_search" else flag(option) for option in idle]
        takes = [flag(option) for option in wanted if option != "recipe"]
        raise PlanError(
            f"the strategy {name!r} has no use for {', '.join(idle)}",
            where=f"--strategy {name}",
            hint=f"leave that out, or take another strategy; it takes: {', '.join(takes) or 'no rates and no epochs'}",
        )
    return plan


def check_given(name: str, given: Mapping[str, Any]) -> None:
    """Refuse options of a strategy that no network and no data could make right.

    Raises: UnknownName, PlanError: as ``make_plan``.
    """
    told = {option: value for option, value in given.items() if value is not None}
    if faults := _faults(told, _options_of(name, strategies.get(name))):
        raise joined(faults)


def make_recipe(given: Mapping[str, Any], *, pictures: int) -> Recipe:
    """A recipe of what was given, the rest from the table for that many training pictures.

    given: options by name; "strategy" among them chooses between defaults.

    Raises: PlanError: a value is out of range.
    """
    told = {name: given[name] for name in RECIPE_FIELDS if given.get(name) is not None}
    return Recipe(**{name: told[name] if name in told else default(name, pictures, given) for name in RECIPE_FIELDS})


# An option, and the values of another one without which it would do nothing.
_NEEDS: dict[str, tuple[str, frozenset[object]]] = {
    "step_size": ("schedule", frozenset({"step"})),
    "gamma": ("schedule", frozenset({"step", "plateau"})),
}
_IN_VAIN_WITH: dict[str, tuple[str, object]] = {
    "warmup": ("schedule", "one-cycle"),
    "augment": ("views", 1),
    "erasing": ("views", 1),
}
_RANGES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "lr": (lambda x: 0 < x < math.inf, "a number above 0"),
    "trunk_lr": (lambda x: 0 <= x < math.inf, NONE_OR_MORE),
    "decay": (lambda x: 0 < x <= 1, "in (0, 1]"),
    "epochs": (lambda x: isinstance(x, int) and x >= 1, ONE_OR_MORE),
    "rank": (lambda x: isinstance(x, int) and x >= 1, ONE_OR_MORE),
    "head_crops": (lambda x: isinstance(x, int) and x >= 0, "a whole number of 0 or more"),
}


def _options_of(name: str, function: Strategy) -> dict[str, Any]:
    """The keyword options of a strategy, with their own defaults."""
    if not callable(function):
        raise PlanError(f"the strategy {name!r} is no function but {type(function).__name__}")
    parameters = list(inspect.signature(function).parameters.values())[1:]
    wanted = {p.name: p.default for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    strange = [o for o, own in wanted.items() if own is inspect.Parameter.empty and o not in {"recipe", *TABLE}]
    if strange:
        raise PlanError(
            f"the strategy {name!r} asks for {', '.join(strange)}, which is no option and has no default",
            hint=f"give it a default, or take some of: recipe, {', '.join(TABLE)}",
        )
    return wanted


def _faults(told: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[PlanError]:
    """What is wrong with the options by themselves, all of it."""
    known = [*TABLE, *wanted]
    found = [
        PlanError(f"there is no option {o!r}", where=o, hint=did_you_mean(o, known) or "see `frostline fit --help`")
        for o in told
        if o not in known
    ]
    found += [
        out_of_range(option, told[option], words)
        for option, (right, words) in _RANGES.items()
        if option in told and not right(told[option])
    ]
    found += [
        _idle(option, f"unless {flag(other)} is {' or '.join(sorted(map(str, values)))}")
        for option, (other, values) in _NEEDS.items()
        if option in told and told.get(other) not in values
    ]
    found += [
        _idle(option, f"if {flag(other)} is {value}")
        for option, (other, value) in _IN_VAIN_WITH.items()
        if told.get(option, 0) not in (0, "none") and told.get(other) == value
    ]
    if "optimizer" in told or "momentum" in told:
        optimizer = told.get("optimizer", TABLE["optimizer"].small)
        if said := fault_of(str(optimizer), momentum="momentum" in told):
            what, _, others = said.partition("; ")
            place = "--optimizer" if others else "--momentum"
            found.append(PlanError(what, where=place, hint=others or "leave --momentum out"))
    return found


def _idle(option: str, when: str) -> PlanError:
    """An option that another one leaves nothing to."""
    return PlanError(f"{flag(option)} does nothing {when}", where=flag(option), hint=f"leave {flag(option)} out")


def _used(plan: Plan, option: str, value: object) -> bool:
    """Whether some phase does what an option of the recipe says."""
    return any(
        option == "balance" and phase.balanced == (value != "none")
        if isinstance(phase, Solve)
        else option in RECIPE_FIELDS and getattr(phase.recipe, option) == value
        for phase in plan.phases
    )


def _check(plan: Plan, name: str, stages: Stages) -> None:
    """What a stranger's function may have got wrong."""
    if not isinstance(plan, Plan):
        raise PlanError(
            f"the strategy {name!r} returned {type(plan).__name__}, not a Plan",
            hint="return frostline.Plan(name, phases)",
        )
    for phase in plan.phases:
        if not isinstance(phase, Phase):
            raise PlanError(
                f"a phase of {name!r} is of type {type(phase).__name__}", hint="a phase is a Solve or a Train"
            )
    for phase in plan.phases:
        if isinstance(phase, Train) and tuple(stage for stage, _ in phase.rates) != tuple(stages.names):
            raise PlanError(
                f"the phase {phase.name!r} gives rates for {[s for s, _ in phase.rates]}",
                where=f"strategy {plan.strategy}",
                hint=f"give one rate for each stage, stem first: {', '.join(stages.names)}",
            )


def _train(
    name: str,
    stages: Stages,
    by_stage: Mapping[str, float],
    epochs: int,
    recipe: Recipe,
    learns: Learns = "all",
    *,
    even_batches: bool = False,
) -> Train:
    by_name = rates_of({stage: by_stage[stage] for stage in stages.names})
    return Train(name, by_name, epochs, recipe, learns, even_batches)


def _above(stages: Stages, by_stage: Mapping[str, float], line: str) -> dict[str, float]:
    """The same rates, with 0 for everything below a stage."""
    start = stages.names.index(line)
    return {stage: by_stage[stage] if i >= start else 0.0 for i, stage in enumerate(stages.names)}

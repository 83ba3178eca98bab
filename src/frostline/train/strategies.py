"""Every method of the field as a plan: name -> Plan, one short function each.

A strategy takes the stages of a network and, by keyword, whichever options it wants. It returns data and never sees the
loop, the store or the device. A stranger's strategy is a function of the same form, reached as ``module:function`` or
announced as an entry point in the group ``frostline.strategies``.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from frostline.errors import PlanError
from frostline.net.freeze import rates
from frostline.net.stages import Stages
from frostline.registry import Registry
from frostline.train.defaults import TABLE, default
from frostline.train.plan import RECIPE_FIELDS, Learns, Lora, Plan, Recipe, Solve, Train, rates_of

Strategy = Callable[..., Plan]
strategies: Registry[Strategy] = Registry("strategy", "frostline.strategies")
strategy = strategies.decorator


@strategy("auto")
def auto(stages: Stages, *, recipe: Recipe, lr: float, decay: float, epochs: int, budget: float = 300.0) -> Plan:
    """Probe first, then thaw deeper while it measurably helps: never worse than the probe."""
    # A phase is judged on val, so val may not choose its epoch as well.
    recipe = replace(recipe, keep="last", patience=0)
    names = stages.names
    half = names[len(names) // 2]
    deeper = (
        _train(f"thaw {line}", stages, _falling(stages, lr, decay, line), epochs, recipe) for line in (half, names[0])
    )
    return Plan("auto", (Solve(balanced=recipe.balance != "none"), *deeper), keep="if-better", budget=budget)


@strategy("probe")
def probe(stages: Stages, *, recipe: Recipe) -> Plan:
    """Solve the head over frozen features: seconds, deterministic, hard to beat on little data."""
    return Plan("probe", (Solve(balanced=recipe.balance != "none"),))


@strategy("freeze")
def freeze(stages: Stages, *, recipe: Recipe, lr: float, epochs: int) -> Plan:
    """Freeze the trunk and train the head by gradient descent over augmented views (the lesson's first method)."""
    return Plan("freeze", (_train("head", stages, rates(stages, head=lr), epochs, recipe),))


@strategy("discriminative")
def discriminative(stages: Stages, *, recipe: Recipe, lr: float, trunk_lr: float, epochs: int) -> Plan:
    """Train the trunk at a fraction of the head's rate (the lesson's second method)."""
    return Plan("discriminative", (_train("all", stages, rates(stages, head=lr, trunk=trunk_lr), epochs, recipe),))


@strategy("layerwise")
def layerwise(stages: Stages, *, recipe: Recipe, lr: float, decay: float, epochs: int) -> Plan:
    """Let the rate fall geometrically from the head down to the stem (Howard & Ruder 2018, arXiv:1801.06146)."""
    return Plan("layerwise", (_train("all", stages, rates(stages, head=lr, decay=decay), epochs, recipe),))


@strategy("gradual")
def gradual(stages: Stages, *, recipe: Recipe, lr: float, trunk_lr: float, epochs: int) -> Plan:
    """Thaw one stage after another, from the head down (Howard & Ruder 2018, arXiv:1801.06146)."""
    each = max(1, round(epochs / len(stages.names)))
    full = rates(stages, head=lr, trunk=trunk_lr)
    lines = list(reversed(stages.names))
    phases = [_train(f"thaw {line}", stages, _above(stages, full, line), each, recipe) for line in lines]
    return Plan("gradual", tuple(phases))


@strategy("lp-ft")
def lp_ft(stages: Stages, *, recipe: Recipe, trunk_lr: float, epochs: int) -> Plan:
    """Solve the head, then train everything at a small rate from there (Kumar et al. 2022, arXiv:2202.10054)."""
    solved = Solve(balanced=recipe.balance != "none")
    return Plan("lp-ft", (solved, _train("all", stages, rates(stages, head=trunk_lr, trunk=trunk_lr), epochs, recipe)))


@strategy("full")
def full(stages: Stages, *, recipe: Recipe, epochs: int, lr: float = 3e-4) -> Plan:
    """Train every stage at one rate (Kornblith et al. 2019, arXiv:1805.08974)."""
    return Plan("full", (_train("all", stages, rates(stages, head=lr, trunk=lr), epochs, recipe),))


@strategy("bitfit")
def bitfit(stages: Stages, *, recipe: Recipe, lr: float, epochs: int) -> Plan:
    """Train the head and the trunk's biases (Ben Zaken et al. 2022, arXiv:2106.10199)."""
    return Plan("bitfit", (_train("biases", stages, rates(stages, head=lr, trunk=lr), epochs, recipe, "bias"),))


@strategy("norm")
def norm(stages: Stages, *, recipe: Recipe, lr: float, epochs: int) -> Plan:
    """Train the head and the trunk's normalisation (Frankle et al. 2021, arXiv:2003.00152)."""
    return Plan("norm", (_train("norms", stages, rates(stages, head=lr, trunk=lr), epochs, recipe, "norm"),))


@strategy("lora")
def lora(stages: Stages, *, recipe: Recipe, lr: float, epochs: int, rank: int) -> Plan:
    """Train the head and low-rank adapters in the trunk, merged at the end (Hu et al. 2021, arXiv:2106.09685)."""
    adapters = Lora(rank=rank, alpha=2.0 * rank)
    return Plan("lora", (_train("adapters", stages, rates(stages, head=lr, trunk=lr), epochs, recipe, adapters),))


def make_plan(name: str, stages: Stages, given: Mapping[str, Any], *, pictures: int) -> Plan:
    """The plan of a strategy for this network and this much data.

    given: options that the user set (absent or None: not set). pictures: training pictures, which choose the defaults.

    Raises: UnknownName: there is no such strategy. PlanError: an option has no meaning for it, or is out of range.
    """
    function = strategies.get(name)
    parameters = list(inspect.signature(function).parameters.values())[1:]
    wanted = {p.name: p.default for p in parameters}
    told = {key: value for key, value in given.items() if value is not None}
    options: dict[str, Any] = {}
    for option, own in wanted.items():
        if option == "recipe":
            options[option] = make_recipe(told, pictures=pictures)
        elif option in told:
            options[option] = told[option]
        elif own is inspect.Parameter.empty:
            if option not in TABLE:
                raise PlanError(
                    f"the strategy {name!r} asks for {option!r}, which is no option and has no default",
                    hint=f"give it a default, or take one of: recipe, {', '.join(TABLE)}",
                )
            options[option] = default(option, pictures)
    idle = sorted(key for key in told.keys() & _RATES_AND_LENGTH if key not in wanted and name in _BUILT_IN)
    if idle:
        raise PlanError(
            f"the strategy {name!r} has no use for {', '.join(idle)}",
            hint=f"it takes: {', '.join(wanted) or 'no options'}; frostline strategies lists the others",
        )
    plan = function(stages, **options)
    if not isinstance(plan, Plan):
        raise PlanError(
            f"the strategy {name!r} returned {type(plan).__name__}, not a Plan",
            hint="return frostline.Plan(name, phases)",
        )
    _check_stages(plan, stages)
    return plan


def make_recipe(given: Mapping[str, Any], *, pictures: int) -> Recipe:
    """A recipe of what was given, the rest from the table for that many training pictures."""
    return Recipe(
        **{name: given[name] if given.get(name) is not None else default(name, pictures) for name in RECIPE_FIELDS}
    )


_RATES_AND_LENGTH = frozenset({"lr", "trunk_lr", "decay", "epochs", "rank"})
_BUILT_IN = frozenset(strategies.names())


def _check_stages(plan: Plan, stages: Stages) -> None:
    for phase in plan.phases:
        if isinstance(phase, Train) and tuple(stage for stage, _ in phase.rates) != tuple(stages.names):
            raise PlanError(
                f"the phase {phase.name!r} gives rates for {[s for s, _ in phase.rates]}",
                where=f"strategy {plan.strategy}",
                hint=f"give one rate for each stage, stem first: {', '.join(stages.names)}",
            )


def _train(
    name: str, stages: Stages, by_stage: Mapping[str, float], epochs: int, recipe: Recipe, learns: Learns = "all"
) -> Train:
    return Train(name, rates_of({stage: by_stage[stage] for stage in stages.names}), epochs, recipe, learns)


def _above(stages: Stages, by_stage: Mapping[str, float], line: str) -> dict[str, float]:
    """The same rates, with 0 for everything below a stage."""
    start = stages.names.index(line)
    return {stage: by_stage[stage] if i >= start else 0.0 for i, stage in enumerate(stages.names)}


def _falling(stages: Stages, lr: float, decay: float, line: str) -> dict[str, float]:
    return _above(stages, rates(stages, head=lr, decay=decay), line)

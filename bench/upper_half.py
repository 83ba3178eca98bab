"""A strategy of one's own, as a stranger would write it: only the upper half of the stages learns."""

from frostline.net.freeze import rates
from frostline.net.stages import Stages
from frostline.train.plan import Plan, Recipe, Train, rates_of


def upper_half(stages: Stages, *, recipe: Recipe, lr: float, epochs: int) -> Plan:
    """One rate for the upper half of the stages, 0 below."""
    names = stages.names
    each = rates(stages, head=lr, trunk=lr)
    upper = {name: each[name] if index >= len(names) // 2 else 0.0 for index, name in enumerate(names)}
    return Plan("upper-half", (Train("upper half", rates_of(upper), epochs, recipe),))

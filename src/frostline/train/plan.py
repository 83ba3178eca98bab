"""A fine-tuning run as data: phases, each with a frost line, a rate per stage above it, and a way of learning.

A plan can be printed, compared, tested, searched and written into ``plan.json``; it does nothing by itself.
`strategies` makes plans, `run` carries them out.

    Plan
    ├── Solve     the head is solved as a logistic regression over frozen features
    └── Train     some stages are trained by gradient descent, with a Recipe
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from frostline.errors import PlanError
from frostline.options import OPTIONS
from frostline.registry import did_you_mean

SCHEDULES = ("constant", "step", "cosine", "one-cycle", "plateau")
AUGMENTATIONS = ("none", "flip", "basic", "resized-crop", "trivial", "rand")
BALANCES = ("none", "sampling", "weights")
FROZEN_NORMS = ("hold", "hold-all", "update")
KEEPS = ("best", "last")
ONE_OR_MORE, NONE_OR_MORE = "a whole number of 1 or more", "a number of 0 or more"
_COUNTS, _OR_NONE = ("batch_size", "accumulate", "step_size"), ("views", "patience")
_SHARES = ("label_smoothing", "ema", "momentum")
_AMOUNTS = ("weight_decay", "warmup", "gamma", "mixup", "cutmix", "l2sp", "clip")


def _usual(name: str) -> Any:
    """The default of `fit` for small data (< 1,000 training pictures)."""
    by_size = OPTIONS[name].by_size
    return None if by_size is None else by_size.small


def flag(name: str) -> str:
    """An option as it is typed; one of a stranger's strategy as its function calls it."""
    return OPTIONS[name].flag if name in OPTIONS else name


def fault(name: str, wrong: str, hint: str) -> PlanError:
    """What is wrong with the value of one option."""
    return PlanError(f"{flag(name)} is {wrong}", where=flag(name), hint=hint)


def out_of_range(name: str, value: object, words: str) -> PlanError:
    """A value that is not what `words` say."""
    return fault(name, f"{value}, not {words}", f"give {'a number ' if words.startswith('in ') else ''}{words}")


def joined(faults: Sequence[PlanError]) -> PlanError:
    """One fault as it is; several as one error that tells all of them."""
    if len(faults) == 1:
        return faults[0]
    places = dict.fromkeys(place for error in faults if (place := error.where))
    what, where = "; ".join(error.what for error in faults), ", ".join(places)
    return PlanError(what, where=where or None, hint="see `frostline fit --help`")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a phase learns, whatever it is that learns. A value of 0 switches the thing off.

    The defaults are those of `options` for small data; `strategies.make_recipe` chooses by the size of the data.

    batch_size: pictures a step, over all processes together.
    optimizer: a name that ``timm.optim.create_optimizer_v2`` knows.
    schedule: one of `SCHEDULES`; warmup is in epochs, step_size in epochs, gamma a factor.
    rate_search: multiply all rates by what a learning-rate range test finds (Smith 2015, arXiv:1506.01186).
    label_smoothing: share of the target spread over all classes (Szegedy et al. 2015, arXiv:1512.00567).
    mixup, cutmix: the Beta parameter (Zhang et al. 2017, arXiv:1710.09412; Yun et al. 2019, arXiv:1905.04899).
    augment, erasing: how training views are made; erasing is a probability (Zhong et al. 2017, arXiv:1708.04896).
    views: augmented views a picture that are stored; epoch e reads view e mod views. 1 is no augmentation; 0 makes a
        fresh view in every epoch and stores nothing.
    ema: decay of the weights' moving average (Polyak & Juditsky 1992).
    l2sp: pull of the trunk's weights to where they started (Li et al. 2018, arXiv:1802.01483).
    interpolate: how much of the way from the weights that a phase began with to those it learnt is gone in the end, in
        (0, 1]; 1 is all of it (WiSE-FT, Wortsman et al. 2022, arXiv:2109.01903).
    clip: largest norm of the gradient. accumulate: batches an optimizer step.
    balance: "sampling" draws classes equally often, "weights" weighs the loss by inverse class frequency.
    patience: epochs without a better val figure before a phase ends early.
    keep: which weights a phase leaves behind: those of its best epoch on val, or of its last.
    frozen_norm: "hold" keeps normalisation below the frost line fixed; "hold-all" keeps the running statistics above
        it as well; "update" lets all of them move, as `requires_grad = False` alone does in a plain loop.
    compile: hand the suffix to ``torch.compile``.
    """

    batch_size: int = _usual("batch_size")
    optimizer: str = _usual("optimizer")
    momentum: float = _usual("momentum")
    weight_decay: float = _usual("weight_decay")
    schedule: str = _usual("schedule")
    warmup: float = _usual("warmup")
    step_size: int = _usual("step_size")
    gamma: float = _usual("gamma")
    rate_search: bool = False
    label_smoothing: float = _usual("label_smoothing")
    mixup: float = _usual("mixup")
    cutmix: float = _usual("cutmix")
    augment: str = _usual("augment")
    erasing: float = _usual("erasing")
    views: int = _usual("views")
    ema: float = _usual("ema")
    l2sp: float = _usual("l2sp")
    interpolate: float = _usual("interpolate")
    clip: float = _usual("clip")
    accumulate: int = _usual("accumulate")
    balance: str = _usual("balance")
    patience: int = _usual("patience")
    keep: str = _usual("keep")
    frozen_norm: str = _usual("frozen_norm")
    compile: bool = _usual("compile")

    def __post_init__(self) -> None:
        faults = self._faults()
        if faults:
            raise joined(faults)

    def _faults(self) -> list[PlanError]:
        """Every fault at once, so that a user mends them in one go."""
        allowed = {
            "schedule": SCHEDULES,
            "augment": AUGMENTATIONS,
            "balance": BALANCES,
            "frozen_norm": FROZEN_NORMS,
            "keep": KEEPS,
        }
        found = [
            fault(
                name,
                f"{getattr(self, name)!r}, not one of {', '.join(values)}",
                did_you_mean(str(getattr(self, name)), values) or f"one of {', '.join(values)}",
            )
            for name, values in allowed.items()
            if getattr(self, name) not in values
        ]
        ranges: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
            *((name, lambda x: isinstance(x, int) and x >= 1, ONE_OR_MORE) for name in _COUNTS),
            *((name, lambda x: isinstance(x, int) and x >= 0, "a whole number of 0 or more") for name in _OR_NONE),
            *((name, lambda x: 0 <= x < 1, "in [0, 1)") for name in _SHARES),
            ("interpolate", lambda x: 0 < x <= 1, "in (0, 1]"),
            ("erasing", lambda x: 0 <= x <= 1, "in [0, 1]"),
            *((name, lambda x: 0 <= x < math.inf, NONE_OR_MORE) for name in _AMOUNTS),
        )
        return found + [
            out_of_range(name, getattr(self, name), words)
            for name, right, words in ranges
            if not right(getattr(self, name))
        ]


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adapters in place of the weights themselves (Hu et al. 2021, arXiv:2106.09685)."""

    rank: int = 8
    alpha: float = 16.0

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise PlanError(f"adapters of rank {self.rank}", where="--rank", hint="give 1 or more; 8 is usual")


Learns = Literal["all", "bias", "norm"] | Lora

HEAD_CROPS = 4
"""How many random crops of a picture a head is fitted to beside it, where nobody says."""


@dataclass(frozen=True, slots=True)
class Solve:
    """The frost line lies right under the head, and the head is solved.

    balanced: weigh the classes by their inverse frequency.
    all_stages: the head reads what every stage sees (`net.all_stages`), and the plain head is solved beside it.
    flips: it learns from mirror images too, where the out-of-fold log loss is then lower.
    crops: it learns from so many random crops of each picture too, unless the out-of-fold log loss is then clearly
        higher; None is `HEAD_CROPS` where that is little work.
    """

    name: str = "probe"
    balanced: bool = False
    all_stages: bool = False
    flips: bool = False
    crops: int | None = 0

    @property
    def line(self) -> str:
        """The first stage that learns."""
        return "head"


@dataclass(frozen=True, slots=True)
class Train:
    """Stages with a rate above 0 are trained; everything below the lowest of them is frozen.

    rates: (stage, learning rate at the schedule's peak) for every stage of the network, stem first.
    learns: which of the parameters in those stages: all, biases only, normalisation only, or low-rank adapters. The
        head always learns whole.
    even_batches: all of an epoch are about as large. The few pictures left over at its end would take a whole step:
        after batches of 16 and one of 3 a network with a fitted head fell from 75 to 68 % on textile; even, it rose
        to 91.
    """

    name: str
    rates: tuple[tuple[str, float], ...]
    epochs: int
    recipe: Recipe = field(default_factory=Recipe)
    learns: Learns = "all"
    even_batches: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise PlanError(f"the phase {self.name!r} has {self.epochs} epochs", hint="give --epochs 1 or more")
        if isinstance(self.learns, Lora) and self.recipe.interpolate < 1:
            raise PlanError(
                f"the phase {self.name!r} learns adapters, whose factors cannot be interpolated",
                where="--interpolate",
                hint="leave it out, or take a strategy without adapters",
            )
        if not all(0 <= rate < math.inf for _, rate in self.rates) or not any(rate > 0 for _, rate in self.rates):
            raise PlanError(
                f"the phase {self.name!r} cannot learn at the rates {dict(self.rates)}",
                hint="each is a number of 0 or more, and at least one is above 0",
            )

    def shortened(self, epochs: int) -> "Train":
        """The phase in so many of its epochs, 1 or more; the warm-up is as much shorter.

        Raises: PlanError: there would be no epoch.
        """
        warmup = self.recipe.warmup * epochs / self.epochs
        return replace(self, epochs=epochs, recipe=replace(self.recipe, warmup=warmup))

    @property
    def line(self) -> str:
        """The frost line: the first stage, from the stem up, whose rate is above 0."""
        return next(stage for stage, rate in self.rates if rate > 0)

    @property
    def stored(self) -> bool:
        """Whether it learns from stored activations at its line; otherwise from pictures."""
        return self.line != self.rates[0][0] and self.recipe.views > 0 and self.recipe.frozen_norm != "update"

    @property
    def still(self) -> frozenset[str]:
        """Stages above the frost line that all the same do not learn."""
        names = [stage for stage, _ in self.rates]
        above = self.rates[names.index(self.line) :]
        return frozenset(stage for stage, rate in above if rate == 0)


Phase = Solve | Train


@dataclass(frozen=True, slots=True)
class Plan:
    """A list of phases; each starts from the weights that the one before left.

    keep: "always", or "if-better": a phase that is not measurably better than the best so far is undone, and those
        that unfreeze more are then left out. One that unfreezes less than a phase before it is for where that was not
        carried out, for want of time for two fifths of its epochs, which every phase needs.
    budget: seconds that all phases together may take, or None; phases that train share what is left of it.
    """

    strategy: str
    phases: tuple[Phase, ...]
    keep: Literal["always", "if-better"] = "always"
    budget: float | None = None

    def __post_init__(self) -> None:
        if not self.phases:
            raise PlanError(
                f"the strategy {self.strategy!r} made a plan without phases", hint="return at least one Solve or Train"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for ``plan.json``."""
        phases = []
        for phase in self.phases:
            plain = asdict(phase)
            if isinstance(phase, Train):
                plain["rates"] = dict(phase.rates)
            phases.append({"kind": type(phase).__name__.lower(), "line": phase.line, **plain})
        return {"strategy": self.strategy, "keep": self.keep, "budget": self.budget, "phases": phases}


RECIPE_FIELDS: tuple[str, ...] = tuple(f.name for f in fields(Recipe))


def rates_of(rates: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """A mapping of stage -> rate, stem first, in the form that `Train` holds."""
    return tuple((stage, float(rate)) for stage, rate in rates.items())

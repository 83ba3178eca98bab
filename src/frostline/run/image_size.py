"""The side of the pictures that a network gets, where it is to be chosen: its own, or about 1.3 times that.

A network that was trained on random crops sees things larger than they are in whole pictures; seen larger, they look as
it expects (Touvron et al. 2019, arXiv:1906.06423). It costs 1.7 times the computing for ever after, and where pictures
are tiny it blurs them: so a fitted head decides, by its out-of-fold log loss at both sizes. `auto` tries it by itself
where that is little work, any strategy where it is asked to.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from frostline.data.manifest import Manifest
from frostline.data.split import few, fold_numbers
from frostline.data.views import EvaluationView
from frostline.errors import DataError, PlanError
from frostline.events import Listener, Note
from frostline.features.activations import Activations
from frostline.net.trace import operations
from frostline.net.zoo import Backbone
from frostline.options import FitOptions
from frostline.quantities import seconds
from frostline.train.defaults import default
from frostline.train.solve import out_of_fold_losses, solve

AUTO = "auto"

_MOST_WORK = 2e12

_FACTOR = 1.3
_STEP = 32
_FOLDS = 5
_CLEARLY = 0.5  # standard errors of the mean difference by which the larger size must be better

Build = Callable[[int | None], Backbone]
Features = Callable[[Backbone], Activations]


def larger(side: int) -> int:
    """The other size that is tried beside a network's own, a multiple of 32."""
    return max(side + _STEP, round(_FACTOR * side / _STEP) * _STEP)


def allowed_work(budget: float | str | None) -> float:
    """Floating-point operations that trying the larger size may take where nobody asked for it.

    15 seconds on two cores: with more pictures, training on the larger ones would not fit into the time of `auto`.
    budget: the time limit that was given; a shorter one allows less.
    """
    usual: float = default("budget", 1)
    given = seconds(budget)
    return _MOST_WORK * min(1.0, (usual if given is None else given) / usual)


def chosen_side(
    build: Build,
    features: Features,
    manifest: Manifest,
    options: FitOptions,
    tell: Listener,
    *,
    most: float | None = None,
) -> tuple[int | None, bool]:
    """The side to compute with, or None for the network's own, and whether it was chosen by the pictures.

    build: the network at a side. features: what reaches its head. manifest: its training pictures decide, and no
        others. What is split off to judge by afterwards is among them. most: floating-point operations that the larger
        size may take, reckoned from the own size by the pixels; where it would take more, it is not tried, nor built.
    """
    own = build(None)
    side = own.preprocessing.size[0]
    other = larger(side)
    rows = tuple(replace(row, split=None) for row in manifest.rows if row.split in (None, "train"))
    train = replace(manifest, rows=rows)
    if options.few is not None:
        train = few(train, options.few, seed=options.seed)
    try:
        if most is not None and len(train) * operations(own.net, own.preprocessing) * (other / side) ** 2 > most:
            tell(Note(f"pictures are seen at {side} x {side}; --image-size auto tries {other} x {other} too"))
            return None, False
        big = build(other)
        fold = fold_numbers(train, min(_FOLDS, len(train)), seed=options.seed)
        at_own, at_other = (_losses(backbone, features(backbone), train, fold, options.seed) for backbone in (own, big))
    except (PlanError, DataError) as error:
        tell(Note(f"pictures are seen at {side} x {side}, for {other} x {other} cannot be tried: {error.what}"))
        return None, False
    gain = at_own - at_other
    better = len(gain) > 1 and gain.mean() > _CLEARLY * gain.std() / np.sqrt(len(gain))
    taken = other if better else side
    figures = f"log loss out of fold {at_other.mean():.3f} at {other} x {other}, {at_own.mean():.3f} at {side} x {side}"
    cost = f"; an answer takes {(other / side) ** 2:.1f} times as long" if better else ""
    tell(Note(f"pictures are seen at {taken} x {taken}: {figures}{cost}"))
    return other if better else None, True


def _losses(
    backbone: Backbone, activations: Activations, train: Manifest, fold: NDArray[np.int64], seed: int
) -> NDArray[np.float64]:
    """Out-of-fold log loss (n,) of a head over the network's features; they stay in the store, for the run itself.

    Raises: DataError, PlanError: a head cannot be fitted, or nothing is held out.
    """
    side = backbone.preprocessing.size[0]
    if backbone.head.others:
        raise PlanError("the network has more than one head")
    what = f"pictures at {side} x {side}"
    read, skipped = activations.at("head", train.rows, EvaluationView(backbone.preprocessing), what=what)
    left_out = {item.name for item in skipped}
    there = np.array([row.name not in left_out for row in train.rows])
    part = replace(train, rows=tuple(row for row, kept in zip(train.rows, there, strict=True) if kept))
    x = read(np.arange(len(part)))
    if x[0].size != backbone.head.features:
        raise PlanError("the head does not read one vector a picture")
    vectors: NDArray[np.float32] = x.reshape(len(x), -1).astype(np.float32, copy=False)
    y, classes = part.targets(), len(train.classes)
    solved = solve(vectors, y, classes=classes, seed=seed, folds=fold[there])
    if not solved.first.any():
        raise DataError("no class has two pictures")
    return out_of_fold_losses(solved, y, classes)

"""A head that learns from several views of each picture, and answers from one.

All views of a picture are in one fold, so nothing that is judged has been seen in another view. Whether it pays is
asked of the out-of-fold log loss of the pictures as they are: a mirror image may be of another class, as with digits.
Nor does a picture choose by which of the two heads it is judged: with 15 pictures that was 0.05 nats too good.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from frostline.train.likelihood import AnyFloats, Indices, likelihood_of
from frostline.train.solve import Solved, solve, stratified


@dataclass(frozen=True)
class Chosen:
    """What came of it.

    solved: the head, with out-of-fold logits (N, K) of the pictures as they are. several: it learned from all views.
    loss, loss_several: mean log loss out of fold in nats, of one view and of all; NaN if nothing can be judged. With
        several labels a picture, the mean over single decisions, as all figures have it.
    """

    solved: Solved
    several: bool
    loss: float
    loss_several: float


def solve_several_views(
    x: AnyFloats,
    others: Sequence[AnyFloats],
    y: Indices | AnyFloats,
    *,
    classes: int,
    balanced: bool = False,
    seed: int = 0,
    folds: int | Indices = 5,
    ends: tuple[int, ...] = (),
    doubt: float = 0.0,
) -> Chosen:
    """Solve a head for features x (N, D) alone, and for x and other views of the same pictures, (N, D) each, together.

    doubt: standard errors by which the loss of all views may be higher, and they are taken all the same; 0: it has to
        be lower. The other arguments, and what is raised: as ``solve``.
    """
    likelihood = likelihood_of(y, classes)
    fold = stratified(likelihood.kinds(), folds, seed) if isinstance(folds, int) else np.asarray(folds, np.int64)
    fitted = partial(solve, classes=classes, balanced=balanced, seed=seed, ends=ends)
    one = fitted(x, y, folds=fold)
    if not one.judged.any():
        return Chosen(one, False, float("nan"), float("nan"))
    views = 1 + len(others)
    every = fitted(np.concatenate([x, *others]), np.concatenate([y] * views), folds=np.tile(fold, views))
    held = one.first & every.first[: len(x)]  # of a large problem one fold is judged, of a small one all are
    losses, losses_every = (likelihood.losses(solved.out_of_first_fold()[: len(x)]) for solved in (one, every))

    def pays(of: NDArray[np.bool_]) -> bool:
        worse = (losses_every - losses)[of]
        return bool(worse.mean() < doubt * worse.std() / np.sqrt(len(worse)))

    taken = pays(held)
    by_others = np.full(len(x), taken)  # what is chosen without the pictures of a picture's own fold
    for number in np.unique(fold[held]):
        if (elsewhere := held & (fold != number)).any():
            by_others[fold == number] = pays(elsewhere)
    decisions = 1 if y.ndim == 1 else classes
    means = (float(each[held].mean()) / decisions for each in (losses, losses_every))
    return Chosen(_judged_by(one, every, taken, by_others), taken, *means)


def _judged_by(one: Solved, every: Solved, taken: bool, by_others: NDArray[np.bool_]) -> Solved:
    """The head that is taken, with logits of pictures (N,) by that which the pictures of other folds would take."""
    n = len(by_others)

    def logits(of: Callable[[Solved], NDArray[np.float32]]) -> NDArray[np.float32]:
        if (by_others == taken).all():
            return of(every)[:n] if taken else of(one)
        return np.where(by_others[:, None], of(every)[:n], of(one))

    return replace(
        every if taken else one,
        judged=one.judged,
        first=every.first[:n] if taken else one.first,
        out_of_fold=lambda: logits(lambda solved: solved.out_of_fold()),
        out_of_first_fold=lambda: logits(lambda solved: solved.out_of_first_fold()),
    )

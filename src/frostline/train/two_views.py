"""A head that learns from pictures and from their mirror images, and answers from one view.

Both views of a picture are in one fold, so nothing that is judged has been seen in the mirror. Whether it pays is asked
of the out-of-fold log loss of the pictures as they are: it does not where a mirror changes the class, as with digits.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from frostline.train.likelihood import AnyFloats, AnyOf, Indices, OneOf
from frostline.train.solve import Solved, out_of_fold_losses, solve, stratified


@dataclass(frozen=True)
class Chosen:
    """What came of it.

    solved: the head, with out-of-fold logits (N, K) of the pictures as they are. mirrored: it learned from both views.
    loss, loss_mirrored: mean log loss out of fold in nats, of one view and of both; NaN if nothing can be judged.
    """

    solved: Solved
    mirrored: bool
    loss: float
    loss_mirrored: float


def solve_two_views(
    x: AnyFloats,
    mirrored: AnyFloats,
    y: Indices | AnyFloats,
    *,
    classes: int,
    balanced: bool = False,
    seed: int = 0,
    folds: int | Indices = 5,
    ends: tuple[int, ...] = (),
) -> Chosen:
    """Solve a head for features x (N, D), and for x and mirrored (N, D) together; the one with the lower loss is taken.

    The other arguments, and what is raised: as ``solve``.
    """
    likelihood = AnyOf(y.astype(np.float64)) if y.ndim == 2 else OneOf(y.astype(np.int64), classes)
    fold = stratified(likelihood.kinds(), folds, seed) if isinstance(folds, int) else np.asarray(folds, np.int64)
    one = solve(x, y, classes=classes, balanced=balanced, seed=seed, folds=fold, ends=ends)
    if not one.judged.any():
        return Chosen(one, False, float("nan"), float("nan"))
    both = solve(
        np.concatenate([x, mirrored]),
        np.concatenate([y, y]),
        classes=classes,
        balanced=balanced,
        seed=seed,
        folds=np.concatenate([fold, fold]),
        ends=ends,
    )
    both = _of_first_views(both, len(x))
    loss, loss_mirrored = (float(out_of_fold_losses(solved, y, classes).mean()) for solved in (one, both))
    taken = loss_mirrored < loss
    return Chosen(both if taken else one, taken, loss, loss_mirrored)


def _of_first_views(both: Solved, n: int) -> Solved:
    def out_of_fold() -> NDArray[np.float32]:
        return both.out_of_fold()[:n]

    def out_of_first_fold() -> NDArray[np.float32]:
        return both.out_of_first_fold()[:n]

    return replace(
        both,
        judged=both.judged[:n],
        first=both.first[:n],
        out_of_fold=out_of_fold,
        out_of_first_fold=out_of_first_fold,
    )

"""Which classes have a threshold of their own, which share one, and whether one for all would do."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from frostline.judge.one_draw import counted

FEWEST_OF_A_CLASS = 19
"""Below so many pictures no class can be promised 95 % by itself: such ones share a threshold."""

FEWEST_TO_CLUSTER, ENOUGH_ALONE = 9, 50
"""Classes of so many pictures are clustered: fewer tell nothing of their scores, more have thresholds that are sure."""

_ALIKE = 0.05  # the level at which coverage is said to differ by class


def grouped(
    own: NDArray[np.float64], kind: NDArray[np.integer], classes: int, units: NDArray[np.integer] | None
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """For each class the list that is its, and for each list the pictures whose scores are in it.

    own, kind, units: (N,) scores of the right classes, these, and which unit each picture belongs to.
    """
    place = np.arange(len(own)) if units is None else np.unique(units, return_inverse=True)[1]
    counts = counted(kind, units, classes)
    cluster, clustered_by = _clusters(own, kind, counts, place)
    alone = np.flatnonzero((counts >= FEWEST_OF_A_CLASS) & (cluster < 0))
    groups = np.full(classes, -1)
    members: list[NDArray[np.int64]] = []
    for k in alone:
        groups[k] = len(members)
        members.append(np.flatnonzero(kind == k))
    for number in range(cluster.max() + 1):
        groups[cluster == number] = len(members)
        members.append(np.flatnonzero((cluster[kind] == number) & ~clustered_by))
    if (groups < 0).any():
        members.append(np.flatnonzero(groups[kind] < 0))
        groups[groups < 0] = len(members) - 1
    return groups, members


def _clusters(
    own: NDArray[np.float64], kind: NDArray[np.integer], counts: NDArray[np.integer], place: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The cluster of each class, -1 without one, and which pictures (N,) told them: those make no threshold.

    As Ding et al. (2023) have it: k-means of quantiles of scores, weighed by the root of counts; the share of pictures
    for it, and how many clusters, by how many classes there are and how few pictures the rarest of them has.
    """
    cluster, told = np.full(len(counts), -1), np.zeros(len(own), np.bool_)
    few = np.flatnonzero((counts >= FEWEST_TO_CLUSTER) & (counts < ENOUGH_ALONE))
    share = len(few) / (75 + len(few))
    number = int(share * counts[few].min() / 2) if len(few) else 0
    if number < 2:
        return cluster, told
    from sklearn.cluster import KMeans

    told = (np.random.default_rng(0).random(place.max() + 1) < share)[place] & np.isin(kind, few)
    known = np.array([k for k in few if (told & (kind == k)).sum() > 2])
    points = [np.quantile(own[told & (kind == k)], (0.5, 0.6, 0.7, 0.8, 0.9)) for k in known]
    if len(known) > number:
        fitted = KMeans(number, n_init=10, random_state=0).fit(np.array(points), sample_weight=np.sqrt(counts[known]))
        cluster[known] = np.unique(fitted.labels_, return_inverse=True)[1]
    return cluster, told & (cluster[kind] >= 0)


def differs(limits: Sequence[float], own: NDArray[np.float64], kind: NDArray[np.integer]) -> bool:
    """Whether some class is left out of its sets more often than others are, by more than luck (hypergeometric), or
    the more often the rarer it is (the sum of missed ones' rarity, among all ways to miss so many).

    limits: the thresholds of sets that are tried.
    """
    from scipy.stats import hypergeom

    names, counts = np.unique(kind, return_counts=True)
    rarity, rng = -np.log(counts), np.random.default_rng(0)
    ps, trends = [1.0], [1.0]
    for limit in limits:
        missed = own > limit + 1e-9
        of_class = np.array([missed[kind == name].sum() for name in names])
        ps += hypergeom.sf(of_class - 1, len(own), missed.sum(), counts).tolist()
        drawn = rng.multivariate_hypergeometric(counts, missed.sum(), size=999, method="marginals") @ rarity
        trends.append(float((1 + (drawn >= of_class @ rarity - 1e-9).sum()) / 1000))
    return min(min(ps) * len(names), min(trends)) * max(1, len(limits)) < _ALIKE

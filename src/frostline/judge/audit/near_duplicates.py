"""Which pictures show the same: equal bytes, and the same picture saved again at another size or quality.

A perceptual hash proposes pairs; on its own it calls everything a copy that was taken by one fixed camera. So a pair is
confirmed by what sets the two apart from their look-alikes: the median of the pictures most like both is taken away
from each, and what is left must agree. For snapshots that changes nothing; for solar cells, X-rays or conveyor belts,
where any two pictures agree to 99 %, it is what tells a copy from a neighbour. (A trunk's features do not: they put two
solar cells nearer to each other than one of them to its own small copy.)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frostline.data.places.inventory import Inventory
from frostline.judge.audit.image_stats import ImageStats
from frostline.judge.neighbours import unit

Indices = NDArray[np.int64]
Floats = NDArray[np.float32]

_BITS = 10  # of 64 in which the hashes of copies may differ
_AGREE = 0.85  # correlation of what is left
_LOOK_ALIKES, _REFERENCES = 24, 2048
_MOST_PAIRS = 50_000
_FLAT = 0.02  # a standard deviation of grey below which every picture looks like every other
_BLOCK = 128


@dataclass(frozen=True, eq=False)
class NearDuplicates:
    """exact: (N,) equal for rows of equal bytes. near: (N,) equal also for rows that show the same.

    pairs: (P, 2) rows that nearly agree, each the first of its digest. alike: (P,) how far, a correlation in [-1, 1].
    """

    exact: Indices
    near: Indices
    pairs: Indices
    alike: Floats

    def families(self) -> list[Indices]:
        """Rows that show the same, for every picture that is there more than once, in the order of their first rows."""
        order = np.argsort(self.near, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(self.near[order])) + 1)
        return sorted((part for part in parts if len(part) > 1), key=lambda part: int(part[0]))


def exact_copies(listing: Inventory) -> NearDuplicates:
    """Rows of equal bytes; nothing is decoded for it."""
    groups = _by_digest(listing)
    return NearDuplicates(groups, groups, np.zeros((0, 2), np.int64), np.zeros(0, np.float32))


def find_copies(listing: Inventory, looks: ImageStats) -> NearDuplicates:
    """Rows of equal bytes, and rows that show the same. looks: (N,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    exact = _by_digest(listing)
    _, first = np.unique(exact, return_index=True)
    asked = np.sort(first[listing.readable[first] & (looks["spread"][first] > _FLAT)]).astype(np.int64)
    proposed = asked[_near_hashes(looks["hash"][asked])]
    alike = _agreement(looks["small"][asked], np.searchsorted(asked, proposed))
    pairs, alike = proposed[alike >= _AGREE], alike[alike >= _AGREE]
    ones = np.ones(len(pairs) + len(exact))
    start, end = np.concatenate([pairs[:, 0], np.arange(len(exact))]), np.concatenate([pairs[:, 1], first[exact]])
    _, near = connected_components(coo_array((ones, (start, end)), shape=(len(exact),) * 2), directed=False)
    return NearDuplicates(exact, near.astype(np.int64), pairs, alike)


def _by_digest(listing: Inventory) -> Indices:
    # the same page "404 not found" in place of many pictures is no copy of a picture
    seen = zip(listing.rows, listing.readable, strict=True)
    names = [row.digest if row.digest and readable else f"\0{number}" for number, (row, readable) in enumerate(seen)]
    return np.unique(names, return_inverse=True)[1].astype(np.int64)


def _near_hashes(hashes: NDArray[np.bool_]) -> Indices:
    """(P, 2) pairs i < j whose hashes (n, 64) differ in few bits, nearest first, at most `_MOST_PAIRS`.

    All against all, but as a product of matrices: 20,000 pictures take a second or two. Of a fixed camera's pictures
    nearly every pair is near: no more are held at once than are kept, and once these are so many, only nearer ones.
    """
    signs = hashes.astype(np.float32) * 2 - 1
    pairs, distance, most = np.zeros((0, 2), np.int64), np.zeros(0, np.float32), float(_BITS)
    for start in range(0, len(signs), _BLOCK):
        differ = 32 - signs[start : start + _BLOCK] @ signs[start:].T * np.float32(0.5)
        for row, line in enumerate(differ[:, : len(differ)]):
            line[: row + 1] = 64  # itself, and what was compared before
        left, right = np.nonzero(differ <= most)
        pairs = np.concatenate([pairs, np.stack([left, right], 1) + start])
        distance = np.concatenate([distance, differ[left, right]])
        if len(pairs) > _MOST_PAIRS:
            nearest = np.argsort(distance, kind="stable")[:_MOST_PAIRS]
            pairs, distance = pairs[nearest], distance[nearest]
            most = float(distance[-1]) - 1
    return pairs[np.argsort(distance, kind="stable")]


def _agreement(small: NDArray[np.uint8], pairs: Indices) -> Floats:
    """(P,) correlation of each pair beyond what their look-alikes have in common with them. small: (n, pixels)."""
    chosen = np.random.default_rng(0).permutation(len(small))[:_REFERENCES]
    needed, place = np.unique(np.concatenate([pairs.ravel(), chosen]), return_inverse=True)
    pairs, chosen = place[: pairs.size].reshape(-1, 2), place[pairs.size :]
    standard = small[needed].astype(np.float32)
    standard -= standard.mean(1, keepdims=True)
    standard /= standard.std(1, keepdims=True) + 2  # a flat picture's noise is not blown up
    scaled = unit(standard)
    found = np.zeros(len(pairs), np.float32)
    for start in range(0, len(pairs), 512):
        part = pairs[start : start + 512]
        likeness = np.minimum(scaled[part[:, 0]] @ scaled[chosen].T, scaled[part[:, 1]] @ scaled[chosen].T)
        likeness[(chosen == part[:, :1]) | (chosen == part[:, 1:])] = -2
        most = min(_LOOK_ALIKES, max(0, len(chosen) - 2))
        for number, (left, right) in enumerate(part):
            rest = standard[[left, right]]
            if most > 4:
                nearest = np.argpartition(-likeness[number], most)[:most]
                rest = rest - np.median(standard[chosen[nearest]], 0)
            one, other = unit(rest - rest.mean(1, keepdims=True))
            found[start + number] = one @ other
    return found

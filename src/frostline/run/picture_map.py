"""Where judged pictures lie beside each other: their features in front of the head, on two axes, for the report."""

import numpy as np
from numpy.typing import NDArray

from frostline.data.manifest import Manifest
from frostline.errors import FrostlineError
from frostline.judge import ood
from frostline.run.phase_context import PhaseContext
from frostline.run.uncertainty import features_of


def places_of(context: PhaseContext, part: Manifest) -> NDArray[np.float32] | None:
    """(N, 2) in [0, 1] of the pictures, the first two principal components of their features; NaN for those left out.

    At most `ood.MOST` pictures are placed, of every class some. None where the head does not read one vector a picture,
    or where there are fewer than three.
    """
    from sklearn.decomposition import PCA

    chosen = ood.remembered(part.targets(), seed=context.seed)
    if len(chosen) < 3:
        return None
    try:
        features = features_of(context, part, chosen)
    except FrostlineError:
        return None
    placed = PCA(2, svd_solver="randomized", random_state=0).fit_transform(features)
    low, high = placed.min(0), placed.max(0)
    found = np.full((len(part), 2), np.nan, np.float32)
    found[chosen] = (placed - low) / np.maximum(high - low, 1e-9)
    return found

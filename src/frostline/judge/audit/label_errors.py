"""What a backbone and a probe that did not see a picture say of it: its label is probably wrong, or it stands apart."""

import numpy as np
from numpy.typing import NDArray

from frostline.judge.audit.findings import AuditItem, Finding, Level, Subject, checks, count, of_one_class
from frostline.judge.audit.shortcuts import Cue, giveaway
from frostline.judge.intervals import share
from frostline.judge.neighbours import nearest, unit

_MANY = 0.25  # of all labels; people seldom get as many wrong
_NEIGHBOURS = 10
_REFERENCES = 20_000
_FAR = 3.0  # quartile ranges above the upper quartile: Tukey's "far out"


@checks.decorator("labels")
def labels(subject: Subject) -> Finding | None:
    """Labels that are probably wrong, by confident learning (Northcutt et al. 2021, arXiv:1911.00068, cleanlab).

    Where something trivial names nearly all labels, it is a second witness: a wrong label does not change what camera
    took a picture, or how it was saved. Labels that it contradicts as well come first.
    """
    from cleanlab.filter import find_label_issues

    targets = subject.listing.targets
    if subject.probabilities is None or len(subject.listing.classes) < 2:
        return None
    asked = np.flatnonzero(subject.listing.readable & (targets >= 0) & subject.probabilities.any(1))
    there = np.unique(targets[asked])
    if len(there) < 2:
        return None
    said = subject.probabilities[asked].astype(np.float64)
    said /= said.sum(1, keepdims=True)
    given = targets[asked]
    among = said[:, there] / np.maximum(said[:, there].sum(1, keepdims=True), 1e-12)
    ranked = find_label_issues(
        np.searchsorted(there, given), among, return_indices_ranked_by="self_confidence", n_jobs=1
    )
    cue = giveaway(subject)
    against = {} if cue is None else _contradicted(subject, cue)
    scores, mask = np.ones(len(targets), np.float32), np.zeros(len(targets), bool)
    scores[asked] = said[np.arange(len(asked)), given]
    rows = sorted({*(int(row) for row in asked[ranked]), *against}, key=lambda row: (row not in against, scores[row]))
    if not rows:
        return None
    mask[rows] = True
    names = subject.listing.classes
    items = []
    for row in rows:
        probability = said[np.searchsorted(asked, row)]
        best = int(probability.argmax())
        text = f"labelled {names[targets[row]]}, looks like {names[best]} ({probability[best]:.0%})"
        if cue is not None and row in against:
            text += f"; its {cue.what} is that of {names[against[row]]}"
        items.append(AuditItem((row,), text))
    accuracy = share(said.argmax(1) == given, subject.units(asked))
    reach = f"95 % interval {100 * accuracy.low:.0f} to {100 * accuracy.high:.0f}"
    says = (
        f"{count(len(items), 'label is', 'labels are')} suspect, the likeliest first; a probe that did not see the "
        f"pictures agrees with {accuracy.value:.0%} of all labels ({reach})"
    )
    if cue is not None and against:
        says += f"; {cue.what} contradicts {len(against)} of them as well"
    weak, many = accuracy.value < 0.5, len(items) > _MANY * len(asked)
    if weak:
        says += "; it disagrees with more than it agrees with, so most of these are its own errors"
    elif many:
        says += "; these are so many that most are probably its own errors"
    level: Level = "note" if weak or many else "warning"
    return Finding("labels", level, says, scores, mask, tuple(items), mask, {"probe_accuracy": accuracy.value})


def _contradicted(subject: Subject, cue: Cue) -> dict[int, int]:
    """The rows of which the cue says another class than the label, with that class: unless the probe is surer still."""
    assert subject.probabilities is not None
    prior = np.bincount(cue.y, minlength=len(subject.listing.classes)) / len(cue.y)
    both = subject.probabilities[cue.rows] * cue.probabilities / np.where(prior > 0, prior, 1.0)
    found = np.flatnonzero((cue.said != cue.y) & (both.argmax(1) != cue.y) & both.any(1))
    return {int(cue.rows[n]): int(cue.said[n]) for n in found}


@checks.decorator("outliers")
def outliers(subject: Subject) -> Finding | None:
    """Pictures unlike all others: the mean distance to the nearest ones, in the backbone's features, is far out."""
    asked = np.flatnonzero(subject.listing.readable)
    if subject.features is None or len(asked) < 4 * _NEIGHBOURS:
        return None
    distance = _to_neighbours(subject.features[asked])
    low, high = np.percentile(distance, (25, 75))
    far = np.flatnonzero(distance > high + _FAR * max(high - low, 1e-6))
    scores, mask = np.ones(len(subject.listing), np.float32), np.zeros(len(subject.listing), bool)
    scores[asked] = np.clip(1 - distance / max(float(distance.max()), 1e-6), 0, 1)
    if not len(far):
        return None
    far = far[np.argsort(-distance[far], kind="stable")]
    mask[asked[far]] = True
    middle = float(np.median(distance))
    items = tuple(
        AuditItem(
            (int(asked[n]),), f"{distance[n] / max(middle, 1e-6):.1f} times as far from its neighbours as is usual"
        )
        for n in far
    )
    says = f"{count(len(far), 'picture is', 'pictures are')} unlike all the others" + of_one_class(subject, mask)
    return Finding("outliers", "note", says, scores, mask, items)


def _to_neighbours(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """(n,) mean cosine distance to the nearest other rows; beyond `_REFERENCES` rows, to the nearest of a sample."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(features))[:_REFERENCES])
    mean: NDArray[np.float32] = nearest(features, unit(features[chosen]), _NEIGHBOURS, itself=chosen)[1].mean(1)
    return mean

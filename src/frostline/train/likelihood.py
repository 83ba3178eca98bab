"""The two likelihoods of a linear head: one class a picture (softmax), or any number (a sigmoid for each).

Both are convex in the logits, and each gives its loss, its slopes, and where a head that has seen nothing begins.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
AnyFloats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class OneOf:
    """One class a picture: softmax. y: (N,) in [0, classes)."""

    y: Indices
    classes: int

    @property
    def curvature(self) -> float:
        """Of the log loss in each logit: the bound for two classes, and what it is at equal odds for more."""
        return min(0.5, 2 / self.classes)

    def of(self, rows: Any) -> "OneOf":
        """The pictures of some rows."""
        return OneOf(self.y[rows], self.classes)

    def kinds(self) -> Indices:
        """(N,): what is to be spread evenly over folds."""
        return self.y

    def alone(self, fold: Indices) -> NDArray[np.bool_]:
        """(N,): all pictures of its class are in one fold (N,), as the only one of a class is."""
        first = np.full(self.classes, fold.max() + 1)
        last = np.full(self.classes, fold.min() - 1)
        np.minimum.at(first, self.y, fold)
        np.maximum.at(last, self.y, fold)
        return np.asarray(first == last)[self.y]

    def learnable(self, importance: Floats) -> NDArray[np.bool_]:
        """(K,): the pictures that count say something of this class."""
        return np.asarray(np.bincount(self.y, weights=importance, minlength=self.classes) > 0)

    def start(self, importance: Floats) -> Floats:
        """(K,): biases that give every class its frequency."""
        share = np.bincount(self.y, weights=importance, minlength=self.classes) / importance.sum()
        return np.log(np.where(share > 0, share, 1.0))

    def unlearned(self, bias: Floats, learnable: NDArray[np.bool_], importance: Floats) -> Floats:
        """The biases (K,), with those of classes of which nothing was seen below all others: they come last."""
        return np.where(learnable, bias, bias[learnable].min() - np.log(len(self.y)))

    def slopes(self, logits: AnyFloats, share: Floats, learnable: NDArray[np.bool_]) -> float:
        """The weighted log loss; ``logits`` (N, K) become its derivative."""
        everyone = np.arange(len(self.y))
        logits[:, ~learnable] = -np.inf
        logits -= logits.max(1, keepdims=True)
        own = logits[everyone, self.y]
        np.exp(logits, out=logits)
        total = logits.sum(1, keepdims=True)
        counted = share > 0
        loss = float(share[counted] @ (np.log(total[counted, 0], dtype=np.float64) - own[counted]))
        logits /= total
        logits[everyone, self.y] -= 1
        logits *= share.astype(logits.dtype)[:, None]
        return loss

    def losses(self, logits: AnyFloats) -> Floats:
        """Log loss (N,) of each picture, in nats."""
        shifted = logits.astype(np.float64)
        shifted -= shifted.max(1, keepdims=True)
        own = shifted[np.arange(len(self.y)), self.y]
        losses: Floats = np.log(np.exp(shifted, out=shifted).sum(1)) - own
        return losses


@dataclass(frozen=True)
class AnyOf:
    """Any number of classes a picture: a sigmoid for each. y: (N, K) of 0 and 1."""

    y: Floats

    @property
    def classes(self) -> int:
        """How many there are."""
        return int(self.y.shape[1])

    @property
    def curvature(self) -> float:
        """Of the log loss in each logit, at most twice."""
        return 0.5

    def of(self, rows: Any) -> "AnyOf":
        """The pictures of some rows."""
        return AnyOf(self.y[rows])

    def kinds(self) -> Indices:
        """(N,): which classes a picture has, as one number."""
        return np.unique(self.y, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    def alone(self, fold: Indices) -> NDArray[np.bool_]:
        """(N,): none, for each picture says something of every class; all where there is but one fold (N,)."""
        return np.full(len(self.y), fold.min() == fold.max())

    def learnable(self, importance: Floats) -> NDArray[np.bool_]:
        """(K,): some pictures that count have the class and some have not."""
        seen = self.y[importance > 0]
        return np.asarray((seen.min(0) == 0) & (seen.max(0) == 1))

    def start(self, importance: Floats) -> Floats:
        """(K,): biases that give every class its odds."""
        have = importance @ self.y
        return np.asarray(np.log((have + 0.5) / (importance.sum() - have + 0.5)))

    def unlearned(self, bias: Floats, learnable: NDArray[np.bool_], importance: Floats) -> Floats:
        """The biases (K,), with the odds for classes of which nothing was seen."""
        return np.where(learnable, bias, self.start(importance))

    def slopes(self, logits: AnyFloats, share: Floats, learnable: NDArray[np.bool_]) -> float:
        """The weighted log loss; ``logits`` (N, K) become its derivative."""
        y = self.y.astype(logits.dtype)
        counted = share > 0
        binary = np.logaddexp(0, logits[counted], dtype=np.float64) - y[counted] * logits[counted]
        loss = float(share[counted] @ binary[:, learnable].sum(1))
        expit(logits, out=logits)
        logits -= y
        logits *= share.astype(logits.dtype)[:, None]
        logits[:, ~learnable] = 0
        return loss

    def losses(self, logits: AnyFloats) -> Floats:
        """Log loss (N,) of each picture over its classes, in nats."""
        losses: Floats = (np.logaddexp(0, logits, dtype=np.float64) - self.y * logits).sum(1)
        return losses


Likelihood = OneOf | AnyOf


def likelihood_of(y: Indices | AnyFloats, classes: int) -> Likelihood:
    """Of labels (N,) in [0, classes), or of (N, classes) of 0 and 1 where a picture may have several or none."""
    return AnyOf(y.astype(np.float64)) if y.ndim == 2 else OneOf(y.astype(np.int64), classes)


def inverse_frequency(y: Indices) -> Floats:
    """The importance (N,) of each picture by which all classes weigh the same; 1 on average."""
    counts = np.bincount(y)
    importance: Floats = len(y) / (np.count_nonzero(counts) * counts[y])
    return importance

"""One fit of a linear head at one strength: L-BFGS over a design's axes.

What is minimised, over weights W (K, D) and biases b (K,) of standardised features z, is

    sum_i w_i * -log p(y_i | W z_i + b) / sum_i w_i  +  strength / 2 * ||W||^2

It is convex: there is one answer. Two changes of coordinates leave it what it is. With fewer pictures than features
every answer lies in the span of the pictures, so the problem is turned into that span. And steps are taken along the
principal axes of the features, each as long as the bound of the loss's curvature there allows (Böhning 1992,
Multinomial logistic regression algorithm): a fraction of the steps that features as they come need.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from frostline.train.likelihood import Floats, Likelihood
from frostline.train.standardise import Design, Head

MOST_STEPS = 300
_OUT_OF_STEPS = 1  # what SciPy calls it; where a line search ends, rounding is as large as what is left


@dataclass(frozen=True)
class Problem:
    """One fit: which pictures count how much. importance: (N,), 0 for those held out."""

    design: Design
    likelihood: Likelihood
    importance: Floats

    def solve(self, strength: float, start: Head | None, tolerance: float) -> Head:
        """The answer at one strength.

        start: a nearby answer. tolerance: the share of the loss by which a step must better it, or it is the last.
        """
        share = self.importance / self.importance.sum()
        learnable = self.likelihood.learnable(self.importance)
        if start is None:
            bias = self.likelihood.start(self.importance)
            start = Head(np.zeros((len(bias), len(self.design.variances))), bias)
        shape = start.weight.shape
        cut = start.weight.size
        unit = 1 / np.sqrt(self.likelihood.curvature * self.design.variances + strength)  # along each axis, of a step

        def objective(flat: Floats) -> tuple[float, Floats]:
            head = Head(flat[:cut].reshape(shape) * unit, flat[cut:])
            logits = self.design.logits(head)
            loss = self.likelihood.slopes(logits, share, learnable) + 0.5 * strength * float((head.weight**2).sum())
            by_weight, by_bias = self.design.gradient(logits)
            by_weight += strength * head.weight
            return loss / scale, np.concatenate([(by_weight * unit).ravel(), by_bias]) / scale

        options = {
            "ftol": tolerance,
            "gtol": 1e-6,
            "maxcor": 5,  # past it the steps get no better by as much as they get dearer
            "maxiter": MOST_STEPS,
            "maxfun": 2 * MOST_STEPS,
        }
        begin = np.concatenate([(start.weight / unit).ravel(), start.bias])
        scale = 1.0
        scale = objective(begin)[0] or 1.0  # the tolerances are shares of it, however small it is; 0: of one class
        found = minimize(objective, begin, jac=True, method="L-BFGS-B", options=options)
        weight, bias = found.x[:cut].reshape(shape) * unit, found.x[cut:].copy()
        if not learnable.all():
            weight[~learnable], bias = 0.0, self.likelihood.unlearned(bias, learnable, self.importance)
        return Head(weight, bias, converged=found.status != _OUT_OF_STEPS)

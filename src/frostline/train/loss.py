"""What is minimised: cross entropy with its trimmings, in one place.

`loop` decides how to step; this decides what a step lowers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frostline.errors import PlanError


class Anchor(NamedTuple):
    """A parameter that learns, and where it is pulled to."""

    parameter: Tensor
    start: Tensor


@dataclass(frozen=True)
class Objective:
    """The training loss of one phase.

    classes: number of logits K. smoothing: label smoothing in [0, 1).
    class_weights: (K,) with mean 1 over the training pictures, or None.
    multilabel: targets are (N, K) of 0 and 1 and each logit is a sigmoid's; else (N,) class indices.
    mixup, cutmix: Beta parameters, 0 is off; where both are on, each batch draws one of them.
    l2sp: strength of the pull to the anchors (Li et al. 2018, arXiv:1802.01483).

    Raises: PlanError: mixing or class weights for several labels a picture.
    """

    classes: int
    smoothing: float = 0.0
    class_weights: Tensor | None = None
    multilabel: bool = False
    mixup: float = 0.0
    cutmix: float = 0.0
    l2sp: float = 0.0
    anchors: Sequence[Anchor] = ()

    def __post_init__(self) -> None:
        if self.multilabel and (self.mixup or self.cutmix or self.class_weights is not None):
            raise PlanError(
                "mixup, cutmix and class weights need one label a picture",
                where="multi-label data",
                hint="leave --mixup, --cutmix and --balance out",
            )

    def __call__(self, net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """The mean loss of a batch, a scalar. x: what the network takes, (N, ...) float; y: targets as above.

        Raises: PlanError: cutmix, and x is no map.
        """
        x, y = self._mixed(x, y)
        logits = net(x).float()
        loss = self._multilabel(logits, y) if self.multilabel else self._single(logits, y)
        if self.l2sp:
            loss = loss + self.l2sp / 2 * sum(((p - start) ** 2).sum() for p, start in self.anchors)
        return loss

    def _single(self, logits: Tensor, y: Tensor) -> Tensor:
        if self.class_weights is None:
            return F.cross_entropy(logits, y, label_smoothing=self.smoothing)
        # Divided by the count and not by the weights' sum, so that a mean over processes is the mean over the batch.
        loss = F.cross_entropy(logits, y, weight=self.class_weights, label_smoothing=self.smoothing, reduction="sum")
        return loss / len(logits)

    def _multilabel(self, logits: Tensor, y: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, y * (1 - self.smoothing) + self.smoothing / 2)

    def _mixed(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        if not (self.mixup or self.cutmix):
            return x, y
        from torchvision.transforms import v2

        if self.cutmix and x.ndim != 4:
            raise PlanError(
                f"cutmix cuts pictures or feature maps, and what reaches the frost line is {tuple(x.shape[1:])}",
                where="--cutmix",
                hint="use --mixup, or a strategy without a frost line, such as full",
            )
        kinds = [v2.MixUp(alpha=self.mixup, num_classes=self.classes)] if self.mixup else []
        kinds += [v2.CutMix(alpha=self.cutmix, num_classes=self.classes)] if self.cutmix else []
        maps = x if x.ndim == 4 else x.reshape(len(x), 1, 1, -1)
        mixed, target = v2.RandomChoice(kinds)(maps, y)
        return mixed.reshape(x.shape), target


def class_weights(targets: Tensor, classes: int) -> Tensor:
    """Inverse class frequencies with mean 1 over the pictures (scikit-learn's "balanced"). targets: (N,) int64.

    Raises: PlanError: targets (N, K) of several labels a picture.
    """
    counts = torch.bincount(one_label(targets), minlength=classes).float()
    return len(targets) / (classes * counts.clamp(min=1))


def one_label(targets: Tensor) -> Tensor:
    """The targets (N,), if there is one label a picture.

    Raises: PlanError: there are several.
    """
    if targets.ndim != 1:
        raise PlanError(
            "classes are balanced by the one label of each picture",
            where="multi-label data",
            hint="leave --balance out",
        )
    return targets

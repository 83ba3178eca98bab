"""What is minimised: cross entropy with its trimmings, in one place.

`loop` decides how to step; this decides what a step lowers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from frostline.errors import PlanError


@dataclass(frozen=True)
class Objective:
    """The training loss of one phase.

    classes: number of logits K. smoothing: label smoothing in [0, 1).
    class_weights: (K,) with mean 1 over the training pictures, or None.
    multilabel: targets are (N, K) of 0 and 1 and each logit is a sigmoid's; else (N,) class indices.
    mixup, cutmix: Beta parameters, 0 is off; where both are on, each batch draws one of them.
    l2sp: strength of the pull; anchors: parameter name -> where it started (Li et al. 2018, arXiv:1802.01483, eq. 3).
    """

    classes: int
    smoothing: float = 0.0
    class_weights: Tensor | None = None
    multilabel: bool = False
    mixup: float = 0.0
    cutmix: float = 0.0
    l2sp: float = 0.0
    anchors: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.multilabel and (self.mixup or self.cutmix):
            raise PlanError(
                "mixup and cutmix need one label a picture",
                where="multi-label data",
                hint="leave --mixup and --cutmix out",
            )

    def __call__(self, net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """The mean loss of a batch, a scalar. x: what the network takes, (N, ...) float; y: targets as above."""
        x, y = self._mixed(x, y)
        logits = net(x).float()
        loss = self._multilabel(logits, y) if self.multilabel else self._single(logits, y)
        if self.l2sp:
            named = dict(net.named_parameters())
            loss = loss + self.l2sp / 2 * sum(
                ((named[name] - start) ** 2).sum() for name, start in self.anchors.items()
            )
        return loss

    def _single(self, logits: Tensor, y: Tensor) -> Tensor:
        weights = self.class_weights
        # Divided by the count and not by the weights' sum, so that a mean over processes is the mean over the batch.
        loss = F.cross_entropy(logits, y, weight=weights, label_smoothing=self.smoothing, reduction="sum")
        return loss / len(logits)

    def _multilabel(self, logits: Tensor, y: Tensor) -> Tensor:
        target = y * (1 - self.smoothing) + self.smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, target, weight=self.class_weights)

    def _mixed(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        if not (self.mixup or self.cutmix):
            return x, y
        from torchvision.transforms import v2

        if self.cutmix and x.ndim != 4:
            raise PlanError(
                f"cutmix cuts pictures or feature maps, and what reaches the suffix has shape {tuple(x.shape[1:])}",
                where="--cutmix",
                hint="thaw a stage below the head, or use --mixup",
            )
        kinds = [v2.MixUp(alpha=self.mixup, num_classes=self.classes)] if self.mixup else []
        kinds += [v2.CutMix(alpha=self.cutmix, num_classes=self.classes)] if self.cutmix else []
        maps = x if x.ndim == 4 else x.reshape(len(x), 1, 1, -1)
        mixed, target = v2.RandomChoice(kinds)(maps, y)
        return mixed.reshape(x.shape), target


def class_weights(targets: Tensor, classes: int) -> Tensor:
    """Inverse class frequencies with mean 1 over the pictures (scikit-learn's "balanced"). targets: (N,) int64."""
    counts = torch.bincount(targets, minlength=classes).float()
    return len(targets) / (classes * counts.clamp(min=1))

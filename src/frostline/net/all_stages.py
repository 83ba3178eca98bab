"""A linear head over what every stage of a network sees, not its last one alone: Head2Toe (Evci et al. 2022,
arXiv:2201.03529).

What a data set asks for (texture, small marks) may be seen in the middle of a network and thrown away at its end. All
of it comes from the same forward, so it costs no more to compute than the last stage's features. The paper's selection
of features is left to the head's L2 penalty and to one scale for each stage.
"""

import itertools

import torch
from torch import Tensor, nn

from frostline.errors import PlanError

HEAD = "head"


class AllStages(nn.Module):
    """A timm network, with a head of its own over the mean of each stage's maps and over what its classifier reads.

    net: whole, its own classifier included: ``net.*`` of the weights is a plain timm model.
    head: the linear layer over all of it. widths: of the parts that it reads, the classifier's own features last.
    """

    def __init__(self, net: nn.Module, classes: int) -> None:
        """Raises: PlanError: the network does not give the maps between its stages."""
        super().__init__()
        if not (hasattr(net, "forward_intermediates") and hasattr(net, "forward_head")):
            raise PlanError(
                f"{type(net).__name__} does not give what its stages see (timm's forward_intermediates)",
                where="--strategy head2toe",
                hint="take one of timm's models, or --strategy probe",
            )
        self.net = net
        first = next(net.parameters())
        side = _side(net)
        with torch.no_grad():
            parts = self.parts(torch.zeros(1, *side, dtype=first.dtype, device=first.device))
        self.widths = tuple(part.shape[1] for part in parts)
        self.head = nn.Linear(sum(self.widths), classes)
        self.num_classes = classes

    @property
    def ends(self) -> tuple[int, ...]:
        """Where the parts end among the features, the last one's end left out."""
        return tuple(itertools.accumulate(self.widths[:-1]))

    def parts(self, pictures: Tensor) -> list[Tensor]:
        """(N, C_i) for each stage, from normalised pictures (N, C, H, W)."""
        last, maps = self.net.forward_intermediates(pictures)  # type: ignore[operator]
        pooled = [part.mean((2, 3)) for part in maps]
        return [*pooled, self.net.forward_head(last, pre_logits=True)]  # type: ignore[operator]

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits (N, K)."""
        logits: Tensor = self.head(torch.cat(self.parts(pictures), 1))
        return logits


def _side(net: nn.Module) -> tuple[int, int, int]:
    config = getattr(net, "pretrained_cfg", None) or {}
    channels, height, width = config.get("input_size", (3, 224, 224))
    return int(channels), int(height), int(width)

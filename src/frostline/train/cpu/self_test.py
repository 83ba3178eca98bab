"""Whether the work-arounds of this folder still compute what torch computes: asked once, where they are first used.

They replace torch's functions by the ids of weights, which a new torch may break without an error.
"""

from functools import cache

import torch
from torch import Tensor, nn

from frostline.net.freeze import hold_statistics
from frostline.net.undisturbed import seeded
from frostline.train.cpu import bf16_autocast
from frostline.train.cpu.frozen_batchnorm_fusion import find_fusions

_WORSE = 2.0  # times the error of plain bfloat16
_SMALL = 0.02  # of the largest gradient: an error that does not matter in any case


@cache
def disagreement() -> str:
    """Why the work-arounds must be left out, or "": one step of a small network is compared with plain torch.

    The network has what they are for: a depthwise convolution with a wide kernel and a stride, and held normalisation
    behind convolutions. Their gradients may be off from float32 by at most twice what plain bfloat16 is off.
    """
    try:
        with seeded(0):
            net, x, y = _network(), torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 1, 0])
        fusions = find_fusions(net, x)
        if len(fusions) != 2:
            return f"{len(fusions)} of 2 normalisations were found"
        exact = _gradients(net, x, y)
        with torch.autocast("cpu", torch.bfloat16):
            plain = _gradients(net, x, y)
        with bf16_autocast.autocast(fusions):
            fast = _gradients(net, x, y)
    except Exception as error:  # whatever a new torch raises: the work-arounds are left out then
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    for name, wanted in exact.items():
        size = float(wanted.abs().max())
        off, usual = (float((given[name].float() - wanted).abs().max()) for given in (fast, plain))
        if not off <= max(_WORSE * usual, _SMALL * size):
            return f"the gradient of {name} is off by {off:.2g}, that of plain bfloat16 by {usual:.2g}"
    return ""


def _network() -> nn.Module:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 5, stride=2, padding=2, groups=8, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 2),
    )
    net.train()
    hold_statistics(net)
    return net


def _gradients(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    names, parameters = zip(*net.named_parameters(), strict=True)
    loss = nn.functional.cross_entropy(net(x), y)
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))

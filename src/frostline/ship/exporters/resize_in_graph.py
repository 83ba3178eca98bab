"""The evaluation view as part of a graph: whole uint8 pictures (N, H, W, 3) of any size in, what a network sees out.

The Resize operators of ONNX, OpenVINO and torch differ from Pillow's filters, from each other, and by version. So
Pillow's own arithmetic is written down as two products of matrices whose weights are computed from the picture's size:
every runtime knows products, and what comes out is Pillow's but for ties of rounding, and for the order of the two
passes, which Pillow 13 turns round for tall pictures.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from frostline.data.views import Preprocessing, fill, scaled

# Pillow's filters, src/libImaging/Resample.c: the weight of a pixel at a distance.
_FILTERS: dict[str, Callable[[Tensor], Tensor]] = {
    "box": lambda x: ((x > -0.5) & (x <= 0.5)).float(),
    "bilinear": lambda x: (1 - x.abs()).clamp(min=0),
    "hamming": lambda x: _sinc(x) * (0.54 + 0.46 * torch.cos(torch.pi * x)) * (x.abs() < 1),
    "bicubic": lambda x: _cubic(x.abs()),
    "lanczos": lambda x: _sinc(x) * _sinc(x / 3) * (x.abs() < 3),
}


class Placed(nn.Module):
    """``data.views.placed`` of whole pictures, all of one size, of which nothing is known until they come.

    Only tensors are computed with, no Python number is read from a shape: whoever traces it gets a graph for any size.
    """

    colour: Tensor

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.preprocessing = preprocessing
        self.register_buffer("colour", torch.tensor(fill(preprocessing), dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, 3, h, w) float32, whole numbers in [0, 255], of (N, H, W, 3) uint8."""
        rows, columns = _indices(pictures[0, :, 0, 0]), _indices(pictures[0, 0, :, 0])
        high, wide = rows[-1:] + 1, columns[-1:] + 1
        resized = _resized(high, wide, self.preprocessing)
        down, inside_down = self._weights(rows, high, resized[0], self.preprocessing.size[0])
        across, inside_across = self._weights(columns, wide, resized[1], self.preprocessing.size[1])
        planes = pictures.permute(0, 3, 1, 2).float()
        view = _whole(torch.matmul(down, _whole(torch.matmul(planes, across.transpose(0, 1)))))
        if self.preprocessing.crop_mode != "border":
            return view
        inside = inside_down.view(1, 1, -1, 1) * inside_across.view(1, 1, 1, -1)
        return view * inside + self.colour * (1 - inside)

    def _weights(self, positions: Tensor, side: Tensor, resized: Tensor, target: int) -> tuple[Tensor, Tensor]:
        """(target, side): the share of each pixel in each one that is seen; (target,): 1 where a picture is, else 0."""
        seen = resized.clamp(max=target)
        first = torch.round((resized - seen) / 2)
        place = torch.arange(target, dtype=torch.float32) - torch.floor((target - seen) / 2)
        step = side / resized
        centre = ((first + place + 0.5) * step).view(-1, 1)
        inside = ((place >= 0) & (place < seen)).float()
        if self.preprocessing.interpolation == "nearest":
            return (positions == torch.floor(centre)).float(), inside
        weight = _FILTERS[self.preprocessing.interpolation]
        stretch = step.clamp(min=1.0)
        distance = positions + 0.5 - centre
        weights = weight(distance / stretch)
        # Outside of the picture nothing is near, and nothing may be divided by nothing.
        return weights / (weights.sum(1, keepdim=True) + (1 - inside).view(-1, 1)), inside


def _indices(along: Tensor) -> Tensor:
    return torch.cumsum(torch.ones_like(along, dtype=torch.float32), 0) - 1


def _resized(high: Tensor, wide: Tensor, preprocessing: Preprocessing) -> tuple[Tensor, Tensor]:
    """As ``data.views`` has it: (height, width) of the whole picture once it is resized, whole numbers, (1,) each."""
    to_wide, to_high = scaled(preprocessing)
    if preprocessing.crop_mode == "squash":
        return torch.full_like(high, to_high), torch.full_like(wide, to_wide)
    if preprocessing.crop_mode == "center" and to_wide == to_high:
        long = torch.floor(to_wide * torch.maximum(high, wide) / torch.minimum(high, wide))
        short = torch.full_like(high, to_wide)
        return torch.where(wide <= high, long, short), torch.where(wide <= high, short, long)
    pick = torch.maximum if preprocessing.crop_mode == "border" else torch.minimum
    ratio = pick(high / to_high, wide / to_wide)
    return torch.round(high / ratio).clamp(min=1), torch.round(wide / ratio).clamp(min=1)


def _whole(values: Tensor) -> Tensor:
    return torch.floor(values + 0.5).clamp(0, 255)


def _sinc(x: Tensor) -> Tensor:
    turn = torch.pi * x
    return torch.where(x == 0, torch.ones_like(x), torch.sin(turn) / torch.where(x == 0, torch.ones_like(x), turn))


def _cubic(x: Tensor, a: float = -0.5) -> Tensor:
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x < 1, near, torch.where(x < 2, far, torch.zeros_like(x)))

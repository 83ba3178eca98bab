"""Why a network said what it said: where in the picture the evidence for a class lies.

The map is gradient times activation, summed over channels, at the last place of the network that still knows where
things are (HiResCAM, Draelos & Carin 2020, arXiv:2011.08891). Where that place is averaged over right behind it, as in
nearly all convolutional and hierarchical networks, this is Grad-CAM (Selvaraju et al. 2017, arXiv:1610.02391) to a
factor; where a class token reads it, it does not blur positions together, as Grad-CAM does.

The place is found, not looked up: it is the last output of a module that has the picture's proportions, as a map of
either layout or as tokens, and that the class depends on. The package grad-cam computes the same maps once it is told
the layer (the tests compare); it is not used because it brings OpenCV and matplotlib and is told, not asked.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frostline.data.views import Preprocessing, visible
from frostline.errors import StageError
from frostline.inference.network import Normalise
from frostline.net.trace import twin

_MOST_PREFIX = 16  # class tokens, distillation tokens and registers in front of a picture's tokens

# Of black, violet, red, orange and pale yellow, evenly lighter, so that it reads in grey and for the colour-blind too:
# five colours of matplotlib's "inferno" (CC0).
_COLOURS = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float32)


@dataclass(frozen=True, slots=True)
class Grid:
    """How a tensor (1, ...) is laid out over a picture.

    prefix: tokens in front that belong to no place; None for maps. channels: the axis of the channels.
    """

    height: int
    width: int
    channels: int
    prefix: int | None = None

    def of(self, values: Tensor) -> Tensor:
        """(height, width, channels) of a tensor (1, ...) that lies over the picture in this way."""
        rows = values[0].movedim(self.channels - 1, -1)
        return rows[self.prefix :].reshape(self.height, self.width, -1) if self.prefix is not None else rows


def heatmap(
    net: nn.Module, preprocessing: Preprocessing, pixels: NDArray[np.uint8], class_index: int | None = None
) -> NDArray[np.float32]:
    """Where in a picture the evidence for a class lies.

    net: in any mode and on any device; it is left as it was, and other threads may use it meanwhile.
    pixels: (H, W, 3) that have been through the evaluation view. class_index: None is the class it finds likeliest.
    Returns (H, W) in [0, 1], the strongest place 1; all 0 where nothing speaks for the class.

    Raises: StageError: no part of the network gives a map of the picture, or there is no such class.
    """
    return next(heatmaps(net, preprocessing, [(pixels, class_index)]))


def heatmaps(
    net: nn.Module, preprocessing: Preprocessing, asked: Iterable[tuple[NDArray[np.uint8], int | None]]
) -> Iterator[NDArray[np.float32]]:
    """`heatmap` of each (pixels, class_index), when it is asked for: whoever has no time for more stops listening.

    Raises: StageError: as `heatmap`.
    """
    runner = twin(net).eval()  # so that hooks and modes are ours alone
    outputs: list[Tensor] = []
    for path, module in runner.named_modules():
        if path:
            module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    tensor = next((t for t in net.state_dict().values() if t.is_floating_point()), torch.zeros(()))
    normalise = Normalise(preprocessing)
    for pixels, class_index in asked:
        outputs.clear()
        x = normalise(torch.from_numpy(pixels.copy())[None])
        with torch.inference_mode(False), torch.enable_grad():
            x = x.clone()  # what was made under inference_mode takes no gradient
            logits = runner(x.to(tensor.device, tensor.dtype).requires_grad_())
            if class_index is not None and not 0 <= class_index < logits.shape[1]:
                raise StageError(f"there is no class {class_index}", hint=f"there are {logits.shape[1]}, from 0 on")
            chosen = logits[0, int(logits.argmax()) if class_index is None else class_index]
            evidence = _evidence(chosen, outputs, pixels.shape[0] / pixels.shape[1], logits.shape[1])
        enlarged = nn.functional.interpolate(
            evidence.clamp(min=0)[None, None].float().cpu(), pixels.shape[:2], mode="bilinear", align_corners=False
        )
        heat: NDArray[np.float32] = enlarged[0, 0].numpy()
        yield heat / heat.max() if heat.max() > 0 else heat


def overlay(pixels: NDArray[np.uint8], heat: NDArray[np.floating]) -> NDArray[np.uint8]:
    """A view (H, W, C) with heat (H, W) in [0, 1] over it: cold parts fade to grey, warm ones glow. (H, W, 3)."""
    shares = np.clip(heat, 0, 1)[..., None].astype(np.float32)
    colours = np.stack([np.interp(shares[..., 0], np.linspace(0, 1, 5), _COLOURS[:, c]) for c in range(3)], axis=-1)
    pixels = visible(pixels)
    grey = pixels.astype(np.float32).mean(axis=2, keepdims=True)
    faded = 0.35 * pixels + 0.45 * grey
    weight = 0.55 * np.sqrt(shares)
    return np.asarray(np.clip((1 - weight) * faded + weight * colours, 0, 255), np.uint8)


def resized(heat: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """A heat map (H, W) at another (height, width)."""
    made = nn.functional.interpolate(torch.from_numpy(heat)[None, None], size, mode="bilinear", align_corners=False)
    return np.asarray(made[0, 0].numpy())


def _evidence(chosen: Tensor, outputs: list[Any], proportion: float, classes: int) -> Tensor:
    """(h, w) of the last output that lies over the picture and moves the logit, channels summed."""
    nothing: Tensor | None = None
    width: int | None = None
    for output in reversed(outputs):
        grid = _grid(output, proportion) if isinstance(output, Tensor) and output.requires_grad else None
        # narrower or wider ones are the inner works of a block: queries and keys, hidden layers
        if grid is None or (width is not None and output.shape[grid.channels] != width):
            continue
        if output.shape[grid.channels] == classes:
            continue  # a class for each place: VOLO takes their maximum, beside what its class token says
        (gradient,) = torch.autograd.grad(chosen, output, retain_graph=True, allow_unused=True)
        if gradient is not None and grid.of(gradient).any():
            return (grid.of(gradient) * grid.of(output.detach())).sum(-1)
        width = output.shape[grid.channels]
        nothing = torch.zeros(grid.height, grid.width)
        if gradient is not None and not gradient.any():
            break  # not even a class token moves it: the head is all zeros, or what feeds it is
    if nothing is None:
        raise StageError("no part of the network gives a map of the picture", hint="heat maps cannot explain it")
    return nothing


def _grid(output: Tensor, proportion: float) -> Grid | None:
    """How an output lies over a picture of that height / width, or None if it does not."""
    if output.ndim == 4 and output.shape[0] == 1:
        for channels, (h, w) in ((1, output.shape[2:]), (3, output.shape[1:3])):
            if h * w > 1 and _alike(h, w, proportion):
                return Grid(h, w, channels)
    if output.ndim == 3 and output.shape[0] == 1:
        for prefix in range(_MOST_PREFIX):
            tokens = output.shape[1] - prefix
            h = round((max(tokens, 0) * proportion) ** 0.5)
            if tokens > 1 and h and tokens % h == 0 and _alike(h, tokens // h, proportion):
                return Grid(h, tokens // h, 2, prefix)
    return None


def _alike(height: int, width: int, proportion: float) -> bool:
    """Whether a grid has a picture's proportions, but for the rounding of one row or column."""
    return abs(height - width * proportion) < 1 or abs(width - height / proportion) < 1

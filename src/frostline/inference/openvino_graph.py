"""A network with its preprocessing as an OpenVINO graph: uint8 pictures (N, H, W, 3) in, logits (N, K) out, and what
goes into the head (N, D) where novelty is judged by it.

OpenVINO IR and not ONNX: it needs no exporter package (torch's wants onnx and onnxscript), keeps float32 weights as
they are, and the engine that reads it is a dependency already. The converter is called through its frontend:
``openvino.convert_model`` would report its use to a server, and takes three times as long.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frostline.data.views import Preprocessing
from frostline.errors import EngineError, one_line
from frostline.inference import openvino_import

TOLERANCE = 1e-4
"""How far logits of graph and network may lie apart, as a share of the largest one (or of 1, if that is more)."""


class Whole(nn.Module):
    """A network that takes pictures as they are decoded: uint8 (N, H, W, 3).

    head: path of the module whose input is given too, or "".
    """

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, preprocessing: Preprocessing, *, head: str = "") -> None:
        super().__init__()
        self.net = net
        self.head = head
        self.register_buffer("mean", 255 * torch.tensor(preprocessing.mean).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(preprocessing.std).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Logits (N, K) of uint8 pixels (N, H, W, 3); with a head, its input (N, D) beside them."""
        x = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std
        if not self.head:
            return (self.net(x),)
        seen: list[Tensor] = []
        # hung up for one forward only, so that the network is left as it was
        hook = self.net.get_submodule(self.head).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            logits: Tensor = self.net(x)
        finally:
            hook.remove()
        return logits, seen[-1].flatten(1)


def samples(preprocessing: Preprocessing, n: int) -> NDArray[np.uint8]:
    """Pictures (n, H, W, 3) of smooth random colours, always the same: more like a photograph than white noise is."""
    rng = np.random.default_rng(0)
    height, width = preprocessing.size
    coarse = rng.integers(0, 256, (n, 7, 7, 3), dtype=np.uint8)
    return coarse[:, np.arange(height) * 7 // height][:, :, np.arange(width) * 7 // width]


def write(path: Path, whole: Whole, preprocessing: Preprocessing) -> None:
    """Trace a network in eval mode on the CPU and write it to `path` (.xml) and, beside it, its
    weights (.bin), for any number of pictures at once.

    Raises: EngineError: OpenVINO is not installed, or cannot express the network.
    """
    example = torch.from_numpy(samples(preprocessing, 2))
    store(converted(whole, example, [-1, *preprocessing.size, 3]), path)


def converted(module: nn.Module, example: Tensor, shape: Sequence[int]) -> Any:
    """The ``openvino.Model`` of a module in eval mode on the CPU that takes one tensor of the example's dtype.

    shape: what it will take, -1 for sides that are known only when it runs.

    Raises: EngineError: OpenVINO is not installed, or cannot express the network.
    """
    openvino = openvino_import.openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # tracing warns of every shape that is read; what comes of it is checked
            traced = torch.jit.trace(module, example, check_trace=False, strict=False)  # type: ignore[no-untyped-call]
            frontend: Any = FrontEndManager().load_by_framework("pytorch")
            decoder: Any = TorchScriptPythonDecoder(traced, example_input=(example,))  # must outlive the conversion
            model = frontend.load(decoder)
            (place,) = model.get_inputs()
            model.set_partial_shape(place, openvino.PartialShape(list(shape)))
            model.set_element_type(place, openvino.Type.u8 if example.dtype == torch.uint8 else openvino.Type.f32)
            return frontend.convert(model)
    except Exception as error:  # what tracer and converter raise on an operator they do not know is anything
        raise _inexpressible(error) from None


def store(graph: Any, path: Path) -> None:
    """Write an ``openvino.Model`` and, beside it, its weights (`.bin`) as they are.

    Raises: EngineError: it cannot be written.
    """
    try:
        openvino_import.openvino().save_model(graph, path, compress_to_fp16=False)
    except RuntimeError as error:
        raise _inexpressible(error) from None


def _inexpressible(error: Exception) -> EngineError:
    said = one_line((str(error).strip().splitlines() or [type(error).__name__])[0])[:300]
    return EngineError(f"the network cannot be written as a graph: {said}", hint="predict with torch")


def difference(found: NDArray[np.floating], expected: NDArray[np.floating]) -> float:
    """The largest distance of two sets of logits, as a share of the largest expected one (or of 1, if that is more)."""
    return float(np.abs(found - expected).max() / max(1.0, float(np.abs(expected).max())))

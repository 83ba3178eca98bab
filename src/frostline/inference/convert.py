"""A torch module as an OpenVINO model: the one conversion. `openvino_import` keeps it from reporting its use.

OpenVINO IR and not ONNX for model folders: it needs no exporter package (torch's wants onnx and onnxscript), keeps
float32 weights as they are, and the engine that reads it is a dependency already.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frostline import atomic
from frostline.data.views import Preprocessing
from frostline.errors import EngineError, first_line
from frostline.inference import openvino_import
from frostline.inference.network import Network

TOLERANCE = 1e-4
"""How far logits of graph and network may lie apart, as a share of the largest one (or of 1, if that is more)."""


def samples(preprocessing: Preprocessing, n: int) -> NDArray[np.uint8]:
    """Pictures (n, H, W, C) of smooth random colours, always the same: more like a photograph than white noise is."""
    rng = np.random.default_rng(0)
    height, width = preprocessing.size
    coarse = rng.integers(0, 256, (n, 7, 7, preprocessing.channels), dtype=np.uint8)
    return coarse[:, np.arange(height) * 7 // height][:, :, np.arange(width) * 7 // width]


def write(path: Path, network: Network, preprocessing: Preprocessing) -> None:
    """Write a network in eval mode on the CPU to `path` (.xml) and, beside it, its weights (.bin), for any number of
    pictures at once.

    Raises: EngineError: OpenVINO is not installed, or cannot express the network.
    """
    example = torch.from_numpy(samples(preprocessing, 2))
    store(converted(network, example, [-1, *preprocessing.size, preprocessing.channels]), path)


def one_by_one(network: Network, size: tuple[int, int], channels: int) -> Any:
    """The ``openvino.Model`` of a network for one picture (1, H, W, C) uint8 at a time. size: (H, W).

    Raises: EngineError: OpenVINO is not installed, or cannot express the network.
    """
    shape = (1, *size, channels)
    return converted(network, torch.zeros(shape, dtype=torch.uint8), shape)


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
            # As a function: of a module the tracer first builds a scripted copy, which takes longer than all the rest.
            with _without_gradients(module):
                traced = torch.jit.trace(  # type: ignore[no-untyped-call]
                    lambda pictures: module(pictures), example, check_trace=False, strict=False
                )
            frontend: Any = FrontEndManager().load_by_framework("pytorch")
            decoder: Any = TorchScriptPythonDecoder(traced, example_input=(example,))  # must outlive the conversion
            model = frontend.load(decoder)
            (place,) = model.get_inputs()
            model.set_partial_shape(place, openvino.PartialShape(list(shape)))
            model.set_element_type(place, openvino.Type.u8 if example.dtype == torch.uint8 else openvino.Type.f32)
            return frontend.convert(model)
    except Exception as error:  # what tracer and converter raise on an operator they do not know is anything
        said = f"the network cannot be written as a graph: {first_line(error)}"
        raise EngineError(said, hint="predict with torch") from None


@contextmanager
def _without_gradients(module: nn.Module) -> Iterator[None]:
    """What a traced function closes over becomes a constant, which no tensor that asks for gradients can."""
    asking = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in asking:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)


def store(graph: Any, path: Path) -> None:
    """Write an ``openvino.Model`` and, beside it, its weights (`.bin`) as they are.

    Raises: EngineError: it cannot be written. OSError: the disk is full.
    """
    try:
        openvino_import.openvino().save_model(graph, path, compress_to_fp16=False)
    except RuntimeError as error:
        if (said := atomic.full(path.parent)) is not None:  # OpenVINO says "iostream error"
            raise said from None
        raise EngineError(
            f"the graph cannot be written: {first_line(error)}",
            where=path.parent,
            hint="is there room on the disk, and may you write there?",
        ) from None


def difference(found: NDArray[np.floating], expected: NDArray[np.floating]) -> float:
    """The largest distance of two sets of logits, as a share of the largest expected one (or of 1, if that is more)."""
    return float(np.abs(found - expected).max() / max(1.0, float(np.abs(expected).max())))

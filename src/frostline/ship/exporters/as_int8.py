"""8 bit whole numbers, by static calibration: ONNX Runtime's quantiser and its QDQ form.

Of two well-kept quantisers this one was better on the lesson's model: see docs/how-to/export.md. Weights are quantised
a channel at a time, activations by the range that training pictures gave them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from frostline.errors import MissingExtra
from frostline.ship.exporters import as_onnx
from frostline.ship.exporters.export_spec import INPUT, OUTPUT, Exportable, Form, Pictured, hush


def write(folder: Path, leaving: Exportable) -> None:
    """Write ``model.onnx``. What prepares a picture, if it is inside, stays in float32.

    Raises: MissingExtra: onnx, onnxscript or onnxruntime is not installed. EngineError: the network cannot be
        expressed or quantised.
    """
    example = torch.zeros(2, *leaving.calibration[0].shape)
    with TemporaryDirectory() as spare:
        program = as_onnx.traced(leaving.net, example, {0: "batch"})
        program.save(Path(spare) / "whole.onnx", external_data=False)
        model = _quantised(Path(spare), leaving.calibration)
        if isinstance(leaving.module, Pictured):
            before = as_onnx.traced(_Before(leaving.module), leaving.example, leaving.free)
            before.save(Path(spare) / "before.onnx", external_data=False)
            model = _joined(Path(spare) / "before.onnx", model)
    import onnx

    onnx.helper.set_model_props(model, leaving.facts)
    onnx.save_model(model, folder / as_onnx.GRAPH)


class _Before(nn.Module):
    """What happens to a picture in front of the network."""

    def __init__(self, whole: Pictured) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        prepared: torch.Tensor = (self.whole.placed(pictures) - self.whole.mean) / self.whole.std
        return prepared


class _Reader:
    """Pictures one by one, as ONNX Runtime's calibration asks for them."""

    def __init__(self, pictures: Iterator[NDArray[np.float32]]) -> None:
        self._pictures = pictures

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        picture = next(self._pictures, None)
        return None if picture is None else {INPUT: picture[None]}


def _quantised(spare: Path, pictures: Sequence[NDArray[np.float32]]) -> Any:
    try:
        import onnx
        from onnxruntime import disable_telemetry_events, quantization
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError:
        raise MissingExtra("int8 needs onnxruntime's quantiser", hint="pip install 'frostline[int8]'") from None
    disable_telemetry_events()
    try:
        with hush():
            quant_pre_process(spare / "whole.onnx", spare / "folded.onnx", skip_symbolic_shape=True)
            quantization.quantize_static(
                spare / "folded.onnx",
                spare / "small.onnx",
                _Reader(iter(pictures)),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,  # what x86's instructions take
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod.MinMax,
            )
            return onnx.load(spare / "small.onnx")
    except Exception as error:  # its errors have no common kind
        raise as_onnx.inexpressible(error, "int8") from None


def _joined(before: Path, network: Any) -> Any:
    """Both graphs as one."""
    import onnx
    from onnx import compose

    first = onnx.load(before)
    first.ir_version = network.ir_version
    del first.opset_import[:]
    first.opset_import.extend(network.opset_import)
    return compose.merge_models(
        compose.add_prefix(first, "before/", rename_inputs=False),
        compose.add_prefix(network, "network/", rename_outputs=False),
        [(f"before/{OUTPUT}", f"network/{INPUT}")],
    )


FORM = Form((as_onnx.GRAPH,), "onnxruntime", write, as_onnx.opened, as_onnx.STANDALONE, calibrated=True)

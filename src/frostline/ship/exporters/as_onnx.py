"""ONNX, by torch's own exporter; run by ONNX Runtime, and by nearly everything else."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from frostline.errors import EngineError, MissingExtra, first_line
from frostline.ship.exporters.export_spec import INPUT, OUTPUT, Answer, Exportable, Form, Standalone, hush

GRAPH = "model.onnx"


def write(folder: Path, leaving: Exportable) -> None:
    """Write ``model.onnx`` (weights past 2 GB beside it), labels and preprocessing in its ``metadata_props``.

    Raises: MissingExtra: onnx or onnxscript is not installed. EngineError: the network cannot be expressed.
    """
    program = traced(leaving.module, leaving.example, leaving.free)
    program.model.metadata_props.update(leaving.facts)
    program.save(folder / GRAPH)


def traced(module: nn.Module, example: torch.Tensor, free: dict[int, str]) -> Any:
    """A ``torch.onnx.ONNXProgram`` of a module with one input and one output.

    Raises: as ``write``.
    """
    try:
        import onnx as _onnx  # noqa: F401
        import onnxscript as _onnxscript  # noqa: F401
    except ImportError:
        raise MissingExtra(
            "exporting to ONNX needs onnx and onnxscript", hint="pip install 'frostline[onnx]'"
        ) from None
    try:
        with hush(), torch.no_grad():
            return torch.onnx.export(
                module,
                (example,),
                dynamo=True,
                dynamic_shapes=(free,),
                input_names=[INPUT],
                output_names=[OUTPUT],
                verbose=False,
            )
    except Exception as error:  # the exporter raises whatever the network's own code does under tracing
        raise inexpressible(error, "ONNX") from None


def opened(folder: Path) -> Answer:
    """The graph in ONNX Runtime, on the CPU.

    Raises: MissingExtra: it is not installed. EngineError: it refuses the graph.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtra("what is exported is run before it is kept", hint="pip install 'frostline[onnx]'") from None
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(folder / GRAPH, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common kind
        raise inexpressible(error, "ONNX Runtime") from None

    def answer(pictures: NDArray[np.generic]) -> NDArray[np.float32]:
        return np.asarray(session.run([OUTPUT], {INPUT: pictures})[0], dtype=np.float32)

    return answer


def inexpressible(error: Exception, what: str) -> EngineError:
    """What an exporter raised, as an error of ours."""
    said = first_line(error, 300)
    return EngineError(
        f"the network cannot be written for {what}: {said}", hint="try another --to: onnx, openvino, torch"
    )


STANDALONE = Standalone(
    "import onnxruntime\n",
    """onnxruntime.disable_telemetry_events()
graph = onnxruntime.InferenceSession(Path(__file__).with_name("model.onnx"), providers=["CPUExecutionProvider"])
facts = graph.get_modelmeta().custom_metadata_map
answer = lambda pictures: graph.run(["logits"], {"pictures": pictures})[0]  # noqa: E731
""",
)
FORM = Form((GRAPH, f"{GRAPH}.data"), "onnxruntime", write, opened, STANDALONE)

"""OpenVINO IR, converted as the model folder's own graph is."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frostline.inference import convert, openvino_import
from frostline.ship.exporters.as_onnx import inexpressible
from frostline.ship.exporters.export_spec import INPUT, OUTPUT, Answer, Exportable, Form, Standalone

GRAPH = "model.xml"
WEIGHTS = "model.bin"


def write(folder: Path, leaving: Exportable) -> None:
    """Write ``model.xml`` and ``model.bin``, labels and preprocessing in its ``rt_info`` under "frostline".

    Raises: EngineError: OpenVINO is not installed, or cannot express the network.
    """
    shape = [side if isinstance(side, int) else -1 for side in leaving.shape]
    graph = convert.converted(leaving.module, leaving.example, shape)
    graph.inputs[0].set_names({INPUT})
    graph.outputs[0].set_names({OUTPUT})
    for name, value in leaving.facts.items():
        graph.set_rt_info(value, ["frostline", name])
    convert.store(graph, folder / GRAPH)


def opened(folder: Path) -> Answer:
    """The graph compiled for the CPU, in float32.

    Raises: EngineError: OpenVINO is not installed, or refuses the graph.
    """
    try:
        compiled = openvino_import.openvino().compile_model(folder / GRAPH, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:
        raise inexpressible(error, "OpenVINO") from None

    def answer(pictures: NDArray[np.generic]) -> NDArray[np.float32]:
        return np.array(compiled(pictures)[0], dtype=np.float32)

    return answer


STANDALONE = Standalone(
    'sys.modules["openvino_telemetry"] = None  # it would report its use\nimport openvino\n',
    """read = openvino.Core().read_model(Path(__file__).with_name("model.xml"))
facts = dict(read.get_rt_info("frostline").value)
graph = openvino.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
answer = lambda pictures: graph(pictures)[0]  # noqa: E731
""",
)
FORM = Form((GRAPH, WEIGHTS), "openvino", write, opened, STANDALONE)

"""An ``ExportedProgram`` of torch: the graph and its weights, without the Python that the network is written in."""

import io
import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from frostline.ship.exporters.as_onnx import inexpressible
from frostline.ship.exporters.export_spec import Answer, Exportable, Form, Standalone, hush

GRAPH = "model.pt2"
FACTS = "frostline.json"
"""Under this name labels and preprocessing lie among its extra files."""


def write(folder: Path, leaving: Exportable) -> None:
    """Write ``model.pt2``. Its weights are raw bytes and its graph is JSON: nothing in it is pickled.

    Raises: EngineError: the network cannot be expressed.
    """
    written = io.BytesIO()
    try:
        with hush(), torch.no_grad():
            sides = (dict.fromkeys(leaving.free, torch.export.Dim.DYNAMIC),)
            program = torch.export.export(leaving.module, (leaving.example,), dynamic_shapes=sides)
            program.example_inputs = None  # they alone would be pickled
            # to memory first: on a full disk torch's own writer ends the process
            torch.export.save(program, written, extra_files={FACTS: json.dumps(leaving.facts)})
    except Exception as error:  # tracing raises whatever the network's own code does
        raise inexpressible(error, "torch.export") from None
    (folder / GRAPH).write_bytes(written.getbuffer())


def opened(folder: Path) -> Answer:
    """The program, loaded as its users do.

    Raises: EngineError: torch refuses it.
    """
    try:
        with hush():
            module = torch.export.load(folder / GRAPH).module()
    except Exception as error:
        raise inexpressible(error, "torch.export") from None

    def answer(pictures: NDArray[np.generic]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = module(torch.from_numpy(np.array(pictures))).numpy()
        return found

    return answer


STANDALONE = Standalone(
    "import torch\n",
    """extra = {"frostline.json": ""}
graph = torch.export.load(Path(__file__).with_name("model.pt2"), extra_files=extra).module()
facts = json.loads(extra["frostline.json"])
answer = lambda pictures: graph(torch.from_numpy(pictures)).detach().numpy()  # noqa: E731
""",
)
FORM = Form((GRAPH,), "torch", write, opened, STANDALONE)

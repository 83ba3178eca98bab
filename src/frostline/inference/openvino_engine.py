"""Run a network on OpenVINO: compiled for this CPU, the result kept on disk. torch is loaded only to convert.

Pictures run one by one, with several streams a stream a core. That is about as fast as any batch (on one core faster),
needs the least memory, leaves no core waiting for another, and makes a picture's row a function of that picture alone,
bit for bit.
"""

import os
from copy import copy
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np

from frostline.errors import CheckpointError, EngineError, one_line
from frostline.inference import compiled_cache, openvino_graph
from frostline.inference.engine import Batch, Function, Outputs
from frostline.inference.openvino_import import openvino
from frostline.processors import processors

_KINDS = {"fp32": "f32", "bf16": "bf16"}
_TORCH = "--engine torch"


class OpenVINO:
    """A compiled network.

    streams: pictures computed at once, each by its share of the processor.
    """

    name = "openvino"

    def __init__(self, module: Any, compiled: Any, precision: str, streams: int) -> None:
        self.precision = precision
        self._process = os.getpid()
        self._module, self._compiled = module, compiled
        self._requests = [compiled.create_infer_request() for _ in range(streams)]

    def beside(self) -> Self:
        """Another one of the same compiled network with one of its streams, for another thread."""
        other = copy(self)
        other._requests = [self._compiled.create_infer_request()]
        return other

    def run(self, pictures: Batch) -> Outputs:
        """Each output (N, ...) float32 of pictures (N, H, W, 3) uint8.

        Raises: EngineError: in a forked child, where OpenVINO's threads are missing and would be waited for.
        """
        if os.getpid() != self._process:
            raise EngineError(
                "this process was forked after OpenVINO was opened, and its threads stayed behind",
                hint="open the model in the child of multiprocessing's spawn, or --engine torch",
            )
        found: list[list[Any]] = [[] for _ in pictures]
        busy: list[int | None] = [None] * len(self._requests)
        for index in range(len(pictures)):
            slot = index % len(self._requests)
            self._collect(slot, busy, found)
            self._requests[slot].start_async({0: pictures[index : index + 1]}, share_inputs=True)
            busy[slot] = index
        for slot in range(len(self._requests)):
            self._collect(slot, busy, found)
        return tuple(np.concatenate(rows) for rows in zip(*found, strict=True))

    def _collect(self, slot: int, busy: list[int | None], found: list[list[Any]]) -> None:
        index = busy[slot]
        if index is not None:
            self._requests[slot].wait()
            found[index] = [np.array(t.data, dtype=np.float32) for t in self._requests[slot].output_tensors]
            busy[slot] = None


def make(function: Function, precision: str, streams: int, cache: Path) -> OpenVINO:
    """The engine "openvino" of a precision; see ``engine.Maker``.

    Raises: EngineError: OpenVINO is not installed, or cannot run the network. CheckpointError: the graph is damaged.
    """
    module = openvino()
    core = module.Core()
    properties = _properties(_KINDS[precision], streams)
    computer = core.get_property("CPU", "FULL_DEVICE_NAME")  # the cache may be shared by unlike machines
    # with the size of pictures, for which a graph was looked at before it was compiled
    source = function.graph_digest or function.digest, function.size, function.channels
    kept = compiled_cache.place(cache, source, module.get_version(), computer, sorted(properties.items()))
    try:
        compiled = compiled_cache.recalled(core, kept, properties)
        if compiled is None:
            size, channels = function.size, function.channels
            if function.graph is not None:
                model = openvino_graph.bounded(function.graph(), size, channels)
            else:
                convert = import_module("frostline.inference.convert")
                model = function.converted("openvino", lambda network: convert.one_by_one(network, size, channels))
            compiled = core.compile_model(model, "CPU", properties)
            compiled_cache.keep(compiled, kept)
        return OpenVINO(module, compiled, precision, streams)
    except CheckpointError:
        raise
    except Exception as error:  # tracing runs other people's code, converting is another library's: any of it may fail
        said = one_line(str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__)[:300]
        raise EngineError(f"OpenVINO cannot run it: {said}", hint=_TORCH) from error


def _properties(kind: str, streams: int) -> dict[str, Any]:
    # Left to itself OpenVINO computes in bf16 where the processor can, and pins its threads: the decoders want the same
    # cores, and every process on the machine with one stream would be pinned to the same first core.
    common = {"INFERENCE_PRECISION_HINT": kind, "ENABLE_CPU_PINNING": False}
    if streams == 1:
        return {**common, "INFERENCE_NUM_THREADS": str(processors()), "PERFORMANCE_HINT": "LATENCY"}
    threads = {"NUM_STREAMS": str(streams), "INFERENCE_NUM_THREADS": str(streams)}
    return {**common, **threads, "PERFORMANCE_HINT": "THROUGHPUT"}

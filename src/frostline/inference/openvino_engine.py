"""Run a prefix on OpenVINO: converted once, compiled for this CPU, the result kept on disk.

Pictures run one by one, a stream a core. That is about as fast as any batch, needs the least memory, leaves no core
waiting for another, and makes a picture's row a function of that picture alone, bit for bit.
"""

import os
import secrets
import warnings
import zlib
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from frostline.errors import EngineError, one_line
from frostline.inference.openvino_import import openvino
from frostline.inference.torch_engine import Batch, Network
from frostline.processors import processors

_KINDS = {"fp32": "f32", "bf16": "bf16"}
_KEPT = 4 << 30  # bytes of compiled networks on disk; the ones used longest ago go first
_TORCH = "--engine torch"
_CHECK = 4


class OpenVINO:
    """A compiled network, each of its inference requests on a core of its own."""

    name = "openvino"

    def __init__(self, module: Any, compiled: Any, precision: str) -> None:
        self.precision = precision
        self._shape = tuple(compiled.output(0).shape)[1:]
        self._queue = module.AsyncInferQueue(compiled, processors())
        self._queue.set_callback(_collect)

    def run(self, batch: Batch) -> NDArray[np.generic]:
        """Activations (N, ...) float32 of pictures (N, H, W, 3) uint8."""
        found = np.empty((len(batch), *self._shape), np.float32)
        for index in range(len(batch)):
            self._queue.start_async({0: batch[index : index + 1]}, (found, index), share_inputs=True)
        self._queue.wait_all()
        return found


def make(network: Network, precision: str, sample: Batch, key: str, cache: Path) -> OpenVINO:
    """The engine "openvino" of a precision; see ``engines.Maker``.

    Raises: EngineError: OpenVINO is not installed, or cannot run the network.
    """
    module = openvino()
    core = module.Core()
    options = {
        "INFERENCE_PRECISION_HINT": _KINDS[precision],
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": str(processors()),
        "INFERENCE_NUM_THREADS": str(processors()),
        "ENABLE_CPU_PINNING": False,  # the decoders want the same cores
    }
    machine = core.get_property("CPU", "FULL_DEVICE_NAME")  # the cache may be shared by unlike machines
    facts = repr((key, module.get_version(), machine, sorted(options.items())))
    kept = cache / "openvino" / f"{blake2b(facts.encode(), digest_size=16).hexdigest()}.blob"
    try:
        compiled = _recalled(core, kept, options)
        if compiled is None:
            if network.converted is None:
                network.converted = _converted(module, network, sample)
            compiled = core.compile_model(network.converted, "CPU", options)
            _keep(compiled, kept)
        return OpenVINO(module, compiled, precision)
    except Exception as error:  # tracing runs a stranger's code, converting is another library's: any of it may fail
        said = one_line(str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__)[:200]
        raise EngineError(f"OpenVINO does not run it: {said}", hint=_TORCH) from error


def _converted(module: Any, network: Network, sample: Batch) -> Any:
    example = torch.from_numpy(np.ascontiguousarray(sample[:1]))
    with torch.no_grad(), warnings.catch_warnings():
        # torch announces the end of tracing, and warns of each shape that becomes a constant, as is meant here
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
        model = module.convert_model(traced, example_input=example)
    model.reshape({0: list(example.shape)})
    return model


def _collect(request: Any, place: tuple[NDArray[np.float32], int]) -> None:
    found, index = place
    found[index] = request.get_output_tensor(0).data[0]


def _recalled(core: Any, kept: Path, options: Mapping[str, object]) -> Any | None:
    try:
        whole = kept.read_bytes()
    except OSError:
        return None
    blob = memoryview(whole)[_CHECK:]
    if zlib.crc32(blob).to_bytes(_CHECK, "little") != whole[:_CHECK]:
        return None
    with suppress(RuntimeError):  # what this build of OpenVINO cannot read is converted again
        compiled = core.import_model(blob.tobytes(), "CPU", options)
        with suppress(OSError):
            os.utime(kept)
        return compiled
    return None


def _keep(compiled: Any, kept: Path) -> None:
    with suppress(OSError, RuntimeError):  # without it the next start converts again, and that is all
        blob = compiled.export_model().getbuffer()
        kept.parent.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_name(f"{kept.stem}-{secrets.token_hex(4)}.tmp")
        try:
            with unfinished.open("xb") as file:
                file.write(zlib.crc32(blob).to_bytes(_CHECK, "little"))
                file.write(blob)
            unfinished.replace(kept)
        finally:
            unfinished.unlink(missing_ok=True)
        _make_room(kept.parent)


def _make_room(folder: Path) -> None:
    newest_first = sorted(((path.stat(), path) for path in folder.iterdir()), key=lambda found: -found[0].st_mtime)
    total = 0
    for facts, path in newest_first:
        total += facts.st_size
        if total > _KEPT:
            path.unlink(missing_ok=True)

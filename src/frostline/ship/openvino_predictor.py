"""Predict from a model folder without torch: its graph through OpenVINO, pictures through Pillow and NumPy.

Python's start to the first answer takes a few tenths of a second. The compiled graph is kept in the user's cache, under
the graph's own digest, so that the folder may be read-only, moved, or replaced by another model at the same place.
"""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from copy import copy
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from frostline.data.manifest import Row
from frostline.data.sources import default_cache
from frostline.data.views import EvaluationView
from frostline.errors import CheckpointError, EngineError, PlanError, one_line
from frostline.inference import openvino_import
from frostline.ship import model_info as _about
from frostline.ship.folder_names import GRAPH, GRAPH_WEIGHTS
from frostline.ship.model_info import ModelInfo
from frostline.ship.predictor import BATCH, Answer, Failure, Outputs, Prediction, answers

__all__ = ["Failure", "OpenVINOPredictor", "Prediction", "cache_folder"]

PRECISIONS = ("f32", "bf16")

_CHECK = 16
_CACHE_LIMIT = 2 << 30
_TORCH = "use engine='torch', which needs no graph"


class OpenVINOPredictor:
    """A model folder that answers through OpenVINO.

    cache: where compiled graphs are kept; None is ``cache_folder()``. One that cannot be written costs speed only.
    streams: how many pictures are computed at once, each by its share of the processor. Several make the most pictures
        a second, 1 the fastest answer for a lone picture. See also ``beside``.
    precision: "f32", or "bf16", which differs from torch in the third digit and is faster where the processor has it.

    Raises: CheckpointError: the folder is damaged. EngineError: it has no graph, or there is no OpenVINO that runs it.
        PlanError: there is no such precision.
    """

    engine = "openvino"

    def __init__(self, folder: Path, *, cache: Path | None = None, streams: int = 1, precision: str = "f32") -> None:
        if precision not in PRECISIONS:
            raise PlanError(f"there is no precision {precision!r}", hint=f"there are: {', '.join(PRECISIONS)}")
        folder = _about.located(folder)
        self.about = _about.recalled(folder, _about.read(folder))
        self._view = EvaluationView(self.about.preprocessing)
        self._compiled = _compiled(
            folder, self.about, cache_folder() if cache is None else cache, _properties(streams, precision)
        )
        self._requests = [self._compiled.create_infer_request() for _ in range(streams)]

    def beside(self) -> Self:
        """Another one of the same compiled graph with one of its streams, for another thread: they answer at once."""
        other = copy(self)
        other._requests = [self._compiled.create_infer_request()]
        return other

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits (N, K) float32 of pictures (N, H, W, 3) uint8 that have been through the evaluation view."""
        return self._outputs(pixels)[0]

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What goes into the head, (N, D) float32, of pictures as in ``logits``; for models that know novelty."""
        return self._outputs(pixels)[1]

    def see(self, pixels: NDArray[np.uint8]) -> Outputs:
        """The same logits, and distances from the training pictures where the model knows them."""
        outputs, novelty = self._outputs(pixels), self.about.novelty
        return outputs[0], None if novelty is None else novelty.distances(outputs[1])

    def _outputs(self, pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """All that the graph gives, each (N, ...): the batch at once, or one picture after another on each stream."""
        streams = len(self._requests)
        parts = [pixels] if streams == 1 else [pixels[n : n + 1] for n in range(len(pixels))]
        found = []
        for start in range(0, len(parts), streams):
            begun = list(zip(self._requests, parts[start : start + streams], strict=False))
            for request, part in begun:
                request.start_async({0: part})
            for request, _ in begun:
                request.wait()
                found.append([np.array(tensor.data, dtype=np.float32) for tensor in request.output_tensors])
        return [np.concatenate(rows) for rows in zip(*found, strict=True)]

    def predict(self, rows: Iterable[Row], *, batch: int = BATCH) -> Iterator[Answer]:
        """One Prediction or Failure a row, in the rows' order, a batch at a time. Not for two threads at once."""
        return answers(rows, self._view, self.see, self.about, batch)


def cache_folder() -> Path:
    """Where compiled graphs are kept: ``graphs`` in our part of the user's cache."""
    return default_cache() / "graphs"


def _properties(streams: int, precision: str) -> dict[str, Any]:
    # Left to itself OpenVINO computes in bf16 where the processor can.
    found: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    return found if streams == 1 else {**found, "PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": streams}


def _compiled(folder: Path, about: ModelInfo, cache: Path, properties: dict[str, Any]) -> Any:
    stated = about.files.get(GRAPH)
    if not isinstance(stated, dict) or not isinstance(about.files.get(GRAPH_WEIGHTS), dict):
        reason = one_line(str(about.graph.get("absent") or "it was saved without one"))
        raise EngineError(f"the model folder has no graph: {reason}", where=folder, hint=_TORCH)
    openvino = openvino_import.openvino()
    core = openvino.Core()
    try:
        kept = cache / f"{_key(about, openvino.get_version(), core, properties)}.blob"
        compiled = _recalled(core, kept, properties)
        if compiled is None:
            _about.check_files(folder, about, (GRAPH, GRAPH_WEIGHTS))
            compiled = core.compile_model(str(folder / GRAPH), "CPU", properties)
            _keep(compiled, kept)
        else:
            _about.check_lengths(folder, about, (GRAPH, GRAPH_WEIGHTS))
        _check_shapes(compiled, about, folder)
    except RuntimeError as error:
        said = one_line(str(error).strip().splitlines()[-1])[:300]
        raise EngineError(f"OpenVINO cannot run the graph: {said}", where=folder / GRAPH, hint=_TORCH) from None
    return compiled


def _key(about: ModelInfo, version: str, core: Any, properties: dict[str, Any]) -> str:
    parts = [
        about.files[GRAPH].get("sha256"),
        about.files[GRAPH_WEIGHTS].get("sha256"),
        version,
        sorted(properties.items()),
    ]
    parts.append(core.get_property("CPU", "FULL_DEVICE_NAME"))  # a home directory may be shared by unlike machines
    return blake2b(repr(parts).encode(), digest_size=16).hexdigest()


def _recalled(core: Any, kept: Path, properties: dict[str, Any]) -> Any | None:
    try:
        whole = kept.read_bytes()
    except OSError:
        return None
    blob = memoryview(whole)[_CHECK:]
    if blake2b(blob, digest_size=_CHECK).digest() == whole[:_CHECK]:
        with suppress(RuntimeError):  # what this build of OpenVINO cannot read is compiled again
            compiled = core.import_model(blob.tobytes(), "CPU", properties)
            with suppress(OSError):
                os.utime(kept)
            return compiled
    return None


def _keep(compiled: Any, kept: Path) -> None:
    try:
        blob = compiled.export_model().getbuffer()
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=kept.parent, suffix=".tmp", delete=False) as out:
            out.write(blake2b(blob, digest_size=_CHECK).digest())
            out.write(blob)
        Path(out.name).replace(kept)
        _make_room(kept.parent)
    except (OSError, RuntimeError):
        return  # a cache that cannot be written costs the next start half a second, and nothing else


def _make_room(cache: Path) -> None:
    newest_first = sorted(cache.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for path in newest_first:
        total += path.stat().st_size
        if total > _CACHE_LIMIT:
            path.unlink(missing_ok=True)


def _check_shapes(compiled: Any, about: ModelInfo, folder: Path) -> None:
    (height, width), channels = about.preprocessing.size, about.preprocessing.channels
    takes, gives = compiled.input(0).partial_shape, compiled.output(0).partial_shape
    if takes.to_string() != f"[?,{height},{width},{channels}]" or gives.to_string() != f"[?,{len(about.classes)}]":
        raise CheckpointError(
            f"the graph makes {gives} of {takes}, not {len(about.classes)} classes of {height} x {width} pictures",
            where=folder / GRAPH,
            hint="the folder was put together from two models: copy it again, or fit again",
        )
    if about.novelty is not None and about.novelty.known is not None:
        width = about.novelty.known.vectors.shape[1]
        if len(compiled.outputs) < 2 or compiled.output(1).partial_shape.to_string() not in (f"[?,{width}]", "[?,?]"):
            raise CheckpointError(
                f"the graph does not give the {width} features that novelty is judged by",
                where=folder / GRAPH,
                hint="the folder was put together from two models: copy it again, or fit again",
            )

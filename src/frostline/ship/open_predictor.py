"""A model folder that answers: which engine runs it is decided here and nowhere else.

With the engine "openvino" no torch is imported: the folder holds the network as a graph, which was compared with torch
when it was saved. From Python's start to the first answer takes a few tenths of a second.
"""

import hashlib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frostline.data.cache_folder import default_cache
from frostline.errors import CheckpointError, EngineError, UnknownName, one_line
from frostline.inference.both_views import with_tta
from frostline.inference.engine import Engine, Function, checked_precision, engines, in_order
from frostline.processors import processors
from frostline.ship import model_info
from frostline.ship.file_names import GRAPH, GRAPH_WEIGHTS
from frostline.ship.model_info import ModelInfo
from frostline.ship.predictor import BATCH, Predictor

if TYPE_CHECKING:
    from torch import nn

_MIXED = "the folder was put together from two models: copy it again, or fit again"
PRECISIONS = ("fp32", "bf16")
"""A stored model has no "auto": what was measured of it was measured in fp32."""


def open_predictor(
    folder: str | Path,
    *,
    engine: str = "auto",
    precision: str = "fp32",
    trust: str | None = None,
    streams: int | None = None,
    cache: Path | None = None,
    tta: str | None = None,
) -> Predictor:
    """A model folder that answers.

    engine: a name in `inference.engine.engines`. "auto" is torch where it finds a CUDA card; else OpenVINO where the
        folder has a graph and this machine runs it, then whatever plugin runs it, then torch.
    precision: "fp32", or "bf16", which differs in the third digit and is faster where the processor has it.
    trust: the ``package.module:factory`` that may be imported and run, where torch needs it to build the network.
    streams: pictures computed at once, each by its share of the processor: several make the most pictures a second
        (None: as many as there are cores), 1 the fastest answer for a lone picture.
    cache: where compiled networks are kept; one that cannot be written costs speed only.
    tta: "flip" answers with the mean over a picture and its mirror image, at twice the time.

    Raises: CheckpointError, WeightsError: the folder is damaged. EngineError: the engine that was asked for cannot run
        it. PlanError: there is no such precision or augmentation. UnknownName: there is no such engine.
    """
    place = model_info.located(Path(folder))
    about = model_info.recalled(place, model_info.read(place))
    checked_precision(precision, PRECISIONS)
    function = _function(place, about, trust)
    streams = min(processors(), BATCH) if streams is None else streams
    # The graph needs no code of a stranger's, torch does.
    graph_first = about.kind == "factory" and trust is None
    names = in_order("cpu" if graph_first else "auto") if engine == "auto" else [engine]
    for name in names:
        try:
            make = engines.get(name)
            if name == "openvino" and function.graph is None:
                raise EngineError(
                    f"the model folder has no graph: {_absent(about)}", where=place, hint="--engine torch"
                )
            opened = make(function, precision, streams, default_cache() if cache is None else cache)
            _check_answer(opened, about, place)
            return Predictor(about, with_tta(opened, tta))
        except (EngineError, UnknownName):  # or a plugin's package cannot be imported
            if name == names[-1]:
                raise
    raise AssertionError


def of_network(net: "nn.Module", about: ModelInfo, *, device: str = "auto") -> Predictor:
    """The same for a network in memory, by torch.

    device: "cpu" answers where the network is, which is put into eval mode; else a copy does on the GPU, if there is
    one.
    """
    network = import_module("frostline.inference.network").Network(net, about.preprocessing, head=_head(about))
    wants = about.preprocessing
    function = Function(lambda: network, "", wants.size, channels=wants.channels, device=device)
    return Predictor(about, engines.get("torch")(function, "fp32", processors(), default_cache()))


def _function(folder: Path, about: ModelInfo, trust: str | None) -> Function:
    def module() -> Any:
        shipped = import_module("frostline.ship.open_folder").open_folder(folder, trust=trust)
        return (
            import_module("frostline.inference.network")
            .Network(shipped.net, about.preprocessing, head=_head(about))
            .eval()
        )

    def graph() -> Path:
        model_info.check_files(folder, about, (GRAPH, GRAPH_WEIGHTS))
        return folder / GRAPH

    stated = [about.files.get(name) for name in (GRAPH, GRAPH_WEIGHTS)]
    there = all(isinstance(facts, dict) for facts in stated)
    if there:
        model_info.check_lengths(folder, about, (GRAPH, GRAPH_WEIGHTS))
    return Function(
        module,
        _digest(about.files),
        about.preprocessing.size,
        graph if there else None,
        _digest(dict(zip((GRAPH, GRAPH_WEIGHTS), stated, strict=True))) if there else "",
        about.preprocessing.channels,
    )


def _digest(files: Any) -> str:
    said = sorted((name, facts.get("sha256")) for name, facts in files.items() if isinstance(facts, dict))
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _head(about: ModelInfo) -> str:
    return "" if about.novelty is None else about.novelty.head


def _absent(about: ModelInfo) -> str:
    return str(about.graph.get("absent") or "it was saved without one")


def _check_answer(engine: Engine, about: ModelInfo, folder: Path) -> None:
    """Ask about one grey picture: a folder put together from two models shows at once."""
    wants = about.preprocessing
    try:
        logits, *features = engine.run(np.full((1, *wants.size, wants.channels), 127, np.uint8))
    except RuntimeError as error:
        said = one_line(str(error).strip().splitlines()[-1])[:200]
        raise CheckpointError(f"the network does not take its pictures: {said}", where=folder, hint=_MIXED) from None
    if logits.shape != (1, len(about.classes)):
        given = "x".join(map(str, logits.shape[1:]))
        raise CheckpointError(
            f"the network gives {given} classes, not {len(about.classes)} classes", where=folder, hint=_MIXED
        )
    known = None if about.novelty is None else about.novelty.known
    if known is not None and (not features or features[0].shape != (1, known.vectors.shape[1])):
        raise CheckpointError(
            f"the network does not give the {known.vectors.shape[1]} features that novelty is judged by",
            where=folder,
            hint=_MIXED,
        )

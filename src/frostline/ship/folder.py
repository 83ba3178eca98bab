"""The model folder as it is written: whole or not at all, and so that timm and transformers open it as their own.

Its files:
    model.safetensors   the weights, under the architecture's own names
    config.json         timm's hub form, which transformers reads too
    frostline.json      all that we know of the model: see ``model_info``
    README.md           the model card: see ``card``
    graph.xml, .bin     the same network for a machine without torch: see ``inference.convert``
    novelty.safetensors features of some training pictures, where unlike ones are to be told: see ``judge.ood``

timm and transformers build their own architectures only. Networks of torchvision or of a user's factory are written to
the same files and opened by us; `frostline.json` says how, and the card says so.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file
from torch import nn

from frostline import __version__
from frostline.data.cache_folder import expanded
from frostline.errors import CheckpointError, EngineError, WeightsError
from frostline.inference import convert
from frostline.inference.network import Network
from frostline.net.all_stages import AllStages
from frostline.net.available import factories
from frostline.net.undisturbed import plain_torch
from frostline.ship import atomic_folder, card
from frostline.ship import model_info as _about
from frostline.ship.file_names import ABOUT, ALL, CARD, CONFIG, GRAPH, GRAPH_WEIGHTS, NOVELTY, WEIGHTS
from frostline.ship.model_info import ModelInfo
from frostline.ship.open_folder import open_folder
from frostline.ship.open_predictor import open_predictor

_PACKAGES = ("torch", "torchvision", "timm", "openvino", "numpy", "pillow", "scikit-learn")
_SAMPLES = 3
_UNASKED = {"absent": "not asked for"}


def save(folder: Path, net: nn.Module, about: ModelInfo, *, graph: bool = True) -> ModelInfo:
    """Write a model folder, in one step: it is there whole, or what was there before still is.

    net: with its head for ``about.classes``; it is left as it was.
    graph: also write the network as an OpenVINO graph (about a second), and keep it compiled for the first prediction.
        Where that cannot be done, or its logits differ, the folder is written without one and says why.
    Returns what the folder says of itself: ``about`` with kind, versions, digests and the graph filled in.

    Raises: CheckpointError: the place holds something that is not a model folder of ours, cannot be written, or net and
        classes do not agree; or it would be opened as another network, for this one was changed after it was built.
    """
    folder = expanded(folder).resolve()
    atomic_folder.check(folder, ALL)
    kind = _kind(about.name, net)
    about = replace(about, kind=kind, versions=_versions(), files={}, graph={})
    if about.novelty is not None and about.novelty.known is None:
        about = replace(about, novelty=None)
    with atomic_folder.whole(folder) as made, _still(net) as still, plain_torch():
        head = "" if about.novelty is None else about.novelty.head
        whole = Network(still, about.preprocessing, head=head).eval()
        expected = _expected(whole, about)
        _write_weights(made / WEIGHTS, still)
        (made / CONFIG).write_bytes(_about.to_json(_config(still, about)))
        known = _write_known(made / NOVELTY, about)
        about = replace(about, files=_stated(made, (WEIGHTS, CONFIG, *known)))
        about = _with_graph(made, whole, about, expected) if graph else replace(about, graph=_UNASKED)
        (made / ABOUT).write_bytes(_about.to_json(about.to_dict()))
        (made / CARD).write_text(card.text(about), encoding="utf-8", errors="surrogateescape")
        if kind != "factory":
            _refuse_another(made, about, expected[0])
    return about


def _kind(name: str, net: nn.Module) -> str:
    if isinstance(net, AllStages):
        return "head2toe"
    if name.startswith("torchvision/"):
        return "torchvision"
    config = getattr(net, "pretrained_cfg", None)
    from_timm = isinstance(config, dict) and timm.is_model(str(config.get("architecture")))
    own = name in factories.names() or (":" in name and not name.startswith(("hf-hub:", "local-dir:")))
    return "timm" if from_timm and not own else "factory"


@contextmanager
def _still(net: nn.Module) -> Iterator[nn.Module]:
    """The network in eval mode on the CPU; afterwards every module is in the mode that it was in."""
    if any(tensor.device.type != "cpu" for tensor in net.state_dict().values()):
        yield copy.deepcopy(net).cpu().eval()
        return
    modes = [(module, module.training) for module in net.modules()]
    try:
        yield net.eval()
    finally:
        for module, mode in modes:
            module.training = mode


def _expected(whole: Network, about: ModelInfo) -> list[NDArray[np.float32]]:
    """Logits of the sample pictures, and features if they are asked for: what every other form must give."""
    with torch.no_grad():
        found = [given.numpy() for given in whole(torch.from_numpy(convert.samples(about.preprocessing, _SAMPLES)))]
    logits = found[0]
    if logits.shape != (_SAMPLES, len(about.classes)):
        raise CheckpointError(
            f"the network gives {logits.shape} for {_SAMPLES} pictures, and there are {len(about.classes)} classes",
            where=about.name,
            hint="replace its head first: frostline.net.head.replace(net, classes)",
        )
    return found


def _refuse_another(made: Path, about: ModelInfo, expected: NDArray[np.float32]) -> None:
    """Open what was written: timm and torchvision build it by its name, and know nothing of a layer that was exchanged.

    Raises: CheckpointError: it cannot be opened, or answers otherwise.
    """
    try:
        network = Network(open_folder(made).net, about.preprocessing).eval()
        with torch.no_grad():
            (logits,) = network(torch.from_numpy(convert.samples(about.preprocessing, _SAMPLES)))
        apart = convert.difference(logits.numpy(), expected)
        said = f"answers {apart:.1e} apart" if not apart <= convert.TOLERANCE else None
    except (CheckpointError, WeightsError) as error:
        said = error.what
    if said is not None:
        raise CheckpointError(
            f"it would be opened as another network than it is: {said}",
            where=about.name,
            hint="was it changed after it was built? a factory of yours can make it: name that, package.module:factory",
        )


def _write_weights(path: Path, net: nn.Module) -> None:
    # Cloned: safetensors refuses tensors that share memory, and timm and transformers want each under its own name.
    state = {name: tensor.detach().contiguous().clone() for name, tensor in net.state_dict().items()}
    save_file(state, path, metadata={"format": "pt"})
    path.chmod((path.parent.stat().st_mode & 0o666) | 0o200)  # safetensors makes it readable by its owner only


def _write_known(path: Path, about: ModelInfo) -> tuple[str, ...]:
    """The file of novelty, if the model knows it; returns its name."""
    if about.novelty is None or about.novelty.known is None:
        return ()
    known = about.novelty.known
    save_arrays({"vectors": known.vectors, "held_out": known.held_out}, path)
    path.chmod((path.parent.stat().st_mode & 0o666) | 0o200)
    return (path.name,)


def _config(net: nn.Module, about: ModelInfo) -> dict[str, Any]:
    """timm's hub form. What timm cannot build has no ``pretrained_cfg``, so that nobody takes it for timm's."""
    of_all = {"num_classes": len(about.classes), "label_names": list(about.classes)}
    if isinstance(net, AllStages):
        inside = _config(net.net, replace(about, kind="timm"))
        return {"architecture": inside["architecture"], **of_all, "library_name": "frostline", "backbone": inside}
    if about.kind != "timm":
        return {"architecture": about.name, **of_all, "library_name": "frostline"}
    published: dict[str, Any] = dict(net.pretrained_cfg)  # type: ignore[arg-type]
    wants = about.preprocessing.to_dict()
    height, width = wants.pop("size")
    wants.pop("reading", None)
    kept = ("tag", "fixed_input_size", "first_conv", "classifier")
    config = {
        "architecture": published["architecture"],
        **of_all,
        "num_features": getattr(net, "num_features", None),
        "pretrained_cfg": {
            **{name: published[name] for name in kept if published.get(name) is not None},
            "custom_load": False,
            "input_size": [about.preprocessing.channels, height, width],
            **wants,
            "num_classes": len(about.classes),
        },
        "model_type": "timm_wrapper",
    }
    if about.multilabel:
        config["problem_type"] = "multi_label_classification"
    if arguments := _arguments(net):
        config["model_args"] = arguments
    return config


def _arguments(net: nn.Module) -> dict[str, Any]:
    """What timm noted that the network was built with, without rates of dropout and what config.json says elsewhere."""
    noted: Mapping[str, Any] = getattr(net, "_model_args", {})
    elsewhere = ("num_classes", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir", "scriptable")
    found = {n: v for n, v in noted.items() if n not in elsewhere and not n.endswith(("drop_rate", "path_rate"))}
    try:
        return dict(json.loads(json.dumps(found)))
    except (TypeError, ValueError):
        return {name: value for name, value in found.items() if isinstance(value, bool | int | float | str)}


def _with_graph(made: Path, whole: Network, about: ModelInfo, expected: list[NDArray[np.float32]]) -> ModelInfo:
    """Write the graph and open it as a prediction would: it stays only if it answers as the network does."""
    try:
        convert.write(made / GRAPH, whole, about.preprocessing)
        files = {**about.files, **_stated(made, (GRAPH, GRAPH_WEIGHTS))}
        (made / ABOUT).write_bytes(_about.to_json(replace(about, files=files).to_dict()))
        answering = open_predictor(made, engine="openvino", streams=1).engine
        pictures = convert.samples(about.preprocessing, _SAMPLES)
        apart = max(
            convert.difference(rows.astype(np.float32), given[:n])
            for n in (_SAMPLES, 1)
            for rows, given in zip(answering.run(pictures[:n]), expected, strict=True)
        )
        if not apart <= convert.TOLERANCE:
            raise EngineError(f"its answers differ from the network's by {apart:.1e}", hint="predict with torch")
        return replace(about, files=files, graph={"differs_by": apart, "precision": "fp32"})
    except (EngineError, CheckpointError) as error:
        for name in (GRAPH, GRAPH_WEIGHTS):
            (made / name).unlink(missing_ok=True)
        return replace(about, graph={"absent": error.what})


def _stated(folder: Path, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    return {n: {"sha256": _about.digest(folder / n), "bytes": (folder / n).stat().st_size} for n in names}


def _versions() -> dict[str, str]:
    found = {"frostline": __version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

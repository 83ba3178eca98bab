"""Names -> networks: timm's, torchvision's, and the user's own.

    resnet18, resnet18.a1_in1k              timm, its default weights or those of a tag
    hf-hub:owner/model, local-dir:FOLDER    a model folder in timm's form, on the hub or on disk
    torchvision/resnet18                    torchvision's classifiers
    package.module:factory                  anything, imported only because the user named it; other packages announce
                                            theirs under the entry-point group ``frostline.models``

`weight_sources` finds weights and `weights` loads them; here they meet a network, its head and its preprocessing.
"""

import copy
import difflib
import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import timm
import torch
import torchvision
from torch import Tensor, nn

from frostline.data.pictures.reading import AS_IT_IS, Reading
from frostline.data.views import Preprocessing
from frostline.errors import HeadError, PlanError, UnknownName, one_line
from frostline.net import head as heads
from frostline.net import model_folder, trained_on, weight_sources
from frostline.net.available import available, factories
from frostline.net.checkpoint_file import Checkpoint
from frostline.net.checkpoint_folder import open_weights
from frostline.net.head import Head
from frostline.net.loaded import Loaded
from frostline.net.model_folder import FOLDER, HUB
from frostline.net.published import TORCHVISION, published, torchvision_names
from frostline.net.true_numbers import is_plain
from frostline.net.undisturbed import plain_torch, seeded
from frostline.net.weight_files import weights_in
from frostline.net.weight_sources import Published, WeightSource
from frostline.net.weights import load


@dataclass(frozen=True)
class Backbone:
    """A network as it came from the zoo, with what belongs to it.

    name: as the user gave it.
    loaded: None if it starts from random weights, or from whatever the user's own factory filled it with.
    head: the classifier that it has.
    """

    net: nn.Module
    name: str
    preprocessing: Preprocessing
    loaded: Loaded | None
    head: Head

    def digest(self) -> str:
        """`state_digest` of the network as it is now."""
        return state_digest(self.net)


@dataclass(frozen=True)
class _Bare:
    """A network before weights and head. given: its weights, where it was held against them."""

    net: nn.Module
    preprocessing: Preprocessing
    published: Published
    given: tuple[WeightSource, Checkpoint] | None = None


def build(
    name: str,
    *,
    classes: int | Sequence[str] | None,
    weights: str | Path | None = "auto",
    seed: int = 0,
    image_size: int | None = None,
    drop_path: float | None = None,
    reading: Reading = AS_IT_IS,
) -> Backbone:
    """A network with weights, a head for so many classes, and its preprocessing.

    classes: names of what the outputs mean, or only how many; None keeps the head that comes with the weights. A head
        in a file is kept only if the file names the same classes, or if only a number is given and it has as many.
    weights: "auto" (installed package, local cache, hub), "none" or None (random), a checkpoint file, or a folder with
        one, in shards too; what the folder says of mean, deviation, size and crop is taken with it.
    seed: of all that is random; torch's own generators stay as they were.
    image_size: side of the square that the network gets, in pixels, if not its own or that of the weights' folder.
    drop_path: stochastic depth, a share in [0, 1), for timm architectures that have it.
    reading: how pictures are read; for other channels than three timm builds the network and adapts the weights.

    Raises: UnknownName: nothing answers to the name; the hint gives the nearest.
        WeightsError: no weights, or they do not fit; without a network the hint lists what is on this machine.
        HeadError: no classifier is found in the network, or none was published and `classes` is None.
        PlanError: the architecture takes no such image_size, drop_path or number of channels.
    """
    names = None if classes is None or isinstance(classes, int) else tuple(classes)
    count = len(names) if names is not None else cast("int | None", classes)
    channels = reading.channels
    named = None if weights in (None, "none", "auto") else _given(name, weights, Published())
    told = {} if named is None else named[1].pictures
    image_size = trained_on.side_said(told) if image_size is None else image_size
    with plain_torch(), seeded(seed):
        bare = _bare(name, weights, classes=count, image_size=image_size, drop_path=drop_path, channels=channels)
        given = bare.given or named or _given(name, weights, bare.published)
        net, preprocessing, loaded = bare.net, bare.preprocessing, None
        if count is None and getattr(net, "num_classes", None) == 0:
            raise HeadError(f"{name} was published without a head, so there is none to keep", hint="give classes")
        head = heads.find_head(net) if count is None else heads.replace(net, count, seed=seed)
        if given is not None:
            head, loaded = _filled(net, head, given, classes=names, keep=count is None, channels=channels, seed=seed)
            preprocessing = replace(preprocessing, **given[0].preprocessing)
    preprocessing = trained_on.prepared_as(told, preprocessing, reading)
    if loaded is not None and told:
        loaded = replace(loaded, pictures=trained_on.in_words(preprocessing))
    if image_size is not None:
        _check_size(net, name, preprocessing)
    _describe(net, preprocessing, heads.out_features(net.get_submodule(head.path)))
    return Backbone(net.eval(), name, preprocessing, loaded, head)


def _filled(
    net: nn.Module,
    head: Head,
    given: tuple[WeightSource, Checkpoint],
    *,
    classes: tuple[str, ...] | None,
    keep: bool,
    channels: int,
    seed: int,
) -> tuple[Head, Loaded]:
    """The head that the network has afterwards, and what it took. keep: the file's head, whatever its size."""
    origin, state = given
    state = replace(state, states={k: _adapted(s, net, channels) for k, s in state.states.items()})
    fill = partial(load, net, state, source=origin.source, digest=origin.digest, classes=classes, file=origin.path)
    loaded = fill(head=head)
    old = {m.there[0] for m in loaded.left_out if m.there and m.here}
    if keep and len(old) == 1:  # a head of another size came with the file: it is the one to keep
        head = heads.replace(net, old.pop(), seed=seed)
        loaded = fill(head=head)
    return head, loaded


def create(name: str, classes: int | None, weights: str | Path | None = "auto", *, seed: int = 0) -> nn.Module:
    """`build`, for who wants the network only: on torch's default device, and of its default type.

    Raises: as `build`.
    """
    made = build(name, classes=classes, weights=weights, seed=seed)
    return made.net.to(torch.get_default_device(), torch.get_default_dtype())


def is_listed(name: str) -> bool:
    """Whether timm or torchvision list that very name: no code but theirs, no file and no network is behind it."""
    if name.startswith(TORCHVISION):
        return name.removeprefix(TORCHVISION) in torchvision_names()
    if not timm.is_model(name.partition(".")[0]):
        return False
    return "." not in name or name in timm.list_pretrained()


def is_factory(name: str) -> bool:
    """Whether the name is one of ``package.module:factory``, or that of a factory which a package announces."""
    return not name.startswith((TORCHVISION, FOLDER, HUB)) and (":" in name or name in factories.names())


def check_name(name: str) -> None:
    """Notice a name that nothing answers to. No network is built, no file is read, no factory is imported.

    Raises: UnknownName: the hint gives the nearest.
    """
    if not name.startswith((FOLDER, HUB)) and not is_factory(name) and not is_listed(name):
        raise _unknown(name)


def state_digest(net: nn.Module | Mapping[str, Tensor]) -> str:
    """blake2b, 128 bits, over names, dtypes, shapes and bytes of a state dict, in its order."""
    state = net.state_dict() if isinstance(net, nn.Module) else net
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in state.items():
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        # as bytes, because NumPy has no bfloat16
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _origin(name: str, weights: str | Path | None, published: Published) -> WeightSource | None:
    if weights is None or weights == "none":
        return None
    if weights != "auto":
        return weight_sources.of_file(weights)
    if name.startswith(FOLDER):
        return weight_sources.of_file(weights_in(Path(name.removeprefix(FOLDER))))
    if is_factory(name):
        return None
    return weight_sources.find(
        name, published, here=lambda: [f"{k.name} ({k.weights})" for k in available() if k.weights]
    )


def _given(name: str, weights: str | Path | None, published: Published) -> tuple[WeightSource, Checkpoint] | None:
    origin = _origin(name, weights, published)
    return None if origin is None else (origin, open_weights(origin.path))


def _describe(net: nn.Module, preprocessing: Preprocessing, classes: int) -> None:
    """What timm saves with a network says what the network is now, not what it was published as."""
    config = getattr(net, "pretrained_cfg", None)
    if not isinstance(config, dict):
        return
    config = copy.deepcopy(config) | preprocessing.to_dict() | {"num_classes": classes}
    config["input_size"] = (preprocessing.channels, *preprocessing.size)
    of_files = ("file", "source", "label_names", "label_descriptions", "test_input_size", "test_crop_pct")
    for gone in ("size", "reading", *of_files):
        config.pop(gone, None)
    net.pretrained_cfg = config  # type: ignore[assignment]
    if hasattr(net, "default_cfg"):
        net.default_cfg = config  # type: ignore[assignment]


def _bare(
    name: str,
    weights: str | Path | None,
    *,
    classes: int | None,
    image_size: int | None,
    drop_path: float | None,
    channels: int,
) -> _Bare:
    if channels != 3 and (name.startswith(TORCHVISION) or is_factory(name)):
        raise PlanError(
            f"{name} takes three channels, and there are {channels} bands", where="--bands", hint="take one of timm's"
        )
    if name.startswith(TORCHVISION):
        return _from_torchvision(name, image_size=image_size, drop_path=drop_path)
    if not is_factory(name):
        return _from_timm(name, weights, image_size=image_size, drop_path=drop_path, channels=channels)
    if drop_path is not None:
        raise PlanError("drop_path is for timm and torchvision; let the factory set it", where=name)
    return _from_factory(name, classes=classes, image_size=image_size)


def _from_timm(
    name: str, weights: str | Path | None, *, image_size: int | None, drop_path: float | None, channels: int
) -> _Bare:
    options: dict[str, Any] = {} if drop_path is None else {"drop_path_rate": drop_path}
    if channels != 3:
        options["in_chans"] = channels
    arguments: dict[str, Any] = {}
    given = None
    if (folder := model_folder.named(name)) is not None:
        builds, published = folder.name, folder.published
        given = _given(name, weights, published)
        architecture, arguments = model_folder.checked(folder, None if given is None else given[1].states)
    elif is_listed(name):
        builds = architecture = name
        config = timm.models.get_pretrained_cfg(name)
        published = Published() if config is None else Published.of(vars(config))
    else:
        raise _unknown(name)
    if image_size is not None and _takes_one_size(architecture):
        options["img_size"] = image_size
    net = _created(name, lambda: timm.create_model(builds, pretrained=False, **options), options)
    if not hasattr(net, "_model_args"):  # which older timm does not note: a saved model is built again by it
        net._model_args = {**arguments, **options}  # type: ignore[assignment]
    with nullcontext() if folder is None else model_folder.refusals(folder):
        preprocessing = trained_on.as_published(net.pretrained_cfg, name)  # type: ignore[arg-type]
    return _Bare(net, _sized(preprocessing, image_size), published, given)


def _from_torchvision(name: str, *, image_size: int | None, drop_path: float | None) -> _Bare:
    short = name.removeprefix(TORCHVISION)
    if not is_listed(name):
        raise _unknown(name)
    options: dict[str, Any] = {} if drop_path is None else {"stochastic_depth_prob": drop_path}
    if image_size is not None and short.startswith("vit_"):
        options["image_size"] = image_size
    if short in ("googlenet", "inception_v3"):
        # Auxiliary classifiers make training give tuples. The published weights want their input transformed.
        options |= {"aux_logits": False, "init_weights": True, "transform_input": True}
    net = _created(name, lambda: torchvision.models.get_model(short, weights=None, **options), options)
    best = torchvision.models.get_model_weights(short).DEFAULT
    wants = best.transforms()
    (side,), (resized,) = wants.crop_size, wants.resize_size
    preprocessing = Preprocessing(
        size=(side, side),
        mean=trained_on.three(wants.mean),
        std=trained_on.three(wants.std),
        interpolation=wants.interpolation.value,
        crop_pct=side / resized,
    )
    return _Bare(net, _sized(preprocessing, image_size), Published(url=best.url))


def _from_factory(name: str, *, classes: int | None, image_size: int | None) -> _Bare:
    factory = factories.get(name)
    takes = inspect.signature(factory).parameters.values()
    needed = [p.name for p in takes if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if strange := [argument for argument in needed if argument != "num_classes"]:
        raise UnknownName(f"{name} asks for {', '.join(strange)}", hint="a factory takes num_classes at most")
    net = factory(num_classes=classes) if "num_classes" in needed and classes is not None else factory()
    if not isinstance(net, nn.Module):
        raise UnknownName(f"{name} gave a {type(net).__name__}, not a torch.nn.Module", hint="return the network")
    config = getattr(net, "pretrained_cfg", None)
    preprocessing = trained_on.as_published(config, name) if isinstance(config, Mapping) and config else Preprocessing()
    return _Bare(net, _sized(preprocessing, image_size), Published())


def _adapted(state: Mapping[str, Tensor], net: nn.Module, channels: int) -> Mapping[str, Tensor]:
    """Weights of three channels for a network of others, as timm adapts them: the first layer's are repeated."""
    config = getattr(net, "pretrained_cfg", None)
    first = config.get("first_conv") if isinstance(config, dict) else None
    if channels == 3 or first is None:
        return state
    ends = tuple(f"{name}.weight" for name in ((first,) if isinstance(first, str) else first))
    return {
        name: timm.models.adapt_input_conv(channels, tensor)
        if name.endswith(ends) and tensor.ndim == 4 and tensor.shape[1] == 3 and is_plain(tensor)
        else tensor
        for name, tensor in state.items()
    }


def _takes_one_size(architecture: str) -> bool:
    config = timm.models.get_pretrained_cfg(architecture)
    return config is not None and bool(config.fixed_input_size)


def _check_size(net: nn.Module, name: str, preprocessing: Preprocessing) -> None:
    """One forward at a size that was asked for: architectures say only so which sizes they take.

    Raises: PlanError: it takes no such size.
    """
    side = preprocessing.size[0]
    try:
        with torch.inference_mode():
            net.eval()(torch.zeros(1, preprocessing.channels, *preprocessing.size))
    except Exception as error:  # architectures assert, or fail wherever the maps become too small
        raise PlanError(
            f"{name} does not take pictures of {side} x {side}: {one_line(str(error))[:200]}",
            where="--image-size",
            hint=f"try {max(side // 32, 1) * 32} or {(side // 32 + 1) * 32}, or leave it out",
        ) from None


def _created(name: str, create: Callable[[], nn.Module], options: Mapping[str, Any]) -> nn.Module:
    try:
        return create()
    # architectures raise TypeError for an option that they lack, and assert or compute what they cannot be built with
    except (TypeError, AssertionError, ValueError, RuntimeError, ZeroDivisionError) as error:
        if not options:
            raise
        told = " and ".join(f"{option} {value}" for option, value in options.items())
        sized = options.get("img_size") or options.get("image_size")
        hint = f"try {sized // 32 * 32} or {-(-sized // 32) * 32}" if sized else "leave it out"
        raise PlanError(
            f"{name} cannot be built with {told}: {one_line(str(error))[:200]}", where=name, hint=hint
        ) from None


def _sized(preprocessing: Preprocessing, side: int | None) -> Preprocessing:
    return preprocessing if side is None else replace(preprocessing, size=(side, side))


def _unknown(name: str) -> UnknownName:
    names = [name for name, _ in published()] + factories.names()
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    hint = f"{hint}`frostline models PATTERN` lists them"
    return UnknownName(f"there is no model called {name!r}", where=factories.option, hint=hint)

"""`frostline.json`, what a model folder says of its model: read without torch, and believed only as far as checked.

``folder`` writes it beside the weights, and predictors answer by it. timm and transformers read
`config.json` instead, which says the same in their words.
"""

import hashlib
import json
import math
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from frostline.data.pictures.picture import holes
from frostline.data.views import Preprocessing
from frostline.errors import CheckpointError, FrostlineError, one_line
from frostline.inference.probabilities import probabilities
from frostline.judge.conformal import PredictionSets
from frostline.judge.ood import Novelty
from frostline.ship.file_names import ABOUT, NOVELTY

FORMAT = 1
KINDS = ("timm", "torchvision", "factory", "head2toe")

_LARGEST = 256 << 20
_LONGEST_SIDE = 4_096
_COLDEST = 1e-6
_AGAIN = "copy the folder again from where it came, or fit the model again"


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """A model in words and numbers: everything but its weights.

    name: the backbone as ``frostline models`` calls it: a timm name, ``torchvision/<name>`` or
        ``package.module:factory``.
    classes: what the outputs mean, in their order.
    preprocessing: what is done to a picture before the network sees it.
    multilabel: several classes may hold at once: a sigmoid for each, in place of one softmax.
    temperature: logits are divided by it before they become probabilities.
    sets: prediction sets of any coverage, or None (several labels a picture, or nothing held out).
    novelty: which pictures are unlike the training data, or None where that is not known.
    arguments: what the architecture was built with beside the classes (``img_size``), as timm names it.
    metrics: measured figures by split, ``{"val": {"accuracy": {"value": 0.96, "low": 0.92, "high": 0.98, "n": 153}}}``.
    plan: how it was learnt, as ``plan.json`` has it.
    facts: anything else that is worth keeping: strategy, seed, source of the weights, counts.
    kind, versions, files, graph: filled in by ``folder.save``: who builds the architecture ("timm", "torchvision",
        "factory", or "head2toe": timm's with a head over all stages); versions of the packages; SHA-256 and size of
        each file; how far the graph agrees with the network, or why there is none.

    Raises: CheckpointError: fewer than one class, a class twice, a temperature that is not a positive number, or an
        unknown kind, or prediction sets of another number of classes.
    """

    name: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    multilabel: bool = False
    temperature: float = 1.0
    sets: PredictionSets | None = None
    novelty: Novelty | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "timm"
    versions: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    graph: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise CheckpointError("a model needs one class or more, and no name twice", hint="see its list of classes")
        if not _COLDEST <= self.temperature <= 1 / _COLDEST:  # nor NaN
            raise CheckpointError(
                f"a temperature must lie between {_COLDEST:g} and {1 / _COLDEST:g}, and it is {self.temperature}",
                hint="1 changes nothing",
            )
        if self.kind not in KINDS:
            raise CheckpointError(f"there is no kind {one_line(self.kind)[:40]!r}", hint=f"known: {', '.join(KINDS)}")

        if self.sets is not None and self.sets.groups and len(self.sets.groups) != len(self.classes):
            raise CheckpointError(
                f"its prediction sets are of {len(self.sets.groups)} classes, not {len(self.classes)} classes",
                hint=_AGAIN,
            )

    def probabilities(self, logits: NDArray[np.floating]) -> NDArray[np.float32]:
        """(N, K) float32 of logits (N, K): softmax of logits / temperature, a sigmoid each if multi-label."""
        found = probabilities(logits, temperature=self.temperature, multilabel=self.multilabel)
        return found.astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        own = {name: None if plain[name] is None else plain[name].to_dict() for name in ("sets", "novelty")}
        of_pictures = {"classes": list(self.classes), "preprocessing": self.preprocessing.to_dict()}
        return {"format": FORMAT, **plain, **of_pictures, **own}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_dict`` gave. Keys that a later version may have added are passed over.

        Raises: CheckpointError: another format, or a key that is missing or of another kind.
        """
        if values.get("format") != FORMAT:
            raise CheckpointError(
                f"its format is {one_line(str(values.get('format')))[:40]}, and this version reads {FORMAT}",
                hint="install the frostline that wrote it, or a newer one",
            )
        known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
        for name, kind in _TYPES.items():
            if (
                name not in known
                or not isinstance(known[name], kind)
                or isinstance(known[name], bool) != (kind is bool)
            ):
                raise CheckpointError(f"its {name!r} is missing or not what it should be", hint=_AGAIN)
        if not all(isinstance(label, str) for label in known["classes"]):
            raise CheckpointError("its 'classes' are not all text", hint=_AGAIN)
        preprocessing = Preprocessing.from_dict(known["preprocessing"])
        if max(preprocessing.size) > _LONGEST_SIDE:
            raise CheckpointError(f"its pictures would be {preprocessing.size}", hint=f"at most {_LONGEST_SIDE} a side")
        known |= {"classes": tuple(known["classes"]), "preprocessing": preprocessing}
        for name, made in (("sets", PredictionSets.from_dict), ("novelty", Novelty.from_dict)):
            if known.get(name) is not None:
                known[name] = made(known[name])
        return cls(**known)


_TYPES: dict[str, Any] = {
    "name": str,
    "classes": list,
    "preprocessing": dict,
    "multilabel": bool,
    "temperature": int | float,
    "arguments": dict,
    "metrics": dict,
    "plan": dict,
    "facts": dict,
    "kind": str,
    "versions": dict,
    "files": dict,
    "graph": dict,
}


def read(folder: Path) -> ModelInfo:
    """What the folder's `frostline.json` says.

    Raises: CheckpointError: no such folder, not a model folder, or a damaged or hostile file.
    """
    path = folder / ABOUT
    if not path.exists():
        what = f"not a model folder: it has no {ABOUT}" if folder.is_dir() else "there is no such model folder"
        raise CheckpointError(what, where=folder, hint=_instead(folder))
    try:
        if _length(path) > _LARGEST:
            raise CheckpointError(f"more than {_LARGEST >> 20} MB of description", where=path, hint=_AGAIN)
        values = parsed(path.read_bytes())
        if not isinstance(values, dict):
            raise CheckpointError("not a description of a model", where=path, hint=_AGAIN)
        return ModelInfo.from_dict(values)
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror}", where=path, hint=_AGAIN) from None
    except FrostlineError as error:
        raise CheckpointError(error.what, where=path, hint=error.hint or _AGAIN) from None
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError) as error:
        said = one_line(str(error))[:200]  # a value of another kind shows wherever it is used first
        raise CheckpointError(f"not a description of a model: {said}", where=path, hint=_AGAIN) from None


def parsed(said: bytes) -> Any:
    """JSON whose numbers are all finite, as ``to_json`` writes it.

    Raises: ValueError: it is none. RecursionError: it is nested too deeply.
    """

    def finite(number: str) -> float:
        if not math.isfinite(found := float(number)):
            raise ValueError(f"a number that is not finite: {number[:20]}")
        return found

    return json.loads(said, parse_constant=finite, parse_float=finite)


def recalled(folder: Path, about: ModelInfo) -> ModelInfo:
    """The same with what its novelty knows of the training pictures, from the folder's file.

    Raises: CheckpointError: the file is missing or damaged.
    """
    if about.novelty is None:
        return about
    check_files(folder, about, (NOVELTY,))
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return replace(about, novelty=about.novelty.with_known(load_file(folder / NOVELTY)))
    except (SafetensorError, FrostlineError, OSError, KeyError, TypeError, AttributeError) as error:
        said = error.what if isinstance(error, FrostlineError) else one_line(str(error))[:200]
        raise CheckpointError(said, where=folder / NOVELTY, hint=_AGAIN) from None


def located(place: Path) -> Path:
    """The model folder of a place that is one, or that is a run's folder with one in it."""
    inside = place / "model"
    return inside if not (place / ABOUT).is_file() and (inside / ABOUT).is_file() else place


def unseen(about: ModelInfo, split: str) -> bool:
    """Whether the model has learned from none of the pictures of a split that its run judged: from those of a
    cross-validation it has in the end, and from val's where all was carried out again on all pictures (``--refit``)."""
    return split == "test" or (split == "val" and "refit" not in about.facts)


class AnotherModel(CheckpointError):
    """A folder holds another model than the one that was opened before."""


def identity(about: ModelInfo) -> str:
    """A digest (hex, 16 digits) of all that a folder says: its files by their digests, classes, temperature, ..."""
    said = json.dumps(about.to_dict(), sort_keys=True, default=str)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def refuse_another(about: ModelInfo, digest: str) -> None:
    """Notice that a folder was replaced while its model is in use.

    digest: of the model that is meant; "" is any.

    Raises: AnotherModel: it is another.
    """
    if digest and identity(about) != digest:
        raise AnotherModel(
            f"the folder holds another model now ({identity(about)}) than the one that is served ({digest})",
            where=one_line(about.name),
            hint="start the server again to serve it",
        )


def check_files(folder: Path, about: ModelInfo, names: Sequence[str]) -> None:
    """Compare files with the digests that the folder states.

    Raises: CheckpointError: a file that is missing, of another length, or of another content.
    """
    check_lengths(folder, about, names)
    for name in names:
        if digest(folder / name) != about.files[name].get("sha256"):
            raise CheckpointError(
                "its content is not what was saved (SHA-256 differs)", where=folder / name, hint=_AGAIN
            )


def check_lengths(folder: Path, about: ModelInfo, names: Sequence[str]) -> None:
    """Notice a file that is missing, was cut short, or is none, without reading it.

    Raises: CheckpointError: it is missing, of another length, or a device, pipe or folder.
    """
    for name in names:
        path, stated = folder / name, about.files.get(name)
        if not isinstance(stated, dict):
            raise CheckpointError("the folder does not state its digest", where=path, hint=_AGAIN)
        length = _length(path)
        if length != stated.get("bytes"):
            said = one_line(str(stated.get("bytes")))[:40]
            raise CheckpointError(f"{length:,} bytes, where {said} were saved", where=path, hint=_AGAIN)


def _length(path: Path) -> int:
    """Of a regular file: a pipe or a device would be waited for, and may have no end."""
    try:
        status = path.stat()
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror}", where=path, hint=_AGAIN) from None
    if not stat.S_ISREG(status.st_mode):
        raise CheckpointError("not a file", where=path, hint=_AGAIN)
    if (said := holes(status)) is not None:
        raise CheckpointError(said, where=path, hint=_AGAIN)
    return status.st_size


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex.

    Raises: CheckpointError: it cannot be read.
    """
    try:
        with path.open("rb") as source:
            return hashlib.file_digest(source, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"cannot be read: {error.strerror}", where=path, hint=_AGAIN) from None


def to_json(values: Mapping[str, Any]) -> bytes:
    """UTF-8 JSON; a name that UTF-8 cannot hold (a lone surrogate of an odd file name) makes all of it ASCII escapes.

    Raises: ValueError: a NaN or an infinity, which JSON does not know.
    """
    try:
        return (json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(values, indent=2, allow_nan=False) + "\n").encode()


def _instead(folder: Path) -> str:
    older = f".{folder.name}.old-"
    for sibling in folder.parent.iterdir() if folder.parent.is_dir() else ():
        if sibling.name.startswith(older):
            return f"saving over it was interrupted; the previous model is in {one_line(str(sibling))}"
    return "name the folder that `frostline fit` wrote: RUN/model"

"""What a checkpoint says of its classes, and in which order: a head means nothing without their names."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

_LISTS = ("classes", "class_names", "label_names", "labels", "names", "CLASSES", "categories")
_BY_NUMBER = ("id2label", "idx_to_class", "names", "label_names", "classes", "labels")
_BY_NAME = ("class_to_idx", "label2id", "classes", "labels")
_INSIDE = ("meta", "dataset_meta", "config", "pretrained_cfg", "hyper_parameters", "hparams", "args", "datamodule")
_LARGEST = 64 << 20  # bytes of a configuration beside the weights


def names_in(said: Mapping[str, object], depth: int = 2) -> tuple[str, ...] | None:
    """Class names among what lies beside weights, in the order of the head's outputs; None if there are none."""
    for key in (*_LISTS, *_BY_NUMBER, *_BY_NAME):
        if (found := _listed(said.get(key))) is not None:
            return found
    for key in _INSIDE:
        inner = said.get(key)
        if inner is not None and not isinstance(inner, Mapping) and hasattr(inner, "__dict__"):
            inner = vars(inner)
        if depth and isinstance(inner, Mapping) and (found := names_in(inner, depth - 1)) is not None:
            return found
    return None


def names_beside(folder: Path) -> tuple[str, ...] | None:
    """Class names that a model folder's ``config.json`` says (timm's and transformers' form)."""
    path = folder / "config.json"
    try:
        if path.stat().st_size > _LARGEST:
            return None
        said = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return names_in(said) if isinstance(said, dict) else None


def _listed(value: object) -> tuple[str, ...] | None:
    if isinstance(value, Mapping):
        return _in_order(value)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes) and value:
        names = [str(name) for name in value if isinstance(name, str | int)]
        return tuple(names) if len(names) == len(value) == len(set(names)) else None
    return None


def _in_order(value: Mapping[object, object]) -> tuple[str, ...] | None:
    """{0: "cat", 1: "dog"} or {"cat": 0, "dog": 1}."""
    try:
        pairs = [(int(number), str(name)) for number, name in value.items()]  # type: ignore[call-overload]
    except (TypeError, ValueError):
        try:
            pairs = [(int(number), str(name)) for name, number in value.items()]  # type: ignore[call-overload]
        except (TypeError, ValueError):
            return None
    pairs.sort()
    whole = [number for number, _ in pairs] == list(range(len(pairs))) and len({name for _, name in pairs}) == len(
        pairs
    )
    return tuple(name for _, name in pairs) if whole and pairs else None

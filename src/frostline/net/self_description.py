"""What a checkpoint says of itself: its classes in their order, without which a head means nothing, and the
architecture that it is of, since networks of the same shapes may compute different things.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from frostline.ordinary_file import ordinary

_LISTS = ("classes", "class_names", "label_names", "labels", "names", "CLASSES", "categories")
_BY_NUMBER = ("id2label", "idx_to_class")
_BY_NAME = ("class_to_idx", "label2id")
_ARCHITECTURE = ("architecture", "arch", "model_name", "model", "backbone")
_INSIDE = ("meta", "dataset_meta", "config", "pretrained_cfg", "hyper_parameters", "hparams", "args", "datamodule")
_LARGEST = 64 << 20  # bytes of a configuration beside the weights


def names_in(said: Mapping[str, object], depth: int = 2) -> tuple[str, ...] | None:
    """Class names among what lies beside weights, in the order of the head's outputs; None if there are none."""
    for key in (*_LISTS, *_BY_NUMBER, *_BY_NAME):
        value = said.get(key)
        found = _in_order(key, value) if isinstance(value, Mapping) else _listed(value)
        if found is not None:
            return found
    for inner in _inside(said) if depth else ():
        if (found := names_in(inner, depth - 1)) is not None:
            return found
    return None


def architecture_in(said: Mapping[str, object], depth: int = 1) -> str | None:
    """What lies beside weights calls their architecture, in whatever words; None if it does not say."""
    for key in _ARCHITECTURE:
        if isinstance(name := said.get(key), str):
            return name
    for inner in _inside(said) if depth else ():
        if (found := architecture_in(inner, depth - 1)) is not None:
            return found
    return None


def said_beside(folder: Path) -> Mapping[str, object]:
    """What a model folder's ``config.json`` says (timm's and transformers' form); nothing if there is none."""
    path = folder / "config.json"
    try:
        said = json.loads(ordinary(path).read_bytes()) if path.stat().st_size <= _LARGEST else None
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _inside(said: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    for key in _INSIDE:
        inner = said.get(key)
        if inner is not None and not isinstance(inner, Mapping) and hasattr(inner, "__dict__"):
            inner = vars(inner)
        if isinstance(inner, Mapping):
            yield inner


def _listed(value: object) -> tuple[str, ...] | None:
    if isinstance(value, Sequence) and not isinstance(value, str | bytes) and value:
        names = [str(name) for name in value if isinstance(name, str | int)]
        return tuple(names) if len(names) == len(value) == len(set(names)) else None
    return None


def _in_order(key: str, value: Mapping[object, object]) -> tuple[str, ...] | None:
    """{0: "cat", 1: "dog"} or {"cat": 0, "dog": 1}; where names are numbers too, the key says which it is."""
    numbers = all(isinstance(number, int) for number in value.values())
    by_name = key in _BY_NAME or (numbers and key not in _BY_NUMBER)
    pairs = [(n, name) for name, n in value.items()] if by_name else value.items()
    found = {_whole(number): str(name) for number, name in pairs}
    if not found or set(found) != set(range(len(value))) or len(set(found.values())) != len(value):
        return None
    return tuple(found[place] for place in range(len(value)))


def _whole(number: object) -> int | None:
    if isinstance(number, float):
        return int(number) if number.is_integer() else None
    try:
        return int(number) if isinstance(number, int | str) else None
    except ValueError:
        return None

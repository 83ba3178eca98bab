"""A digest of what a network runs, beside that of its weights: a changed `forward` gives other features.

What it reads are a module's class with every method of it, what those look up in their own file and in others that are
no library's, and what the module holds beside its weights and says of itself. Nothing of it is an address or an order
of a set: every process of one Python and one version of the libraries finds the same.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import blake2b
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frostline.net.cuts import Placeholder

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_IDLE = re.compile(r"(timm|torch|torchvision)\..*\.(\w*Drop[A-Z]?\w*|StochasticDepth)")
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), torch.dtype)
_OWN = frozenset((*dir(nn.Module()), "forward"))  # attributes of any module
# Attributes that say nothing of features: of the head, of dropout, of training, of where weights came from.
_BESIDE = re.compile(r"num_(classes|labels)|(\w+_)?drop(out|_\w+)?|grad_checkpointing|(pretrained|default)_cfg")
_LIBRARIES = frozenset(
    (*sys.stdlib_module_names, *("torch", "torchvision", "timm", "transformers", "numpy", "scipy", "PIL", "frostline"))
)


def code_digest(net: nn.Module) -> str:
    """blake2b, 128 bits. Dropout, which evaluation passes over, and what is cut off above a line count for nothing."""
    digest, classes = blake2b(digest_size=16), dict[type, str]()
    for path, module in net.named_modules():
        kind = type(module)
        if isinstance(module, Placeholder) or _IDLE.fullmatch(_name(kind)):
            continue
        if kind not in classes:
            classes[kind] = _of_class(kind, set())
        own = vars(module).get("forward")  # put there by hand
        forward = _of_function(own, set()) if isinstance(own, FunctionType) else ""
        says = _ADDRESS.sub("", module.extra_repr())
        digest.update(f"{path} {classes[kind]} {says} {forward} {_held(module)}\n".encode())
    return digest.hexdigest()


def _held(module: nn.Module) -> str:
    """What a module holds that a state dict leaves out: plain attributes, and buffers that are not kept. Of a library's
    modules only numbers and words: they keep tensors and tables that a forward pass has made."""
    held = {name: value for name, value in vars(module).items() if name not in _OWN and not _BESIDE.fullmatch(name)}
    if _of_library(type(module).__module__):
        held = {name: value for name, value in held.items() if isinstance(value, bool | int | float | str)}
    else:
        held |= {name: module._buffers.get(name) for name in module._non_persistent_buffers_set}
    return " ".join(f"{name}={_said(value, set())}" for name, value in sorted(held.items()))


def _of_class(kind: type, seen: set[object]) -> str:
    """seen: what is being read already: classes and functions may name each other."""
    seen.add(kind)
    lines = [_name(kind)]
    for base in kind.__mro__:
        if base in (nn.Module, object):
            continue
        for name, value in sorted(vars(base).items()):
            found = getattr(value, "fget", getattr(value, "__func__", value))
            if isinstance(found, FunctionType):
                lines.append(f"{name} {_of_function(found, seen)}")
            elif isinstance(value, _PLAIN) and not name.startswith("__"):
                lines.append(f"{name} {value!r}")
    return _short("\n".join(lines))


def _of_function(function: FunctionType, seen: set[object]) -> str:
    if function.__code__ in seen:
        return function.__qualname__
    seen.add(function.__code__)
    held = [_said(value, seen) for value in _cells(function)]
    given = [_said(function.__defaults__, seen), _said(sorted((function.__kwdefaults__ or {}).items()), seen)]
    return _short("\n".join([_of_code(function.__code__, function, seen), *given, *held]))


def _of_code(code: CodeType, function: FunctionType, seen: set[object]) -> str:
    constants = [
        _of_code(value, function, seen) if isinstance(value, CodeType) else _said(value, seen)
        for value in code.co_consts
    ]
    looked_up = [f"{name} {said}" for name, said in _looked_up(code.co_names, function.__globals__, function, seen)]
    return "\n".join([code.co_code.hex(), *constants, *code.co_names, *code.co_varnames, *looked_up])


def _looked_up(
    names: tuple[str, ...], there: Mapping[str, Any], function: FunctionType, seen: set[object]
) -> Iterator[tuple[str, str]]:
    """What a function's names stand for in a file; what is a library's is told by its name."""
    for name in names:
        value = there.get(name)
        if isinstance(value, ModuleType):
            if not _of_library(value.__name__) and value.__name__ not in seen:
                seen.add(value.__name__)
                yield name, " ".join(f"{n} {said}" for n, said in _looked_up(names, vars(value), function, seen))
        elif isinstance(value, FunctionType) and value.__module__ != function.__module__:
            known = _of_library(value.__module__)
            yield name, f"{value.__module__}.{value.__qualname__}" if known else _of_function(value, seen)
        elif name in there and (isinstance(value, FunctionType | type) or _is_plain(value)):
            yield name, _said(value, seen)


def _cells(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_plain, (*value.keys(), *value.values())))
    if isinstance(value, tuple | list | set | frozenset):
        return all(map(_is_plain, value))
    return isinstance(value, (*_PLAIN, Tensor, np.ndarray))


def _said(value: Any, seen: set[object]) -> str:
    if isinstance(value, str):
        return repr(_ADDRESS.sub("", value))
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, FunctionType):
        return _of_function(value, seen)
    if isinstance(value, type):
        return _name(value) if _of_library(value.__module__) or value in seen else _of_class(value, seen)
    if isinstance(value, partial):
        return f"partial {_said((value.func, value.args, value.keywords), seen)}"
    if isinstance(value, Tensor | np.ndarray) and not isinstance(value, nn.Parameter):
        return _bytes_of(value)
    if isinstance(value, tuple | list):
        return f"({', '.join(_said(one, seen) for one in value)})"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(_said(one, seen) for one in value))}}}"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_said(key, seen)}: {_said(one, seen)}' for key, one in value.items())}}}"
    return _name(type(value))


def _bytes_of(value: Tensor | NDArray[Any]) -> str:
    tensor = torch.from_numpy(value) if isinstance(value, np.ndarray) and value.dtype != object else value
    if not isinstance(tensor, Tensor) or tensor.is_meta:
        return _name(type(value))
    flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()  # NumPy has no bfloat16
    return f"{tensor.dtype} {tuple(tensor.shape)} {blake2b(flat.data, digest_size=16).hexdigest()}"


def _of_library(module: str | None) -> bool:
    return (module or "").partition(".")[0] in _LIBRARIES


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _short(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

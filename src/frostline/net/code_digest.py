"""A digest of the code that a network runs, beside that of its weights: a changed `forward` gives other features.

What it reads are a module's class with every method of it, what those look up in their own file, and what the module
says of itself. Nothing of it is an address or an order of a set: every process of one Python and one version of the
libraries finds the same.
"""

import re
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from types import CodeType, FunctionType
from typing import Any

import torch
from torch import nn

from frostline.net.cuts import Placeholder

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_IDLE = re.compile(r"(timm|torch|torchvision)\..*\.(\w*Drop[A-Z]?\w*|StochasticDepth)")
_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), torch.dtype)


def code_digest(net: nn.Module) -> str:
    """blake2b, 128 bits. Dropout, which evaluation passes over, and what is cut off above a line count for nothing."""
    digest, classes = blake2b(digest_size=16), dict[type, str]()
    for path, module in net.named_modules():
        kind = type(module)
        if isinstance(module, Placeholder) or _IDLE.fullmatch(_name(kind)):
            continue
        if kind not in classes:
            classes[kind] = _of_class(kind)
        own = vars(module).get("forward")  # put there by hand
        forward = _of_function(own, set()) if isinstance(own, FunctionType) else ""
        digest.update(f"{path} {classes[kind]} {_ADDRESS.sub('', module.extra_repr())} {forward}\n".encode())
    return digest.hexdigest()


def _of_class(kind: type) -> str:
    lines = [_name(kind)]
    for base in kind.__mro__:
        if base in (nn.Module, object):
            continue
        for name, value in sorted(vars(base).items()):
            found = getattr(value, "fget", getattr(value, "__func__", value))
            if isinstance(found, FunctionType):
                lines.append(f"{name} {_of_function(found, set())}")
            elif isinstance(value, _PLAIN) and not name.startswith("__"):
                lines.append(f"{name} {value!r}")
    return _short("\n".join(lines))


def _of_function(function: FunctionType, seen: set[CodeType]) -> str:
    """seen: what is being read already: functions may call each other."""
    if function.__code__ in seen:
        return function.__qualname__
    seen.add(function.__code__)
    held = [_said(value, seen) for value in _cells(function)]
    given = [_said(function.__defaults__, seen), _said(sorted((function.__kwdefaults__ or {}).items()), seen)]
    return _short("\n".join([_of_code(function.__code__, function, seen), *given, *held]))


def _of_code(code: CodeType, function: FunctionType, seen: set[CodeType]) -> str:
    constants = [
        _of_code(value, function, seen) if isinstance(value, CodeType) else _said(value, seen)
        for value in code.co_consts
    ]
    looked_up = [f"{name} {said}" for name, said in _looked_up(code.co_names, function, seen)]
    return "\n".join([code.co_code.hex(), *constants, *code.co_names, *code.co_varnames, *looked_up])


def _looked_up(names: tuple[str, ...], function: FunctionType, seen: set[CodeType]) -> Iterator[tuple[str, str]]:
    """What a function's names stand for in its own file; what that takes from others is told by its name."""
    there: Mapping[str, Any] = function.__globals__
    for name in names:
        value = there.get(name)
        if isinstance(value, FunctionType) and value.__module__ != function.__module__:
            yield name, f"{value.__module__}.{value.__qualname__}"
        elif name in there and isinstance(value, (FunctionType, type, *_PLAIN)):
            yield name, _said(value, seen)


def _cells(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue


def _said(value: Any, seen: set[CodeType]) -> str:
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, FunctionType):
        return _of_function(value, seen)
    if isinstance(value, type):
        return _name(value)
    if isinstance(value, tuple | list):
        return f"({', '.join(_said(one, seen) for one in value)})"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(_said(one, seen) for one in value))}}}"
    return _name(type(value))


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _short(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

"""Options of a fit that a model folder says it was made with: those that are followed when it is fitted again.

Whoever made the folder wrote them. Numbers and plain words are followed. What names code to import, a place on this
machine, another machine or a file of weights is not: it must be named again by who fits.
"""

import re
from collections.abc import Mapping
from typing import Any

from frostline.errors import PlanError, one_line
from frostline.options import OPTIONS, Option
from frostline.ship.model_info import ModelInfo

_WORD = re.compile(r"[\w.+-]{0,64}")
_DEVICE = re.compile(r"\w{1,16}(:\d{1,3})?")
_OWN_WEIGHTS = ("auto", "none")
_LONGEST = 1000


def given_options(about: ModelInfo) -> tuple[dict[str, Any], dict[str, Any]]:
    """(those that are followed, those that are not), by name; of the output (`--out`, `--on`, ...) there are none."""
    given = about.facts.get("given")
    known = {
        name: value
        for name, value in (given.items() if isinstance(given, Mapping) else ())
        if name in OPTIONS and name != "model" and OPTIONS[name].scope != "output" and value != OPTIONS[name].default
    }
    plain = {name: value for name, value in known.items() if _is_plain(OPTIONS[name], value)}
    return plain, {name: value for name, value in known.items() if name not in plain}


def refuse_withheld(withheld: Mapping[str, Any], chosen: Mapping[str, Any]) -> None:
    """Notice a fit that would differ from the folder's in silence. chosen: the options of the new fit.

    Raises: PlanError: an option that was not followed, and that nobody has named since.
    """
    for name, value in withheld.items():
        if chosen[name] == OPTIONS[name].default:
            said = one_line(repr(value))[:80]
            raise PlanError(
                f"the model folder was made with {name}={said}, which is not followed because a folder says it",
                where=OPTIONS[name].flag,
                hint=f"if you trust it: set_params({name}={said}); else give another",
            )


def _is_plain(option: Option, value: object) -> bool:
    if value is None:
        return True
    if isinstance(value, bool | int | float):
        return option.parsed in (bool, int, float) or option.name in ("lr", "image_size")
    if isinstance(value, list) and option.name == "bands":
        return all(type(band) is int for band in value)
    if not isinstance(value, str) or option.parsed is not str or option.name == "images":
        return False
    if option.name == "weights":
        return value in _OWN_WEIGHTS
    if option.name == "device":
        return _DEVICE.fullmatch(value) is not None
    if option.scope == "data":  # columns, patterns and ranges: text that only the user's own data is compared with
        return len(value) <= _LONGEST
    return _WORD.fullmatch(value) is not None

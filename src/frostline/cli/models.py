"""``frostline models``: what can be fitted, and which of it has its weights on this machine."""

import sys
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from frostline.cli.complete import offered
from frostline.cli.language import sentence
from frostline.cli.wrap import in_columns

if TYPE_CHECKING:
    from frostline.net.available import AvailableModel

RECOMMENDED = (
    ("tf_efficientnet_lite0", "4.7 M parameters, the default: fast on any machine, its weights come with frostline"),
    ("mobilenetv3_large_100", "5.5 M, for phones and small boards"),
    ("resnet18", "11.7 M, the one that lessons use"),
    ("resnet50", "25.6 M, the reference that papers compare with"),
    ("efficientnetv2_rw_s", "23.9 M, more accurate, at larger pictures"),
    ("convnext_tiny", "28.6 M, a good choice with a GPU"),
    ("vit_small_patch14_dinov2", "22.1 M, features that a linear probe does best with; slow without a GPU"),
)
"""Where to begin, from small to large."""


def models(
    pattern: Annotated[
        str | None, Argument(help="Part of a name, or a pattern with * and ?.", autocompletion=offered("model"))
    ] = None,
    here: Annotated[bool, Option("--here", help="Only models whose weights are on this machine now.")] = False,
    every: Annotated[bool, Option("--all", help="Every model that can be fitted, some 1,400.")] = False,
    json: Annotated[bool, Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List models: those with weights on this machine and where to begin; with PATTERN or --all, every one that fits.

    [dim]frostline models[/dim]
    [dim]frostline models resnet[/dim]
    """
    from frostline.cli import console
    from frostline.errors import UnknownName
    from frostline.net.available import available

    found = sorted(
        (m for m in available(pattern or "*") if m.weights or not here), key=lambda m: (not m.weights, m.name)
    )
    if not found:
        raise UnknownName(f"no model matches {pattern!r}", hint="try a part of a name: frostline models resnet")
    if json:
        console.json([{"name": m.name, "weights": m.weights} for m in found])
    elif pattern is None and not here and not every:
        print(_short(found))
        console.aside(f"{len(found):,} models can be fitted: frostline models PATTERN, or --all")
    else:
        _paged(_listed(found))
        console.aside(f"{len(found):,} models, {sum(bool(m.weights) for m in found)} with weights on this machine")


def _listed(found: "list[AvailableModel]") -> str:
    width = max(len(m.name) for m in found)
    return "\n".join(f"{m.name:<{width}}  {m.weights}".rstrip() for m in found)


def _short(found: "list[AvailableModel]") -> str:
    there = [model for model in found if model.weights]
    known = {model.name for model in found}
    suggested = [(name, sentence(why)) for name, why in RECOMMENDED if name in known]
    at_hand = [(model.name, model.weights) for model in there]
    here = in_columns(at_hand, sys.stdout) or sentence("none yet")
    begin = in_columns(suggested, sys.stdout)
    return f"{sentence('weights on this machine:')}\n{here}\n\n{sentence('where to begin:')}\n{begin}"


def _paged(text: str) -> None:
    """Through the user's pager where there is a terminal, else as it is."""
    if not sys.stdout.isatty():
        print(text)
        return
    from pydoc import pager

    pager(text)

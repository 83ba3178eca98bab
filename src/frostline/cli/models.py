"""``frostline models``: what can be fitted, and which of it has its weights on this machine."""

from typing import Annotated

from typer import Argument, Option


def models(
    pattern: Annotated[str, Argument(help="Part of a name, or a pattern with * and ?.")] = "*",
    here: Annotated[bool, Option("--here", help="Only models whose weights are on this machine now.")] = False,
    json: Annotated[bool, Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List models, those with weights on this machine first."""
    from frostline.cli import console
    from frostline.errors import UnknownName
    from frostline.net.available import available

    found = sorted((m for m in available(pattern) if m.weights or not here), key=lambda m: (not m.weights, m.name))
    if not found:
        raise UnknownName(f"no model matches {pattern!r}", hint="try a part of a name: frostline models resnet")
    if json:
        console.json([{"name": m.name, "weights": m.weights} for m in found])
        return
    width = max(len(m.name) for m in found)
    for model in found:
        print(f"{model.name:<{width}}  {model.weights}".rstrip())
    console.aside(f"{len(found)} models, {sum(bool(m.weights) for m in found)} with weights on this machine")

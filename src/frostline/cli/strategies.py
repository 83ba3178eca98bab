"""``frostline strategies``: every way of learning, with a line each."""

import sys
from typing import Annotated, Any

from typer import Option


def strategies(json: Annotated[bool, Option("--json", help="Print as JSON.")] = False) -> None:
    """List the strategies and the options that each takes."""
    import inspect

    from frostline.cli import console
    from frostline.cli.language import sentence
    from frostline.cli.wrap import in_columns
    from frostline.train.plan import flag
    from frostline.train.strategies import strategies as known

    found: list[dict[str, Any]] = []
    for name, function in known:
        about = (inspect.getdoc(function) or "").split("\n")[0]
        takes = [p for p in list(inspect.signature(function).parameters)[1:] if p != "recipe"]
        found.append({"name": name, "about": about, "takes": takes})
    if json:
        console.json(found)
        return
    lines = []
    for item in found:
        own = sentence(f"Takes {', '.join(map(flag, item['takes']))}.") if item["takes"] else ""
        lines.append((str(item["name"]), f"{sentence(item['about'])} {own}".rstrip()))
    print(in_columns(lines, sys.stdout))
    console.aside("those that train also take the options of each training step: `frostline fit --help`")

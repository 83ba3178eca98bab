"""``frostline strategies``: every way of learning, with a line each."""

import sys
from typing import Annotated

from typer import Option


def strategies(json: Annotated[bool, Option("--json", help="Print as JSON.")] = False) -> None:
    """List the strategies and the options that each takes."""
    import inspect

    from frostline.cli import console
    from frostline.cli.language import sentence
    from frostline.cli.wrap import in_columns
    from frostline.train.strategies import strategies as known

    found = []
    for name, function in known:
        about = (inspect.getdoc(function) or "").split("\n")[0]
        takes = [p for p in list(inspect.signature(function).parameters)[1:] if p != "recipe"]
        found.append({"name": name, "about": about, "takes": takes})
    if json:
        console.json(found)
        return
    print(in_columns([(str(item["name"]), sentence(str(item["about"]))) for item in found], sys.stdout))

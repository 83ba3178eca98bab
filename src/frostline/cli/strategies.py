"""``frostline strategies``: every way of learning, with a line each."""

from typing import Annotated

from typer import Option


def strategies(json: Annotated[bool, Option("--json", help="Print as JSON.")] = False) -> None:
    """List the strategies and the options that each takes."""
    import inspect

    from frostline.cli import console
    from frostline.cli.language import sentence
    from frostline.train.strategies import strategies as known

    found = []
    for name, function in known:
        about = (inspect.getdoc(function) or "").split("\n")[0]
        takes = [p for p in list(inspect.signature(function).parameters)[1:] if p != "recipe"]
        found.append({"name": name, "about": about, "takes": takes})
    if json:
        console.json(found)
        return
    width = max(len(str(item["name"])) for item in found)
    for item in found:
        print(f"{item['name']:<{width}}  {sentence(str(item['about']))}")

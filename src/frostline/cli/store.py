"""``frostline store``: what is kept in the cache, and how to empty it."""

from typing import Annotated

import typer
from typer import Option

from frostline.cli.complete import offered, plain

app = typer.Typer(help="Look at what is kept between runs, or remove it.", no_args_is_help=True)


@app.command("ls")
def ls(json: Annotated[bool, Option("--json", help="Print as JSON.")] = False) -> None:
    """List what is kept: features of pictures, the most lately used first, then everything else with its size."""
    from dataclasses import asdict

    from frostline.cli import console
    from frostline.data.cache_folder import default_cache
    from frostline.features.kept import kept
    from frostline.features.store import Store

    cache = default_cache()
    usage, everything = Store(cache / "store").usage(), kept(cache)
    if json:
        console.json({"shelves": [asdict(item) for item in usage], "kept": [asdict(item) for item in everything]})
        return
    console.usage(usage, everything, where=cache)


@app.command("clear")
def clear(
    only: Annotated[
        list[str] | None,
        Option(
            help=plain("Only this kind, as `store ls` names it. Repeatable [default: all]."),
            autocompletion=offered("only"),
        ),
    ] = None,
) -> None:
    """Remove what is kept; it is made again when it is needed. What a run uses at this moment stays."""
    from frostline.cli import console
    from frostline.data.cache_folder import default_cache
    from frostline.features.kept import clear as empty
    from frostline.quantities import in_bytes

    freed = empty(default_cache(), only=only or ())
    for name, size in freed.items():
        console.aside(f"{in_bytes(size):>9}  {name}")
    console.aside(f"{in_bytes(sum(freed.values()))} freed")

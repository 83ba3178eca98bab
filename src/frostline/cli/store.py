"""``frostline store``: what the activation store holds, and how to empty it."""

from typing import Annotated

import typer
from typer import Option

app = typer.Typer(help="Look at the activation store, or empty it.", no_args_is_help=True)


@app.command("ls")
def ls(json: Annotated[bool, Option("--json", help="Print as JSON.")] = False) -> None:
    """List what is stored, the most lately used first."""
    from dataclasses import asdict

    from frostline.cli import console
    from frostline.data.sources import default_cache
    from frostline.features.store import Store

    store = Store(default_cache() / "store")
    usage = store.usage()
    if json:
        console.json([asdict(item) for item in usage])
        return
    console.usage(usage, where=store.root)


@app.command("clear")
def clear() -> None:
    """Remove everything that is stored; it is computed again when it is needed."""
    from frostline.cli import console
    from frostline.data.sources import default_cache
    from frostline.features.store import Store

    freed = Store(default_cache() / "store").clear()
    console.aside(f"{console.in_bytes(freed)} freed")

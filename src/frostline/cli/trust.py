"""``--trust``: code of the user's own that may be run to build a network. What it is, is shown first."""

from typing import Annotated

from typer import Option

Trust = Annotated[
    str | None,
    Option("--trust", help="The package.module:factory of a network of your own, which is then imported and run."),
]


def show(trust: str | None) -> None:
    """Say what will be imported, and from where, before it is."""
    from frostline.cli import console
    from frostline.errors import one_line
    from frostline.registry import whence

    if trust is not None:
        console.aside(
            f"trusted, if the model asks for it: {one_line(trust)} is imported and run ({one_line(whence(trust))})"
        )

"""``frostline pull``: a model folder from the Hugging Face hub."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from frostline.cli import output


def pull(
    repo: Annotated[str, Argument(help="OWNER/NAME on the hub.")],
    out: Annotated[Path | None, Option(help="Folder for the model; if not given, NAME.")] = None,
    revision: Annotated[str | None, Option(help="A branch, tag or commit.")] = None,
) -> None:
    """Fetch a model that `push` sent. Every file is compared with its digest before the folder is there."""
    from frostline.cli import console
    from frostline.ship import hub

    found = hub.pull(repo, out=out, revision=revision)
    output.row(str(found))
    console.aside(f"next: frostline predict {found} PICTURE...")

"""``frostline push``: a model folder to the Hugging Face hub."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def push(
    model: Annotated[Path, Argument(help="A model folder, or a run's folder.")],
    repo: Annotated[str, Argument(help="OWNER/NAME on the hub.")],
    dry_run: Annotated[bool, Option("--dry-run", help="Show what would go; nothing is sent or asked.")] = False,
    public: Annotated[bool, Option("--public", help="Everybody may read it.")] = False,
    json: Annotated[bool, Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Send a model to the Hugging Face hub: its own files only, in one commit, private unless --public.

    Log in with the hub's own `hf auth login`, or set HF_TOKEN.
    """
    from dataclasses import asdict

    from frostline.cli import console
    from frostline.ship import hub

    sending = hub.parcel(model, repo, private=not public)
    if not json:
        console.parcel(sending)
    url = None if dry_run else hub.push(sending)
    if json:
        console.json({**asdict(sending), "folder": str(sending.folder), "commit": url})
    else:
        console.aside(f"sent: {url}" if url else "a dry run: nothing was sent, and nobody was asked")

"""``frostline compare``: runs beside each other, and whether their differences are real."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def compare(
    runs: Annotated[list[Path], Argument(help="Folders of finished runs, two or more.")],
    split: Annotated[
        str | None, Option(help="test, val or cross-validation (default: the first that all have).")
    ] = None,
    json: Annotated[bool, Option("--json", help="Print runs and pairs as JSON.")] = False,
) -> None:
    """Compare runs that were judged on the same pictures: accuracies, and which differences are more than luck.

    [dim]frostline compare runs/*[/dim]
    """
    from frostline.cli import comparison_table, console
    from frostline.workflows.compare import compare as beside

    found = beside(runs, split=split)
    if json:
        console.json(found.to_dict())
    else:
        comparison_table.show(found)

"""``frostline merge``: the shards of `predict --out` as one table."""

from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from frostline import atomic
from frostline.cli import output


def merge(
    folder: Annotated[Path, Argument(help="The --out that all workers were given.")],
    out: Annotated[Path | None, Option(help="Write here; if not given, on standard output.")] = None,
) -> None:
    """Join the shards of `predict --out`: every picture once, sorted by name.

    Exit code 1 if some pictures could not be read; their reason stands in the column "error".
    """
    from frostline.cli import console
    from frostline.data import csv_files
    from frostline.ship import batch_predict

    if out is None:
        count = batch_predict.merge(folder, output.table())
    else:
        with (
            atomic.beside(out) as fresh,
            fresh.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
        ):
            count = batch_predict.merge(folder, csv_files.writer(file))
    console.aside(f"{count.rows:,} pictures, {count.unreadable:,} of them could not be read")
    if count.unreadable:
        raise typer.Exit(1)

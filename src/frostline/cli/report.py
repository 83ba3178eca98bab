"""``frostline report``: the page of a run, again."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def report(
    run: Annotated[Path, Argument(help="The folder of a finished run.")],
    lang: Annotated[str, Option(help="en or zh.")] = "en",
    out: Annotated[Path | None, Option(help="The file [default: RUN/report.html].")] = None,
) -> None:
    """Write a run's report.html again, in another language or to another place."""
    from frostline.cli import show
    from frostline.judge.page_file import write_page
    from frostline.judge.report.page import render
    from frostline.judge.report.words import checked
    from frostline.run import pages

    checked(lang)
    place = out or run / pages.REPORT
    write_page(render(pages.of_folder(run), lang=lang), place)
    show.aside(f"the report lies in {place}")

"""``frostline report``: the page of a run, again."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from frostline.cli.complete import offered


def report(
    run: Annotated[Path, Argument(help="The folder of a finished run.")],
    lang: Annotated[str, Option(help="Language of the report: en or zh.", autocompletion=offered("lang"))] = "en",
    out: Annotated[Path | None, Option(help="The file (default: RUN/report.html).")] = None,
) -> None:
    """Write a run's report.html again, in another language or to another place."""
    from frostline.cli import console
    from frostline.judge.pages.translations import checked
    from frostline.judge.write_html import write_html
    from frostline.workflows import report_data

    checked(lang)
    place = out or run / report_data.REPORT
    write_html(report_data.html_of_folder(run, lang=lang), place)
    console.aside(f"report written to {place}")

"""A fit as people run it: the run, and the report that it leaves in its folder."""

from pathlib import Path

from frostline.data.manifest import Manifest
from frostline.events import Listener, quiet
from frostline.judge.report.render import render
from frostline.judge.write_html import write_html
from frostline.processors import launched_processes
from frostline.run import runner
from frostline.run.finish import Fitted
from frostline.run.resolve import Settings
from frostline.workflows import report_data


def fit(
    manifest: Manifest, settings: Settings, *, out: Path | None = None, resume: bool = False, listen: Listener = quiet
) -> Fitted:
    """``run.runner.fit``, then ``report.html`` in the run's folder if anything was judged.

    Pictures that never were files come from memory.

    Raises: as ``run.runner.fit``.
    """
    fitted = runner.fit(manifest, settings, out=out, resume=resume, listen=listen)
    if out is not None and fitted.result.metrics and launched_processes()[0] == 0:
        pictures = {row.digest: row.picture for part, _ in fitted.judged for row in part.rows}
        page = report_data.of_run(
            out,
            net=lambda: fitted.net,
            preprocessing=fitted.about.preprocessing,
            picture_of=lambda row: pictures.get(row.digest),
        )
        write_html(render(page, lang=settings.lang), out / report_data.REPORT)
    return fitted

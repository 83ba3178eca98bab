"""``frostline evaluate``: the figures of a model on labelled pictures."""

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from frostline.cli.fit import with_options
from frostline.cli.trust import Trust, show
from frostline.options import READING


def evaluate(
    model: Annotated[Path, Argument(help="A model folder, or a run's folder.")],
    data: Annotated[Path, Argument(help="Labelled pictures, as for `fit`.")],
    split: Annotated[str | None, Option(help="Only this split: train, val or test.")] = None,
    all: Annotated[bool, Option("--all", help="Count pictures that it was trained on too.")] = False,
    report: Annotated[Path | None, Option(help="Write a page with figures and pictures to this file.")] = None,
    lang: Annotated[str, Option(help="Language of that page: en or zh.")] = "en",
    json: Annotated[bool, Option("--json", help="Print the figures as JSON.")] = False,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Show no progress, only warnings.")] = False,
    engine: Annotated[str, Option(help="auto, openvino or torch.")] = "auto",
    precision: Annotated[str, Option(help="fp32, or bf16: faster on some processors, less exact.")] = "fp32",
    trust: Trust = None,
    **reading: Any,
) -> None:
    """Judge a model on labelled pictures: accuracy with its interval, each class, and drift since training."""
    from frostline.cli import console
    from frostline.cli.screen import Screen
    from frostline.data.place_options import PlaceOptions
    from frostline.events import Work
    from frostline.ship.model_info import located
    from frostline.ship.open_predictor import open_predictor
    from frostline.workflows.evaluate import chosen_by, labelled_for, learnt_by
    from frostline.workflows.evaluate import evaluate as judge

    show(trust)
    with Screen(quiet=quiet) as screen:
        answering = open_predictor(located(model), engine=engine, precision=precision, trust=trust)
        manifest = labelled_for(answering.about, data, PlaceOptions.of(reading))
        screen.say(manifest.summary())
        if split:
            manifest = manifest.part(split)
        found = judge(
            answering,
            manifest,
            learnt=frozenset() if all else learnt_by(model),
            chose=chosen_by(model, answering.about),
            progress=lambda done, total: screen(Work("pictures", done, total)),
        )
        if report:
            from frostline.judge.pages.translations import checked
            from frostline.judge.report.page import render
            from frostline.judge.write_html import write_html
            from frostline.workflows import report_data

            checked(lang)
            page = report_data.of_evaluation(
                found,
                answering.about,
                manifest,
                title=data.name,
                split=split or "",
                net=report_data.opened(located(model), trust=trust),
            )
            write_html(render(page, lang=lang), report)
    if json:
        console.json(found.to_dict())
    else:
        console.report(found.report, title=f"{model} on {data}", skipped=len(found.skipped))
        console.left_out(found)
        console.drift(found)


evaluate.__signature__ = with_options(evaluate, READING)  # type: ignore[attr-defined]

"""``frostline evaluate``: the figures of a model on labelled pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from frostline.cli.answering import Engine, Precision, Trust, Tta, show
from frostline.cli.complete import offered
from frostline.cli.fit import with_options
from frostline.options import READING

if TYPE_CHECKING:
    from frostline.data.manifest import Manifest
    from frostline.ship.model_info import ModelInfo
    from frostline.workflows.evaluate import Evaluation


def evaluate(
    model: Annotated[Path, Argument(help="A model folder, or a run's folder.")],
    data: Annotated[Path, Argument(help="Labelled pictures, as for `fit`.")],
    split: Annotated[str | None, Option(help="Only this split: train, val or test.")] = None,
    all: Annotated[bool, Option("--all", help="Count pictures that it was trained on too.")] = False,
    report: Annotated[Path | None, Option(help="Write a page with figures and pictures to this file.")] = None,
    lang: Annotated[str, Option(help="Language of that page: en or zh.", autocompletion=offered("lang"))] = "en",
    json: Annotated[bool, Option("--json", help="Print the figures as JSON.")] = False,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Show no progress, only warnings.")] = False,
    engine: Engine = "auto",
    precision: Precision = "fp32",
    tta: Tta = None,
    trust: Trust = None,
    **reading: Any,
) -> None:
    """Judge a model on labelled pictures: accuracy with its interval, each class, and drift since training."""
    from frostline.cli import console
    from frostline.cli.screen import Screen
    from frostline.data.places.place_options import PlaceOptions
    from frostline.events import Work
    from frostline.inference import both_views
    from frostline.ship.model_info import located
    from frostline.ship.open_predictor import open_predictor
    from frostline.workflows.evaluate import evaluate as judge
    from frostline.workflows.evaluate import held_out_by, labelled_for

    show(trust)
    with Screen(quiet=quiet) as screen:
        answering = open_predictor(located(model), engine=engine, precision=precision, trust=trust, tta=tta)
        if tta:
            screen.say(both_views.SAID)
        manifest = labelled_for(answering.about, data, PlaceOptions.of(reading))
        screen.say(manifest.summary())
        if split:
            manifest = manifest.part(split)
        found = judge(
            answering,
            manifest,
            learnt=_learnt(model, damaged=all),
            every=all,
            held_out=held_out_by(model),
            progress=lambda done, total: screen(Work("pictures", done, total)),
        )
        if report:
            _write_page(
                report, found, answering.about, manifest, model=model, of=(data.name, split), lang=lang, trust=trust
            )
    if json:
        console.json(found.to_dict() | ({"tta": tta} if tta else {}))
    else:
        console.report(
            found.report,
            title=", ".join(map(str, filter(None, (model, data, split)))),
            skipped=sum(item.pictures for item in found.skipped),
            written=False,
        )
        console.left_out(found)
        console.drift(found)


def _learnt(model: Path, *, damaged: bool) -> frozenset[str]:
    """Digests of what the model was trained on. damaged: whether a list that cannot be read is as good as none."""
    from frostline.errors import DataError
    from frostline.workflows.evaluate import learnt_by

    try:
        return learnt_by(model)
    except DataError:
        if not damaged:
            raise
        return frozenset()


def _write_page(
    place: Path,
    found: "Evaluation",
    about: "ModelInfo",
    manifest: "Manifest",
    *,
    model: Path,
    of: tuple[str, str | None],
    lang: str,
    trust: str | None,
) -> None:
    """A page with figures and pictures. of: the data's name, and which split of it."""
    from frostline.judge.pages.translations import checked
    from frostline.judge.report.render import render
    from frostline.judge.write_html import write_html
    from frostline.ship.model_info import located
    from frostline.workflows import report_data

    checked(lang)
    title, split = of
    net = report_data.opened(located(model), trust=trust)
    page = report_data.of_evaluation(found, about, manifest, title=title, split=split or "", net=net)
    write_html(render(page, lang=lang), place, option="--report")


evaluate.__signature__ = with_options(evaluate, READING)  # type: ignore[attr-defined]

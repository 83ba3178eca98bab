"""``frostline demo``: fit real pictures, and predict a few that the model has not seen."""

import shlex
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from frostline.cli.complete import STRATEGIES
from frostline.cli.language import sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frostline.judge.predictions import Outcome

_SHOWN = 6


def demo(
    data: Annotated[
        str,
        Option(
            help="solar-cells, ants-bees, or a path of your own.", autocompletion=lambda: ["solar-cells", "ants-bees"]
        ),
    ] = "solar-cells",
    out: Annotated[Path | None, Option(help="Folder of the run.")] = None,
    strategy: Annotated[str, Option(help="How to fine-tune.", autocompletion=lambda: list(STRATEGIES))] = "probe",
    quiet: Annotated[bool, Option("--quiet", "-q", help="Show no progress, only warnings.")] = False,
) -> None:
    """Fit a real data set, show the figures, and predict a few pictures, of a val or test split where there is one."""
    from frostline.cli import console, fit
    from frostline.data.cache_folder import default_cache
    from frostline.data.demos import DEMOS
    from frostline.data.loose_pictures import pictures
    from frostline.judge.predictions import PICTURES, of_test, read_outcomes
    from frostline.ship.model_info import unseen
    from frostline.ship.open_predictor import open_predictor
    from frostline.ship.predictor import Failure, label_of

    chosen = DEMOS.get(data)
    if chosen:
        console.aside(f"{chosen.name}: {chosen.about} Pictures: {chosen.licence}.")
    place = chosen.place(default_cache() / "demo") if chosen else Path(data)
    name = f"{Path(data).resolve().stem}-demo-{strategy}"
    model = fit.run(place, {"strategy": strategy, "out": out}, as_json=False, quiet=quiet, name=name)
    judged = [row for row in read_outcomes(model.parent / PICTURES) if row.path and Path(row.path).exists()]
    few = examples(of_test(judged))
    if few:
        typed = shlex.join(["frostline", "predict", str(model), *(row.path for row in few)])
        opened = open_predictor(model)
        if unseen(opened.about, few[0].split):
            console.aside(
                f"\n{len(few)} pictures of the {few[0].split} split, which the model was not trained on:\n$ {typed}"
            )
        else:
            console.aside(f"\n{len(few)} pictures, which the model was trained on in the end:\n$ {typed}")
        answered = opened.predict(list(pictures([row.path for row in few])))
        for row, answer in zip(few, answered, strict=True):
            label, probability = (
                label_of(answer, opened.about) if not isinstance(answer, Failure) else (sentence("unreadable"), 0.0)
            )
            said = sentence("right" if label == row.label else f"WRONG, it is labelled {row.label}")
            name = Path(row.name).name
            print(f"{name if len(name) <= 28 else name[:25] + '...':<28}  {label:<14} {probability:6.1%}   {said}")
    console.aside(
        f"\nsee the report   {model.parent / 'report.html'}\n"
        f"try it           frostline serve {shlex.quote(str(model))}\n"
        f"check the data   frostline check {shlex.quote(str(place))}\n"
        "your own         frostline fit FOLDER, with a folder of pictures for each class"
    )


def examples(judged: "Sequence[Outcome]") -> "list[Outcome]":
    """A few pictures of every class in turn, and one mistake if there is any, last."""
    from frostline.judge.predictions import in_turn

    wrong = [row for row in judged if not row.right][:1]
    return [*islice(in_turn(row for row in judged if row.right), _SHOWN - len(wrong)), *wrong]

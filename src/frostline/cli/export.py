"""``frostline export``: a model for other runtimes."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from frostline.cli import gc_settings, idle
from frostline.cli.answering import Trust, show
from frostline.cli.complete import offered

_DROP = 0.01


def export(
    model: Annotated[Path, Argument(help="A model folder, or a run's folder.")],
    to: Annotated[str, Option(help="onnx, openvino, torch or int8.", autocompletion=offered("to"))],
    out: Annotated[Path | None, Option(help="Folder for the export; if not given, beside the model folder.")] = None,
    with_preprocessing: Annotated[
        bool,
        Option("--with-preprocessing", help="Whole uint8 pictures of any size in: the graph prepares them itself."),
    ] = False,
    data: Annotated[
        Path | None, Option(help="Pictures to compare with torch on; int8 needs labelled ones, as for `fit`.")
    ] = None,
    max_drop: Annotated[float, Option(help="How much accuracy on val int8 may cost.", min=0, max=1)] = _DROP,
    trust: Trust = None,
    json: Annotated[bool, Option("--json", help="Print what was measured as JSON.")] = False,
) -> None:
    """Write a model for ONNX Runtime, OpenVINO or torch.export, with a predict.py that needs no frostline.

    What is written answers real pictures as torch does, or is not kept.
    """
    with gc_settings.importing():
        from frostline.cli import console
        from frostline.ship.export import export as write

    if to != "int8":
        idle.refuse(without="--to int8", max_drop=max_drop != _DROP)
    show(trust)
    found = write(model, to, out=out, with_preprocessing=with_preprocessing, data=data, max_drop=max_drop, trust=trust)
    if json:
        console.json(found.to_dict())
    else:
        console.exported(found)

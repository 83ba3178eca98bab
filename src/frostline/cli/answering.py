"""Options of every command that asks a model: engine, number format and views."""

from typing import Annotated

from typer import Option

from frostline.cli.complete import offered

Engine = Annotated[str, Option(help="Inference engine: auto, openvino or torch.", autocompletion=offered("engine"))]
Precision = Annotated[
    str,
    Option(
        help="Number format: fp32, or bf16: faster on some processors, less exact.", autocompletion=offered("answering")
    ),
]
Tta = Annotated[
    str | None,
    Option(
        help="flip: answer from each picture and its mirror image, at twice the time.", autocompletion=offered("tta")
    ),
]

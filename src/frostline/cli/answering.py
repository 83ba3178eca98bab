"""Options of every command that asks a model: engine, number format, views, and code that it may run."""

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
Trust = Annotated[
    str | None,
    Option("--trust", help="The package.module:factory of a network of your own, which is then imported and run."),
]


def show(trust: str | None) -> None:
    """Say what will be imported, and from where, before it is."""
    from frostline.cli import console
    from frostline.errors import one_line
    from frostline.registry import whence

    if trust is not None:
        console.aside(
            f"trusted, if the model asks for it: {one_line(trust)} is imported and run ({one_line(whence(trust))})"
        )

"""``frostline serve``: a model behind HTTP, with a page for people."""

import os
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from frostline.cli.answering import Engine, Precision, Trust, Tta, show

_WHO, _LIMITS = "Who may ask", "How much one may ask for"


def serve(
    model: Annotated[Path, Argument(help="A model folder, or a run's folder.")],
    host: Annotated[str, Option(help="Address to listen at; 0.0.0.0 is all of this machine's.")] = "127.0.0.1",
    port: Annotated[int, Option(help="Port to listen at; 0 is any free one.", min=0, max=65535)] = 8000,
    workers: Annotated[int, Option(help="Number of processes, each with the model.", min=1)] = 1,
    engine: Engine = "auto",
    precision: Precision = "fp32",
    tta: Tta = None,
    samples: Annotated[
        bool | None,
        Option(
            "--samples/--no-samples",
            help="Held-out pictures of the run to click on; not said: where only this machine may ask.",
            rich_help_panel=_WHO,
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        Option(help="File with a token that clients must send; else $FROSTLINE_TOKEN.", rich_help_panel=_WHO),
    ] = None,
    allow_host: Annotated[
        list[str] | None, Option(help="Name the server goes by, such as a proxy's. Repeatable.", rich_help_panel=_WHO)
    ] = None,
    max_bytes: Annotated[int, Option(help="Largest request body, in bytes.", rich_help_panel=_LIMITS)] = 32 << 20,
    max_pixels: Annotated[int, Option(help="Most pixels in one picture.", rich_help_panel=_LIMITS)] = 50_000_000,
    max_files: Annotated[int, Option(help="Most files in one request.", rich_help_panel=_LIMITS)] = 64,
    queue: Annotated[
        int, Option(help="Most pictures that may wait for an answer; past it: 429.", rich_help_panel=_LIMITS)
    ] = 256,
    request_pixels: Annotated[
        int, Option(help="Most pixels in all pictures of one request.", rich_help_panel=_LIMITS)
    ] = 10**9,
    connections: Annotated[
        int, Option(help="Most connections to one process at a time.", rich_help_panel=_LIMITS)
    ] = 1024,
    hung: Annotated[
        float, Option(help="Seconds without a sign of life, then a worker is replaced.", rich_help_panel=_LIMITS)
    ] = 60.0,
    timeout: Annotated[
        float,
        Option(help="Seconds a client has to send its request: the head, then the body.", rich_help_panel=_LIMITS),
    ] = 15.0,
    trust: Trust = None,
) -> None:
    """Answer over HTTP, with a page at / to drop pictures on.

    Ctrl+C or SIGTERM stops it, after it has answered what it accepted.
    """
    from frostline.cli import console
    from frostline.ship.serve.launch import launch, secret
    from frostline.ship.serve.quota import Limits
    from frostline.ship.serve.serving import Serving

    limits = Limits(
        max_bytes=max_bytes,
        max_pixels=max_pixels,
        max_files=max_files,
        queue=queue,
        memory=max(max_bytes, Limits.memory),
        patience=timeout,
        request_pixels=max(request_pixels, max_pixels),
        queue_pixels=2 * max(request_pixels, max_pixels),
        connections=connections,
        hung=hung,
    )
    show(trust)
    token = secret(token_file, os.environ.get("FROSTLINE_TOKEN"))
    serving = Serving(
        folder=model,
        host=host,
        port=port,
        workers=workers,
        engine=engine,
        precision=precision,
        token=token,
        hosts=tuple(allow_host or ()),
        limits=limits,
        trust=trust,
        tta=tta,
        samples=samples,
    )
    launch(serving, tell=console.aside)

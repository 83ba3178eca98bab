"""``frostline explain``: a picture of the evidence for each picture, and the training pictures that look like it."""

import os
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option

from frostline.cli import gc_settings, output
from frostline.cli.answering import Trust, show
from frostline.cli.language import sentence


def explain(
    model: Annotated[Path, Argument(help="A run's folder, or a model folder.")],
    images: Annotated[list[str], Argument(help="Files, folders or globs.")],
    out: Annotated[Path | None, Option(help="Folder for the overlays (default: RUN/explained).")] = None,
    label: Annotated[str | None, Option("--class", help="The class to explain (default: the predicted one).")] = None,
    near: Annotated[int, Option(help="How many training pictures that look like it are named.", min=0)] = 3,
    json: Annotated[bool, Option("--json", help="A JSON object a line.")] = False,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Show no progress, only warnings.")] = False,
    trust: Trust = None,
) -> None:
    """Show where in a picture the evidence for its class is, and which training pictures look most like it.

    The overlay of ant.jpg is ant.explained.png: bright where something speaks for the class, grey where nothing does.
    It goes into RUN/explained, never beside the pictures: the next fit would learn from it.
    """
    with gc_settings.importing():
        from PIL import Image

        from frostline import atomic
        from frostline.cli import console
        from frostline.cli.screen import Screen
        from frostline.data.cache_folder import default_cache
        from frostline.data.loose_pictures import pictures
        from frostline.features.store import Store
        from frostline.ship.predictor import Failure
        from frostline.workflows.explain import explanations, overlay_folder

    rows = list(pictures(images))
    cache = default_cache()
    folder = overlay_folder(model, out)
    taken: set[Path] = set()
    failed = 0
    show(trust)
    with Screen(quiet=quiet) as screen:
        answers = explanations(
            model, rows, label=label, near=near, store=Store(cache / "store"), cache=cache, listen=screen, trust=trust
        )
        for row, answer in zip(rows, answers, strict=True):
            if isinstance(answer, Failure):
                failed += 1
                console.aside(f"{answer.name}: {answer.reason}")
                continue
            picture = row.picture if isinstance(row.picture, Path) else Path(answer.name)
            place = free_file(picture, folder, taken, over=out is None)
            taken.add(place)
            with atomic.beside(place) as fresh:
                Image.fromarray(answer.overlay).save(fresh, "PNG")
            if json:
                alike = [{"path": n.name, "label": n.label, "similarity": round(n.similarity, 4)} for n in answer.near]
                told = {"path": answer.name, "label": answer.label, "probability": round(answer.probability, 6)}
                output.json({**told, "overlay": str(place), "near": alike})
                continue
            output.row(answer.name, f"{answer.label} {answer.probability:.1%}", str(place))
            for found in answer.near:
                output.row("", sentence(f"looks like {found.label} {found.similarity:.2f}"), found.name)
    if failed:
        raise typer.Exit(1)


def free_file(picture: Path, folder: Path, taken: set[Path], *, over: bool) -> Path:
    """``NAME.explained.png`` in a folder, with a number if that name is taken; with `over` only by this call."""
    place, count = folder / f"{picture.stem}.explained.png", 1
    while place in taken or (not over and os.path.lexists(place)):
        count += 1
        place = folder / f"{picture.stem}-{count}.explained.png"
    return place

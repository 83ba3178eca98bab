"""``frostline fit``: the options of `frostline.options`, and the screen while it works."""

import inspect
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

from typer import Argument
from typer import Option as TyperOption

from frostline.cli import gc_settings
from frostline.cli.complete import offered, plain
from frostline.options import OPTIONS, Option

_DATA = Argument(help="Labelled pictures: folder, table (CSV, TSV, Parquet), archive, shards (.tar) or hf:NAME.")
_JSON = TyperOption("--json", help="Print the result as JSON.")
_QUIET = TyperOption("--quiet", "-q", help="Show warnings only, and print only where the model is.")


def fit(
    data: Annotated[Path, _DATA],
    json: Annotated[bool, _JSON] = False,
    quiet: Annotated[bool, _QUIET] = False,
    **options: Any,
) -> None:
    """Fit a classifier to labelled pictures.

    [dim]frostline fit hymenoptera_data[/dim]
    [dim]frostline fit hymenoptera_data --model resnet18 --weights resnet18-5c106cde.pth --strategy freeze[/dim]
    """
    run(data, options, as_json=json, quiet=quiet)


def _typed(option: Option) -> inspect.Parameter:
    """An option as Typer reads it. Where the default is None it says so by leaving the default out of the help."""
    flags = [option.flag] if option.parsed is bool else []
    told = TyperOption(
        *flags, help=plain(option.help), rich_help_panel=option.panel, autocompletion=offered(option.name)
    )
    kind = option.parsed if option.default is not None else option.parsed | None
    return inspect.Parameter(
        option.name, inspect.Parameter.KEYWORD_ONLY, default=option.default, annotation=Annotated[kind, told]
    )


def with_options(command: Callable[..., None], names: Iterable[str]) -> inspect.Signature:
    """The signature of a command with the options of these names in place of its ``**options``."""
    own = [p for p in inspect.signature(command).parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    return inspect.Signature([*own, *(_typed(OPTIONS[name]) for name in names)], return_annotation=None)


fit.__signature__ = with_options(fit, OPTIONS)  # type: ignore[attr-defined]


def run(data: Path, options: dict[str, Any], *, as_json: bool, quiet: bool) -> Path:
    """Fit with the estimator's arguments, show the screen and the closing table; returns the model folder."""
    from frostline.cli import console
    from frostline.cli.screen import Screen

    with Screen(quiet=quiet) as screen:
        screen.say(f"reading {data}")
        with gc_settings.importing():
            from frostline.classifier import ImageClassifier

        options = {**options, "out": options.get("out") or free_folder(data, str(options["strategy"]))}
        try:
            classifier = ImageClassifier(**options).fit(data, listen=screen)
        except KeyboardInterrupt:
            console.aside(
                "interrupted before the first epoch was judged: there is no model yet; the features that were computed "
                "are kept, and the same command begins again from them"
            )
            raise
    result = classifier.result_
    model = Path(str(options["out"])) / "model"
    if as_json:
        console.json({**result.to_dict(), "model_folder": str(model)})
    elif quiet:
        print(model)
    else:
        console.result(result, data=data, model=model)
    return model


def free_folder(data: Path, strategy: str) -> Path:
    """``runs/DATA-STRATEGY``, with a number behind it if that is taken."""
    name = re.sub(r"[^\w.]+", "-", f"{data.resolve().stem}-{strategy}").strip("-.")
    folder, count = Path("runs") / name, 1
    while folder.exists():
        count += 1
        folder = Path("runs") / f"{name}-{count}"
    return folder

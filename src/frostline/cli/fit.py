"""``frostline fit``: the options of `frostline.options`, and the screen while it works."""

import inspect
import itertools
import os
import re
import shlex
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from json import loads
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument
from typer import Option as TyperOption

from frostline import _BEGAN
from frostline.cli import gc_settings
from frostline.cli.complete import offered, plain
from frostline.options import OPTIONS, Option
from frostline.processors import launched_processes

if TYPE_CHECKING:
    from frostline.judge.result import RunResult

_DATA = Argument(help="Labelled pictures: folder, table (CSV, TSV, Parquet), archive, shards (.tar) or hf:NAME.")
_JSON = TyperOption("--json", help="Print the result as JSON.")
_WORKERS = TyperOption(
    "--workers", min=1, help="With --on ray: train in so many processes, by Ray Train.", rich_help_panel="Hardware"
)
_QUIET = TyperOption("--quiet", "-q", help="Show warnings only, and print only where the model is.")


def fit(
    data: Annotated[Path, _DATA],
    *,
    json: Annotated[bool, _JSON] = False,
    quiet: Annotated[bool, _QUIET] = False,
    workers: Annotated[int | None, _WORKERS] = None,
    **options: Any,
) -> None:
    """Fit a classifier to labelled pictures.

    [dim]frostline fit hymenoptera_data[/dim]
    [dim]frostline fit hymenoptera_data --model resnet18 --weights resnet18-5c106cde.pth --strategy freeze[/dim]
    """
    if workers is not None:
        _in_processes(data, options, workers, as_json=json, quiet=quiet)
        return
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
    """The signature of a command with the options of these names in place of its ``**options``: before those that are
    keywords alone, as in the help, behind all others."""
    own = inspect.signature(command).parameters.values()
    first = [p for p in own if p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    last = [p for p in own if p.kind is inspect.Parameter.KEYWORD_ONLY]
    return inspect.Signature([*first, *(_typed(OPTIONS[name]) for name in names), *last], return_annotation=None)


fit.__signature__ = with_options(fit, OPTIONS)  # type: ignore[attr-defined]


def run(data: Path, options: dict[str, Any], *, as_json: bool, quiet: bool, name: str | None = None) -> Path:
    """Fit with the estimator's arguments, show the screen and the closing table; returns the model folder.

    name: of the folder under runs/ where none is named; by default that of the data and the strategy.
    """
    from frostline.cli import console
    from frostline.cli.screen import Screen

    with Screen(quiet=quiet or launched_processes()[0] > 0) as screen:
        screen.say(f"reading {data}")
        with gc_settings.importing():
            from frostline.classifier import ImageClassifier

        out = _place(data, options, name)
        try:
            classifier = ImageClassifier(**{**options, "out": out}).fit(data, listen=screen)
        except BaseException as error:
            if not options.get("out"):
                _give_back(Path(out))
            if isinstance(error, KeyboardInterrupt):
                console.aside(_interrupted(Path(out)))
            raise
    return _shown(classifier.result_, Path(out), as_json=as_json, quiet=quiet)


def _interrupted(out: Path) -> str:
    """What is left of a run that ended without its figures, and how to go on."""
    if any((out / "checkpoint").glob("*")):
        words = f"--out {shlex.quote(str(out))} --resume"
        return f"interrupted before the model was judged: {words} goes on from the last checkpoint"
    begun = "the features that were computed are kept, and the same command begins again from them"
    if (out / "model").exists():
        return f"interrupted before the model was judged; {begun}"
    return f"interrupted before the first epoch was judged: there is no model yet; {begun}"


def _place(data: Path, options: dict[str, Any], name: str | None = None) -> str:
    """Where the run goes: what was named, or a folder that is free.

    Raises: PlanError: a run is to be gone on with or replaced, and none is named.
    """
    from frostline.run.check_options import check_named

    out = options.get("out")
    check_named(out, resume=bool(options.get("resume")), overwrite=bool(options.get("overwrite")))
    return str(out or _free_folder(name or f"{data.resolve().stem}-{options['strategy']}"))


def _in_processes(data: Path, options: dict[str, Any], workers: int, *, as_json: bool, quiet: bool) -> None:
    """The same by several processes that Ray starts.

    Raises: PlanError: Ray was not asked for, or has not so many cores.
    """
    from frostline.cli import console
    from frostline.errors import PlanError
    from frostline.judge.result import RunResult
    from frostline.scale.on_ray import check_engine
    from frostline.scale.ray_processes import in_processes

    if options["on"] is None:
        raise PlanError("processes are started by Ray", where="--workers", hint="--on ray, or torchrun")
    check_engine(options["on"])
    out = Path(_place(data, options)).absolute()
    if not quiet:
        console.aside(f"{workers} processes fit it; how far they are is in {out / 'log.jsonl'}")
    # Each process fills its share of the store itself.
    act = partial(_one_process, Path.cwd(), data, {**options, "out": str(out), "on": None, "address": None})
    gpu = options["device"] in ("auto", "cuda")
    try:
        in_processes(act, workers, state=out.parent / f".{out.name}.ray", gpu=gpu, address=options["address"])
    except BaseException:
        if not options["out"]:
            _give_back(out)
        raise
    said = loads((out / "metrics.json").read_text(encoding="utf-8"))
    _shown(RunResult.from_dict(said), out, as_json=as_json, quiet=quiet)


def _one_process(folder: Path, data: Path, options: dict[str, Any]) -> None:
    from frostline.classifier import ImageClassifier

    os.chdir(folder)  # names of files were given there
    ImageClassifier(**options).fit(data)


def _shown(result: "RunResult", out: Path, *, as_json: bool, quiet: bool) -> Path:
    from frostline.cli import console

    model = out / "model"
    if launched_processes()[0]:
        return model  # the first process speaks for all
    if as_json:
        console.json({**result.to_dict(), "model_folder": str(model)})
    elif quiet:
        print(model)
    else:
        console.result(result, model=model, seconds=monotonic() - _BEGAN)
    return model


def _free_folder(name: str) -> Path:
    """``runs/NAME``, with a number behind it if that is taken. It is made at once, for commands that are started
    together; of the processes of one command only the first makes it."""
    name = re.sub(r"[^\w.]+", "-", name).strip("-.")
    for count in itertools.count(1):
        folder = Path("runs") / (name if count == 1 else f"{name}-{count}")
        if folder.exists():
            continue
        try:
            if not launched_processes()[0]:
                folder.parent.mkdir(exist_ok=True)
                folder.mkdir()
        except FileExistsError:
            if not folder.parent.is_dir():
                break
            continue
        except OSError:
            break  # said where it is needed
        break
    return folder


def _give_back(folder: Path) -> None:
    """Remove a folder that was made for a run that came to nothing."""
    with suppress(OSError):  # something lies in it
        folder.rmdir()
        folder.parent.rmdir()

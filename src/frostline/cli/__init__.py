"""The command: one small file for each subcommand, and the one place where errors become exit codes.

Standard output is data (a line a picture, ``--json``, ``--csv``); progress, notes and errors go to standard error.
Exit codes: 0 done; 1 done, but something was left out or a check failed; 2 bad input; 130 interrupted.
"""

import os
import re
import shlex
import sys
from typing import Annotated, NoReturn

import typer
import typer.main

from frostline import __version__, atomic
from frostline.cli import (
    check,
    compare,
    demo,
    embed,
    evaluate,
    explain,
    export,
    fit,
    gc_settings,
    language,
    merge,
    models,
    once,
    output,
    predict,
    pull,
    push,
    report,
    serve,
    store,
    strategies,
)
from frostline.errors import FrostlineError, PlanError

# As torch and OpenVINO word it, which raise a RuntimeError.
_OUT_OF_MEMORY = re.compile("(can't|cannot) allocate memory|out of memory|bad_alloc", re.IGNORECASE)

app = typer.Typer(
    name="frostline",
    help="Fine-tune any pretrained image model on your own pictures. What is frozen is computed once.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(fit.fit)
app.command()(predict.predict)
app.command()(evaluate.evaluate)
app.command()(check.check)
app.command()(report.report)
app.command()(explain.explain)
app.command()(embed.embed)
app.command()(serve.serve)
app.command()(export.export)
app.command()(push.push)
app.command()(pull.pull)
app.command()(merge.merge)
app.command()(compare.compare)
app.command()(models.models)
app.command()(strategies.strategies)
app.command()(demo.demo)
app.add_typer(store.app, name="store")
for _command in (*app.registered_commands, *store.app.registered_commands):
    _command.cls = once.Once


def _show_version(asked: bool) -> None:
    if asked:
        print(f"frostline {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", is_eager=True, callback=_show_version)
    ] = False,
    lang: Annotated[
        str | None, typer.Option(help="Before the command: language of help, messages and pages, en or zh.")
    ] = None,
) -> None:
    if lang is not None:  # the first one is read before there is any help to show: see `language`
        raise PlanError("--lang is given 2 times", where="frostline", hint="give it once before the command")


def _refuse_empty(words: list[str]) -> None:
    """Refuse a word without a letter: as a path it would be the folder that one is in.

    Raises: PlanError: there is one.
    """
    if "" in words:
        raise PlanError(
            "a name or value is empty",
            where=shlex.join(["frostline", *words]),
            hint="is a variable of the shell not set? the folder that you are in is called .",
        )


def _seen_enough() -> NoReturn:
    """Whoever read our output has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _refused(error: FrostlineError) -> NoReturn:
    print(language.message(error), file=sys.stderr)
    sys.exit(2)


def main() -> None:
    """Run the command; bad input becomes a message of three parts and exit code 2."""
    output.lossless()
    try:
        language.current, words = language.chosen(sys.argv[1:])
        _refuse_empty(words)
        language.translated(typer.main.get_command(app), language.current)(words, prog_name="frostline")
    except FrostlineError as error:
        _refused(error)
    except BrokenPipeError:
        _seen_enough()
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # click makes an exit with 1 of it
            _seen_enough()
        raise
    except OSError as error:
        if error.filename is None and error.errno not in atomic.FULL:
            raise
        hint = "is there such a place, and permission?"
        if error.errno in atomic.FULL:
            hint = "make room there, or choose another place"
        _refused(FrostlineError(atomic.reason(error), where=error.filename2 or error.filename, hint=hint))
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error))):
            raise
        hint = "close other programs, or give it a machine or a limit with more; FROSTLINE_CPUS=1 takes less"
        where = shlex.join(["frostline", *sys.argv[1:2]])
        _refused(FrostlineError("there is not enough memory", where=where, hint=hint))
    except KeyboardInterrupt:
        print(language.sentence("interrupted"), file=sys.stderr)
        sys.exit(130)
    finally:
        gc_settings.leave()

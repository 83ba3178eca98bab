"""One list of options: the command line, the estimator, the recipe and the command that repeats a run agree with it."""

import inspect
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from sklearn.base import clone

from frostline import ImageClassifier, Recipe
from frostline.cli import fit as command
from frostline.errors import PlanError
from frostline.options import OPTIONS, FitOptions
from frostline.quantities import seconds, size
from frostline.run.check_options import check_options
from frostline.run.provenance import command_of
from frostline.train.strategies import make_recipe


def typed(line: str) -> dict[str, Any]:
    """What the real command line makes of a line ``frostline fit ...``."""
    app, seen = typer.Typer(), {}
    fit = command.fit

    def note(data: Path, json: bool = False, quiet: bool = False, workers: int | None = None, **options: Any) -> None:
        seen.update(options, data=data)

    note.__signature__ = inspect.signature(fit)  # type: ignore[attr-defined]
    app.command()(note)
    app(shlex.split(line)[2:], standalone_mode=False)
    return seen


def test_the_command_line_has_the_options_and_their_defaults() -> None:
    given = typed("frostline fit data")
    assert given.pop("data") == Path("data")
    assert given == {name: option.default for name, option in OPTIONS.items()}


def test_the_estimator_has_the_options_and_their_defaults() -> None:
    assert ImageClassifier().get_params() == {name: option.default for name, option in OPTIONS.items()}
    signature = inspect.signature(ImageClassifier)
    assert {p.name: p.default for p in signature.parameters.values()} == ImageClassifier().get_params()
    assert clone(ImageClassifier(lr=0.1, seed=3)).get_params() == ImageClassifier(lr=0.1, seed=3).get_params()
    assert ImageClassifier().set_params(momentum=0.5).momentum == 0.5
    assert all(option.help in str(ImageClassifier.__doc__) for option in OPTIONS.values())


def test_a_misspelt_argument_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(TypeError, match=r"'epoch'.*did you mean epochs"):
        ImageClassifier(epoch=3)  # type: ignore[call-arg]


def test_a_recipe_of_its_own_learns_as_fit_does() -> None:
    assert Recipe() == make_recipe({}, pictures=100)


OTHERS = {str: "text", int: 7, float: 0.25, bool: True, Path: Path("place")}


@pytest.mark.parametrize("name", [n for n, o in OPTIONS.items() if o.scope != "output"])
def test_the_command_that_repeats_a_run_says_every_option(name: str) -> None:
    other = OTHERS[OPTIONS[name].parsed]
    options = FitOptions(**{name: other})
    assert typed(command_of("data", options))[name] == other
    rest = {n: v for n, v in typed(command_of("data", options)).items() if n not in (name, "data")}
    assert rest == {n: o.default for n, o in OPTIONS.items() if n != name}


def test_lengths_of_time_and_sizes() -> None:
    assert [seconds(v) for v in (None, 90, "90", "90s", "5m", "1h")] == [None, 90, 90, 90, 300, 3600]
    assert [size(v) for v in (1000, "500MB", "20GB", "1.5k")] == [1000, 5 * 10**8, 2 * 10**10, 1500]


@pytest.mark.parametrize("wrong", ["inf", "nan", "-5", "5mm", "5GK", "1e400", "m", ""])
def test_what_is_no_length_of_time_and_no_size_is_refused(wrong: str) -> None:
    for read in (seconds, size):
        with pytest.raises(PlanError):
            read(wrong)


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", -1), ("seed", 1 << 63), ("seed", None), ("epochs", 3.0), ("epochs", True), ("val", "0.2"), ("lr", [1.0])],
)
def test_values_that_no_command_line_reads_are_refused(name: str, value: Any) -> None:
    with pytest.raises(PlanError, match=re.escape(f"{OPTIONS[name].flag} is {value!r}, not ")):
        check_options(FitOptions(**{name: value}))

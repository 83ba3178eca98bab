"""The checks for plugin authors pass what is good and name what is not; and plugins come in through entry points."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from frostline import Plan, Solve
from frostline.data.manifest import Row, Skipped
from frostline.data.sources import Source, sources
from frostline.testing import check_source, check_strategy
from frostline.train.strategies import strategies
from tests.data.pictures import tree

PLUGIN = """
from frostline import Plan, Recipe, Solve, Train
from frostline.data.manifest import Row
from frostline.data.sources import source


def two_step(stages, *, recipe: Recipe, lr: float = 1e-4, epochs: int) -> Plan:
    last = stages.names[-2]
    rates = tuple((name, lr if name in (last, "head") else 0.0) for name in stages.names)
    return Plan("two-step", (Solve(), Train(f"unfreeze {last}", rates, epochs, recipe)))


@source("list", claims=lambda place: place.suffix == ".list" and place.is_file())
def listed(place):
    for line in place.read_text(encoding="utf-8").splitlines():
        label, name = line.split(maxsplit=1)
        yield Row(place.parent / name, labels=(label,), name=name)
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder as pip would leave it: a module, and the metadata that announces it."""
    site = tmp_path / "site"
    (site / "insects-1.0.dist-info").mkdir(parents=True)
    (site / "insects.py").write_text(PLUGIN, encoding="utf-8")
    (site / "insects-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: insects\nVersion: 1.0\n")
    (site / "insects-1.0.dist-info" / "entry_points.txt").write_text(
        "[frostline.sources]\nlist = insects:listed\n[frostline.strategies]\ntwo-step = insects:two_step\n"
    )
    tree(tmp_path, "1.png", "2.png", "3.png")
    (tmp_path / "all.list").write_text("ant 1.png\nbee 2.png\nbee 3.png\n", encoding="utf-8")
    return site


def test_entry_points_are_found_by_every_command(installed: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from frostline.data.sources import read, sources\n"
        "from frostline.train.strategies import strategies\n"
        "from frostline.testing import check_source, check_strategy\n"
        "found = read(sys.argv[1])\n"
        "print(found.counts(), 'list' in sources.names(), 'two-step' in strategies.names())\n"
        "assert check_source(sources.get('list'), Path(sys.argv[1])).digests == found.digests\n"
        "check_strategy(strategies.get('two-step'))\n"
    )
    place = str(installed.parent / "all.list")
    paths = os.pathsep.join([str(installed), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning:frostline", "-c", code, place],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "{'ant': 1, 'bee': 2} True True"


@pytest.mark.parametrize("name", ["probe", "gradual", "auto", "bitfit"])
def test_our_own_strategies_pass(name: str) -> None:
    check_strategy(strategies.get(name))


def test_our_own_folder_source_passes_but_for_being_everybodys(tmp_path: Path) -> None:
    tree(tmp_path, "a/1.png", "b/2.png")
    with pytest.raises(AssertionError) as caught:
        check_source(sources.get("folder"), tmp_path)
    assert str(caught.value) == "it claims an empty folder"


def test_what_is_wrong_with_a_source_is_listed_all_at_once(tmp_path: Path) -> None:
    tree(tmp_path, "1.png")
    count = iter(range(100))

    def rows(place: Path) -> Iterator[Any]:
        (place / f"{next(count)}.log").touch()
        yield Row(place / "1.png", ["ant"], "training", name="")  # type: ignore[arg-type]
        yield Row("1.png", ("ant",), name="x")  # type: ignore[arg-type]
        yield Skipped("x", "")
        yield {"path": "1.png"}
        yield Row(place / "1.png", ("ant",), name=f"{next(count)}")

    with pytest.raises(AssertionError) as caught:
        check_source(Source(lambda place: False, rows), tmp_path)
    said = str(caught.value)
    for fault in (
        "it does not claim the place",
        "other rows when it is asked again",
        "row 0: it has no name",
        "row 0: labels ['ant'] are no tuple",
        "row 0: the split 'training'",
        "row 1: str is no picture",
        "row 2: a Skipped without",
        "row 3: dict is neither",
        "2 rows are called 'x'",
        "it changed the place",
    ):
        assert fault in said


def test_what_is_wrong_with_a_strategy_is_named() -> None:
    made = iter(range(100))

    def moody(stages: Any) -> Plan:
        return Plan(f"moody {next(made)}", (Solve(),))

    def nothing(stages: Any) -> Any:
        return None

    def greedy(stages: Any, *, coffee: int) -> Plan:
        return Plan("greedy", (Solve(),))

    for strategy, fault in (
        (moody, "another plan from the same options"),
        (nothing, "returned NoneType, not a Plan"),
        (greedy, "asks for coffee"),
    ):
        with pytest.raises(AssertionError, match=fault):
            check_strategy(strategy)

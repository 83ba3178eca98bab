"""A package of somebody else's, installed: each entry-point group is found and does its work."""

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from frostline.errors import UnknownName
from frostline.registry import Registry

PLUGIN = '''
import json
import numpy as np
import torch
from pathlib import Path
from frostline import Plan, Solve
from frostline.judge.audit.findings import whole
from frostline.data.manifest import Row
from frostline.errors import EngineError
from frostline.ship.exporters.export_spec import Form, Standalone


class Mine:
    name, precision = "mine", "fp32"
    used = 0

    def __init__(self, network):
        self.network = network

    def run(self, pictures):
        Mine.used += len(pictures)
        (Path(__file__).parent / "used").write_text(str(Mine.used))
        with torch.no_grad():
            return tuple(rows.numpy() for rows in self.network(torch.from_numpy(pictures)))


def engine(function, precision, streams, cache):
    if precision != "fp32":
        raise EngineError("mine computes in fp32 only")
    return Mine(function.torch())


def strategy(stages):
    """Only the head."""
    return Plan("only-head", (Solve(),))


def check(subject):
    n = len(subject.listing)
    return whole(subject, "mine", "note", f"{n} pictures were seen by a plugin", [])


def write(folder, leaving):
    torch.save(leaving.net.state_dict(), folder / "weights.bin")
    write.net = leaving.module


def opened(folder):
    return lambda pictures: write.net(torch.from_numpy(np.array(pictures))).detach().numpy()


FORM = Form(("weights.bin",), "torch", write, opened)
'''

POINTS = """
[frostline.engines]
mine = stranger:engine
[frostline.strategies]
only-head = stranger:strategy
[frostline.checks]
mine = stranger:check
[frostline.forms]
bin = stranger:FORM
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("site")
    (place / "stranger.py").write_text(PLUGIN)
    facts = place / "stranger-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(POINTS)
    return place


def run(installed: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(installed), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-m", "frostline", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}, check=False)


SMALL = ("--model", "test_resnet", "--weights", "none", "--image-size", "64")


@pytest.fixture(scope="module")
def fitted(installed: Path, leaves: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    done = run(installed, "fit", leaves, *SMALL, "--strategy", "only-head", "--engine", "mine", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "computed by mine, fp32" in done.stderr
    assert int((installed / "used").read_text()) >= 96
    return out


def test_one_engine_serves_fit_predict_and_evaluate(installed: Path, leaves: Path, fitted: Path) -> None:
    picture = leaves / "test" / "red leaf" / "0.png"
    ours, theirs = (
        json.loads(run(installed, "predict", fitted, picture, "--json", "--engine", name).stdout)
        for name in ("mine", "torch")
    )
    assert ours["classes"][0]["probability"] == pytest.approx(theirs["classes"][0]["probability"], abs=1e-4)
    (installed / "used").unlink()
    judged = run(installed, "evaluate", fitted, leaves, "--split", "test", "--engine", "mine", "--json")
    assert judged.returncode == 0, judged.stderr
    assert int((installed / "used").read_text()) >= 24


def test_a_form_without_a_script_of_its_own_is_exported(installed: Path, fitted: Path, tmp_path: Path) -> None:
    done = run(installed, "export", fitted, "--to", "bin", "--out", tmp_path / "bin")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "bin" / "weights.bin").stat().st_size > 0
    assert not (tmp_path / "bin" / "predict.py").exists()


def test_a_check_of_a_plugin_is_run(installed: Path, leaves: Path, tmp_path: Path) -> None:
    done = run(installed, "check", leaves, "--no-features", "--json", "--out", tmp_path / "check.html")
    assert "seen by a plugin" in done.stdout, done.stderr


def test_auto_asks_a_plugin_before_torch(installed: Path) -> None:
    code = "from frostline.inference.engine import in_order; print(*in_order())"
    path = os.pathsep.join(filter(None, [str(installed), os.environ.get("PYTHONPATH", "")]))
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONPATH": path})  # fmt: skip
    assert said.stdout.split() == ["openvino", "mine", "torch"]


def test_a_package_that_cannot_be_imported_stops_nobody_who_does_not_ask_for_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    known: Registry[object] = Registry("engine", "frostline.engines", option="--engine")
    known.register("ours", ours := object())
    broken = EntryPoint("fast", "no_such_module_here:make", "frostline.engines")
    monkeypatch.setitem(vars(known), "_announced", {"fast": broken})
    assert list(known) == [("ours", ours)]
    assert "no_such_module_here" in caplog.text
    with pytest.raises(UnknownName, match="'fast' of an installed package cannot be loaded") as caught:
        known.get("fast")
    assert "uninstall" in str(caught.value)

"""The comparison's own bookkeeping: whole processes stand for themselves."""

import sys
from pathlib import Path

import numpy as np
import pytest
from bench.rows import compared
from bench.runner import Contestant, Run, accuracy, alternate
from bench.sections.peak import measured
from PIL import Image

COUNT = "import pathlib; p = pathlib.Path({!r}); p.write_text(p.read_text() + 'x'); print('{{\"val\": 0.5}}')"


def test_a_comparison_that_was_stopped_goes_on_where_it_was_and_each_side_runs_equally_often(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("one", "two")]
    for place in places:
        place.write_text("")
    ready = tmp_path / "ready"

    def stop() -> None:
        if not ready.exists():
            ready.touch()
            raise KeyboardInterrupt

    one, two = (Contestant(p.name, [sys.executable, "-S", "-c", COUNT.format(str(p))]) for p in places)
    stopped = Contestant(two.name, two.command, before=stop)
    with pytest.raises(KeyboardInterrupt):
        alternate([one, stopped], 2, tmp_path / "kept")
    first = alternate([one], 1, tmp_path / "kept")["one"][0]
    with (tmp_path / "kept").open("a") as file:
        file.write('{"key": "cut')
    runs = alternate([one, two], 2, tmp_path / "kept")
    assert [place.read_text() for place in places] == ["xx", "xx"]
    assert runs["one"][0] == first
    assert [accuracy(run) for run in runs["two"]] == [0.5, 0.5]


def test_a_row_is_the_median_ratio_of_pairs_and_the_test_split_goes_before_val() -> None:
    def run(seconds: float, share: float) -> Run:
        metrics = {"val": {"accuracy": {"value": 1.0}}, "test": {"accuracy": {"value": share}}}
        return Run(seconds, 0.0, 0, {"metrics": metrics})

    runs = {"a": [run(1, 0.5), run(2, 0.6), run(4, 0.7)], "b": [run(10, 0.1), run(10, 0.1), run(10, 0.1)]}
    row = compared("work", runs, "a", "b")
    assert (row.ratio, row.ours.seconds, row.ours.n, row.theirs.n) == (5.0, 2, 3, 3)
    assert row.ours.accuracy == pytest.approx(0.6)


def test_the_figures_of_a_machine_are_measured_by_the_engines_as_they_are(tmp_path: Path) -> None:
    """Nothing else opens an engine by hand: one that takes other arguments is noticed here."""
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (240, 300, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.jpg")
    facts = measured(tmp_path, tmp_path / "cache", quick=True)
    assert [name for name in facts if name.startswith("trunk by ")] == [
        f"trunk by {engine} {kind}" for engine in ("openvino", "torch") for kind in ("fp32", "bf16")
    ]
    assert "convolutions" in facts["where OpenVINO fp32 spends its time, one core"]

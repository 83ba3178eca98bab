"""What the guide says of many machines is what `python -m bench.scale` wrote, and its manifest calls what there is."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from bench import scale, scale_memory, scale_nodes
from typer.testing import CliRunner

from frostline.cli import app
from frostline.data.loose_pictures import pictures as listed
from frostline.data.pictures.picture import content_digest


def test_the_guide_says_what_the_command_found() -> None:
    found = json.loads(scale.RESULTS.read_text())
    assert scale.TEXT.read_text() == scale.text(found)
    assert scale.block(found) in scale.PAGE.read_text(encoding="utf-8")


def test_writing_replaces_its_own_lines_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{scale.BEGIN}\nold\n{scale.END}\nafter\n")
    monkeypatch.setattr(scale, "PAGE", page)
    monkeypatch.setattr(scale, "TEXT", tmp_path / "SCALE.md")
    scale.write(json.loads(scale.RESULTS.read_text()))
    text = page.read_text()
    assert text.startswith(f"before\n{scale.BEGIN}\n")
    assert text.endswith(f"{scale.END}\nafter\n")
    assert "old" not in text


def test_one_bit_a_picture_too_few_and_one_too_many_are_seen() -> None:
    one = {name: np.array([n, 0.5], np.float32).tobytes() for n, name in enumerate("abc")}
    other = {**one, "a": np.nextafter(np.array([0, 0.5], np.float32), np.float32(1)).tobytes(), "x": b""}
    del other["c"]
    assert scale.compared(one, dict(one)) == {"answered": 3, "missing": 0, "other": 0}
    assert scale.compared(one, other) == {"answered": 3, "missing": 1, "other": 2}


def test_what_a_million_costs_follows_from_what_was_measured() -> None:
    run = {"seconds": 100.0, "cpu": 36.0, "steady": 40.0, "busy": 0.9, "around": 5.0}
    first = {**run, "seconds": 125.0}
    found = {"pictures": 1000, "one": run, "first": first, "ray": run, "bytes": 20_000.0, "result bytes": 50.0}
    lines = scale._speed_lines({**found, "machine": "m", "commit": "c"})
    (ray,) = [line for line in lines if line.startswith("- Ray, 2 workers")]
    assert "5.0 pictures/s a core (0.50 of one process)" in ray
    assert "4.0 (0.40) for the first command of a cluster" in ray
    (million,) = [line for line in lines if line.startswith("| 1,000,000 |")]
    assert million == "| 1,000,000 | 10.0 | 0.10 | 0.02 TB | 0.00 h | 0.05 GB |"


def test_memory_stands_in_mib_by_kind_of_source() -> None:
    held = {"one process": 100 << 20, "driver": 200 << 20, "worker": 300 << 20}
    found = {"pictures": 20_000, "Parquet": {"few": held, "many": {**held, "worker": 301 << 20}}}
    lines = scale_memory.memory_lines(found, "here")
    assert lines[0].startswith("The most memory in MiB, with 2,000 and 20,000 pictures")
    assert lines[-2] == "| Parquet | 100 and 100 | 200 and 200 | 300 and 301 |"


@pytest.mark.parametrize("kind", list(scale_memory.SOURCES))
def test_the_same_pictures_lie_in_every_kind_of_source(kind: str, tmp_path: Path) -> None:
    pictures = scale.small(tmp_path / "small", 5)
    places = scale_memory.SOURCES[kind](tmp_path / "made", pictures, 4)
    found = [content_digest(row.picture) for row in listed([str(place) for place in places])]
    assert found == [content_digest(path) for path in sorted(pictures.iterdir())[:4]]


def test_other_bits_of_a_store_are_said() -> None:
    same = {"files": True, "store": False}
    found = {"pictures": 1500, "nodes": 2, "same": same, "cpu": {"files": 0.001, "store": 0.006}}
    files, store = scale_nodes.node_lines(found, "here")[2:4]
    assert "1.0 ms" in files
    assert "6.0 ms" in store
    assert "OTHER BITS" in store
    assert "OTHER" not in files


def test_the_manifest_of_an_indexed_job_is_one_and_its_options_exist() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", scale.PAGE.read_text(encoding="utf-8"), re.DOTALL)
    job = yaml.safe_load(text)
    assert (job["kind"], job["spec"]["completionMode"]) == ("Job", "Indexed")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    words = container["command"][2].split()
    assert f"$JOB_COMPLETION_INDEX/{job['spec']['completions']}" == words[-1]
    told = CliRunner().invoke(app, ["predict", "--help"], env={**os.environ, "COLUMNS": "200"}).stdout
    assert all(word in told for word in words if word.startswith("--"))

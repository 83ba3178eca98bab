"""The command that measures a card runs from end to end, small, on a CPU in its place."""

from pathlib import Path

import pytest
import torch
from bench import gpu


@pytest.mark.slow
def test_it_runs_from_end_to_end_and_its_figures_are_speeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(gpu, "_timed", lambda work, device: (work(), 0.5)[1])
    setting = gpu.Setting(torch.device("cpu"), "fp32", "test_resnet", 8, 4, gpu.made(tmp_path / "data", 8), 0)
    found = gpu.measured(setting, tmp_path)
    assert [row.what for row in found if row.value == 16] == [
        "decoding and resizing alone",
        "frozen layers, fp32",
        "a full epoch",
        "predict, decoding included",
        "predict, decoding included",
    ]
    assert next(row.beside for row in found if row.what == "a full epoch").startswith("frostline")
    page = gpu.text(setting, found)
    assert "no GPU" in page
    assert gpu.NEVER in page
    assert all(f"| {row.what} | {gpu.said(row.value)} |" in page for row in found)


def test_a_clock_leaves_the_first_run_out(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0, 100, 100, 101, 101, 103, 103, 106])
    monkeypatch.setattr(gpu.time, "perf_counter", lambda: next(ticks))
    assert gpu._timed(lambda: None, torch.device("cpu")) == 2


def test_the_table_says_by_itself_whether_a_card_was_there() -> None:
    page = gpu.TEXT.read_text(encoding="utf-8")
    assert ("no GPU:" in page) == (gpu.NEVER in page)
    guide = (gpu.HERE.parent / "docs" / "how-to" / "gpu.md").read_text(encoding="utf-8")
    assert (gpu.NEVER in page) == ("It was never run on a GPU" in guide)

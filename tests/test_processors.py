"""How many cores a process takes itself: never more than it was given, whoever gives."""

import os
from pathlib import Path

import pytest

from frostline import processors as counted
from frostline.errors import PlanError


@pytest.mark.parametrize(
    ("quota", "asked", "found"),
    [("400000 100000", "", 4), ("150000 100000", "", 2), ("10000 100000", "", 1), ("max 100000", "", 64),
     ("no such thing", "", 64), ("400000 100000", "3", 3), ("max 100000", "0", 1), ("max 100000", " 7 ", 7)],
)  # fmt: skip
def test_a_container_and_a_user_may_give_fewer(
    quota: str, asked: str, found: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Linux writes cpu.max for `docker run --cpus` and for a limit of Kubernetes; affinity still says 64 there."""
    (tmp_path / "cpu.max").write_text(quota + "\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(counted, "_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(counted, "_limit", [])
    monkeypatch.setenv("FROSTLINE_CPUS", asked)
    assert counted.processors() == found


@pytest.mark.parametrize(
    ("name", "said"),
    [("FROSTLINE_CPUS", "many"), ("FROSTLINE_CPUS", "-1"), ("FROSTLINE_CPUS", "2.5"), ("FROSTLINE_CPUS", "²"),
     ("RANK", "x"), ("RANK", "1"), ("RANK", "-1"), ("WORLD_SIZE", "0"), ("WORLD_SIZE", "9" * 5000),
     ("WORLD_SIZE", "\x1b[2J")],
)  # fmt: skip
def test_what_the_environment_cannot_mean_is_refused_with_its_name(
    name: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("RANK", "WORLD_SIZE", "FROSTLINE_CPUS"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, said)
    with pytest.raises(PlanError) as caught:
        counted.processors() if name == "FROSTLINE_CPUS" else counted.launched_processes()
    assert name in str(caught.value)
    assert len(str(caught.value)) < 300
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(("shown", "there", "found"), [(None, True, True), ("0,1", True, True), ("", True, False),
                         ("-1", True, False), (None, False, False)])  # fmt: skip
def test_a_card_that_is_hidden_is_none(
    shown: str | None, there: bool, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    monkeypatch.setattr(counted, "_DRIVERS", (tmp_path if there else tmp_path / "no",))
    monkeypatch.setenv("SYSTEMROOT", str(tmp_path))
    assert counted.gpu_driver() == found

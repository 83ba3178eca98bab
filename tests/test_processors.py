"""How many cores a process takes itself: never more than it was given, whoever gives."""

import os
from pathlib import Path

import pytest

from frostline import processors as counted


@pytest.mark.parametrize(
    ("quota", "asked", "found"),
    [("400000 100000", "", 4), ("150000 100000", "", 2), ("10000 100000", "", 1), ("max 100000", "", 64),
     ("no such thing", "", 64), ("400000 100000", "3", 3), ("max 100000", "0", 1), ("max 100000", "many", 64)],
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

"""A run that is killed, at whatever moment, and a store that was being written when it was."""

from pathlib import Path

import pytest

from tests.run.kills import killed_and_resumed


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_run_that_was_killed_ends_in_the_same_bits(tmp_path: Path, kills: int) -> None:
    outcome = killed_and_resumed(tmp_path, kills=kills, seed=1)
    assert len(outcome.kills) == kills
    assert outcome.same

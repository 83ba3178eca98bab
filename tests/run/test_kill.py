"""A run that is killed, at whatever moment, and a store that was being written when it was."""

from pathlib import Path

from tests.run.kills import killed_and_resumed


def test_a_run_that_was_killed_ends_in_the_same_bits(tmp_path: Path) -> None:
    outcome = killed_and_resumed(tmp_path, kills=3, seed=1)
    assert len(outcome.kills) == 3
    assert outcome.same

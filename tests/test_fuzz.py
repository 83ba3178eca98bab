"""A few hundred mutants in every run of the tests; ``python -m tests.fuzz`` tries as many as one likes."""

import pytest

from tests.fuzz.harness import run

MUTANTS = {"pictures": 120, "tables": 80, "archives": 80, "data sets": 40, "checkpoints": 80}


@pytest.mark.parametrize("name", MUTANTS)
def test_no_mutant_does_anything_but_be_read_or_refused(name: str) -> None:
    result = run(name, MUTANTS[name], seed=1)
    assert not result.findings
    assert result.tried == MUTANTS[name]
    outcomes = {outcome for _, outcome in result.counts}
    assert outcomes == {"read", "refused"}  # else the mutants are too tame, or too wild to say anything


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("dies", "died: SIGABRT"),
        ("hangs", "no answer within 1 s"),
        ("eats memory", "MemoryError"),
        ("raises", "ZeroDivisionError"),
    ],
)
def test_the_harness_sees_what_no_reader_may_do(name: str, fault: str) -> None:
    result = run(name, 2, seconds=1)
    assert len(result.findings) == 2
    assert all(fault in finding for finding in result.findings)
    assert result.tried == 2

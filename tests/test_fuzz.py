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


def test_the_harness_finds_what_crashes_hangs_and_eats_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    # The child imports targets anew, so the fault is planted where it is: see `faulty` there.
    result = run("faulty", 4)
    said = " ".join(result.findings)
    assert "died: SIGABRT" in said
    assert "no answer within" in said
    assert "MemoryError" in said
    assert "ZeroDivisionError" in said
    assert result.tried == 4

"""Thousands of damaged and hostile files against everything that reads one: ``python -m tests.fuzz``.

``mutate`` damages, ``targets`` says what is damaged and who reads it, ``harness`` does it in a child process under
limits of time and memory. ``docs/safety.md`` has the counts of the last whole run.
"""

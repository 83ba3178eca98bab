"""Servers that the tests of this folder share: one as it comes, and one of narrow limits."""

from collections.abc import Iterator

import pytest

from tests.ship.serve.client import Served, serving


@pytest.fixture(scope="session")
def served(model) -> Iterator[Served]:
    with serving(model[0]) as server:
        yield server


@pytest.fixture(scope="session")
def narrow(model) -> Iterator[Served]:
    limits = "--max-bytes 200000 --max-pixels 100000 --max-files 3 --queue 8 --timeout 0.5"
    with serving(model[0], *limits.split()) as server:
        yield server

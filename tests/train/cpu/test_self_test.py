"""The work-arounds are left out, and it is said, when they no longer compute what torch computes."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from frostline.train.cpu import depthwise, self_test
from frostline.train.device import open_device


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    self_test.disagreement.cache_clear()
    yield
    self_test.disagreement.cache_clear()


def test_they_agree_with_this_torch() -> None:
    before = torch.get_rng_state()
    assert self_test.disagreement() == ""
    assert torch.equal(before, torch.get_rng_state())


def test_a_wrong_gradient_is_found_and_they_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    right = depthwise._by_weight

    def wrong(*args: object) -> Tensor:
        return right(*args) * 1.5  # type: ignore[arg-type]

    monkeypatch.setattr(depthwise, "_by_weight", wrong)
    assert "gradient of 3.weight" in self_test.disagreement()
    assert not open_device("cpu", "bf16").fast_kernels


def test_an_error_is_a_disagreement(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object) -> bool:
        raise RuntimeError("no such overload")

    monkeypatch.setattr(depthwise, "takes", broken)
    assert "no such overload" in self_test.disagreement()

"""Where a run happens: what cannot be is refused before anything is computed."""

import pytest
import torch

from frostline.errors import PlanError
from frostline.train import device


def test_more_processes_than_cards_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """NCCL would end with "invalid usage", after the store was filled."""
    monkeypatch.setattr(device, "_wanted", lambda name: "cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    with pytest.raises(PlanError, match="3 processes were started on this machine, and it has 2 GPUs") as caught:
        device._accelerator("auto", [], None)
    assert "--device cpu" in str(caught.value.hint)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "many")
    with pytest.raises(PlanError, match="'many' is no number"):
        device._accelerator("auto", [], None)

"""Networks of transformers, which are read by attribute: cut as others are; and their files, whose names are others."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from frostline import cut
from frostline.errors import WeightsError
from frostline.net import zoo
from frostline.net.stages import lines

transformers = pytest.importorskip("transformers")

SHAPE = (3, 32, 32)
SMALL = {
    "ViT": {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    | {"image_size": 32, "patch_size": 8},
    "ResNet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
    "ConvNext": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]},
    "Swin": {"embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4, "image_size": 32},
}


class Logits(nn.Module):
    """What a user's factory returns: the logits alone."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.net(pixel_values=pictures).logits
        return logits


def made(kind: str) -> nn.Module:
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(num_labels=2, **SMALL[kind])
    net: nn.Module = getattr(transformers, f"{kind}ForImageClassification")(config)
    return net


@pytest.mark.parametrize("kind", SMALL)
def test_a_network_whose_parts_give_objects_is_cut_at_its_head_and_where_else_it_can(kind: str) -> None:
    net = Logits(made(kind)).eval()
    pictures = torch.randn(3, *SHAPE)
    found = lines(net, shape=SHAPE)
    assert found[-1] == "head"
    assert kind in ("ViT", "Swin") or len(found) > 3, found
    for line in found:
        prefix, suffix = cut(net, line, shape=SHAPE)
        with torch.no_grad():
            assert torch.equal(suffix(prefix(pictures)), net(pictures)), line


def test_a_checkpoint_of_transformers_is_refused_as_such(tmp_path: Path) -> None:
    net = made("ViT")
    net.save_pretrained(tmp_path / "folder")  # type: ignore[operator]
    torch.save(net.state_dict(), tmp_path / "weights.bin")
    for place in ("folder", "weights.bin"):
        with pytest.raises(WeightsError, match="beyond the head do not") as caught:
            zoo.build("test_vit", classes=2, weights=tmp_path / place)
        assert "transformers" in str(caught.value.hint)
        assert "package.module:factory" in str(caught.value.hint)

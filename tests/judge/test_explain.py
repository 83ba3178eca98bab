"""Heat maps: as the package grad-cam computes them where it is told the layer, and for every kind of network."""

import numpy as np
import pytest
import timm
import torch
from torch import nn

from frostline.data.views import Preprocessing
from frostline.errors import StageError
from frostline.judge.explain import heatmap, overlay

FAMILIES = {
    "resnet18": 64,
    "tf_efficientnet_lite0": 64,
    "mobilenetv3_small_050": 64,
    "convnext_atto": 64,
    "vit_tiny_patch16_224": 64,
    "deit_tiny_distilled_patch16_224": 64,
    "swin_tiny_patch4_window7_224": 224,
    "mobilevit_xxs": 64,
    "maxvit_rmlp_pico_rw_256": 256,
    "mixer_s32_224": 224,
    "poolformer_s12": 64,
    "vit_small_patch16_dinov3": 64,
    "xcit_nano_12_p16_224": 64,
}


def network(name: str, side: int) -> nn.Module:
    torch.manual_seed(0)
    size = {} if "img_size" not in _takes(name) or side == 224 else {"img_size": side}
    net: nn.Module = timm.create_model(name, num_classes=6, **size).eval()
    head = net.get_classifier()
    for layer in head if isinstance(head, tuple) else (head,):  # mixers begin with zeros there, which nothing moves
        nn.init.normal_(layer.weight, std=0.1)
    return net


def _takes(name: str) -> tuple[str, ...]:
    return ("img_size",) if name.startswith(("vit", "deit", "xcit")) else ()


def picture(side: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_a_map_of_the_picture_that_depends_on_the_class(name: str) -> None:
    side = FAMILIES[name]
    net, pixels = network(name, side), picture(side)
    maps = [heatmap(net, Preprocessing(size=(side, side)), pixels, k) for k in range(6)]
    for heat in maps:
        assert heat.shape == (side, side)
        assert heat.dtype == np.float32
        assert heat.min() >= 0
        assert heat.max() in (0, 1)
    assert any(heat.max() == 1 for heat in maps)
    assert not all(np.allclose(maps[0], heat) for heat in maps[1:])


def from_the_package(
    kind: str, net: nn.Module, layer: nn.Module, x: torch.Tensor, k: int, reshape: object
) -> np.ndarray:
    import pytorch_grad_cam as cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    explain = getattr(cam, kind)(model=net, target_layers=[layer], reshape_transform=reshape)
    return np.asarray(explain(input_tensor=x, targets=[ClassifierOutputTarget(k)])[0])


def stretched(heat: np.ndarray) -> np.ndarray:
    """The package moves each map's least value to 0, as we do not: evidence everywhere stays evidence everywhere."""
    return (heat - heat.min()) / np.ptp(heat)


def normalised(pixels: np.ndarray) -> torch.Tensor:
    wants = Preprocessing()
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    return (x - torch.tensor(wants.mean).view(1, 3, 1, 1)) / torch.tensor(wants.std).view(1, 3, 1, 1)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_on_a_convolutional_network_it_is_grad_cam(k: int) -> None:
    net, pixels = network("resnet18", 128), picture(128)
    expected = from_the_package("GradCAM", net, net.get_submodule("layer4"), normalised(pixels), k, None)
    found = heatmap(net, Preprocessing(size=(128, 128)), pixels, k)
    assert found.max() == 1
    np.testing.assert_allclose(stretched(found), expected, atol=2e-3)


def test_on_a_vision_transformer_it_is_hires_cam_of_the_layer_that_the_package_recommends() -> None:
    net, pixels = network("vit_tiny_patch16_224", 64), picture(64)

    def maps(tokens: torch.Tensor) -> torch.Tensor:
        return tokens[:, 1:].reshape(1, 4, 4, -1).permute(0, 3, 1, 2)

    expected = from_the_package("HiResCAM", net, net.get_submodule("blocks.11.norm1"), normalised(pixels), 2, maps)
    np.testing.assert_allclose(stretched(heatmap(net, Preprocessing(size=(64, 64)), pixels, 2)), expected, atol=2e-3)


def test_the_map_lies_over_what_the_class_is_seen_by() -> None:
    class Red(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.colours = nn.Conv2d(3, 4, 8, stride=8, bias=False)
            self.head = nn.Linear(4, 2, bias=False)
            with torch.no_grad():
                self.colours.weight.copy_(torch.eye(4, 3)[:, :, None, None].expand(4, 3, 8, 8) / 64)
                self.head.weight.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0]]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.colours(x).relu().mean((2, 3)))

    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[8:16, 40:48, 0] = 255
    pixels[32:40, 0:8, 1] = 255
    plain = Preprocessing(size=(48, 64), mean=(0, 0, 0), std=(1, 1, 1))
    for k, place in ((0, (12, 44)), (1, (36, 4))):
        heat = heatmap(Red(), plain, pixels, k)
        assert np.unravel_index(heat.argmax(), heat.shape)[0] in range(place[0] - 4, place[0] + 4)
        assert heat[place] > 0.9
        assert heat[place[0] - 12 if place[0] > 12 else 30, 20] == 0


def test_the_network_is_left_as_it_was_and_a_class_of_none_is_the_likeliest() -> None:
    net, pixels = network("resnet18", 64).train(), picture(64)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    wants = Preprocessing(size=(64, 64))
    found = heatmap(net, wants, pixels)
    assert net.training
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not any(module._forward_hooks for module in net.modules())
    with torch.no_grad():
        likeliest = int(net.eval()(normalised(pixels)).argmax())
    np.testing.assert_array_equal(found, heatmap(net, wants, pixels, likeliest))


def test_a_class_that_is_not_there_and_a_network_without_places_are_refused() -> None:
    with pytest.raises(StageError, match="no class 6"):
        heatmap(network("resnet18", 64), Preprocessing(size=(64, 64)), picture(64), 6)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    with pytest.raises(StageError, match="map of the picture"):
        heatmap(flat, Preprocessing(size=(2, 2)), picture(2), 0)


def test_an_overlay_glows_where_it_is_warm_and_fades_where_it_is_cold() -> None:
    pixels = np.full((2, 2, 3), (40, 200, 40), np.uint8)
    shown = overlay(pixels, np.array([[0, 0], [0, 1]], np.float32)).astype(int)
    assert shown.shape == (2, 2, 3)
    assert shown[1, 1].sum() > shown[0, 0].sum()
    assert np.ptp(shown[0, 0]) < np.ptp(pixels[0, 0].astype(int))

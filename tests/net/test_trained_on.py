"""The folder of the weights says how pictures were prepared for them, and is believed as far as checked."""

import json
from pathlib import Path
from typing import Any

import pytest
import timm

from frostline.data.pictures.reading import Reading
from frostline.errors import CheckpointError
from frostline.net import zoo
from tests.waiting import pipe, pipes, without_waiting

OWN = {"mean": [0.5, 0.4, 0.3], "std": [0.5, 0.6, 0.7], "interpolation": "bilinear", "crop_pct": 0.9}


def folder(place: Path, name: str = "test_resnet", channels: int = 3, **said: Any) -> Path:
    """A network as timm saves it for the hub, which says this of pictures."""
    net = timm.create_model(name, num_classes=2, in_chans=channels)
    timm.models.save_for_hf(net, place, safe_serialization=True)
    config = json.loads((place / "config.json").read_bytes())
    config["pretrained_cfg"] |= said
    (place / "config.json").write_text(json.dumps(config))
    return place


@pytest.mark.parametrize("file", [False, True])
def test_weights_of_a_folder_bring_its_preprocessing(tmp_path: Path, file: bool) -> None:
    place = folder(tmp_path / "net", **OWN, crop_mode="squash", input_size=[3, 96, 96])
    built = zoo.build("test_resnet", classes=2, weights=place / "model.safetensors" if file else place)
    wants = built.preprocessing
    assert (wants.mean, wants.std) == ((0.5, 0.4, 0.3), (0.5, 0.6, 0.7))
    assert (wants.size, wants.interpolation, wants.crop_pct, wants.crop_mode) == ((96, 96), "bilinear", 0.9, "squash")
    said = "pictures as its folder says: 96 x 96, mean 0.5,0.4,0.3, std 0.5,0.6,0.7, bilinear, crop 0.9 squash"
    assert said in str(built.loaded)
    assert zoo.build("test_resnet", classes=2, weights=place, image_size=64).preprocessing.size == (64, 64)


def test_it_is_that_of_the_folder_as_a_model(tmp_path: Path) -> None:
    place = folder(tmp_path / "net", **OWN, input_size=[3, 96, 96])
    as_model = zoo.build(f"local-dir:{place}", classes=2)
    assert zoo.build("test_resnet", classes=2, weights=place).preprocessing == as_model.preprocessing


def test_a_network_of_one_size_is_built_at_that_of_the_folder(tmp_path: Path) -> None:
    net = timm.create_model("test_vit", num_classes=2, img_size=96)
    timm.models.save_for_hf(net, tmp_path / "vit", model_args={"img_size": 96})
    config = json.loads((tmp_path / "vit" / "config.json").read_bytes())
    config["pretrained_cfg"]["input_size"] = [3, 96, 96]
    (tmp_path / "vit" / "config.json").write_text(json.dumps(config))
    built = zoo.build("test_vit", classes=2, weights=tmp_path / "vit")
    assert built.preprocessing.size == (96, 96)
    assert built.net.pos_embed.shape == net.pos_embed.shape


def test_other_bands_keep_their_own_means(tmp_path: Path) -> None:
    place = folder(tmp_path / "net", channels=4, mean=[0.1, 0.2, 0.3, 0.4], std=[0.5] * 4, input_size=[4, 96, 96])
    built = zoo.build("test_resnet", classes=2, weights=place, reading=Reading(bands=(1, 2, 3, 4)))
    assert built.preprocessing.mean == (0.1, 0.2, 0.3, 0.4)


@pytest.mark.parametrize(
    "said",
    [
        {"interpolation": "magic"},
        {"crop_pct": 7},
        {"input_size": [3, 96]},
        {"input_size": [3, -1, -1]},
        {"mean": ["a", "b", "c"]},
        {"std": [0, 0, 0]},
    ],
)
def test_what_means_nothing_is_refused(tmp_path: Path, said: dict[str, Any]) -> None:
    place = folder(tmp_path / "net", **said)
    with pytest.raises(CheckpointError) as caught:
        zoo.build("test_resnet", classes=2, weights=place)
    assert caught.value.where == str(place / "config.json")
    assert caught.value.hint


def test_a_folder_in_another_form_says_nothing(tmp_path: Path) -> None:
    place = folder(tmp_path / "net")
    (place / "config.json").write_text('{"model_type": "resnet", "mean": [9, 9, 9]}')
    built = zoo.build("test_resnet", classes=2, weights=place)
    assert built.preprocessing == zoo.build("test_resnet", classes=2, weights=None).preprocessing
    assert "pictures" not in str(built.loaded)


@pipes
def test_a_pipe_in_place_of_the_configuration_is_not_waited_for(tmp_path: Path) -> None:
    place = folder(tmp_path / "net", **OWN)
    pipe(place / "config.json")
    with without_waiting():
        assert zoo.build("test_resnet", classes=2, weights=place).loaded.pictures == ""

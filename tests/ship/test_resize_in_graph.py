"""The evaluation view inside a graph: Pillow's arithmetic, for any size, as products of matrices."""

import numpy as np
import pytest
import torch

from frostline.data.decode import image
from frostline.data.views import Preprocessing, placed
from frostline.ship.exporters.resize_in_graph import Placed
from tests.data.pictures import scene

SIZES = ((64, 64), (200, 333), (211, 190), (30, 41), (75, 91), (1, 7))


def apart(picture, preprocessing):
    expected = placed(image(picture), preprocessing).astype(int)
    found = Placed(preprocessing)(torch.from_numpy(picture.copy())[None])[0].permute(1, 2, 0).numpy()
    assert found.shape == expected.shape
    assert (found == found.round()).all()
    return np.abs(found - expected)


@pytest.mark.parametrize("interpolation", ["bilinear", "hamming", "bicubic", "lanczos"])
@pytest.mark.parametrize("crop_mode", ["center", "squash", "border"])
def test_smooth_filters_are_pillows(crop_mode, interpolation):
    for size, share in (((64, 64), 0.875), ((48, 64), 0.9), ((65, 65), 1.0)):
        wants = Preprocessing(size=size, interpolation=interpolation, crop_pct=share, crop_mode=crop_mode)
        for height, width in SIZES:
            found = apart(scene(width, height, 3), wants)
            assert found.mean() < 0.2
            if (
                crop_mode != "squash" and size[0] == size[1] and height <= width
            ):  # else Pillow 13 may begin with columns
                assert found.max() <= 1


@pytest.mark.parametrize("interpolation", ["nearest", "box"])
def test_filters_with_steps_are_pillows_but_where_a_step_falls_on_a_pixel(interpolation):
    for height, width in SIZES:
        found = apart(scene(width, height, 3), Preprocessing(size=(64, 64), interpolation=interpolation))
        assert (found > 1).mean() < 0.07


def test_a_batch_is_its_pictures():
    wants = Preprocessing(size=(32, 32))
    pictures = torch.from_numpy(np.stack([scene(50, 40, 1), scene(50, 40, 2)]))
    together = Placed(wants)(pictures)
    assert torch.equal(together[1:], Placed(wants)(pictures[1:]))


def test_a_border_has_the_mean_colour():
    wants = Preprocessing(size=(32, 32), crop_mode="border", crop_pct=1.0, mean=(0.2, 0.4, 0.6))
    found = Placed(wants)(torch.full((1, 10, 40, 3), 255, dtype=torch.uint8))
    assert found[0, :, 0, 0].tolist() == [51, 102, 153]
    assert found[0, :, 16, 16].tolist() == [255, 255, 255]

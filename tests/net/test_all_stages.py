"""A head over all stages: timm's own feature extractor is the oracle of what it reads."""

import pytest
import timm
import torch
from torch import nn

from frostline.errors import PlanError
from frostline.net.all_stages import AllStages
from frostline.net.head import find_head
from frostline.net.stages import cut


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet"])
def test_it_reads_the_means_of_what_timms_feature_extractor_gives(name):
    net = timm.create_model(name, num_classes=3).eval()
    maps_only = timm.create_model(name, features_only=True).eval()
    maps_only.load_state_dict(net.state_dict(), strict=False)
    pictures = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        *parts, last = AllStages(net, 3).parts(pictures)
        for part, wanted in zip(parts, maps_only(pictures), strict=True):
            torch.testing.assert_close(part, wanted.mean((2, 3)))
        torch.testing.assert_close(net.get_classifier()(last), net(pictures))


def test_it_can_be_cut_under_its_head_and_its_widths_are_those_of_the_parts():
    net = AllStages(timm.create_model("test_vit", num_classes=3), 3).eval()
    pictures = torch.randn(2, 3, 160, 160)
    prefix, suffix = cut(net, "head")
    assert find_head(net).path == "head"
    with torch.no_grad():
        assert tuple(part.shape[1] for part in net.parts(pictures)) == net.widths
        assert torch.equal(suffix(prefix(pictures)), net(pictures))


def test_a_network_that_does_not_show_its_stages_is_refused():
    with pytest.raises(PlanError, match="forward_intermediates"):
        AllStages(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), 2)

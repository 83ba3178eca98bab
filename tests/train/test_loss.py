"""Losses against closed forms."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn
from torch.nn import functional as F

from frostline.errors import PlanError
from frostline.train.loss import Anchor, Objective, class_weights, one_label

N, K = 6, 3


class Echo(nn.Module):
    """Gives back what it gets, and remembers it."""

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x
        return x.flatten(1)[:, :K]


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(N, K, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def targets() -> Tensor:
    return torch.tensor([0, 1, 2, 0, 1, 0])


def logp(logits: Tensor) -> Tensor:
    return logits - logits.exp().sum(1, keepdim=True).log()


def test_plain_is_torchs_cross_entropy_to_the_bit(logits: Tensor, targets: Tensor) -> None:
    assert torch.equal(Objective(K)(Echo(), logits, targets), F.cross_entropy(logits, targets))


def test_smoothing(logits: Tensor, targets: Tensor) -> None:
    wanted = F.one_hot(targets, K) * 0.8 + 0.2 / K
    torch.testing.assert_close(Objective(K, 0.2)(Echo(), logits, targets), -(wanted * logp(logits)).sum(1).mean())


def test_class_weights_weigh_and_divide_by_the_count(logits: Tensor, targets: Tensor) -> None:
    weights = class_weights(targets, K)
    expected = -(weights[targets] * logp(logits)[range(N), targets]).sum() / N
    torch.testing.assert_close(Objective(K, class_weights=weights)(Echo(), logits, targets), expected)


def test_class_weights_are_scikit_learns_balanced(targets: Tensor) -> None:
    theirs = compute_class_weight("balanced", classes=np.arange(K), y=targets.numpy())
    assert class_weights(targets, K).tolist() == pytest.approx(theirs.tolist())
    assert class_weights(targets, K)[targets].mean() == pytest.approx(1.0)


def test_a_class_without_pictures_has_a_finite_weight(targets: Tensor) -> None:
    assert class_weights(targets, K + 1).isfinite().all()


def test_multilabel_is_binary_cross_entropy(logits: Tensor) -> None:
    y = torch.tensor([[0.0, 1, 1], [1, 0, 0]]).repeat(3, 1)
    p = torch.sigmoid(logits)
    expected = -(y * p.log() + (1 - y) * (1 - p).log()).mean()
    torch.testing.assert_close(Objective(K, multilabel=True)(Echo(), logits, y), expected)
    soft = y * 0.8 + 0.1
    expected = -(soft * p.log() + (1 - soft) * (1 - p).log()).mean()
    torch.testing.assert_close(Objective(K, 0.2, multilabel=True)(Echo(), logits, y), expected)


def test_mixup_mixes_neighbours_and_their_targets_alike(targets: Tensor) -> None:
    torch.manual_seed(1)
    net, x = Echo(), torch.eye(N).reshape(N, N)
    loss = Objective(K, mixup=1.0)(net, x, targets)
    # Row i is lam * e_i + (1 - lam) * e_(i-1): lam can be read off the inputs themselves.
    lam = net.seen.diagonal()
    assert torch.allclose(lam, lam[0].expand(N))
    assert 0 < lam[0] < 1
    torch.testing.assert_close(net.seen, lam[0] * x + (1 - lam[0]) * x.roll(1, 0))
    one_hot = F.one_hot(targets, K).float()
    mixed = lam[0] * one_hot + (1 - lam[0]) * one_hot.roll(1, 0)
    torch.testing.assert_close(loss, -(mixed * logp(net.seen[:, :K])).sum(1).mean())


def test_mixup_keeps_the_shape_of_tokens(targets: Tensor) -> None:
    net = Echo()
    Objective(K, mixup=0.4)(net, torch.randn(N, 5, 4), targets)
    assert net.seen.shape == (N, 5, 4)


def test_cutmix_pastes_a_box_and_weighs_targets_by_its_area(targets: Tensor) -> None:
    torch.manual_seed(2)
    net = Echo()
    x = torch.arange(N).float().reshape(N, 1, 1, 1).expand(N, 1, 8, 8).contiguous()
    loss = Objective(K, cutmix=1.0)(net, x, targets)
    kept = (net.seen == x).flatten(1).float().mean(1)
    assert 0 < kept[0] < 1
    assert torch.equal((net.seen == x) | (net.seen == x.roll(1, 0)), torch.ones_like(x, dtype=torch.bool))
    one_hot = F.one_hot(targets, K).float()
    mixed = kept[:, None] * one_hot + (1 - kept[:, None]) * one_hot.roll(1, 0)
    torch.testing.assert_close(loss, -(mixed * logp(net.seen.flatten(1)[:, :K])).sum(1).mean())


def test_of_mixup_and_cutmix_each_batch_draws_one(targets: Tensor) -> None:
    torch.manual_seed(0)
    x = torch.arange(N).float().reshape(N, 1, 1, 1).expand(N, 1, 8, 8).contiguous()
    kinds = set()
    for _ in range(20):
        net = Echo()
        Objective(K, mixup=1.0, cutmix=1.0)(net, x, targets)
        kinds.add(bool((net.seen == net.seen.round()).all()))
    assert kinds == {True, False}


def test_cutmix_needs_maps(logits: Tensor, targets: Tensor) -> None:
    with pytest.raises(PlanError, match="cutmix cuts pictures or feature maps"):
        Objective(K, cutmix=1.0)(Echo(), logits, targets)


def test_l2sp_pulls_towards_the_start(logits: Tensor, targets: Tensor) -> None:
    moved, start = nn.Parameter(torch.tensor([1.0, 2.0])), torch.tensor([0.0, 4.0])
    plain = Objective(K)(Echo(), logits, targets)
    loss = Objective(K, l2sp=0.5, anchors=[Anchor(moved, start)])(Echo(), logits, targets)
    torch.testing.assert_close(loss - plain, torch.tensor(0.5 / 2 * (1 + 4)))
    loss.backward()
    torch.testing.assert_close(moved.grad, 0.5 * (moved.detach() - start))


@pytest.mark.parametrize("options", [{"mixup": 0.2}, {"cutmix": 0.2}, {"class_weights": torch.ones(K)}])
def test_several_labels_a_picture_cannot_be_mixed_or_weighed(options: dict) -> None:
    with pytest.raises(PlanError, match="one label a picture"):
        Objective(K, multilabel=True, **options)


def test_several_labels_a_picture_cannot_be_balanced() -> None:
    with pytest.raises(PlanError, match="one label"):
        class_weights(torch.ones(4, 3), 3)
    assert torch.equal(one_label(torch.tensor([1, 0])), torch.tensor([1, 0]))

"""Depthwise convolutions in bfloat16 whose gradients are put together from fast ones."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from frostline.train.cpu import depthwise

CHANNELS = 6


def random_case(rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """A picture with odd sides, a kernel, a bias: numbers that bfloat16 holds exactly."""
    torch.manual_seed(0)
    x = torch.randn(2, CHANNELS, 11, 13).bfloat16().float().contiguous(memory_format=torch.channels_last)
    weight = torch.randn(CHANNELS, 1, rows, columns).bfloat16().float()
    return x.requires_grad_(), weight.requires_grad_(), torch.randn(CHANNELS).bfloat16().float().requires_grad_()


@pytest.mark.parametrize("stride", [1, 2, (2, 1)])
@pytest.mark.parametrize("kernel", [(3, 3), (5, 5), (7, 7), (1, 4), (3, 5)])
@pytest.mark.parametrize("padding", [(0, 0), (2, 1), (3, 3)])
def test_results_and_gradients_are_those_of_float32(
    stride: int | tuple[int, int], kernel: tuple[int, int], padding: tuple[int, int]
) -> None:
    given = random_case(*kernel)
    plain = F.conv2d(*given, stride, padding, groups=CHANNELS)
    slope = torch.randn_like(plain).bfloat16()
    wanted = torch.autograd.grad(plain, given, slope.float())
    found = depthwise.conv2d(*given, stride, padding)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), plain, rtol=0.01, atol=0.05)
    for mine, other in zip(torch.autograd.grad(found, given, slope), wanted, strict=True):
        assert mine.shape == other.shape
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine, other, rtol=0.02, atol=0.02 * float(other.abs().max()))


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_what_does_not_learn_gets_no_gradient(missing: int) -> None:
    given = random_case(5, 5)
    given[missing].requires_grad_(False)
    depthwise.conv2d(*given, 1, 2).float().square().sum().backward()
    assert [tensor.grad is None for tensor in given] == [number == missing for number in range(3)]


def test_a_convolution_without_a_bias() -> None:
    x, weight, _ = random_case(3, 3)
    plain = F.conv2d(x, weight, None, 1, 1, groups=CHANNELS)
    torch.testing.assert_close(depthwise.conv2d(x, weight, None, 1, 1).float(), plain, rtol=0.01, atol=0.05)


@pytest.mark.parametrize(
    ("channels", "weight", "padding", "dilation", "groups", "takes"),
    [
        (6, (6, 1, 3, 3), 1, 1, 6, True),
        (6, (6, 1, 3, 3), (1, 1), [1, 1], 6, True),
        (6, (6, 6, 3, 3), 1, 1, 1, False),  # an ordinary one
        (6, (6, 2, 3, 3), 1, 1, 3, False),  # grouped
        (6, (12, 1, 3, 3), 1, 1, 6, False),  # two kernels a channel
        (6, (6, 1, 3, 3), "same", 1, 6, False),
        (6, (6, 1, 3, 3), 1, 2, 6, False),
        (1, (1, 1, 3, 3), 1, 1, 1, False),
    ],
)
def test_only_plain_depthwise_convolutions_are_taken(
    channels: int, weight: tuple[int, ...], padding: object, dilation: object, groups: int, takes: bool
) -> None:
    assert depthwise.takes(torch.zeros(1, channels, 8, 8), torch.zeros(weight), padding, dilation, groups) is takes
